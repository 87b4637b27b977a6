#!/bin/sh
# Prints in one line what a machine lacks to build Kolbridge, or nothing.
python=$1
if ! command -v "$python" >/dev/null 2>&1; then
    echo "kolbridge: no '$python' here: install Python 3.11 to 3.14 (Debian: apt-get install python3)" >&2
    exit 1
fi
"$python" - <<'PY' || exit 1
import os, shutil, sys, sysconfig

def stop(text):
    print(f"kolbridge: {text}", file=sys.stderr)
    sys.exit(1)

if not (3, 11) <= sys.version_info[:2] <= (3, 14):
    stop(f"Python 3.11 to 3.14 is needed, {sys.executable} is {sys.version.split()[0]}; try make PYTHON=python3.12")
try:
    import ensurepip, venv
except ImportError:
    stop("the venv module is missing (Debian: apt-get install python3-venv)")
compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
if not shutil.which(compiler):
    stop(f"no C compiler '{compiler}' (Debian: apt-get install build-essential)")
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    stop("the headers of Python are missing (Debian: apt-get install python3-dev)")
PY

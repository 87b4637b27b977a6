#!/bin/sh
# Runs the tests of the compiled modules on two builds that find errors which the release
# build hides: one under the address and undefined-behaviour sanitizers, one with Cython's
# own checks of bounds and division. Both are built in a copy of the checkout, so the
# release build stays unchanged. Needs gcc and the environment that `make test` makes.
set -eu
cd "$(dirname "$0")/.."
python="$PWD/.venv/bin/python"
copy=$(mktemp -d "${TMPDIR:-/tmp}/kolbridge-kernels-XXXXXX")
# `find` succeeds without a report; `cat` without one would fail the whole run.
trap 'find "$copy" -maxdepth 1 -name "sanitizer.*" -exec cat {} +; rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"
cd "$copy"

# check TITLE BUILD-VARIABLE TEST-VARIABLE...: builds with the first variable, tests with
# the others
check() {
  printf '\n-- %s\n' "$1"
  env "$2" "$python" setup.py -q build_ext --inplace --force -j2 > build.log 2>&1 ||
    { cat build.log; exit 1; }
  shift 2
  env "$@" PYTHONPATH="$copy" "$python" -m pytest -q -x -p no:cacheprovider tests/dsp \
    tests/bridge/media/test_uplink.py tests/bridge/media/test_playout.py \
    tests/bridge/media/test_playout_marks.py tests/bridge/media/test_fast_path.py \
    tests/bridge/line/test_fast_path.py tests/bridge/wire/test_audio.py
}

# The interpreter is built without the sanitizers, and its own leaks are not reported.
check "address and undefined-behaviour sanitizers" KOLBRIDGE_SANITIZE=1 \
  "LD_PRELOAD=$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
  "ASAN_OPTIONS=detect_leaks=0:log_path=$copy/sanitizer" \
  "UBSAN_OPTIONS=print_stacktrace=1:log_path=$copy/sanitizer"
check "bounds and division checked" KOLBRIDGE_CHECKED=1 KOLBRIDGE_CHECKED=1

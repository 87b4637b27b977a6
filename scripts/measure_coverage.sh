#!/bin/sh
# Measures which lines and branches of the core the given tests run, in compiled modules
# too, and fails under the floor in pyproject.toml. The traced build is made in a copy of
# the checkout, so that the release build stays as it is; the kernels in dsp are left
# out, because each of their samples is hundreds of lines. Needs what `make test` makes.
set -eu
cd "$(dirname "$0")/.."
python="$PWD/.venv/bin/python"
copy=$(mktemp -d "${TMPDIR:-/tmp}/kolbridge-coverage-XXXXXX")
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp -p --parents -t "$copy"
cp -p dsp/*.c dsp/*.so "$copy/dsp"
cd "$copy"
env KOLBRIDGE_TRACE=1 "$python" setup.py -q build_ext --inplace --force -j2 \
  > build.log 2>&1 || { cat build.log; exit 1; }
env PYTHONPATH="$copy" "$python" -m coverage run -m pytest -q -p no:cacheprovider "$@"
"$python" -m coverage report

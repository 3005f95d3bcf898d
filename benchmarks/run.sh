#!/usr/bin/env bash
# Make the two environments, run every comparison (or those named), and write results/.
#   bash benchmarks/run.sh [gram projected_gradient paired_cone interpolate memorize gauss_newton trainer import_time]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
PYTHON="${PYTHON:-python3}"

environment() {  # environment NAME REQUIREMENTS
  if ! cmp -s "$2" "$1/requirements.txt"; then
    "$PYTHON" -m venv --clear "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2"
    cp "$2" "$1/requirements.txt"
  fi
}

environment .venv-bench requirements.txt
environment .venv-nt requirements-nt.txt
for name in "${@:-gram projected_gradient paired_cone interpolate memorize gauss_newton trainer import_time}"; do
  for comparison in $name; do
    .venv-bench/bin/python "$comparison.py"
  done
done
.venv-bench/bin/python table.py

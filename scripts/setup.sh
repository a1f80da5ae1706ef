#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# setup.sh build|run|test|check: installs the Debian packages that are missing for building; for running models too, which
# takes an OpenCL driver; for testing; or for every check. Each of these includes the ones before it.
set -euo pipefail

build=(cmake ninja-build g++ pkg-config ccache libfmt-dev nlohmann-json3-dev zlib1g-dev libxxhash-dev libexpected-dev
  libpcre2-dev libedit-dev opencl-headers)
# OpenCL is loaded when a program starts: the loader, and a driver that makes the processor a device.
run=("${build[@]}" ocl-icd-libopencl1 pocl-opencl-icd)
test=("${run[@]}" libgtest-dev libgmock-dev libbenchmark-dev help2man oclgrind)
# shellcheck disable=SC2034  # chosen by name
check=("${test[@]}" git clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 universal-ctags)
case ${1:-build} in
  build | run | test | check) declare -n chosen=${1:-build} ;;
  *) echo "usage: $0 build|run|test|check" >&2; exit 2 ;;
esac
packages=("${chosen[@]}")
# A Python that does not come from Debian serves as well.
python3 -m pip --version >/dev/null 2>&1 || packages+=(python3 python3-pip)

if ! command -v dpkg-query >/dev/null; then
  echo "setup: not a Debian system; these have to be here already: ${packages[*]}"
  exit 0
fi
missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "setup: please install as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "setup: installing ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
  tail -n 20 "$log" >&2
  echo "setup: the packages could not be installed" >&2
  exit 1
fi

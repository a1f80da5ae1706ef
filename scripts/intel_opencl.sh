#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# intel_opencl.sh: brings Intel's OpenCL driver for CPUs from PyPI where it is not there yet, and prints a folder for
# OCL_ICD_VENDORS that offers this driver alone. Where it cannot be had, one line says why and nothing is printed.
# It is proprietary (its licence lies beside it), serves tests as a second implementation, and is part of nothing here.
set -euo pipefail

if [ "$(uname -sm)" != "Linux x86_64" ]; then
  echo "intel_opencl: no driver for $(uname -sm), so no tests on it" >&2
  exit 0
fi
# The driver, its compiler's libraries, and the thread pool that it runs on. Needs nothing else that Debian lacks, and no
# LD_LIBRARY_PATH: that would put the driver's own libOpenCL before the system's.
packages='intel-opencl-rt==2026.2.0 --hash=sha256:6b6215a420598b4999ee01caca6d5cbe106aa4155c46c52377619c5aafce9f67
intel-cmplr-lib-rt==2026.2.0 --hash=sha256:9f713083073a820d2496a6da8e8d4f3482aba6640f74521d25ea48dcebe72748
tbb==2023.2.0 --hash=sha256:7d80615b6e970f11671fa05b6eaa9483ac864fbfe525ac280271a78b37870b7c'
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fuse
venv=$cache/intel-opencl-$(printf '%s\n' "$packages" | sha256sum | cut -c1-12)
mkdir -p "$cache"
exec 9>"$cache/intel-opencl.lock"
flock 9
if [ ! -e "$venv/complete" ]; then
  echo "intel_opencl: downloading Intel's OpenCL driver (275 MB)" >&2
  rm -rf "$venv"
  python3 -m venv --without-pip "$venv"
  printf '%s\n' "$packages" >"$venv/requirements"
  if ! python3 -m pip --python "$venv/bin/python" install --quiet --no-deps --no-cache-dir --disable-pip-version-check \
    --only-binary :all: --require-hashes --requirement "$venv/requirements" >"$venv/pip.log" 2>&1; then
    echo "intel_opencl: no tests on Intel's driver: $(tail -n 1 "$venv/pip.log")" >&2
    exit 1
  fi
  # Wheels hold a copy for every name of a library. Half of the space is the second copies and a link-time optimiser.
  rm -f "$venv"/lib/{icx-lto,libcommon_clang,libintelocl}.so
  mkdir "$venv/vendors"
  realpath "$venv"/lib/libintelocl.so.* >"$venv/vendors/intel.icd"
  touch "$venv/complete"
fi
printf '%s\n' "$venv/vendors"

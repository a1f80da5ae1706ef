#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# demo.sh: installs what is missing, builds gguf-fuse and gguf-run, brings a small real model, fuses it, proves it, takes it
# back, and lets the fused file speak.
set -euo pipefail
cd "$(dirname "$0")"

logs=build/demo/logs
# shellcheck source=scripts/common.sh
. scripts/common.sh
scripts/setup.sh run
build_programs() {
  cmake -S . -B build/demo/program -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGUF_FUSE_TESTS=OFF -DGGUF_FUSE_BENCH=OFF \
    -DGGUF_FUSE_MAN=OFF &&
    cmake --build build/demo/program --parallel "$jobs" --target gguf-fuse gguf-run gguf-fuse-probe
}
step "build gguf-fuse and gguf-run" build_programs
scripts/models.sh smollm2

PATH=$PWD/build/demo/program/bin:$PATH
cd build/demo
ln -sf "$models/smollm2-135m-instruct-q4_1.gguf" smollm2.gguf

run() {
  printf '\n$'
  printf ' %s' "${@@Q}" | sed "s/'\([-a-zA-Z0-9._/]*\)'/\1/g"
  printf '\n'
  "$@"
}
run gguf-fuse plan smollm2.gguf
run gguf-fuse convert smollm2.gguf smollm2.fused.gguf --force
run gguf-fuse verify smollm2.fused.gguf smollm2.gguf
run gguf-fuse unfuse smollm2.fused.gguf smollm2.unfused.gguf --force
run sha256sum smollm2.gguf smollm2.unfused.gguf
if ! cmp -s smollm2.gguf smollm2.unfused.gguf; then
  echo "The unfused file differs from the original." >&2
  exit 1
fi
run gguf-run -m smollm2.fused.gguf -p "The capital of France is" -n 48 --temp 0

echo
echo "Fused:   build/demo/smollm2.fused.gguf, $(stat -c %s smollm2.fused.gguf) bytes (original: $(stat -Lc %s smollm2.gguf) bytes)"
echo "Proved:  every weight of the original is in the fused file, unchanged"
echo "Undone:  build/demo/smollm2.unfused.gguf is the original again, byte for byte"
echo "Spoke:   the fused file, through OpenCL; the first start compiles its kernels, the next one finds them in a cache"

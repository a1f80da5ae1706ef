# SPDX-License-Identifier: MIT
"""Fused tensors of the tiny models hash to what llama.cpp's and ik_llama.cpp's own fused files hold (tests/data/fused.json).

Reads GGUF by itself, with nothing but the standard library, so that neither our reader nor the `gguf` package can hide a mistake.
"""
import hashlib
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

PROGRAM = os.environ["GGUF_FUSE_PROGRAM"]
DATA = pathlib.Path(__file__).parent.parent / "data"
SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


class Reader:
    """Tensor names, shapes and offsets of a little-endian GGUF file."""

    def __init__(self, path):
        self.data = pathlib.Path(path).read_bytes()
        self.at = 8
        tensor_count, key_count = self.take("<QQ")
        alignment = 32
        for _ in range(key_count):
            key = self.string()
            value = self.value(self.take("<I")[0])
            if key == b"general.alignment":
                alignment = value
        rows = [self.tensor() for _ in range(tensor_count)]
        start = -(-self.at // alignment) * alignment
        ends = [row[2] for row in rows[1:]] + [len(self.data) - start]
        self.tensors = {name: (shape, start + offset, start + end) for (name, shape, offset), end in zip(rows, ends)}

    def take(self, form):
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values

    def string(self):
        (length,) = self.take("<Q")
        self.at += length
        return self.data[self.at - length : self.at]

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            element, count = self.take("<IQ")
            return [self.value(element) for _ in range(count)]
        self.at += SCALARS[kind]
        return int.from_bytes(self.data[self.at - SCALARS[kind] : self.at], "little")

    def tensor(self):
        name = self.string().decode()
        (dimensions,) = self.take("<I")
        shape = list(self.take(f"<{dimensions}Q"))
        _, offset = self.take("<IQ")
        return name, shape, offset


def check(name, expected, folder):
    source = DATA / "models" / name
    fused = pathlib.Path(folder) / name
    subprocess.run([PROGRAM, "convert", source, fused, "--target", expected["target"], "--quiet"], check=True)
    before, after = Reader(source), Reader(fused)
    problems = []
    for tensor, _, shape, digest in expected["tensors"]:
        if tensor not in after.tensors:
            problems.append(f"{tensor} is missing")
            continue
        actual_shape, begin, end = after.tensors[tensor]
        # The table gives no sizes, so padding may follow: the bytes are those the hash of the reference covers.
        candidates = {hashlib.sha256(after.data[begin : end - cut]).hexdigest() for cut in range(32)}
        if actual_shape != shape or digest not in candidates:
            problems.append(f"{tensor}: shape {actual_shape}, or bytes, differ from the reference")
    fused_names = {row[0] for row in expected["tensors"]}
    made = set(after.tensors) - set(before.tensors)
    problems += [f"{tensor} was fused, which no engine expects" for tensor in sorted(made - fused_names)]
    return problems


def main():
    references = json.loads((DATA / "fused.json").read_text())
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, expected in references.items():
            problems = check(name, expected, folder)
            failed += bool(problems)
            print(f"{name}: {len(expected['tensors'])} fused tensors", *problems, sep="\n  ")
    print(f"{len(references) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Takes keys away from the reference models and the tiny models, one at a time, in llama.cpp and in gguf-run.

  keys.py [--bin BIN] [--data tests/data] [--only TEXT]

For every row of missing_keys.tsv: what the row says must be true in llama.cpp (a file without the key is refused, or
gives bit for bit the logits of the same file with the value that the row names), and gguf-run must refuse what
llama.cpp refuses and give its logits where it runs. Prints one row of a Markdown table an architecture and what
differs; exits with 1 when anything does.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile

import numpy

from gguf import GGUFReader, quants

import gguf_edit
import logits

TOKENS = list(range(3, 41))
# llama.cpp divides by what old files mean to be multiplied with (256 / embedding_length).
OTHERWISE = {("minicpm", "logit_scale")}
CLOSE = 5e-3  # of the logits' spread; llama.cpp looks GELU up in a table of halves


def llama(path):
    """Logits of all positions, or nothing where llama.cpp refuses the file."""
    return logits.run_quietly(lambda: logits.Model(path, threads=1, floats=True).logits(TOKENS))


def ours(program, path):
    """Logits of the last position, or nothing with a reason."""
    command = [program, "eval", "-m", path, "--tokens", ",".join(map(str, TOKENS)), "--activations", "f32",
               "-ctk", "f32", "-ctv", "f32"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 3, 6):
        raise SystemExit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    if done.returncode != 0:
        return None
    found = json.loads(done.stdout)["logits"]
    return numpy.array(found[-1] if isinstance(found[0], list) else found)


def as_floats(path):
    """The model with all its tensors as floats: then the two differ by the order of sums, not by 8-bit activations."""
    model = gguf_edit.Model(path)
    floats = {}
    for tensor in GGUFReader(path).tensors:
        values = quants.dequantize(tensor.data, tensor.tensor_type)
        floats[tensor.name] = values.astype(numpy.float32).tobytes()
    model.set_floats(floats)
    return model


class Sweep:
    def __init__(self, options):
        self.models = os.path.join(options.data, "models")
        self.program = os.path.join(options.bin, "gguf-run")
        self.maker = os.path.join(options.bin, "gguf-tiny-model")
        self.folder = tempfile.TemporaryDirectory()
        self.counts = collections.Counter()
        self.differences = []
        self.name = None

    def differ(self, row, text):
        self.differences.append(f"{' '.join(row)}: {text}")

    def read(self, name):
        """A reference model, or a tiny model behind "tiny:", whose weights are floats."""
        if not name.startswith("tiny:"):
            return as_floats(os.path.join(self.models, name + ".gguf"))
        path = os.path.join(self.folder.name, "tiny.gguf")
        subprocess.run([self.maker, name.removeprefix("tiny:"), path], check=True)
        return gguf_edit.Model(path)

    def check(self, row):
        name, key, outcome = row[:3]
        if (name.removeprefix("tiny:"), key) in OTHERWISE:
            return
        if name != self.name:
            self.name = name
            self.model = self.read(name)
        model = self.model
        whole = key[1:] if key.startswith(".") else f"{model.architecture}.{key}"
        path = os.path.join(self.folder.name, "without.gguf")
        model.write(path, without=whole)
        theirs = llama(path)
        found = ours(self.program, path)
        self.counts[model.architecture, "keys"] += 1
        if (theirs is None) != (outcome == "refused"):
            self.differ(row, "llama.cpp refuses it" if theirs is None else "llama.cpp runs it")
        elif outcome != "refused":
            kind, value = outcome.split(" ", 1)
            with_value = os.path.join(self.folder.name, "with.gguf")
            model.write(with_value, without=whole, typed=(whole, kind, value))
            same = llama(with_value)
            if same is None or not numpy.array_equal(same, theirs):
                self.differ(row, "llama.cpp computes something else with that value")
        if (found is None) != (theirs is None):
            self.differ(row, "gguf-run refuses it" if found is None else "gguf-run runs it")
        elif found is not None:
            apart = numpy.abs(found - theirs[-1]).max() / theirs.std()
            if not apart <= CLOSE:
                self.differ(row, f"logits are {apart:.2g} of the spread apart")
        self.counts[model.architecture, "refused" if theirs is None else "run"] += 1


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(here, "../../build/release/bin"))
    parser.add_argument("--data", default=os.path.join(here, "../data"))
    parser.add_argument("--only", default="", help="rows that hold this text")
    options = parser.parse_args()
    sweep = Sweep(options)
    with open(os.path.join(options.data, "missing_keys.tsv"), encoding="utf-8") as table:
        rows = [line.rstrip("\n").split("\t") for line in table if not line.startswith("#")]
    for row in rows:
        if options.only in "\t".join(row):
            sweep.check(row)
    for architecture in sorted({architecture for architecture, _ in sweep.counts}):
        numbers = [sweep.counts[architecture, what] for what in ("keys", "run", "refused")]
        logits.row(architecture, *numbers)
    for text in sweep.differences:
        print(text, file=sys.stderr)
    return 1 if sweep.differences else 0


if __name__ == "__main__":
    sys.exit(main())

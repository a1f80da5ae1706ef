#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What llama.cpp computes of the tiny models of tests/support/tiny_model_table.inc.

  architectures.py [--bin BIN] [--data FOLDER] [--only TEXT] [--write]

Compares with the logits that are stored (tests/data/architectures/NAME.f32: little-endian floats, a row a token of the
text), and prints what is missing or differs; exits with 1 when anything does. With --write, stores them instead; one
of a model that llama.cpp does not load is taken away.
"""

import argparse
import os
import subprocess
import sys
import tempfile

import numpy

import logits

CLOSE = 1e-4  # of the logits' spread: another processor sums in another order


def llama(path, text):
    """Logits of all positions, or nothing where llama.cpp refuses the file or ends."""
    return logits.run_quietly(lambda: logits.Model(path, threads=1, floats=True).logits(text))


def check(found, path):
    """What is wrong with a stored file, or nothing."""
    if not os.path.exists(path):
        return "not stored"
    stored = numpy.fromfile(path, "<f4")
    if stored.size != found.size:
        return f"{stored.size} numbers are stored, {found.size} were computed"
    apart = numpy.abs(stored - found.reshape(-1)).max() / found.std()
    return None if apart <= CLOSE else f"{apart:.2g} of the spread apart"


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(here, "../../build/release/bin"))
    parser.add_argument("--data", default=os.path.join(here, "../data/architectures"))
    parser.add_argument("--only", default="", help="models whose name holds this text")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    program = os.path.join(options.bin, "gguf-tiny-model")

    def ask(*arguments):
        return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout

    text = [int(token) for token in ask("--text").split(",")]
    wrong = []
    names = [name for name in ask("--list").split() if options.only in name]
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            model = os.path.join(folder, "model.gguf")
            stored = os.path.join(options.data, name + ".f32")
            ask(name, model)
            found = llama(model, text)
            if found is None or not numpy.isfinite(found).all() or found.std() == 0:
                wrong.append(f"{name}: " + ("not loaded" if found is None else "no logits to compare with"))
                if options.write and os.path.exists(stored):
                    os.remove(stored)
            elif options.write:
                found.astype("<f4").tofile(stored)
            elif (reason := check(found, stored)) is not None:
                wrong.append(f"{name}: {reason}")
    print(f"{len(names) - len(wrong)} of {len(names)} tiny models: " + ("stored" if options.write else "as stored"))
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

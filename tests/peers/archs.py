#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fuses, runs and takes apart again the models that llama.cpp's test-llama-archs -o writes.

  archs.py FOLDER [--bin BIN] [--only TEXT]

Of each model: gguf-fuse fuses it; llama.cpp loads the result and gives bit for bit the same logits; gguf-fuse unfuse
gives the same bytes; gguf-run runs the model and its fused copy with llama.cpp's logits, or refuses them with status 6
and a reason. Prints a Markdown table and exits with 1 when something is not so.

The saver writes a random factor beside every matrix (.scale, .input_scale; else only NVFP4 files have them), with which
nothing is merged and gguf-run runs nothing. So each model that has them goes through twice, as it is and without them.
"""

import argparse
import collections
import filecmp
import json
import os
import subprocess
import sys
import tempfile

import numpy

import gguf_edit
import logits

TOKENS = [(7 * i + 3) % 120 for i in range(48)]
CLOSE = 1e-3  # of the logits' spread: gguf-run with float activations, another order of summation


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def llama(path):
    return logits.run_quietly(lambda: logits.Model(path, threads=1, floats=True).logits(TOKENS))


def is_scale(name):
    return name.endswith((".scale", ".input_scale"))


class Models:
    def __init__(self, options):
        self.bin = options.bin
        self.runnable = set(options.runnable)
        self.folder = tempfile.TemporaryDirectory()
        self.counts = collections.defaultdict(collections.Counter)
        self.variant = ""
        self.reasons = collections.defaultdict(list)
        self.wrong = []

    def count(self, what):
        self.counts[self.variant][what] += 1

    def program(self, name):
        return os.path.join(self.bin, name)

    def fuse(self, label, path, theirs):
        """The fused copy, or the model itself where nothing is fused."""
        fused = os.path.join(self.folder.name, "fused.gguf")
        back = os.path.join(self.folder.name, "back.gguf")
        for old in (fused, back):
            if os.path.exists(old):
                os.remove(old)
        done = run(self.program("gguf-fuse"), "convert", "--quiet", "--strict", path, fused)
        if done.returncode == 4:
            self.count("nothing to fuse")
            return path
        if done.returncode != 0:
            self.wrong.append(f"{label}: convert: {done.returncode}: {done.stderr.strip()}")
            return path
        self.count("fused")
        after = llama(fused)
        if after is None and theirs is not None:
            self.wrong.append(f"{label}: llama.cpp does not load the fused file")
        elif after is not None:
            self.count("loaded")
            if theirs is not None and numpy.array_equal(after.view(numpy.uint32), theirs.view(numpy.uint32)):
                self.count("logits equal")
            else:
                self.wrong.append(f"{label}: llama.cpp's logits differ")
        done = run(self.program("gguf-fuse"), "unfuse", "--quiet", fused, back)
        if done.returncode == 0 and filecmp.cmp(path, back, shallow=False):
            self.count("round trips")
        else:
            self.wrong.append(f"{label}: not the same bytes after unfuse {done.stderr.strip()}")
        return fused

    def evaluate(self, label, path, theirs):
        """Whether gguf-run runs it; notes a wrong result or status."""
        done = run(self.program("gguf-run"), "eval", "-m", path, "--tokens", ",".join(map(str, TOKENS)),
                   "--activations", "f32", "-ctk", "f32", "-ctv", "f32")
        if done.returncode == 6:
            return next(line for line in done.stderr.splitlines() if line.startswith("error: "))
        if done.returncode != 0 or theirs is None:
            self.wrong.append(f"{label}: gguf-run: {done.returncode}: {done.stderr.strip()}")
            return "wrong"
        found = numpy.array(json.loads(done.stdout)["logits"]).reshape(-1)[-theirs.shape[1] :]
        apart = numpy.abs(found - theirs[-1]).max() / theirs.std()
        if not apart <= CLOSE:
            self.wrong.append(f"{label}: gguf-run's logits are {apart:.2g} of the spread apart")
            return "wrong"
        return None

    def check_both(self, path):
        label = os.path.basename(path).removesuffix(".gguf")
        self.variant = "as written"
        self.check(path, label)
        model = gguf_edit.Model(path)
        if any(map(is_scale, model.tensors)):
            plain = os.path.join(self.folder.name, "plain.gguf")
            model.write_without_tensors(plain, is_scale)
            self.variant = "without scales"
            self.check(plain, label)

    def check(self, path, label):
        self.count("models")
        theirs = llama(path)
        if theirs is None:
            self.wrong.append(f"{label}: llama.cpp does not load what it wrote")
        fused = self.fuse(label, path, theirs)
        reason = self.evaluate(label, path, theirs)
        if reason is None and fused != path:
            reason = self.evaluate(label + ", fused", fused, theirs)
        if reason is None:
            self.count("run, logits close")
        if reason is None or reason == "wrong":
            return
        self.count("refused")
        known = gguf_edit.Model(path).architecture in self.runnable
        what = reason.split(": ")[2:4]
        text = ": ".join(what) if known else "an architecture that gguf-run does not run"
        self.reasons[f"{self.variant}: {text}"].append(label)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--bin", default=os.path.join(here, "../../build/release/bin"))
    parser.add_argument("--runnable", nargs="*", default=[], help="architectures that gguf-run runs")
    parser.add_argument("--only", default="", help="models whose name holds this text")
    options = parser.parse_args()
    models = Models(options)
    for name in sorted(os.listdir(options.folder)):
        if name.endswith(".gguf") and options.only in name:
            models.check_both(os.path.join(options.folder, name))
    columns = ["models", "fused", "nothing to fuse", "loaded", "logits equal", "round trips", "run, logits close",
               "refused"]
    logits.row("", *columns)
    logits.row(*["---"] * (len(columns) + 1))
    for variant, counts in models.counts.items():
        logits.row(variant, *[counts[column] for column in columns])
    print("\nRefused by gguf-run with status 6:\n")
    for reason, labels in sorted(models.reasons.items()):
        print(f"- {reason}: {len(labels)} ({', '.join(labels)})")
    for text in models.wrong:
        print(text, file=sys.stderr)
    return 1 if models.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

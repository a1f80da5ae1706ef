#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The measuring part of compare.sh: alternating rounds of llama-bench and gguf-bench, which take the same flags and print
the same JSON, on every model and test, and of gguf-bench with the tensors as they are in the file. Ratios compare runs of the same round, because machines are noisy."""

import argparse
import json
import os
import statistics
import subprocess

TESTS = {"pp512": ["-p", "512", "-n", "0"], "tg128": ["-p", "0", "-n", "128"]}


def tokens_per_second(program, model, test, threads, repetitions=1):
    """The mean of some runs, after the warm-up that both programs do by themselves. `program` is a list: options may follow."""
    command = [*program, "-m", model, *TESTS[test], "-r", str(repetitions), "-t", str(threads), "-o", "json"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {result.returncode}:\n{result.stderr}")
    (measured,) = json.loads(result.stdout)
    return measured["avg_ts"]


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} .. {max(values):.{digits}f})"


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    options = parser.parse_args()
    programs = {
        "llama-bench": [options.peer],
        "gguf-bench": [options.ours],
        "gguf-bench --fuse off": [options.ours, "--fuse", "off"],
    }

    print(f"Tokens per second, {options.rounds} alternating rounds, median (least .. most):\n")
    row("model", "test", *programs, "gguf-bench to llama-bench", "fused to unfused")
    print("|" + "---|" * (len(programs) + 4))
    for model in options.models:
        for test in TESTS:
            found = {name: [] for name in programs}
            for i in range(options.rounds):
                # Who begins takes turns: the next run finds a warmer processor.
                for name in sorted(programs, reverse=i % 2 == 0):
                    found[name].append(tokens_per_second(programs[name], model, test, options.threads))

            def ratio(other):
                pairs = zip(found["gguf-bench"], found[other], strict=True)
                return spread([ours / theirs for ours, theirs in pairs], 2)

            cells = [spread(runs, 1) for runs in found.values()]
            row(os.path.basename(model), test, *cells, ratio("llama-bench"), ratio("gguf-bench --fuse off"))


if __name__ == "__main__":
    main()

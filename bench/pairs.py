#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The measuring part of pairs.sh: two builds in alternating pairs. Ratios compare runs of the same pair, because machines
are noisy, and the interval says how sure their median is: distribution-free, by the binomial distribution of how many
ratios lie below the true median (Conover, Practical Nonparametric Statistics, 3rd edition, section 3.2)."""

import argparse
import math
import os
import statistics

from compare import TESTS, row, spread, tokens_per_second
from convert import MIB, Bench, claim_memory
from load import Loader, of_weights, remember

GOAL = 0.98  # of the speed before: what is below counts as slower
CONFIDENCE = 0.95


def interval(values):
    """The narrowest pair of order statistics, as many values left out below as above, that holds the median with at least
    CONFIDENCE, and its real confidence. Fewer than six values have none: the least and the most of them, and less.

    >>> interval(range(1, 21))
    (6, 15, 0.9586105346679688)
    >>> interval([3, 1, 2])
    (1, 3, 0.75)
    """
    values = sorted(values)
    count = len(values)

    def tail(left_out):
        """How likely so many values or fewer lie below the true median."""
        return sum(math.comb(count, k) for k in range(left_out + 1)) / 2**count

    left_out = 0
    while tail(left_out + 1) <= (1 - CONFIDENCE) / 2:
        left_out += 1
    return values[left_out], values[count - 1 - left_out], 1 - 2 * tail(left_out)


def verdict(low, high, confidence):
    """How much of the interval is no slower than the goal.

    >>> [verdict(low, high, 0.96) for low, high in ((0.99, 1.02), (0.9, 0.985), (0.9, 0.97))]
    ['all of it', 'part of it', 'none of it']
    >>> verdict(0.99, 1.02, 0.94)
    'too few pairs'
    """
    if confidence < CONFIDENCE:
        return "too few pairs"
    if low >= GOAL:
        return "all of it"
    return "part of it" if high >= GOAL else "none of it"


def measures(options):
    """Name, unit, and what measures a build's speed: more is better."""

    def tokens(model, test):
        return lambda build: tokens_per_second([build + "/gguf-bench"], model, test, os.cpu_count(), 3)

    def loads(model):
        def measure(build):
            command = [build + "/gguf-run", "-p", "x", "-n", "1", "--json", "--no-warmup", "--no-perf", "-c", "64"]
            seconds, _ = Loader("load", [*command, "-muge", "-mqkv"], of_weights)(model)
            return os.path.getsize(model) / 1e9 / seconds

        return measure

    def converts(build):
        bench = Bench(build + "/gguf-fuse", options.large)
        seconds, _ = bench.run(bench.commands["convert"])
        return bench.bytes / 1e9 / seconds

    for model in [*options.models, options.large]:
        name = os.path.basename(model).removesuffix(".gguf")
        if model != options.large:
            yield from ((f"{test}, {name}", "tokens/s", tokens(model, test)) for test in TESTS)
        yield f"load, {name}", "GB/s", loads(model)
    yield f"convert, {name}", "GB/s", converts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--large", required=True, help="a file to load and to convert")
    parser.add_argument("before", metavar="BEFORE")
    parser.add_argument("after", metavar="AFTER")
    parser.add_argument("models", metavar="MODEL", nargs="+", help="to run and to load")
    options = parser.parse_args()

    print(f"{options.pairs} alternating pairs, median (least .. most):\n")
    row("what", "unit", "before", "after", "after to before, median (interval)", "confidence", f"at least {GOAL}")
    print("|" + "---|" * 7)
    for model in [*options.models, options.large]:
        remember(model)
    claim_memory(os.path.getsize(options.large) + 512 * MIB)
    for name, unit, measure in measures(options):
        for build in (options.before, options.after):
            measure(build)  # programs are compiled, files are in the page cache
        before, after = [], []
        for i in range(options.pairs):
            order = [(options.before, before), (options.after, after)]
            # Who begins takes turns: the next run finds a warmer processor.
            for build, speeds in order if i % 2 == 0 else reversed(order):
                speeds.append(measure(build))
        ratios = [new / old for old, new in zip(before, after, strict=True)]
        low, high, confidence = interval(ratios)
        row(name, unit, spread(before, 2), spread(after, 2), f"{statistics.median(ratios):.3f} ({low:.3f} .. {high:.3f})",
            f"{100 * confidence:.1f} %", verdict(low, high, confidence))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs models in llama.cpp (llama-cpp-python) and compares what they compute.

  logits.py same BEFORE AFTER     every logit of every position of some prompts bit for bit, and 32 greedy tokens
  logits.py close BEFORE AFTER    the same greedy text, and how far the logits are apart (another order of summation)
  logits.py runs MODEL            loads and gives finite logits
  logits.py speed BEFORE AFTER    prompt and generation speed, in alternating runs

Models without a vocabulary are given token numbers. Each prints one row of a markdown table and exits with 1 on a
difference. A model is loaded in a process of its own, because the engine aborts on what it does not accept.
"""

import argparse
import ctypes
import multiprocessing
import os
import statistics
import sys
import time

# Not a debugger's backtrace each time it aborts on what it does not accept.
os.environ["GGML_NO_BACKTRACE"] = "1"

import llama_cpp
import numpy

PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n    if n < 2:\n        return n\n",
    "Once upon a time, in a village far away, there lived an old clockmaker who had never been late. One morning",
    "1, 1, 2, 3, 5, 8, 13,",
]
ERROR, CONTINUES = 4, 5  # ggml's log levels
GREEDY_TOKENS = 32
CLOSE = 0.05  # 8-bit activations turn another order of summation into about 0.03
PROMPT_TOKENS = 256
GENERATED_TOKENS = 48


def pin(function):
    """The engine keeps the pointer: the object has to outlive it."""
    pin.kept.append(function)
    return function


pin.kept = []


class Model:
    def __init__(self, path, threads, floats=False):
        """`floats`: keys and values as floats and attention step by step, in the context of the tiny models."""
        self.log_level = 0
        llama_cpp.llama_log_set(pin(llama_cpp.llama_log_callback(self._log)), None)
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self.model:
            raise RuntimeError(f"llama.cpp does not load {path}")
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = 512
        parameters.n_batch = 512
        parameters.n_ubatch = 512
        parameters.n_threads = threads
        parameters.n_threads_batch = threads
        if floats:
            parameters.n_ctx = 256
            parameters.type_k = parameters.type_v = llama_cpp.GGML_TYPE_F32
            parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = llama_cpp.llama_init_from_model(self.model, parameters)
        if not self.context:
            raise RuntimeError(f"llama.cpp makes no context for {path}")
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        self.size = llama_cpp.llama_vocab_n_tokens(self.vocabulary)

    def _log(self, level, text, _):
        if level != CONTINUES:
            self.log_level = level
        if self.log_level == ERROR:
            sys.stderr.write(text.decode(errors="replace"))

    def tokens(self, text):
        if llama_cpp.llama_vocab_type(self.vocabulary) == llama_cpp.LLAMA_VOCAB_TYPE_NONE:
            return [byte % self.size for byte in text.encode()]
        data = text.encode()
        out = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(self.vocabulary, data, len(data), out, len(out), True, False)
        return list(out[:count])

    def text(self, tokens):
        if llama_cpp.llama_vocab_type(self.vocabulary) == llama_cpp.LLAMA_VOCAB_TYPE_NONE:
            return " ".join(map(str, tokens))
        piece = ctypes.create_string_buffer(256)
        text = b""
        for token in tokens:
            size = llama_cpp.llama_token_to_piece(self.vocabulary, token, piece, len(piece), 0, False)
            text += piece.raw[:size]
        return text.decode(errors="replace")

    def clear(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def logits(self, tokens, position=0, every=True):
        """Logits of every token of the batch, or of the last one."""
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = position + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = every or i + 1 == len(tokens)
        status = llama_cpp.llama_decode(self.context, batch)
        llama_cpp.llama_batch_free(batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        rows = len(tokens) if every else 1
        pointer = llama_cpp.llama_get_logits(self.context)
        return numpy.ctypeslib.as_array(pointer, (rows, self.size)).copy()

    def greedy(self, tokens, count):
        self.clear()
        found = []
        logits = self.logits(tokens, every=False)
        while len(found) < count:
            found.append(int(numpy.argmax(logits[-1])))
            logits = self.logits(found[-1:], position=len(tokens) + len(found) - 1)
        return found


def evaluate(path, floats, pipe):
    try:
        model = Model(path, threads=1, floats=floats)
        logits = []
        for prompt in PROMPTS:
            model.clear()
            logits.append(model.logits(model.tokens(prompt)))
        pipe.send((logits, model.text(model.greedy(model.tokens(PROMPTS[0]), GREEDY_TOKENS))))
    except RuntimeError as error:
        pipe.send(error)


def in_child(path, floats=False):
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=evaluate, args=(path, floats, theirs))
    child.start()
    theirs.close()
    try:
        result = ours.recv()
    except EOFError:
        result = RuntimeError(f"llama.cpp ended while it ran {path}")
    child.join()
    if isinstance(result, Exception):
        raise SystemExit(str(result))
    return result


def run_quietly(function):
    """What a function returns, in a process of its own whose messages nobody sees; nothing where it fails or ends."""

    def child(pipe):
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        try:
            pipe.send(function())
        except RuntimeError:
            pass

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=child, args=(theirs,))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        return None
    finally:
        process.join()


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def relative_difference(before, after):
    """Root mean square of the difference over that of the logits."""
    difference = sum(float(numpy.square(a - b).sum()) for a, b in zip(before, after))
    return (difference / sum(float(numpy.square(a).sum()) for a in before)) ** 0.5


def compare(options, exact):
    before, before_text = in_child(options.before, options.floats)
    after, after_text = in_child(options.after, options.floats)
    count = sum(a.size for a in before)
    finite = all(numpy.isfinite(a).all() for a in before)
    different = sum(int((a.view(numpy.uint32) != b.view(numpy.uint32)).sum()) for a, b in zip(before, after))
    apart = relative_difference(before, after)
    same_text = before_text == after_text
    good = finite and same_text and (different == 0 if exact else apart < CLOSE)
    verdict = "identical" if exact and good else "close" if good else "DIFFERENT"
    row(options.label, count, different, f"{apart:.2g}", "same" if same_text else "DIFFERENT", verdict)
    if not same_text:
        print(f"before: {before_text!r}\nafter:  {after_text!r}", file=sys.stderr)
    elif options.show_text:
        print(f"{options.label}: {before_text!r}", file=sys.stderr)
    return 0 if good else 1


def runs(options):
    logits, text = in_child(options.before)
    finite = all(numpy.isfinite(a).all() for a in logits)
    varied = len(numpy.unique(logits[0][-1])) > 1
    count = sum(a.size for a in logits)
    row(options.label, count, "finite" if finite else "NOT FINITE", "varied" if varied else "CONSTANT")
    if options.show_text:
        print(f"{options.label}: {text!r}", file=sys.stderr)
    return 0 if finite and varied else 1


def measure(model, clock):
    """Tokens per second: prompt, generation."""
    tokens = (model.tokens(" ".join(PROMPTS)) * PROMPT_TOKENS)[:PROMPT_TOKENS]
    model.clear()
    begin = clock()
    model.logits(tokens, every=False)
    middle = clock()
    for i in range(GENERATED_TOKENS):
        model.logits(tokens[i : i + 1], position=PROMPT_TOKENS + i)
    end = clock()
    return PROMPT_TOKENS / (middle - begin), GENERATED_TOKENS / (end - middle)


def speed(options):
    # One thread's processor time hardly depends on what else the machine does; of several, only the wall clock tells.
    clock = time.process_time if options.threads == 1 else time.perf_counter
    models = [Model(options.before, options.threads), Model(options.after, options.threads)]
    for model in models:
        measure(model, clock)  # pages in the weights
    rounds = [[measure(model, clock) for model in models] for _ in range(options.rounds)]
    for name, i in (("prompt", 0), ("generation", 1)):
        before = statistics.median(pair[0][i] for pair in rounds)
        after = statistics.median(pair[1][i] for pair in rounds)
        ratios = sorted(pair[1][i] / pair[0][i] for pair in rounds)
        row(options.label, name, f"{before:.1f}", f"{after:.1f}",
            f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} .. {ratios[-1]:.3f})")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["same", "close", "runs", "speed"])
    parser.add_argument("before", metavar="MODEL")
    parser.add_argument("after", nargs="?", metavar="MODEL")
    parser.add_argument("--label", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="for speed; more than one: wall clock")
    parser.add_argument("--floats", action="store_true", help="keys and values that no random weights overflow")
    parser.add_argument("--show-text", action="store_true")
    options = parser.parse_args()
    options.label = options.label or os.path.basename(options.before)
    if options.what != "runs" and not options.after:
        parser.error("two models are needed")
    if options.what == "runs":
        return runs(options)
    if options.what == "speed":
        return speed(options)
    return compare(options, exact=options.what == "same")


if __name__ == "__main__":
    sys.exit(main())

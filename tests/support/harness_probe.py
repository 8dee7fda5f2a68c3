"""A benchmark whose contenders need a known amount of memory."""

from functools import partial

import torch

from benchmarks.harness import Comparison, Contender

MEGABYTES = {'large': [64], 'small': [4], 'one after the other': [16, 48, 32, 64]}


def comparisons():
    yield Comparison('buffers', tuple(Contender(name, partial(allocator, sizes)) for name, sizes in MEGABYTES.items()))


def allocator(sizes):
    def run():
        for size in sizes:
            torch.ones(size << 18)

    return run

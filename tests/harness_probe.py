"""A benchmark whose contenders need a known amount of memory."""

from functools import partial

import torch

from benchmarks.harness import Comparison, Contender

MEGABYTES = {'large': 64, 'small': 4}


def comparisons():
    yield Comparison('buffers', tuple(Contender(name, partial(allocator, size)) for name, size in MEGABYTES.items()))


def allocator(size):
    return lambda: torch.ones(size << 18)

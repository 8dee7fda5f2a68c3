"""Random numbers as a function of a seed and of numbers that say what they are for: no generator's state is saved."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

SAMPLE, ITERATION, VALIDATION, VIEW = 0, 1, 2, 3
"""The purposes that seeds are derived for."""


def derive_seed(seed: int, *numbers: int) -> int:
    """A seed of 32 bits that depends on all arguments, and is unrelated for related ones."""
    return int(np.random.SeedSequence([seed, *numbers]).generate_state(1)[0])


def set_seed(seed: int) -> None:
    """Seed the global generators of Python, NumPy and PyTorch, those of GPUs included."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from `seed` inside, and continue afterwards as if nothing had been drawn."""
    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.random.set_rng_state(states[2])

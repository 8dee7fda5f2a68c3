"""What the token mixers of Mamba start from, the same in all its networks."""

import math

import torch
from torch import Tensor

SHORTEST, LONGEST = 1e-3, 1e-1
"""Between these the first step sizes lie, even in their logarithms."""


def step_bias(channels: int) -> Tensor:
    """(channels,): what softplus turns into the first step sizes."""
    step = (torch.rand(channels) * math.log(LONGEST / SHORTEST) + math.log(SHORTEST)).exp()
    return step + (-torch.expm1(-step)).log()


def state_rates(channels: int, states: int) -> Tensor:
    """(channels, states): the logarithms of 1, 2, .., how fast the states of each channel decay at first."""
    return torch.arange(1, states + 1, dtype=torch.float32).log().expand(channels, -1).clone()

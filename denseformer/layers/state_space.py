"""The parts of Mamba's token mixers that its networks share.

Legend: B batch, L tokens, D channels, N states of a channel, R rank of the step sizes.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.attention.selective_scan import selective_scan

SHORTEST, LONGEST = 1e-3, 1e-1
"""Range of the first step sizes, which lie even in their logarithms."""


def step_bias(channels: int) -> Tensor:
    """First step sizes before softplus, (channels,)."""
    step = (torch.rand(channels) * math.log(LONGEST / SHORTEST) + math.log(SHORTEST)).exp()
    return step + (-torch.expm1(-step)).log()


class SelectiveScan(nn.Module):
    """A scan whose step sizes, B and C are projections of the tokens: (B, L, D) -> the same.

    rank: of the step sizes; a sixteenth of the mixer's channels in all networks.
    """

    def __init__(self, channels: int, states: int, rank: int):
        super().__init__()
        self.widths = rank, states, states
        self.x_proj = nn.Parameter(torch.empty(sum(self.widths), channels))
        self.dt_proj = nn.Parameter(torch.empty(channels, rank))
        self.dt_bias = nn.Parameter(torch.empty(channels))
        self.A_log = nn.Parameter(torch.empty(channels, states))
        self.D = nn.Parameter(torch.ones(channels))
        if not self.D.is_meta:
            self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """Draw the first weights."""
        for projection in (self.x_proj, self.dt_proj):
            projection.uniform_(-1, 1).mul_(projection.shape[1] ** -0.5)
        self.dt_bias.copy_(step_bias(len(self.dt_bias)))
        self.A_log.copy_(torch.arange(1.0, self.A_log.shape[1] + 1).log())

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, L, D) -> step sizes before bias and softplus (B, L, D), B and C, each (B, L, N)."""
        dt, entry, readout = F.linear(x, self.x_proj).split(self.widths, -1)
        return F.linear(dt, self.dt_proj), entry, readout

    def forward(self, x: Tensor) -> Tensor:
        return scan_side_by_side([self], [x])[0]


def scan_side_by_side(scans: Sequence[SelectiveScan], sequences: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Apply each scan to a sequence of its own (B, L, D), all in one pass."""
    deltas, entries, readouts = zip(*(scan.project(x) for scan, x in zip(scans, sequences, strict=True)), strict=True)
    y = selective_scan(
        torch.cat(sequences, -1),
        torch.cat(deltas, -1),
        -torch.cat([scan.A_log for scan in scans]).exp(),
        torch.stack(entries, 2),
        torch.stack(readouts, 2),
        torch.cat([scan.D for scan in scans]),
        delta_bias=torch.cat([scan.dt_bias for scan in scans]),
    )
    return y.chunk(len(scans), -1)

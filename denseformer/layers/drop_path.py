"""Stochastic depth: "Deep Networks with Stochastic Depth", https://arxiv.org/abs/1603.09382."""

from collections.abc import Sequence

from torch import Tensor, nn


class DropPath(nn.Module):
    """Zeroes whole samples of a residual branch with probability `rate` in training, scaling up the ones it keeps.

    Shape: (B, ...) -> the same.
    """

    def __init__(self, rate: float = 0.0):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f'A drop path rate lies in [0, 1), got {rate}.')
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if self.rate == 0 or not self.training:
            return x
        keep = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * keep / (1 - self.rate)

    def extra_repr(self) -> str:
        return f'rate={self.rate:.3f}'


def drop_path_rates(rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Stochastic depth of each block of each stage: linear from 0 at the first block to `rate` at the last."""
    total = sum(depths)
    rates = [rate * i / max(total - 1, 1) for i in range(total)]
    return [rates[sum(depths[:i]) : sum(depths[: i + 1])] for i in range(len(depths))]

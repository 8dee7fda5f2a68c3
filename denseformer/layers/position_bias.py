"""Attention biases made from parameters, cached while predicting."""

import torch
from torch import Tensor, nn

from denseformer.attention.windows import Size, position_bias
from denseformer.caching import CachesInEval


class CachedBias(CachesInEval):
    """A module that builds an attention bias (heads, N, M) from its parameters alone: forward(dtype) -> the bias."""

    def build(self) -> Tensor:
        raise NotImplementedError

    def forward(self, dtype: torch.dtype) -> Tensor:
        return self.cached(dtype, lambda: self.build().to(dtype))


class RelativePositionBias(CachedBias):
    """A learned bias per head and offset between query and key inside a window."""

    def __init__(self, window: Size, heads: int):
        super().__init__()
        self.window = window
        self.table = nn.Parameter(torch.empty((2 * window[0] - 1) * (2 * window[1] - 1), heads))
        nn.init.trunc_normal_(self.table, std=0.02)

    def build(self) -> Tensor:
        return position_bias(self.table, self.window).contiguous()

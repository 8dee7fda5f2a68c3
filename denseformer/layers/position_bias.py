"""Attention biases made from parameters, cached while predicting."""

import torch
from torch import Tensor, nn

from denseformer.attention.windows import Size, distance_index, position_bias
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


class DistanceBias(CachedBias):
    """A learned bias per head and distance (|dy|, |dx|) between query and key in a window, as LeViT introduced it."""

    def __init__(self, window: Size, heads: int):
        super().__init__()
        self.window = window
        self.table = nn.Parameter(torch.zeros(heads, window[0] * window[1]))

    def build(self) -> Tensor:
        index = distance_index(self.window, self.table.device)
        return self.table.index_select(1, index.flatten()).view(-1, *index.shape)  # (h, N, N)

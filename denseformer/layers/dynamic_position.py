"""Position biases made by a small network, so that no table ties the weights to a window size."""

import torch
from torch import Tensor, nn

from denseformer.attention.windows import Size, position_bias
from denseformer.layers.linear import Linear


class DynamicPositionBias(nn.Sequential):
    """The offset between query and key, in tokens, to a bias per head: CrossFormer's, used by others since.

    forward(window) -> (heads, N, N) for the N = wh * ww tokens of a window.
    """

    def __init__(self, hidden: int, heads: int):
        layers: list[nn.Module] = [Linear(2, hidden)]
        for width in (hidden, hidden, heads):
            layers += [nn.LayerNorm(hidden), nn.ReLU(), Linear(hidden, width)]
        super().__init__(*layers)

    def forward(self, window: Size) -> Tensor:
        like = self[0].weight
        rows, columns = (torch.arange(1 - side, side, device=like.device, dtype=like.dtype) for side in window)
        table = super().forward(torch.cartesian_prod(rows, columns))  # ((2 wh - 1) * (2 ww - 1), heads)
        return position_bias(table, window)

"""Self-attention in shifted windows, as Swin introduced it."""

import torch
from torch import Tensor, nn

from denseformer.attention.shifted import gather_windows, plan_windows, planned_attention, scatter_windows
from denseformer.attention.windows import Shift, Size
from denseformer.dynamic_shapes import is_symbolic
from denseformer.layers.linear import Linear
from denseformer.layers.position_bias import RelativePositionBias


class ShiftedWindowAttention(nn.Module):
    """Multi-head attention in windows, shifted cyclically by `shift`: (B, H, W, C) -> the same.

    The map is zero-padded on the right and at the bottom to a multiple of the window before the projections, and the
    padding is attended to like any other token, as the published models were trained.

    position_bias: whether there is a learned bias per head and offset; shift_small_maps: whether to shift maps with a
    side no longer than the window, too.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        window: int,
        shift: int = 0,
        position_bias: bool = True,
        shift_small_maps: bool = True,
    ):
        super().__init__()
        self.heads, self.shift_small_maps = heads, shift_small_maps
        self.window: Size = (window, window)
        self.shift: Size = (shift, shift)
        self.qkv = Linear(dim, 3 * dim)
        self.bias = RelativePositionBias(self.window, heads) if position_bias else None
        self.proj = Linear(dim, dim)

    def shift_of(self, size: Size) -> Shift:
        """The shift of a map of `size`; as tensors where it depends on sides that are symbols."""
        if self.shift_small_maps or not any(self.shift):
            return self.shift
        if is_symbolic(*size):
            height, width = (torch.scalar_tensor(side, dtype=torch.int64) for side in size)
            large = torch.minimum(height, width) > self.window[0]
            return large * self.shift[0], large * self.shift[1]
        return self.shift if min(size) > self.window[0] else (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        B, H, W, _ = x.shape
        plan = plan_windows(B, (H, W), self.window, self.shift_of((H, W)), x.device)
        qkv = self.qkv(gather_windows(x, plan, self.window[0] * self.window[1]))  # (n, N, 3C)
        bias = None if self.bias is None else self.bias(qkv.dtype)
        out = planned_attention(qkv, self.heads, bias, plan)  # (n, N, C)
        return self.proj(scatter_windows(out, plan, B, (H, W)))

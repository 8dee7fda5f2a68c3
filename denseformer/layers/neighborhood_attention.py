"""Self-attention of a map in neighborhoods, as NAT and DiNAT introduced it."""

import torch
from torch import Tensor, nn

from denseformer.attention.neighborhood import check_neighborhood, unchecked_attention
from denseformer.dynamic_shapes import is_symbolic
from denseformer.layers.linear import Linear


class NeighborhoodAttention(nn.Module):
    """Multi-head neighborhood attention with a learned bias per relative position: (B, H, W, C) -> the same.

    A map with a side shorter than kernel_size * dilation is zero-padded to it on the right and at the bottom before
    the projections, and the padding is attended to like any other token, as the published models were trained.
    """

    def __init__(self, dim: int, heads: int, *, kernel_size: int = 7, dilation: int = 1):
        super().__init__()
        check_neighborhood(kernel_size, dilation)
        if dim % heads:
            raise ValueError(f'dim {dim} must be a multiple of heads {heads}.')
        self.heads, self.kernel_size, self.dilation = heads, kernel_size, dilation
        self.qkv = Linear(dim, 3 * dim)
        self.rpb = nn.Parameter(torch.empty(heads, 2 * kernel_size - 1, 2 * kernel_size - 1))
        self.proj = Linear(dim, dim)
        nn.init.trunc_normal_(self.rpb, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        B, H, W, C = x.shape
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(3)  # each (B, H, W, h, d)
        need = self.kernel_size * self.dilation
        if is_symbolic(H, W) or min(H, W) < need:
            size = (B, *(torch.sym_max(side, torch.sym_min(side + 1, need)) for side in (H, W)))
            k, v = (self.padded(map_, i, size) for i, map_ in ((1, k), (2, v)))
        out = unchecked_attention(q, k, v, self.rpb, self.kernel_size, self.dilation, (C // self.heads) ** -0.5)
        return self.proj(out.flatten(3))  # (B, H, W, C)

    def padded(self, x: Tensor, part: int, size: tuple[int, ...]) -> Tensor:
        """Keys or values (B, H, W, h, d), the `part` of the projection, with a zero token's on the sides of `size`."""
        token = self.qkv.bias.unflatten(0, (3, self.heads, -1))[part].to(x.dtype)  # (h, d)
        map_ = token.expand(*size, -1, -1).clone()  # (B, H', W', h, d)
        map_[:, : x.shape[1], : x.shape[2]] = x
        return map_

    def extra_repr(self) -> str:
        return f'heads={self.heads}, kernel_size={self.kernel_size}, dilation={self.dilation}'

"""Normalisation, also of maps laid out the other way round."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NARROW = 64
"""Below how many channels bfloat16 is normalised in float32, unless they are a multiple of 16."""
CHUNK = 1 << 17
"""Numbers that are normalised in float32 at a time: they stay in the processor's cache."""


class LayerNorm(nn.LayerNorm):
    """LayerNorm over the last axis: (..., C) -> the same.

    On a processor PyTorch's kernel takes twice as long for narrow rows in bfloat16 as in float32: it works off their
    ends, which fill no vector, number by number. They are predicted in float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        predicts = x.device.type == 'cpu' and not torch.is_grad_enabled() and not torch.compiler.is_compiling()
        mixed = x.dtype is torch.bfloat16 and self.elementwise_affine and self.weight.dtype is torch.float32
        channels = x.shape[-1]
        if not (predicts and mixed and channels < NARROW and channels % 16):
            return super().forward(x)
        normalize, size = super().forward, CHUNK // channels
        out = x.new_empty(x.shape)
        for part, rows in zip(out.view(-1, channels).split(size), x.reshape(-1, channels).split(size), strict=True):
            part.copy_(normalize(rows.float()))
        return out


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of a channel-first map: (B, C, H, W) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class ChannelLastBatchNorm(nn.Module):
    """BatchNorm over the channels of a channel-last map: (B, H, W, C) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, H, W, C)

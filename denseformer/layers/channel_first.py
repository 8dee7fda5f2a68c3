"""The memory format of channel-first maps, (B, C, H, W), and a strided convolution that embeds them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def to_channels_last(x: Tensor) -> Tensor:
    """The map itself, on CPU in channels-last memory, where convolutions run several times faster."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == 'cpu' else x


class ConvEmbed(nn.Module):
    """A strided convolution, then a normalisation if asked for: (B, C, H, W) -> (B, dim, H', W').

    A side of length L becomes (L + 2 * padding - kernel_size) // stride + 1.
    """

    def __init__(
        self,
        in_channels: int,
        dim: int,
        *,
        kernel_size: int,
        stride: int,
        padding: int,
        bias: bool = True,
        norm: Callable[[int], nn.Module] = nn.Identity,
    ):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, kernel_size, stride, padding, bias=bias)
        self.norm = norm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(to_channels_last(x)))

"""Squeeze-and-excitation: "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507."""

from collections.abc import Callable

from torch import Tensor, nn

from denseformer.layers.linear import Linear


class SqueezeExcite(nn.Module):
    """Multiplies each channel by a gain in (0, 1) that is made from the means of all channels.

    Shape: (B, C, H, W) -> the same.
    """

    def __init__(self, dim: int, hidden: int, *, act: Callable[[], nn.Module] = nn.GELU, bias: bool = True):
        super().__init__()
        self.fc1 = Linear(dim, hidden, bias=bias)
        self.act = act()
        self.fc2 = Linear(hidden, dim, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        gain = self.fc2(self.act(self.fc1(x.mean((2, 3))))).sigmoid()  # (B, C)
        return x * gain[:, :, None, None]


def squeezed(dim: int, ratio: float = 0.25) -> int:
    """A hidden width: `dim` times `ratio`, rounded to a multiple of 8, as timm's `SqueezeExcite` has it."""
    return max(8, int(dim * ratio + 4) // 8 * 8)

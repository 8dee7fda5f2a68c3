"""Polarized self-attention: a gate for each channel and a gate for each position of a map, each at full resolution.

Paper: "Polarized Self-Attention: Towards High-quality Pixel-wise Regression", https://arxiv.org/abs/2107.00782.
Official: https://github.com/DeLightCMU/PSA (Apache-2.0), where it follows the first convolution of HRNet's blocks.

Legend: B batch, C channels, H W map.
"""

from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, Rule
from denseformer.registry import MODELS

NAMES: tuple[Rule, ...] = (
    (r'^conv_q_right\.', 'channel.query.'),
    (r'^conv_v_right\.', 'channel.value.'),
    (r'^conv_up\.', 'channel.up.'),
    (r'^conv_q_left\.', 'position.query.'),
    (r'^conv_v_left\.', 'position.value.'),
)
MODES = ('parallel', 'sequential')


class ChannelGate(nn.Module):
    """Multiplies each channel by a gate made from positions that one query chooses: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, mode: str):
        super().__init__()
        half = dim // 2
        self.query = nn.Conv2d(dim, 1, 1, bias=False)
        self.value = nn.Conv2d(dim, half, 1, bias=False)
        self.up: nn.Module = nn.Conv2d(half, dim, 1, bias=False)
        if mode == 'sequential':
            norm = nn.LayerNorm([half // 4, 1, 1])
            self.up = nn.Sequential(
                nn.Conv2d(half, half // 4, 1), norm, nn.ReLU(inplace=True), nn.Conv2d(half // 4, dim, 1)
            )

    def forward(self, x: Tensor) -> Tensor:
        chosen = self.query(x).flatten(2).softmax(-1)  # (B, 1, H*W)
        found = self.value(x).flatten(2) @ chosen.transpose(1, 2)  # (B, C/2, 1)
        return x * self.up(found[..., None]).sigmoid()


class PositionGate(nn.Module):
    """Multiplies each position by a gate made from channels that the map's mean chooses: (B, C, H, W) -> the same.

    The softmax over positions is taken of the gates, or, in the sequential form, of each channel before.
    """

    def __init__(self, dim: int, mode: str):
        super().__init__()
        self.mode = mode
        self.query = nn.Conv2d(dim, dim // 2, 1, bias=False)
        self.value = nn.Conv2d(dim, dim // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).mean((2, 3))[:, None]  # (B, 1, C/2)
        value = self.value(x).flatten(2)  # (B, C/2, H*W)
        gates = query @ value.softmax(-1) if self.mode == 'sequential' else (query @ value).softmax(-1)
        return x * gates.sigmoid().view(len(x), 1, *x.shape[2:])


@MODELS.register_module()
class PolarizedSelfAttention(RenamesKeys, nn.Module):
    """(B, C, H, W) -> the same.

    in_channels: C, even, 8 at least; mode: 'parallel', the sum of both gated maps (PSA_p), or 'sequential', one gate
    after the other (PSA_s). Raises ValueError for others.
    """

    names = NAMES

    def __init__(self, in_channels: int, mode: str = 'parallel'):
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"PolarizedSelfAttention has no mode '{mode}'. Known: {', '.join(MODES)}.")
        if in_channels % 2 or in_channels < 8:
            raise ValueError(f'PolarizedSelfAttention takes an even number of channels from 8 on, not {in_channels}.')
        self.mode = mode
        self.channel = ChannelGate(in_channels, mode)
        self.position = PositionGate(in_channels, mode)
        for gate in (self.channel, self.position):
            for conv in (gate.query, gate.value):
                nn.init.kaiming_normal_(conv.weight, nonlinearity='relu')

    def forward(self, x: Tensor) -> Tensor:
        if self.mode == 'sequential':
            return self.position(self.channel(x))
        return self.position(x) + self.channel(x)

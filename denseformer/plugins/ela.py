"""ELA: a gate for each row and each column of a map.

Paper: "ELA: Efficient Local Attention for Deep Convolutional Neural Networks", https://arxiv.org/abs/2403.01123. There
is no official code: this is the definition that several independent implementations agree on, and the settings of the
variants are those of one of them.

Legend: B batch, C channels, H W map.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from denseformer.registry import MODELS


@dataclass(frozen=True, kw_only=True)
class Variant:
    """kernel_size: of the convolution; conv_width: channels that it mixes; norm_groups: of the normalization."""

    kernel_size: int
    conv_width: int
    norm_groups: int


VARIANTS = {
    'tiny': Variant(kernel_size=5, conv_width=1, norm_groups=32),
    'base': Variant(kernel_size=7, conv_width=1, norm_groups=16),
    'small': Variant(kernel_size=5, conv_width=8, norm_groups=16),
    'large': Variant(kernel_size=7, conv_width=8, norm_groups=16),
}


@MODELS.register_module()
class ELA(nn.Module):
    """Efficient local attention: (B, C, H, W) -> the same.

    The means of rows and of columns go through one convolution along them, one group normalization and a sigmoid; both
    gates multiply the map.

    in_channels: a multiple of the variant's number of normalization groups, 32 or 16; variant: 'tiny', 'base', 'small'
    or 'large'. Raises ValueError for others.
    """

    def __init__(self, in_channels: int, variant: str = 'base'):
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"ELA has no variant '{variant}'. Known: {', '.join(VARIANTS)}.")
        setting = VARIANTS[variant]
        if in_channels % setting.norm_groups:
            raise ValueError(
                f'ELA-{variant} takes a multiple of {setting.norm_groups} channels, not {in_channels}. '
                'Leave the stage out, or choose another variant.'
            )
        size, groups = setting.kernel_size, in_channels // setting.conv_width
        self.conv = nn.Conv1d(in_channels, in_channels, size, padding=size // 2, groups=groups, bias=False)
        self.gn = nn.GroupNorm(setting.norm_groups, in_channels)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (self.gate(x.mean(axis)) for axis in (3, 2))  # (B, C, H), (B, C, W)
        return x * rows[..., None] * columns[..., None, :]

    def gate(self, means: Tensor) -> Tensor:
        return self.gn(self.conv(means)).sigmoid()

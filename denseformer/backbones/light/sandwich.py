"""The skeleton that EfficientViT introduced and SHViT shares: three stages, the first at stride 16.

A stem of four strided 3 x 3 convolutions goes down to stride 16 at once. Between two stages an inverted residual block
with squeeze-and-excitation halves the map, between two feed-forward layers ("sandwich layout"). Maps are channel-first,
every convolution is followed by BatchNorm, no output is normalised, and a side of length L becomes ceil(L / stride).

Legend: B batch, H W map, C channels.
"""

from typing import ClassVar

from torch import Tensor, nn

from denseformer.backbones.base import Backbone, Stage
from denseformer.checkpoints.keys import CONV_NORM, Rule, StateDict, linear_from_pointwise, rename, strip_classifier
from denseformer.layers import ConvNorm, ConvNormMlp, ConvNormStem, DropPath, SqueezeExcite, drop_path_rates, squeezed
from denseformer.layers.initializers import pytorch


class FeedForward(nn.Module):
    """Depth-wise 3 x 3 convolution, then MLP, each residual: (B, C, H, W) -> the same.

    zero_init: the convolution's branch ends in nothing at first, as the MLP's does.
    """

    def __init__(self, dim: int, drop_path: float = 0.0, zero_init: bool = False):
        super().__init__()
        self.conv = ConvNorm(dim, dim, 3, groups=dim, zero_init=zero_init)
        self.mlp = ConvNormMlp(dim, 2 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.conv(x))
        return x + self.drop_path(self.mlp(x))


class InvertedReduction(nn.Module):
    """Four times as wide, half as high and wide, channels weighed, then narrow again.

    Shape: (B, C, H, W) -> (B, out_dim, ceil(H/2), ceil(W/2)).
    """

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        hidden = 4 * dim
        self.conv1 = ConvNorm(dim, hidden, act=nn.ReLU)
        self.conv2 = ConvNorm(hidden, hidden, 3, 2, groups=hidden, act=nn.ReLU)
        self.se = SqueezeExcite(hidden, squeezed(hidden), act=nn.ReLU)
        self.conv3 = ConvNorm(hidden, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.se(self.conv2(self.conv1(x))))


class SandwichDownsample(nn.Module):
    """The reduction between feed-forward layers: (B, C, H, W) -> (B, out_dim, ceil(H/2), ceil(W/2))."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.before = FeedForward(dim)
        self.reduction = InvertedReduction(dim, out_dim)
        self.after = FeedForward(out_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.reduction(self.before(x)))


class SandwichSkeleton(Backbone):
    """Stem, three stages of blocks, and the downsampling between them.

    A subclass overrides `make_block` and hands the authors' names of what is in a block to `rename_skeleton`; its
    constructor calls `build`.
    """

    strides = (16, 32, 64)
    channels_last = False
    no_weight_decay: ClassVar[tuple[str, ...]] = ()
    initial_weights = staticmethod(pytorch)

    def make_block(self, stage: int, drop_path: float) -> nn.Module:
        raise NotImplementedError

    def build(self, drop_path_rate: float) -> None:
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            downsample = SandwichDownsample(widths[i - 1], widths[i]) if i else None
            stages.append(Stage([self.make_block(i, rate) for rate in rates], downsample))
        stem = ConvNormStem(self.in_channels, [widths[0] // 8, widths[0] // 4, widths[0] // 2, widths[0]])
        self.assemble(patch_embed=stem, stages=stages)


def rename_skeleton(state_dict: StateDict, *block: Rule) -> StateDict:
    """From `blocks1` .. `blocks3`, each of which opens with the three parts of its downsampling.

    block: rules for what is in a block, whose key `stages.i.blocks.j.` is ours by then. Weights of 1 x 1 convolutions
    may be those of linear layers, as in some of the released files.
    """
    renamed = rename(
        strip_classifier(state_dict, official=r'^blocks\d\.', classifier=(r'^head(_dist)?\.',)),
        (r'^patch_embed\.([0246])\.(c|bn)\.', lambda match: f'patch_embed.{int(match[1]) // 2}.{match[2]}.'),
        (r'^blocks1\.(\d+)\.', r'stages.0.blocks.\1.'),
        (r'^blocks(\d)\.0\.', lambda match: f'stages.{int(match[1]) - 1}.downsample.before.'),
        (r'^blocks(\d)\.1\.', lambda match: f'stages.{int(match[1]) - 1}.downsample.reduction.'),
        (r'^blocks(\d)\.2\.', lambda match: f'stages.{int(match[1]) - 1}.downsample.after.'),
        (r'^blocks(\d)\.(\d+)\.', lambda match: f'stages.{int(match[1]) - 1}.blocks.{int(match[2]) - 3}.'),
        (r'\.(before|after)\.0\.m\.', r'.\1.conv.'),
        (r'\.(before|after)\.1\.m\.', r'.\1.mlp.'),
        *block,
        (r'\.mlp\.pw([12])\.', r'.mlp.fc\1.'),
        *CONV_NORM,
    )
    flat = {key: value for key, value in renamed.items() if key.endswith('.conv.weight') and value.ndim == 2}
    renamed |= {key: value[:, :, None, None] for key, value in flat.items()}
    return linear_from_pointwise(renamed, r'\.se\.fc[12]\.weight$')

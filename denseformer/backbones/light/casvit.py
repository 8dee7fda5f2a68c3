"""CAS-ViT: attention without products of tokens, in which gated queries and keys are added.

Paper: "CAS-ViT: Convolutional Additive Self-attention Vision Transformers for Efficient Mobile Applications",
https://arxiv.org/abs/2408.03703.
Official code: https://github.com/Tianfang-Zhang/CAS-ViT (MIT).

Queries and keys are weighed at each position, by one number that a depth-wise convolution finds, and then in each
channel, by the channel's mean over the map; their sum, convolved, multiplies the values. The mean is over the whole
image, so that a crop or padding changes it. Maps are channel-first, normalised over the batch, outputs by a BatchNorm
of their own; a side of length L becomes ceil(L / stride). The published dense networks keep BatchNorm's statistics of
ImageNet (`norm_eval`).

Legend: B batch, H W map, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, linear_mlps_from_pointwise, rename, strip_classifier
from denseformer.layers import ConvNorm, DepthwiseConv2d, Mlp2d, PreNormBlock, drop_path_rates, to_channels_last
from denseformer.network import Source
from denseformer.registry import MODELS


class Gates(nn.Module):
    """Weighs the positions of a map, then its channels: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.local = ConvNorm(dim, dim, 3, groups=dim, bias=True, act=nn.ReLU)
        self.position = nn.Conv2d(dim, 1, 1, bias=False)
        self.channel = nn.Conv2d(dim, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.position(self.local(x)).sigmoid()  # gains (B, 1, H, W)
        return x * self.channel(x.mean((2, 3), keepdim=True)).sigmoid()  # gains (B, C, 1, 1)


class AdditiveAttention(nn.Module):
    """Values times a convolution of gated queries plus gated keys: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.qkv = nn.Conv2d(dim, 3 * dim, 1, bias=False)
        self.gate_q = Gates(dim)
        self.gate_k = Gates(dim)
        self.context = DepthwiseConv2d(dim, 3)
        self.proj = DepthwiseConv2d(dim, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, 1)
        return self.proj(self.context(self.gate_q(q) + self.gate_k(k)) * v)


class LocalIntegration(nn.Module):
    """1 x 1, depth-wise 3 x 3 and 1 x 1 convolution, in the place of a position encoding: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv1 = ConvNorm(dim, dim, bias=True)
        self.conv2 = DepthwiseConv2d(dim, 3)
        self.conv3 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(F.gelu(self.conv2(self.conv1(x))))


class Stem(nn.Sequential):
    """Two strided convolutions: (B, C, H, W) -> (B, dim, ceil(H/4), ceil(W/4))."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__(
            ConvNorm(in_channels, dim // 2, 3, 2, bias=True, act=nn.ReLU),
            ConvNorm(dim // 2, dim, 3, 2, bias=True, act=nn.ReLU),
        )

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(to_channels_last(image))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """Per stage: widths and depths."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]


@MODELS.register_module()
class CASViT(Backbone):
    """CAS-ViT."""

    source = Source(
        paper='CAS-ViT: Convolutional Additive Self-attention Vision Transformers for Efficient Mobile Applications, '
        'https://arxiv.org/abs/2408.03703',
        code='https://github.com/Tianfang-Zhang/CAS-ViT',
        license='MIT',
    )
    channels_last = False
    no_weight_decay = ()

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'xs',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            downsample = ConvNorm(widths[i - 1], widths[i], 3, 2, bias=True) if i else None
            stages.append(Stage([block(widths[i], rate) for rate in rates], downsample))
        self.assemble(
            patch_embed=Stem(self.in_channels, widths[0]),
            stages=stages,
            out_norms=[nn.BatchNorm2d(width) for width in widths],
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'CASViT') -> StateDict:
        """From `network.i`, where stages have even numbers and the embeddings that lead to the next one odd ones."""
        renamed = rename(
            strip_classifier(state_dict, official=r'^network\.', classifier=(r'^norm\.', r'^(dist_)?head\.')),
            (r'^patch_embed\.([03])\.(\w+)$', lambda match: f'patch_embed.{int(match[1]) // 3}.conv.{match[2]}'),
            (r'^patch_embed\.([14])\.(\w+)$', lambda match: f'patch_embed.{int(match[1]) // 3}.norm.{match[2]}'),
            (r'^network\.([135])\.proj\.', lambda match: f'stages.{int(match[1]) // 2 + 1}.downsample.conv.'),
            (r'^network\.([135])\.norm\.', lambda match: f'stages.{int(match[1]) // 2 + 1}.downsample.norm.'),
            (r'^network\.([0246])\.', lambda match: f'stages.{int(match[1]) // 2}.blocks.'),
            (r'\.local_perception\.network\.0\.', '.pos_embed.conv1.conv.'),
            (r'\.local_perception\.network\.1\.', '.pos_embed.conv1.norm.'),
            (r'\.local_perception\.network\.2\.', '.pos_embed.conv2.'),
            (r'\.local_perception\.network\.4\.', '.pos_embed.conv3.'),
            (r'\.oper_([qk])\.0\.block\.0\.', r'.gate_\1.local.conv.'),
            (r'\.oper_([qk])\.0\.block\.1\.', r'.gate_\1.local.norm.'),
            (r'\.oper_([qk])\.0\.block\.3\.', r'.gate_\1.position.'),
            (r'\.oper_([qk])\.1\.block\.1\.', r'.gate_\1.channel.'),
            (r'\.attn\.dwc\.', '.attn.context.'),
            (r'^norm([0246])\.', lambda match: f'out_norms.{int(match[1]) // 2}.'),
        )
        return linear_mlps_from_pointwise(renamed)


def block(dim: int, drop_path: float) -> nn.Module:
    return PreNormBlock(
        dim,
        AdditiveAttention(dim),
        Mlp2d(dim, 4 * dim),
        drop_path=drop_path,
        norm=nn.BatchNorm2d,
        pos_embed=LocalIntegration(dim),
        channel_first=True,
    )


CASViT.archs = {
    'xs': Arch(widths=(48, 56, 112, 220), depths=(2, 2, 4, 2)),
    's': Arch(widths=(48, 64, 128, 256), depths=(3, 3, 6, 3)),
    'm': Arch(widths=(64, 96, 192, 384), depths=(3, 3, 6, 3)),
    't': Arch(widths=(96, 128, 256, 512), depths=(3, 3, 6, 3)),
}

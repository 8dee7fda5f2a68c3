"""BiFormer: Vision Transformer with Bi-Level Routing Attention.

Paper: "BiFormer: Vision Transformer with Bi-Level Routing Attention", https://arxiv.org/abs/2303.08810.
Official code: https://github.com/rayleizhu/BiFormer (MIT).

The map is cut into the same number of windows whatever its size; each window picks the windows whose mean key is most
like its mean query, and its tokens attend to all tokens of those. The number of windows carries no parameters: 7 per
side on ImageNet, 8 on ADE20K, 16 on COCO. As in the authors' dense code a map is zero-padded after the normalisation to
a multiple of it, the padding takes part in attention and in the windows' means, and logits are scaled by the full
width, not the head's. The last stage attends globally with 8 heads, and its local enhancement convolves the input, not
the values. Where there are fewer windows than the paper chooses, all of them are.

The choice of windows is not continuous. In bfloat16 the means of queries and keys are rounded before it, and where two
windows are nearly as alike another one is chosen: outputs deviate by 0.027 of their standard deviation where Swin's
deviate by 0.010 (`python -m benchmarks.precision BiFormer:tiny:224 Swin:tiny:224`, made-up weights), and by more where
choices are close.

Legend: B batch, H W map, C channels, n windows per map, N tokens per window.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.routing import route_windows, routed_attention
from denseformer.attention.windows import window_attention, window_partition, window_reverse
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, strip_classifier
from denseformer.layers import (
    ConvBatchNormDownsample,
    ConvStem,
    DepthwiseConv,
    GlobalAttention,
    Linear,
    Mlp,
    PreNormBlock,
    drop_path_rates,
    pad_to_multiple,
)
from denseformer.network import Source
from denseformer.registry import MODELS

HEAD_WIDTH = 32
GLOBAL_HEADS = 8
norm = partial(nn.LayerNorm, eps=1e-6)


class BiLevelRoutingAttention(nn.Module):
    """Attention to the `topk` most similar of the map's windows_per_side ** 2 windows: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, topk: int, windows_per_side: int):
        super().__init__()
        self.topk, self.windows_per_side = topk, windows_per_side
        self.heads, self.scale = dim // HEAD_WIDTH, dim**-0.5
        self.qkv = Linear(dim, 3 * dim)
        self.lepe = DepthwiseConv(dim, 5)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        _, H, W, C = x.shape
        qkv = self.qkv(pad_to_multiple(x, self.windows_per_side))
        size = qkv.shape[1], qkv.shape[2]
        window = size[0] // self.windows_per_side, size[1] // self.windows_per_side
        windows = window_partition(qkv, window)  # (B, n, N, 3C)
        routes = route_windows(windows[..., :C], windows[..., C : 2 * C], self.topk)
        out = window_reverse(routed_attention(windows, routes, self.heads, self.scale), window, size)
        return self.proj((out + self.lepe(qkv[..., 2 * C :]))[:, :H, :W])


class EnhancedAttention(GlobalAttention):
    """Attention of all tokens to all, with local enhancement of the input: (B, H, W, C) -> the same."""

    def __init__(self, dim: int):
        super().__init__(dim, GLOBAL_HEADS, qkv_bias=False)
        self.lepe = DepthwiseConv(dim, 5)

    def forward(self, x: Tensor) -> Tensor:
        out = window_attention(self.qkv(x).flatten(1, 2)[:, None], self.heads).view_as(x)
        return self.proj(out + self.lepe(x))


def block(dim: int, topk: int | None, *, windows_per_side: int, mlp_ratio: int, drop_path: float) -> PreNormBlock:
    return PreNormBlock(
        dim,
        BiLevelRoutingAttention(dim, topk, windows_per_side) if topk else EnhancedAttention(dim),
        Mlp(dim, dim * mlp_ratio),
        norm=norm,
        drop_path=drop_path,
        pos_embed=DepthwiseConv(dim),
    )


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """topk: chosen windows, None for all tokens."""

    topk: tuple[int | None, ...] = (1, 4, 16, None)
    mlp_ratio: int = 3


@MODELS.register_module()
class BiFormer(Backbone):
    """Vision transformer with bi-level routing attention.

    Args:
        windows_per_side: into how many windows each side of a map is cut: 7 (ImageNet), 8 (ADE20K) or 16 (COCO).
        The others are described in `Backbone`.
    """

    source = Source(
        paper='BiFormer: Vision Transformer with Bi-Level Routing Attention, https://arxiv.org/abs/2303.08810',
        code='https://github.com/rayleizhu/BiFormer',
        license='MIT',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        windows_per_side: int = 8,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        if windows_per_side < 1:
            raise ValueError(f'windows_per_side must be at least 1, got {windows_per_side}.')
        width, widths = self.arch.width, self.arch.widths
        rates = drop_path_rates(drop_path_rate, self.arch.depths)
        make = partial(block, windows_per_side=windows_per_side, mlp_ratio=self.arch.mlp_ratio)
        self.assemble(
            patch_embed=ConvStem(self.in_channels, (width // 2, width), (2, 2)),
            stages=[
                Stage(
                    [make(widths[i], self.arch.topk[i], drop_path=rate) for rate in rates[i]],
                    ConvBatchNormDownsample(widths[i - 1], widths[i]) if i else None,
                )
                for i in range(len(widths))
            ],
            out_norms=[norm(width) for width in widths],
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'BiFormer') -> StateDict:
        """From `downsample_layers.i` (the first is the stem), `stages.i.j` and `extra_norms.i`."""
        return rename(
            strip_classifier(state_dict, official=r'^downsample_layers\.'),
            (r'^downsample_layers\.0\.', 'patch_embed.proj.'),
            (r'^downsample_layers\.(\d)\.0\.', r'stages.\1.downsample.reduction.'),
            (r'^downsample_layers\.(\d)\.1\.', r'stages.\1.downsample.norm.'),
            (r'^stages\.(\d)\.(\d+)\.', r'stages.\1.blocks.\2.'),
            (r'\.attn\.qkv\.qkv\.', '.attn.qkv.'),
            (r'\.attn\.wo\.', '.attn.proj.'),
            (r'\.mlp\.0\.', '.mlp.fc1.'),
            (r'\.mlp\.3\.', '.mlp.fc2.'),
            (r'^extra_norms\.', 'out_norms.'),
        )


BiFormer.archs = {
    'tiny': Arch(width=64, depths=(2, 2, 8, 2)),
    'small': Arch(width=64, depths=(4, 4, 18, 4)),
    'base': Arch(width=96, depths=(4, 4, 18, 4)),
}

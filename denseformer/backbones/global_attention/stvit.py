"""STViT: Vision Transformer with Super Token Sampling (also SViT).

Paper: "Vision Transformer with Super Token Sampling", https://arxiv.org/abs/2211.11167.
Official code: https://github.com/hhb072/STViT (the source names the MIT licence).

In the first two stages attention is among super tokens: a soft clustering gathers the pixels around each cell of a
coarse grid, the few super tokens attend to each other globally, and every pixel takes back its shares of the nine
around it. Later stages attend globally among pixels. A map is zero-padded on the right and at the bottom to whole cells
inside attention, so any size will do. No dense backbone was published; the stages' outputs are returned as they are.

Legend: B batch, H W map, C channels, h heads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.super_tokens import gather_super_tokens, scatter_super_tokens
from denseformer.attention.windows import window_attention
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, linear_from_pointwise, rename, stages_from, strip_classifier
from denseformer.layers import (
    ChannelLastBatchNorm,
    ConvBatchNormDownsample,
    ConvMlp,
    ConvStem,
    DepthwiseConv,
    Linear,
    PreNormBlock,
    drop_path_rates,
    pad_to_multiple,
)
from denseformer.layers.initializers import pytorch
from denseformer.network import Source
from denseformer.registry import MODELS


class SuperTokenAttention(nn.Module):
    """Global attention among super tokens of cells of `cell` ** 2 pixels, or among pixels where `cell` is 1.

    (B, H, W, C) -> the same.
    """

    def __init__(self, dim: int, heads: int, cell: int):
        super().__init__()
        self.heads, self.cell = heads, cell
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        if self.cell == 1:
            return self.attend(x)
        _, H, W, _ = x.shape
        tokens, shares = gather_super_tokens(pad_to_multiple(x, self.cell), self.cell)
        return scatter_super_tokens(self.attend(tokens), shares, self.cell)[:, :H, :W]

    def attend(self, x: Tensor) -> Tensor:
        return self.proj(window_attention(self.qkv(x).flatten(1, 2)[:, None], self.heads).view(x.shape))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """Per stage: widths, depths, heads; layer_scales: where the gains of its branches start, None for branches without;
    cells: sides of super tokens in pixels of its map, 1 for attention among pixels.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    layer_scales: tuple[float | None, ...] = (None, None, 1e-6, 1e-6)
    cells: tuple[int, ...] = (8, 4, 1, 1)
    mlp_ratio: int = 4


@MODELS.register_module()
class STViT(Backbone):
    """Super token vision transformer.

    Args:
        cells: sides of the cells of each stage, in pixels of its map, 1 for attention among pixels; None for the
            variant's own. They carry no parameters; the authors suggest (16, 8, 1, 1) or (16, 8, 2, 1) above 384
            pixels.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='Vision Transformer with Super Token Sampling, https://arxiv.org/abs/2211.11167',
        code='https://github.com/hhb072/STViT',
        license='MIT (named in the source)',
    )
    initial_weights = staticmethod(pytorch)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'small',
        cells: Sequence[int] | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.cells = tuple(cells or self.arch.cells)
        widths, rates = self.arch.widths, drop_path_rates(drop_path_rate, self.arch.depths)
        if len(self.cells) != len(widths) or min(self.cells) < 1:
            raise ValueError(f'cells needs one positive side per stage, {len(widths)} in all; got {self.cells}.')
        stem = (widths[0] // 2, widths[0] // 2, widths[0], widths[0])
        self.assemble(
            patch_embed=ConvStem(self.in_channels, stem, (2, 1, 2, 1), order='an', complete=True),
            stages=[
                Stage(
                    [self._block(i, rate) for rate in rates[i]],
                    ConvBatchNormDownsample(widths[i - 1], widths[i]) if i else None,
                )
                for i in range(len(widths))
            ],
        )

    def _block(self, i: int, drop_path: float) -> PreNormBlock:
        dim = self.arch.widths[i]
        return PreNormBlock(
            dim,
            SuperTokenAttention(dim, self.arch.heads[i], self.cells[i]),
            ConvMlp(dim, dim * self.arch.mlp_ratio, residual=True),
            norm=partial(nn.LayerNorm, eps=1e-6),
            mlp_norm=ChannelLastBatchNorm,
            drop_path=drop_path,
            layer_scale=self.arch.layer_scales[i],
            pos_embed=DepthwiseConv(dim),
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'STViT') -> StateDict:
        """From `layers.i`, where downsampling closes a stage, and `qkv` lies head by head: (h, 3, d)."""
        constants = (r'\.(?:un)?fold\.weights$',)
        state_dict = strip_classifier(
            state_dict, official=r'^layers\.', classifier=(r'^proj\.', r'^norm\.', r'^head\.', *constants)
        )
        state_dict = {
            key: by_role(value, network, key) if '.stoken_refine.qkv.' in key else value
            for key, value in state_dict.items()
        }
        state_dict = rename(
            state_dict,
            (r'^(layers\.\d+\.downsample)\.proj\.0\.', r'\1.reduction.'),
            (r'^(layers\.\d+\.downsample)\.proj\.1\.', r'\1.norm.'),
            (r'^(layers.*)\.norm2\.', r'\1.norm2.bn.'),
            *stages_from('layers'),
            (r'\.norm1\.norm\.', '.norm1.'),
            (r'\.attn\.stoken_refine\.', '.attn.'),
            (r'\.pos_embed\.conv\.', '.pos_embed.'),
            (r'\.mlp2\.conv\.conv\.', '.mlp.dwconv.'),
            (r'\.mlp2\.', '.mlp.'),
            (r'\.gamma_(\d)$', r'.gamma\1'),
        )
        state_dict = linear_from_pointwise(state_dict, r'\.(?:qkv|attn\.proj|fc1|fc2)\.weight$')
        return {key: value.flatten() if '.gamma' in key else value for key, value in state_dict.items()}


def by_role(value: Tensor, network: STViT, key: str) -> Tensor:
    """The rows of a joined projection from (h, 3, d) to (3, h, d)."""
    heads = network.arch.heads[int(key.split('.')[1])]
    return value.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2)


STViT.archs = {
    'small': Arch(
        widths=(64, 128, 320, 512),
        depths=(3, 5, 9, 3),
        heads=(1, 2, 5, 8),
        layer_scales=(None, None, None, None),
    ),
    'base': Arch(widths=(96, 192, 384, 512), depths=(4, 6, 14, 6), heads=(2, 3, 6, 8)),
    'large': Arch(widths=(96, 192, 448, 640), depths=(4, 7, 19, 8), heads=(2, 3, 7, 10)),
}

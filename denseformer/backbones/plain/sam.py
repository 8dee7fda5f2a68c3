"""SAM's image encoder: a vision transformer that attends inside windows, and in four blocks globally.

Paper: "Segment Anything", https://arxiv.org/abs/2304.02643; the network is that of "Exploring Plain Vision Transformer
Backbones for Object Detection", https://arxiv.org/abs/2203.16527.
Official code: https://github.com/facebookresearch/segment-anything (Apache-2.0, code and weights).

There is no class token. Besides a table of positions, attention has relative ones: to each logit is added the product
of the query with a learned vector for the offset in rows, and with one for the offset in columns. Normalised maps are
zero-padded to whole windows, and the padding is attended to.

Legend: B batch, H W a map or window, C channels, h heads, d head width, n windows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.attention.windows import window_partition, window_reverse
from denseformer.backbones.plain.base import PlainArch, PlainBackbone, PlainOptions
from denseformer.backbones.plain.embedding import Patches, PositionTable, Size, TokenEmbed
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.dynamic_shapes import same_size
from denseformer.layers import LayerNorm2d, Linear, Mlp, PreNormBlock, drop_path_rates, pad_to_multiple
from denseformer.network import Source
from denseformer.registry import MODELS

NECK = ('conv1', 'layer_norm1', 'conv2', 'layer_norm2')
"""The names that transformers gives to the layers of the neck."""


def offset_vectors(table: Tensor, side: int) -> Tensor:
    """Vectors (2 s - 1, d) of offsets on an axis as (side, side, d), by query and key.

    The table of another side is interpolated linearly.
    """
    if not same_size(table.shape[:1], (2 * side - 1,)):
        table = F.interpolate(table.T[None], 2 * side - 1, mode='linear', align_corners=False)[0].T
    place = torch.arange(side, device=table.device)
    return table[place[:, None] - place + side - 1]


def relative_attention(qkv: Tensor, heads: int, rows: Tensor, columns: Tensor) -> Tensor:
    """Attention with logits q . (k / sqrt(d) + row vector + column vector): (n, H, W, 3C) -> (n, H, W, C).

    rows: (H, H, d), columns: (W, W, d), by query and key. The two last products of a query with the H + W vectors it
    meets become further channels of the query; keys have ones there at their own row and column. No bias of the size
    of the logits is made.
    """
    n, H, W, _ = qkv.shape
    q, k, v = qkv.unflatten(3, (3, heads, -1)).permute(3, 0, 4, 1, 2, 5)  # each (n, h, H, W, d)
    by_row = torch.einsum('nhijd,ikd->nhijk', q, rows.to(q.dtype))
    by_column = torch.einsum('nhijd,jkd->nhijk', q, columns.to(q.dtype))
    own_row = torch.eye(H, dtype=k.dtype, device=k.device)[:, None].expand(H, W, H)
    own_column = torch.eye(W, dtype=k.dtype, device=k.device)[None].expand(H, W, W)
    own = torch.cat([own_row, own_column], -1).expand(n, heads, H, W, H + W)
    q = torch.cat([q * q.shape[-1] ** -0.5, by_row, by_column], -1)
    k = torch.cat([k, own], -1)
    out = window_softmax_attention(q.flatten(2, 3), k.flatten(2, 3), v.flatten(2, 3), scale=1.0)
    return out.unflatten(1, (H, W))


class RelativeAttention(nn.Module):
    """Attention inside windows, or of all to all without a `window`: tokens (B, H * W, C) of a map -> the same.

    size: of the map that the vectors of global attention are made for.
    """

    def __init__(self, dim: int, heads: int, *, window: int | None, size: Size):
        super().__init__()
        self.heads = heads
        self.window = window
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)
        rows, columns = (window, window) if window else size
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * rows - 1, dim // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * columns - 1, dim // heads))

    def forward(self, x: Tensor, size: Size) -> Tensor:
        shape, x = x.shape, x.unflatten(1, size)  # (B, H, W, C)
        if self.window is None:
            return self.proj(self.attend(x).view(shape))
        window = (self.window, self.window)
        x = pad_to_multiple(x, self.window)
        windows = window_partition(x, window)
        windows = self.attend(windows.flatten(0, 1).unflatten(1, window)).view(windows.shape)
        x = window_reverse(windows, window, (x.shape[1], x.shape[2]))
        return self.proj(x[:, : size[0], : size[1]].flatten(1, 2))

    def attend(self, x: Tensor) -> Tensor:
        """(n, H, W, C) -> the same."""
        return self.mix(self.qkv(x))

    def mix(self, qkv: Tensor) -> Tensor:
        """Queries, keys and values (n, H, W, 3C) -> (n, H, W, C)."""
        rows, columns = offset_vectors(self.rel_pos_h, qkv.shape[1]), offset_vectors(self.rel_pos_w, qkv.shape[2])
        return relative_attention(qkv, self.heads, rows, columns)


@dataclass(frozen=True, kw_only=True)
class Arch(PlainArch):
    """window: side of the windows, in tokens; global_blocks: the blocks without; neck_width: channels of the neck."""

    global_blocks: tuple[int, ...]
    window: int = 14
    neck_width: int = 256
    image_size: int = 1024

    @property
    def default_out_indices(self) -> tuple[int, ...]:
        return self.global_blocks


@MODELS.register_module()
class SAM(PlainBackbone):
    """SAM's image encoder; returns the maps of the global blocks without a norm.

    Args:
        neck: return in addition the neck's map of `neck_width` channels, made from the last block's, which is what
            SAM's decoder takes.
        The others are described in `PlainBackbone`.

    The authors take images of 1024 x 1024 pixels only. For others positions are resized by ViTDet's rules: the table
    bicubically, relative vectors linearly.
    """

    source = Source(
        paper='Segment Anything, https://arxiv.org/abs/2304.02643',
        code='https://github.com/facebookresearch/segment-anything',
        license='Apache-2.0',
    )
    input_size = 1024
    has_final_norm = False
    block: ClassVar[type[PreNormBlock]] = PreNormBlock
    no_weight_decay = (*PlainBackbone.no_weight_decay, 'rel_pos')

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'base',
        neck: bool = False,
        drop_path_rate: float = 0.0,
        **common: Unpack[PlainOptions],
    ):
        super().__init__(arch=arch, **common)
        if neck and self.out_indices[-1] != self.arch.blocks - 1:
            raise ValueError(f'The neck stands on the last block: out_indices must end with {self.arch.blocks - 1}.')
        dim, width = self.arch.width, self.arch.neck_width
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.build(
            patch_embed=TokenEmbed(
                Patches(self.in_channels, dim, self.patch_size), dim, cls_token=False, positions=self.positions()
            ),
            blocks=[
                self.block(dim, self.attention(i), Mlp(dim, self.arch.mlp_width), drop_path=rate, norm=norm)
                for i, rate in enumerate(drop_path_rates(drop_path_rate, [self.arch.blocks])[0])
            ],
            norm=None,
        )
        self.neck = None
        if neck:
            self.out_channels = (*self.out_channels, width)
            self.neck = nn.Sequential(
                nn.Conv2d(dim, width, 1, bias=False),
                LayerNorm2d(width, 1e-6),
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                LayerNorm2d(width, 1e-6),
            )

    def positions(self) -> PositionTable:
        return PositionTable(self.arch.width, self.grid, rows=0)

    def attention(self, index: int) -> RelativeAttention:
        window = None if index in self.arch.global_blocks else self.arch.window
        return RelativeAttention(self.arch.width, self.arch.heads, window=window, size=self.grid)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps = super().forward(image)
        return maps if self.neck is None else (*maps, self.neck(maps[-1]))

    def context(self, x: Tensor, size: Size) -> tuple[Any, ...]:
        return (size,)

    def drop_keys_of_unbuilt_parts(self, state_dict: StateDict) -> StateDict:
        unbuilt = ('neck.',) if self.neck is None else ()
        state_dict = super().drop_keys_of_unbuilt_parts(state_dict)
        return {key: value for key, value in state_dict.items() if not key.startswith(unbuilt)}

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From the authors' encoder or their whole model, or those of transformers; relative vectors at our sizes."""
        state_dict = rename(
            drop(state_dict, r'^(prompt_encoder|mask_decoder|shared_image_embedding)\.'),
            (r'^(image|vision)_encoder\.', ''),
            (r'\.mlp\.lin([12])\.', r'.mlp.fc\1.'),
            (r'^(layers\.\d+)\.layer_norm([12])\.', r'\1.norm\2.'),
            (r'^neck\.(conv|layer_norm)([12])\.', lambda match: f'neck.{NECK.index(match[1] + match[2])}.'),
        )
        state_dict = PlainBackbone.remap_official_keys(state_dict, network)
        own = dict(network.named_parameters())
        for key, value in state_dict.items():
            if '.attn.rel_pos_' in key and key in own and len(own[key]) != len(value):
                state_dict[key] = F.interpolate(value.T[None], len(own[key]), mode='linear', align_corners=False)[0].T
        return state_dict

    @classmethod
    def truncated_arch(cls) -> dict[str, Any]:
        """A block of windows and a global one."""
        return {**super().truncated_arch(), 'global_blocks': (1,)}


SAM.archs = {
    'base': Arch(width=768, blocks=12, heads=12, global_blocks=(2, 5, 8, 11)),
    'large': Arch(width=1024, blocks=24, heads=16, global_blocks=(5, 11, 17, 23)),
    'huge': Arch(width=1280, blocks=32, heads=16, global_blocks=(7, 15, 23, 31)),
}

"""ViT: an image as a sequence of patches, and what DeiT, DeiT III, MAE and BEiT made of it.

Papers: "An Image is Worth 16x16 Words", https://arxiv.org/abs/2010.11929; "Training data-efficient image transformers",
https://arxiv.org/abs/2012.12877; "DeiT III", https://arxiv.org/abs/2204.07118; "Masked Autoencoders Are Scalable
Vision Learners", https://arxiv.org/abs/2111.06377; "BEiT", https://arxiv.org/abs/2106.08254; "BEiT v2",
https://arxiv.org/abs/2208.06366.
Official code: https://github.com/google-research/vision_transformer, https://github.com/facebookresearch/deit,
https://github.com/microsoft/unilm (Apache-2.0, Apache-2.0, MIT). MAE's code,
https://github.com/facebookresearch/mae, and its weights are CC BY-NC 4.0.

The networks are one: blocks of attention and MLP with a norm before each. DeiT III and BEiT scale both branches; BEiT
has, in place of a table of positions, a bias per head and offset in each block's attention, and none on keys.

Legend: B batch, H W the map in patches, C channels, h heads, P tokens in front of the patches, N = P + H * W.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.windows import relative_position_index
from denseformer.backbones.plain.base import PlainArch, PlainBackbone, PlainOptions
from denseformer.backbones.plain.embedding import Patches, PositionTable, Size, TokenEmbed
from denseformer.caching import CachesInEval, cached_constant
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.dynamic_shapes import same_size
from denseformer.layers import Mlp, PreNormBlock, SelfAttention, drop_path_rates
from denseformer.layers.nested_mlp import FACTORS, NestedMlp, set_factors
from denseformer.network import Source
from denseformer.registry import MODELS


@cached_constant(32)
def relative_index(size: Size, device: torch.device) -> Tensor:
    """(1 + H * W, 1 + H * W) rows of a table for the offsets of a map, behind which stand three of the class token.

    The three are from the class token to patches, from patches to it, and from it to itself.
    """
    rows = (2 * size[0] - 1) * (2 * size[1] - 1)
    index = F.pad(relative_position_index(size, device), (1, 0, 1, 0))
    index[0], index[:, 0], index[0, 0] = rows, rows + 1, rows + 2
    return index


def stretched(old: int, new: int) -> Tensor:
    """Weights (2 new - 1, 2 old - 1) that make of offsets on an axis of `old` patches those of `new`: BEiT's rule.

    The known offsets are spread ever wider, 1, 1 + q, 1 + q + q ** 2 and so on, so that the widest one becomes that of
    the new axis and the narrow ones, which say the most, hardly change. Between them runs a cubic spline.
    """
    if new == old:
        return torch.eye(2 * new - 1, dtype=torch.float64)
    from scipy.interpolate import make_interp_spline  # slow to import, and few checkpoints want it

    low, high = 1.01, 1.5
    while high - low > 1e-6:
        ratio = (low + high) / 2
        low, high = (low, ratio) if (1 - ratio ** (old - 1)) / (1 - ratio) > new - 1 else (ratio, high)
    spread = np.cumsum(ratio ** np.arange(old - 1))
    known = np.concatenate([-spread[::-1], [0], spread])
    wanted = np.arange(1 - new, new).clip(known[0], known[-1])
    spline = make_interp_spline(known, np.eye(len(known)), k=min(3, len(known) - 1))
    return torch.from_numpy(spline(wanted))


def stretch_offsets(offsets: Tensor, grid: Size) -> Tensor:
    """A bias by offset of a square map of side s as one of another map, by BEiT's rule.

    ((2 s - 1) ** 2, h) -> ((2 H - 1) * (2 W - 1), h). Raises ValueError for those of a map that is not square.
    """
    side = (math.isqrt(len(offsets)) + 1) // 2
    if (2 * side - 1) ** 2 != len(offsets):
        raise ValueError(
            f'A table of {len(offsets)} offsets belongs to an image that is not square, of a size unknown here. Build '
            'the network with the image_size that the checkpoint was trained at.'
        )
    square = offsets.double().T.unflatten(1, (2 * side - 1, 2 * side - 1))  # (h, 2 side - 1, 2 side - 1)
    rows, columns = (stretched(side, new).to(offsets.device) for new in grid)
    return (rows @ square @ columns.T).flatten(1).T.to(offsets.dtype)


class RelativeBias(CachesInEval):
    """A bias per head and offset between patches, and three for the class token: (H, W) -> (1, h, N, N)."""

    def __init__(self, heads: int, grid: Size):
        super().__init__()
        self.grid = grid
        self.table = nn.Parameter(torch.zeros((2 * grid[0] - 1) * (2 * grid[1] - 1) + 3, heads))

    def forward(self, size: Size) -> Tensor:
        return self.cached(size, lambda: self.make(size))

    def make(self, size: Size) -> Tensor:
        table = self.resize(self.table, self.grid, size)
        return table[relative_index(size, table.device)].permute(2, 0, 1)[None]

    @staticmethod
    def resize(table: Tensor, grid: Size, size: Size) -> Tensor:
        """The table of a map of another size, its offsets interpolated bicubically."""
        if same_size(grid, size):
            return table
        old, new = ((2 * h - 1, 2 * w - 1) for h, w in (grid, size))
        offsets = table[:-3].T.unflatten(1, old)[None]  # (1, h, 2 H - 1, 2 W - 1)
        offsets = F.interpolate(offsets, new, mode='bicubic', align_corners=False)
        return torch.cat([offsets[0].flatten(1).T, table[-3:]])

    def fit(self, table: Tensor) -> Tensor:
        """The table of a checkpoint, of a square image, as one of this grid."""
        if table.shape[0] == self.table.shape[0]:
            return table
        return torch.cat([stretch_offsets(table[:-3], self.grid), table[-3:]])


class RelativeAttention(SelfAttention):
    """Self-attention with a `RelativeBias`: (B, N, C) -> the same."""

    def __init__(self, dim: int, heads: int, grid: Size, *, qkv_bias: bool | str = 'qv'):
        super().__init__(dim, heads, qkv_bias=qkv_bias)
        self.bias = RelativeBias(heads, grid)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        return super().forward(x, bias=self.bias(size))


@dataclass(frozen=True, kw_only=True)
class Arch(PlainArch):
    """layer_scale: where the gains on both branches start, None for none.

    relative_positions: a bias per offset in each block, without one on keys, in place of a table of positions.
    uniform_drop_path: whether stochastic depth is that of the last block in all.
    """

    layer_scale: float | None = None
    relative_positions: bool = False
    uniform_drop_path: bool = False


@MODELS.register_module()
class ViT(PlainBackbone):
    """Vision transformer, in the layouts of timm, DeiT, DeiT III, MAE, BEiT and BEiT v2; returns maps without a norm.

    Args:
        registers: tokens besides the class token that carry no position. A distilled DeiT's second token is one
            register.
        antialias: whether a position table is averaged where it shrinks, timm's rule for images of other sizes; MAE's
            and mmsegmentation's is False.
        relative_bias: a bias per head and offset in each block besides the table of positions, with which MAE is
            fine-tuned for segmentation; it starts from zero.
        mlp_factors: MatFormer's nested MLPs, which predict with the first 1 / f of their hidden units, f out of 1, 2,
            4, 8: one for all blocks, or one for each. In training one is drawn for all, every step. None for MLPs that
            are not nested; the weights are the same.
        logit_cap: what the logits of attention approach but do not exceed, 30 in networks after locality alignment;
            None for no cap, which relative positions ask for.
        The others are described in `PlainBackbone`.

    MAE's encoders are 'base', 'large' and 'huge'. Tables of BEiT's relative positions are brought to `image_size` by
    BEiT's own rule when they are loaded; for images of another size they are resized bicubically.
    """

    source = Source(
        paper='An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale, '
        'https://arxiv.org/abs/2010.11929',
        code='https://github.com/google-research/vision_transformer',
        license='Apache-2.0',
    )
    no_weight_decay = (*PlainBackbone.no_weight_decay, 'bias.table')

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'base',
        registers: int = 0,
        antialias: bool = True,
        relative_bias: bool = False,
        mlp_factors: int | Sequence[int] | None = None,
        logit_cap: float | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[PlainOptions],
    ):
        super().__init__(arch=arch, **common)
        dim, heads, in_place = self.arch.width, self.arch.heads, self.arch.relative_positions
        relative = self.relative = in_place or relative_bias
        if relative and registers:
            raise ValueError('Relative positions are defined for patches and one class token: registers must be 0.')
        if relative and logit_cap:
            raise ValueError('Logits with relative positions are not capped: logit_cap must be None.')
        norm = partial(nn.LayerNorm, eps=1e-6)
        mlp = Mlp if mlp_factors is None else NestedMlp
        rates = drop_path_rates(drop_path_rate, [self.arch.blocks])[0]
        if self.arch.uniform_drop_path:
            rates = [drop_path_rate] * self.arch.blocks
        positions = None if in_place else PositionTable(dim, self.grid, rows=1, antialias=antialias)
        self.build(
            patch_embed=TokenEmbed(
                Patches(self.in_channels, dim, self.patch_size), dim, registers=registers, positions=positions
            ),
            blocks=[
                PreNormBlock(
                    dim,
                    RelativeAttention(dim, heads, self.grid, qkv_bias='qv' if in_place else True)
                    if relative
                    else SelfAttention(dim, heads, logit_cap=logit_cap),
                    mlp(dim, self.arch.mlp_width),
                    drop_path=rate,
                    norm=norm,
                    layer_scale=self.arch.layer_scale,
                )
                for rate in rates
            ],
            norm=norm(dim),
        )
        self.mlp_factors = mlp_factors
        if mlp_factors is not None:
            set_factors(self, mlp_factors)

    def forward(self, image: Tensor) -> tuple[Any, ...]:
        """See `PlainBackbone`."""
        if self.mlp_factors is not None:
            drawn = FACTORS[int(torch.randint(len(FACTORS), ()))] if self.training else self.mlp_factors
            set_factors(self, drawn)
        return super().forward(image)

    def context(self, x: Tensor, size: Size) -> tuple[Any, ...]:
        return (size,) if self.relative else ()

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From timm's, DeiT's, MAE's and BEiT's layouts; BEiT's shared table of pre-training goes to every block.

        The bias of keys, which changes nothing here, is left out or set to zero where files and network differ in it.
        """
        state_dict = dict(state_dict)
        shared = state_dict.pop('rel_pos_bias.relative_position_bias_table', None)
        if shared is not None:
            for i in range(network.arch.blocks):
                state_dict[f'blocks.{i}.attn.relative_position_bias_table'] = shared
        if 'dist_token' in state_dict:  # a register
            state_dict['reg_token'] = state_dict.pop('dist_token')
        registers, table = state_dict.get('reg_token'), state_dict.get('pos_embed')
        if registers is not None and table is not None and isinstance(network.patch_embed.positions, PositionTable):
            last = 1 + registers.shape[1]
            if network.patch_embed.positions.fixed_rows(table, (1, 0, last)) == last:  # positions of registers too
                state_dict['reg_token'] = registers + table[:, 1:last]
                state_dict['pos_embed'] = torch.cat([table[:, :1], table[:, last:]], 1)
        state_dict = {key: value for key, value in state_dict.items() if not key.endswith('relative_position_index')}
        state_dict = rename(state_dict, (r'\.relative_position_bias_table$', '.bias.table'))
        state_dict = PlainBackbone.remap_official_keys(state_dict, network)
        has_key_bias = network.blocks[0].attn.qkv.bias is not None
        state_dict = with_key_bias(state_dict) if has_key_bias else without_key_bias(state_dict)
        for key in state_dict:
            place = re.fullmatch(r'blocks\.(\d+)\.attn\.bias\.table', key)
            attention = network.blocks[int(place[1])].attn if place and int(place[1]) < len(network.blocks) else None
            if hasattr(attention, 'bias'):  # in a network without such tables they are left for the loader to report
                state_dict[key] = attention.bias.fit(state_dict[key])
        return state_dict


def deit3(**fields: Any) -> Arch:
    """A DeiT III of the given width: its branches start at 1e-4, and are all left out equally often."""
    return Arch(**fields, layer_scale=1e-4, uniform_drop_path=True)


def with_key_bias(state_dict: StateDict) -> StateDict:
    """Biases of queries and of values as those of all three, of keys zero; one without the other stays as it is."""
    state_dict = dict(state_dict)
    for q_name in [key for key in state_dict if key.endswith('.attn.qkv.q_bias')]:
        v_name = q_name.replace('q_bias', 'v_bias')
        if v_name in state_dict:
            q, v = state_dict.pop(q_name), state_dict.pop(v_name)
            state_dict[q_name.replace('q_bias', 'bias')] = torch.cat([q, torch.zeros_like(q), v])
    return state_dict


def without_key_bias(state_dict: StateDict) -> StateDict:
    """Biases of queries, keys and values as those of queries and of values."""
    state_dict = dict(state_dict)
    for key in [key for key in state_dict if key.endswith('.attn.qkv.bias')]:
        q, _, v = state_dict.pop(key).chunk(3)
        state_dict |= {f'{key[:-4]}q_bias': q, f'{key[:-4]}v_bias': v}
    return state_dict


ViT.archs = {
    'tiny': Arch(width=192, blocks=12, heads=3),
    'small': Arch(width=384, blocks=12, heads=6),
    'base': Arch(width=768, blocks=12, heads=12),
    'large': Arch(width=1024, blocks=24, heads=16),
    'huge': Arch(width=1280, blocks=32, heads=16, patch_size=14),
    'deit3_tiny': deit3(width=192, blocks=12, heads=3),
    'deit3_small': deit3(width=384, blocks=12, heads=6),
    'deit3_medium': deit3(width=512, blocks=12, heads=8),
    'deit3_base': deit3(width=768, blocks=12, heads=12),
    'deit3_large': deit3(width=1024, blocks=24, heads=16),
    'deit3_huge': deit3(width=1280, blocks=32, heads=16, patch_size=14),
    'beit_base': Arch(
        width=768, blocks=12, heads=12, layer_scale=0.1, relative_positions=True, out_indices=(3, 5, 7, 11)
    ),
    'beit_large': Arch(
        width=1024, blocks=24, heads=16, layer_scale=1e-6, relative_positions=True, out_indices=(7, 11, 15, 23)
    ),
}

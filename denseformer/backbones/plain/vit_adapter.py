"""ViT-Adapter: a plain vision transformer that exchanges tokens with a small convolutional pyramid.

Paper: "Vision Transformer Adapter for Dense Predictions", https://arxiv.org/abs/2205.08534.
Official code: https://github.com/czczup/ViT-Adapter (Apache-2.0).

Before each quarter of the blocks the tokens read from the pyramid's three coarser maps by deformable attention
(injector), behind it the maps read from the tokens (extractor). The pyramid and the tokens' maps are added in the end:
in segmentors each quarter's map to a level, in detectors the last one to all (`last_map`).

The transformer is a DeiT without its class token, a BEiT with it, whose attention has a bias per offset in place of a
table of positions, or a DINOv2 with it, as DINOv2's authors have it under Mask2Former
(https://github.com/facebookresearch/dinov2, Apache-2.0), or the image's part of a Uni-Perceiver without it. Blocks of
detectors attend within windows. They are padded with zeros behind the projection of queries, keys and values, unlike
ViTDet's, BEiT's and Uni-Perceiver's: what is padded is a key of zeros.

Legend: B batch, C channels, H W map, N = H * W tokens, M tokens of the maps at strides 8, 16 and 32, Q queries,
h heads, l levels, p points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isqrt, pi
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.attention.windows import position_bias, window_attention, window_partition, window_reverse
from denseformer.backbones.base import MapNetwork
from denseformer.backbones.plain.base import PlainArch, PlainBackbone
from denseformer.backbones.plain.embedding import Patches, PositionTable, Size, TokenEmbed
from denseformer.backbones.plain.vit import RelativeAttention, ViT, stretch_offsets
from denseformer.caching import cached_constant
from denseformer.checkpoints.keys import StateDict, drop, join, rename
from denseformer.dynamic_shapes import as_tensor, ceil_div
from denseformer.layers import (
    DepthwiseConv,
    DropPath,
    Linear,
    Mlp,
    PreNormBlock,
    SelfAttention,
    SwiGLU,
    drop_path_rates,
    pad_image_to_multiple,
    pad_to_multiple,
)
from denseformer.network import Checkpointing, NetworkOptions, Source
from denseformer.ops.deform_attention import multi_scale_deformable_attention
from denseformer.registry import MODELS

STRIDES = (4, 8, 16, 32)


class PaddedWindowAttention(SelfAttention):
    """Attention inside windows of `window` x `window` tokens, padded with zeros: (B, N, C) -> the same."""

    def __init__(self, dim: int, heads: int, window: int):
        super().__init__(dim, heads)
        self.window = window

    def forward(self, x: Tensor, size: Size) -> Tensor:
        window = (self.window, self.window)
        qkv = pad_to_multiple(self.qkv(x).unflatten(1, size), self.window)  # (B, H', W', 3C)
        padded = qkv.shape[1], qkv.shape[2]
        qkv = window_partition(qkv, window)  # (B, n, T, 3C)
        q, k, v = qkv.flatten(0, 1).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B * n, h, T, d)
        out = window_softmax_attention(q, k, v).view(*qkv.shape[:3], -1)
        out = window_reverse(out, window, padded)[:, : size[0], : size[1]]
        return self.proj(out.flatten(1, 2))


class WindowBias(nn.Module):
    """A bias per head and offset inside a window of `side` x `side` tokens: () -> (h, N, N)."""

    def __init__(self, heads: int, side: int):
        super().__init__()
        self.window = (side, side)
        self.table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))

    def forward(self) -> Tensor:
        return position_bias(self.table, self.window)

    def fit(self, table: Tensor) -> Tensor:
        """The table of a checkpoint, of a square image and perhaps with three rows for a class token, as this one."""
        offsets = table if isqrt(len(table)) ** 2 == len(table) else table[:-3]
        return offsets if offsets.shape == self.table.shape else stretch_offsets(offsets, self.window)


class TokenWindowAttention(SelfAttention):
    """Attention inside windows, padded with zeros before all else: (B, N, C), no class token -> the same."""

    def __init__(self, dim: int, heads: int, window: int, *, qkv_bias: bool | str = True):
        super().__init__(dim, heads, qkv_bias=qkv_bias)
        self.window = (window, window)

    def position_bias(self) -> Tensor | None:
        """A bias that is added to the logits, if there is one: broadcastable to (n, h, N, N)."""
        return None

    def forward(self, x: Tensor, size: Size) -> Tensor:
        x = pad_to_multiple(x.unflatten(1, size), self.window[0])  # (B, H', W', C)
        out = window_attention(self.qkv(window_partition(x, self.window)), self.heads, self.position_bias())
        out = window_reverse(out, self.window, (x.shape[1], x.shape[2]))[:, : size[0], : size[1]]
        return self.proj(out.flatten(1, 2))


class RelativeWindowAttention(TokenWindowAttention):
    """BEiT's, with a bias per offset."""

    def __init__(self, dim: int, heads: int, window: int):
        super().__init__(dim, heads, window, qkv_bias='qv')
        self.bias = WindowBias(heads, window)

    def position_bias(self) -> Tensor:
        return self.bias()


class TokenAttention(SelfAttention):
    """Attention of all tokens to all, which needs no map's size: (B, N, C) -> the same."""

    def forward(self, x: Tensor, size: Size) -> Tensor:
        return super().forward(x)


@cached_constant(32)
def centers(sizes: tuple[Size, ...], device: torch.device) -> Tensor:
    """(sum of H * W, 2) x and y in 0 .. 1 of the pixels' centers of several maps, one after the other."""
    places = []
    for H, W in sizes:
        y = (torch.arange(H, device=device) + 0.5) / H
        x = (torch.arange(W, device=device) + 0.5) / W
        places.append(torch.stack([x.expand(H, W), y[:, None].expand(H, W)], -1).flatten(0, 1))
    return torch.cat(places)


class DeformableAttention(nn.Module):
    """Each query reads `points` places near its own in every level: (B, Q, C) -> the same.

    ratio: width of the values as a share of the channels.
    """

    def __init__(self, dim: int, heads: int, levels: int, ratio: float, points: int = 4):
        super().__init__()
        self.heads = heads
        self.levels = levels
        self.points = points
        self.sampling_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * points)
        self.value_proj = Linear(dim, int(dim * ratio))
        self.output_proj = Linear(int(dim * ratio), dim)

    def reset(self) -> None:
        """Start with equal weights of points that lie further and further out, in another direction for each head."""
        angle = torch.arange(self.heads) * (2 * pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], -1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, self.points + 1)[:, None]
        bias = (direction[:, None, None] * steps).expand(-1, self.levels, -1, -1)  # (h, l, p, 2)
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(bias.flatten())

    def forward(self, query: Tensor, places: Tensor, values: Tensor, sizes: Sequence[Size]) -> Tensor:
        """places: (Q, 2), the queries'; values: (B, N, C), the levels' maps of `sizes` one after the other."""
        shape = self.heads, self.levels, self.points
        extent = as_tensor([(W, H) for H, W in sizes], query)[:, None]  # (l, 1, 2)
        offsets = self.sampling_offsets(query).unflatten(2, (*shape, 2)) / extent
        locations = places.to(query.dtype)[:, None, None, None] + offsets  # (B, Q, h, l, p, 2)
        weights = self.attention_weights(query).unflatten(2, (self.heads, -1)).softmax(-1).unflatten(3, shape[1:])
        value = self.value_proj(values).unflatten(2, (self.heads, -1))
        return self.output_proj(multi_scale_deformable_attention(value, list(sizes), locations, weights))


class Injector(nn.Module):
    """Tokens read from the maps: (B, N, C) -> the same. eps: of the norms."""

    def __init__(self, dim: int, heads: int, ratio: float, eps: float):
        super().__init__()
        self.query_norm = nn.LayerNorm(dim, eps)
        self.feat_norm = nn.LayerNorm(dim, eps)
        self.attn = DeformableAttention(dim, heads, len(STRIDES) - 1, ratio)
        self.gamma = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, places: Tensor, maps: Tensor, sizes: Sequence[Size]) -> Tensor:
        return x + self.gamma * self.attn(self.query_norm(x), places, self.feat_norm(maps), sizes)


class PyramidMlp(nn.Module):
    """An MLP with a depth-wise convolution of each map of a pyramid: (B, M, C) -> the same."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.dwconv = DepthwiseConv(hidden)
        self.act = nn.GELU()
        self.fc2 = Linear(hidden, dim)

    def forward(self, x: Tensor, sizes: Sequence[Size]) -> Tensor:
        levels = self.fc1(x).split([H * W for H, W in sizes], 1)
        levels = [
            self.dwconv(level.unflatten(1, size)).flatten(1, 2) for level, size in zip(levels, sizes, strict=True)
        ]
        return self.fc2(self.act(torch.cat(levels, 1)))


class Extractor(nn.Module):
    """Maps read from the tokens, then a `PyramidMlp`: (B, M, C) -> the same. eps: of the norms."""

    def __init__(self, dim: int, heads: int, ratio: float, mlp_ratio: float, drop_path: float, eps: float):
        super().__init__()
        self.query_norm = nn.LayerNorm(dim, eps)
        self.feat_norm = nn.LayerNorm(dim, eps)
        self.attn = DeformableAttention(dim, heads, 1, ratio)
        self.ffn = PyramidMlp(dim, int(dim * mlp_ratio))
        self.ffn_norm = nn.LayerNorm(dim, eps)
        self.drop_path = DropPath(drop_path)

    def forward(self, maps: Tensor, places: Tensor, sizes: Sequence[Size], x: Tensor, size: Size) -> Tensor:
        maps = maps + self.attn(self.query_norm(maps), places, self.feat_norm(x), (size,))
        return maps + self.drop_path(self.ffn(self.ffn_norm(maps), sizes))


class Interaction(nn.Module):
    """The injector, or none, and the extractors around a part of the blocks; `further` ones stand in the last."""

    def __init__(self, make_extractor: Any, injector: Injector | None, further: int):
        super().__init__()
        self.injector = injector
        self.extractor = make_extractor()
        self.extra_extractors = nn.ModuleList(make_extractor() for _ in range(further))


def convs(*widths: int, strides: Sequence[int]) -> nn.Sequential:
    """Convolutions with BatchNorm and ReLU, from the first width to the last."""
    layers: list[nn.Module] = []
    for dim, out_dim, stride in zip(widths[:-1], widths[1:], strides, strict=True):
        layers += [nn.Conv2d(dim, out_dim, 3, stride, 1, bias=False), nn.BatchNorm2d(out_dim), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class SpatialPrior(nn.Module):
    """Convolutions to four maps, the three coarser ones marked by their level.

    (B, in_channels, height, width) -> (B, C, H, W) at stride 4; (B, M, C) at strides 8, 16 and 32, one map behind the
    other; the sizes of these three.
    """

    def __init__(self, in_channels: int, hidden: int, dim: int):
        super().__init__()
        self.stem = convs(in_channels, *[hidden] * 3, strides=(2, 1, 1))
        self.stem.append(nn.MaxPool2d(3, 2, 1))
        self.conv2 = convs(hidden, 2 * hidden, strides=(2,))
        self.conv3 = convs(2 * hidden, 4 * hidden, strides=(2,))
        self.conv4 = convs(4 * hidden, 4 * hidden, strides=(2,))
        self.fc1, self.fc2, self.fc3, self.fc4 = (nn.Conv2d(hidden * ratio, dim, 1) for ratio in (1, 2, 4, 4))
        self.level_embed = nn.Parameter(torch.randn(len(STRIDES) - 1, dim))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, tuple[Size, ...]]:
        c1 = self.stem(image)
        c2 = self.conv2(c1)
        c3 = self.conv3(c2)
        levels = self.fc2(c2), self.fc3(c3), self.fc4(self.conv4(c3))
        sizes = tuple((level.shape[2], level.shape[3]) for level in levels)
        marked = [x.flatten(2).transpose(1, 2) + embed for x, embed in zip(levels, self.level_embed, strict=True)]
        return self.fc1(c1), torch.cat(marked, 1), sizes


@dataclass(frozen=True, kw_only=True)
class AdapterArch:
    """deform_heads, deform_ratio: heads of deformable attention, and the share of the channels that its values have.

    hidden_convs: width of the first convolutions; mlp_ratio: of the extractors' MLPs.
    extra_extractors: how many more of them stand behind the last one; norm_eps: of all LayerNorms.
    """

    deform_heads: int
    deform_ratio: float = 1.0
    hidden_convs: int = 64
    mlp_ratio: float = 0.25
    extra_extractors: int = 2
    norm_eps: float = 1e-6


class Adapter(Checkpointing, MapNetwork):
    """The base of networks in which a pyramid reads from a plain transformer: maps at strides 4, 8, 16 and 32.

    finetune='head' trains the pyramid alone: the transformer stays as it is, in evaluation mode.
    """

    head_layers = ('spm', 'interactions', 'up', 'out_norms')
    encoder: PlainBackbone

    def build(self, encoder: PlainBackbone, *, injectors: bool, drop_path_rate: float) -> None:
        """Make the pyramid beside `encoder`, which it reads once for each of the encoder's maps.

        drop_path_rate: of the extractors' MLPs.
        """
        record, dim = self.arch, encoder.arch.width
        last = len(encoder.out_indices) - 1
        if last != len(STRIDES) - 1:
            raise ValueError(f'{len(STRIDES)} maps of the transformer are read, not {last + 1}: {encoder.out_indices}.')
        deform, eps = (record.deform_heads, record.deform_ratio), record.norm_eps
        extractor = partial(Extractor, dim, *deform, record.mlp_ratio, drop_path_rate, eps)
        injector = partial(Injector, dim, *deform, eps)
        self.encoder = encoder
        self.spm = SpatialPrior(encoder.in_channels, record.hidden_convs, dim)
        self.interactions = nn.ModuleList(
            Interaction(extractor, injector() if injectors else None, record.extra_extractors if i == last else 0)
            for i in range(last + 1)
        )
        self.up = nn.ConvTranspose2d(dim, dim, 2, 2)
        self.out_norms = nn.ModuleList(nn.BatchNorm2d(dim) for _ in STRIDES)
        self.out_channels = (dim,) * len(STRIDES)
        self.out_strides = STRIDES
        self.interactions.apply(PlainBackbone.initial_weights)
        for module in self.interactions.modules():
            if isinstance(module, DeformableAttention) and not module.sampling_offsets.bias.is_meta:
                module.reset()

    def padded(self, image: Tensor) -> Tensor:
        """An image whose sides are multiples of the coarsest stride."""
        return pad_image_to_multiple(image, STRIDES[-1])

    def read(self, interaction: Interaction, maps: Tensor, sizes: Sequence[Size], out: Tensor) -> Tensor:
        """The pyramid's maps (B, M, C) behind an interaction's extractors; out: a map (B, C, H, W) of the encoder."""
        places, x, size = centers(sizes, maps.device), out.flatten(2).transpose(1, 2), (out.shape[2], out.shape[3])
        for extractor in (interaction.extractor, *interaction.extra_extractors):
            maps = self.run(extractor, maps, places, sizes, x, size)
        return maps

    def fused(
        self, image: Tensor, finest: Tensor, maps: Tensor, sizes: Sequence[Size], outs: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """The pyramid and the encoder's maps, added and normalised: one (B, C, H, W) per stride, as far as `image`."""
        levels = [
            level.unflatten(1, size).permute(0, 3, 1, 2)
            for level, size in zip(maps.split([H * W for H, W in sizes], 1), sizes, strict=True)
        ]
        levels = [self.up(levels[0]) + finest, *levels]
        return tuple(
            norm(level + (out if stride == self.encoder.patch_size else resized(out, level)))[
                :, :, : ceil_div(image.shape[2], stride), : ceil_div(image.shape[3], stride)
            ]
            for norm, level, out, stride in zip(self.out_norms, levels, outs, STRIDES, strict=True)
        )


def resized(x: Tensor, like: Tensor) -> Tensor:
    """A map at the size of another, bilinearly."""
    return F.interpolate(x, like.shape[2:], mode='bilinear', align_corners=False)


def check_windows(windows: Sequence[int | None], record: 'Arch') -> None:
    """Raise ValueError unless `windows` can be those of the transformer that `record` describes."""
    if len(windows) != record.blocks:
        raise ValueError(f'windows must be one number or None for each of {record.blocks} blocks, not {len(windows)}.')
    if record.relative_positions and any(windows) and not all(windows):
        raise ValueError('A BEiT has no windows or one in each block: windows holds None beside numbers.')
    if record.cls_token and not record.relative_positions and any(windows):
        raise ValueError('A class token cannot attend in windows: windows must be None.')


@dataclass(frozen=True, kw_only=True)
class Arch(AdapterArch, PlainArch):
    """layer_scale: where the gains on the blocks' branches start, None for none.

    cls_token: whether a class token goes along with the patches; swiglu: whether MLPs are gated.
    relative_positions: BEiT's bias per offset in each block in place of a table of positions; wants the class token.
    unified: Uni-Perceiver's norm behind the embedding, and windows that are padded in front of their projection.
    """

    layer_scale: float | None = 1.0
    cls_token: bool = False
    swiglu: bool = False
    relative_positions: bool = False
    unified: bool = False


class NormedEmbed(TokenEmbed):
    """An embedding with a norm behind the positions. The arguments are those of `TokenEmbed`."""

    def __init__(self, patches: nn.Module, dim: int, *, eps: float, **options: Any):
        super().__init__(patches, dim, **options)
        self.norm = nn.LayerNorm(dim, eps)

    def forward(self, image: Tensor) -> tuple[Tensor, Size]:
        x, size = super().forward(image)
        return self.norm(x), size


class Encoder(PlainBackbone):
    """The vision transformer inside; `windows` says by block the side of its windows."""

    no_weight_decay = ViT.no_weight_decay

    def __init__(self, *, drop_path_rate: float, windows: Sequence[int | None], **common: Any):
        super().__init__(**common)
        record, dim = self.arch, self.arch.width
        mlp = SwiGLU if record.swiglu else Mlp
        cls_token = record.cls_token and not any(windows)
        table = None if record.relative_positions else PositionTable(dim, self.grid, rows=int(cls_token))
        embed = partial(NormedEmbed, eps=record.norm_eps) if record.unified else TokenEmbed
        self.build(
            patch_embed=embed(
                Patches(self.in_channels, dim, self.patch_size, pad=False), dim, cls_token=cls_token, positions=table
            ),
            blocks=[
                PreNormBlock(
                    dim,
                    self.attention(window),
                    mlp(dim, record.mlp_width),
                    drop_path=rate,
                    norm=partial(nn.LayerNorm, eps=record.norm_eps),
                    layer_scale=record.layer_scale,
                )
                for rate, window in zip(drop_path_rates(drop_path_rate, [record.blocks])[0], windows, strict=True)
            ],
            norm=None,
        )

    def attention(self, window: int | None) -> SelfAttention:
        dim, heads = self.arch.width, self.arch.heads
        if self.arch.relative_positions:
            return RelativeWindowAttention(dim, heads, window) if window else RelativeAttention(dim, heads, self.grid)
        if window is None:
            return TokenAttention(dim, heads)
        return (TokenWindowAttention if self.arch.unified else PaddedWindowAttention)(dim, heads, window)

    def context(self, x: Tensor, size: Size) -> tuple[Any, ...]:
        return (size,)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From DeiT's, BEiT's, DINOv2's and Uni-Perceiver's layouts; gains may be missing.

        Without a class token its row of positions is dropped. Gated MLPs begin with one layer in DINOv2's files, and
        with two in those of its segmentor. Of Uni-Perceiver's positions in time the first is every image's.
        """
        state_dict = rename({key: value for key, value in state_dict.items() if key != 'dist_token'}, *UNI_PERCEIVER)
        time = state_dict.pop('time_embed', None)
        if time is not None:
            state_dict['patch_embed.proj.bias'] = state_dict['patch_embed.proj.bias'] + time[0]
        table, positions = state_dict.get('pos_embed'), network.patch_embed.positions
        if network.patch_embed.cls_token is None:
            state_dict.pop('cls_token', None)
            if table is not None and isinstance(positions, PositionTable):
                table = table.view(1, -1, table.shape[-1])
                state_dict['pos_embed'] = table[:, positions.fixed_rows(table, (1, 0, 2)) :]
        state_dict = join(
            rename(state_dict, (r'\.mlp\.w1\.', '.mlp.gates.'), (r'\.mlp\.w2\.', '.mlp.values.')),
            ('gates', 'values'),
            'fc1',
        )
        state_dict = rename(state_dict, (r'\.mlp\.w12\.', '.mlp.fc1.'), (r'\.mlp\.w3\.', '.mlp.fc2.'))
        return ViT.remap_official_keys(state_dict, network)


@MODELS.register_module()
class ViTAdapter(Adapter):
    """A vision transformer with an adapter: maps at strides 4, 8, 16 and 32, each behind a BatchNorm of its own.

    Args:
        windows: by block the side of the windows that it attends in, in tokens, None for all tokens; None for no
            windows at all. The authors' detectors have 14 in two of three blocks. A BEiT has none or
            one in each block, and then no class token.
        last_map: whether the transformer's last map is added to all levels of the pyramid, as in the authors'
            detectors, in place of the map behind each level's own part of the blocks, as in their segmentors.
        patch_size, image_size: as in `PlainBackbone`; None for the variant's own.
        drop_path_rate: stochastic depth of the last block, and of all MLPs of extractors.
        in_channels, with_cp, pretrained, init_cfg, finetune: as in `Backbone`. Weights of a DeiT, a BEiT, a DINOv2 or a
            Uni-Perceiver start the transformer alone; finetune='head' keeps it as it is, as DINOv2's authors do.

    Images are zero-padded on the right and at the bottom to multiples of 32, which the authors ask for. Patches of 14
    pixels leave out what does not fill one, as with DINOv2's authors.
    """

    source = Source(
        paper='Vision Transformer Adapter for Dense Predictions, https://arxiv.org/abs/2205.08534',
        code='https://github.com/czczup/ViT-Adapter',
        license='Apache-2.0',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        windows: Sequence[int | None] | None = None,
        last_map: bool = False,
        patch_size: int | None = None,
        image_size: int | Size | None = None,
        drop_path_rate: float = 0.0,
        in_channels: int = 3,
        with_cp: bool = False,
        **common: Unpack[NetworkOptions],
    ):
        super().__init__(arch=arch, **common)
        record = self.arch
        self.with_cp = with_cp
        self.last_map = last_map
        if record.blocks % len(STRIDES):
            raise ValueError(f'The blocks are divided among {len(STRIDES)} interactions: {record.blocks} cannot be.')
        if record.relative_positions and not record.cls_token:
            raise ValueError('Relative positions are defined for patches and one class token: cls_token must be True.')
        if windows is not None:
            check_windows(windows, record)
        encoder = Encoder(
            arch=vars(record),
            windows=[None] * record.blocks if windows is None else windows,
            patch_size=patch_size,
            image_size=image_size,
            drop_path_rate=drop_path_rate,
            in_channels=in_channels,
            with_cp=with_cp,
        )
        self.build(encoder, injectors=True, drop_path_rate=drop_path_rate)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: (B, in_channels, height, width), normalised -> one (B, C, H, W) per stride."""
        padded = self.padded(image)
        finest, maps, sizes = self.spm(padded)
        x, size = self.encoder.patch_embed(padded)
        tokens = self.encoder.patch_embed.prefix
        places = centers((size,), x.device)
        outs = []
        quarter = len(self.encoder.blocks) // len(STRIDES)
        for i, interaction in enumerate(self.interactions):
            patches = self.run(interaction.injector, x[:, tokens:], places, maps, sizes)
            x = torch.cat([x[:, :tokens], patches], 1) if tokens else patches
            for block in self.encoder.blocks[i * quarter : (i + 1) * quarter]:
                x = self.encoder.run(block, x, size)
            out = x[:, tokens:].unflatten(1, size).permute(0, 3, 1, 2)  # (B, C, H, W)
            maps = self.read(interaction, maps, sizes, out)
            outs.append(out)
        return self.fused(image, finest, maps, sizes, outs[-1:] * len(outs) if self.last_map else outs)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'ViTAdapter') -> StateDict:
        """From the authors' names, or those of a DeiT, a BEiT, a DINOv2 or a Uni-Perceiver, which the encoder takes."""
        return rename(
            drop(state_dict, r'^(norm|fc_norm|head|head_dist)\.', r'^mask_token$', r'^(loss_prepare|token_embed)\.'),
            (r'^(fused_encoder\.)?layers\.', 'encoder.blocks.'),
            (
                r'^(pos_embed|cls_token|patch_embed\.|rel_pos_bias\.|blocks\.|visual_embed\.|video_embed\.)',
                r'encoder.\1',
            ),
            *ADAPTER_NAMES,
        )

    @classmethod
    def truncated_arch(cls) -> dict[str, Any]:
        """One block for each interaction."""
        return {**super().truncated_arch(), 'blocks': len(STRIDES)}


UNI_PERCEIVER = (
    (r'\.self_attn\.in_proj[._]', '.attn.qkv.'),
    (r'\.self_attn\.out_proj\.', '.attn.proj.'),
    (r'\.linear([12])\.', r'.mlp.fc\1.'),
    (r'^(visual|video)_embed\.embeddings_norm\.', 'patch_embed.norm.'),
    (r'^(visual|video)_embed\.(patch_embed\.proj|embeddings)\.(weight|bias)$', r'patch_embed.proj.\3'),
    (r'^(visual|video)_embed\.\w+\.spatial_pos_embed\.weight$', 'pos_embed'),
    (r'^(visual|video)_embed\.\w+\.temporal_pos_embed\.weight$', 'time_embed'),
)
"""Uni-Perceiver's names, in its own files and in the adapter's, as patterns, and those that DeiT has."""
ADAPTER_NAMES = (
    (r'^level_embed$', 'spm.level_embed'),
    (r'^norm([1-4])\.', lambda match: f'out_norms.{int(match[1]) - 1}.'),
    (r'\.dwconv\.dwconv\.', '.dwconv.'),
)
"""The official names of an adapter's parts, as patterns, and ours."""


def dinov2(*, deform_ratio: float = 0.5, **fields: Any) -> Arch:
    """A DINOv2 of the given width, with one deformable head for every 64 channels."""
    heads = fields['heads']
    return Arch(**fields, deform_heads=heads, deform_ratio=deform_ratio, cls_token=True, patch_size=14, image_size=518)


def beit(**fields: Any) -> Arch:
    """A BEiT or BEiT v2 of the given width; both are one network."""
    heads = fields['heads']
    return Arch(
        **fields, deform_heads=heads, deform_ratio=0.5, layer_scale=1e-6, cls_token=True, relative_positions=True
    )


def uni_perceiver(**fields: Any) -> Arch:
    """A Uni-Perceiver of the given width; its gains start at zero."""
    heads = fields['heads']
    return Arch(**fields, deform_heads=heads, deform_ratio=0.5, layer_scale=0.0, norm_eps=1e-5, unified=True)


ViTAdapter.archs = {
    'tiny': Arch(width=192, blocks=12, heads=3, deform_heads=6),
    'small': Arch(width=384, blocks=12, heads=6, deform_heads=6),
    'base': Arch(width=768, blocks=12, heads=12, deform_heads=12, deform_ratio=0.5),
    'large': Arch(width=1024, blocks=24, heads=16, deform_heads=16, deform_ratio=0.5),
    'mae_base': Arch(
        width=768, blocks=12, heads=12, deform_heads=12, deform_ratio=0.5, layer_scale=None, extra_extractors=0
    ),
    'beit_base': beit(width=768, blocks=12, heads=12),
    'beit_large': beit(width=1024, blocks=24, heads=16),
    'uni_perceiver_base': uni_perceiver(width=768, blocks=12, heads=12),
    'uni_perceiver_large': uni_perceiver(width=1024, blocks=24, heads=16),
    'dinov2_small': dinov2(width=384, blocks=12, heads=6, deform_ratio=1.0),
    'dinov2_base': dinov2(width=768, blocks=12, heads=12),
    'dinov2_large': dinov2(width=1024, blocks=24, heads=16),
    'dinov2_giant': dinov2(width=1536, blocks=40, heads=24, hidden=4096, swiglu=True),
}
Encoder.archs = ViTAdapter.archs

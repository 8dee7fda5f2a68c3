"""ViT-Adapter: a plain vision transformer that exchanges tokens with a small convolutional pyramid.

Paper: "Vision Transformer Adapter for Dense Predictions", https://arxiv.org/abs/2205.08534.
Official code: https://github.com/czczup/ViT-Adapter (Apache-2.0).

Before each quarter of the blocks the tokens read from the pyramid's three coarser maps by deformable attention
(injector), behind it the maps read from the tokens (extractor). The pyramid and the tokens' maps are added in the end.

The transformer has no class token here, and blocks of its detectors attend within windows. They are padded with zeros
behind the projection of queries, keys and values, unlike ViTDet's: what is padded is a key of zeros.

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
from denseformer.attention.windows import window_partition, window_reverse
from denseformer.backbones.base import MapNetwork
from denseformer.backbones.plain.base import PlainArch, PlainBackbone
from denseformer.backbones.plain.embedding import Patches, PositionTable, Size, TokenEmbed
from denseformer.caching import cached_constant
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.dynamic_shapes import ceil_div
from denseformer.layers import (
    DepthwiseConv,
    DropPath,
    Linear,
    Mlp,
    PreNormBlock,
    SelfAttention,
    drop_path_rates,
    pad_image_to_multiple,
    pad_to_multiple,
)
from denseformer.network import Checkpointing, NetworkOptions, Source
from denseformer.ops.deform_attention import multi_scale_deformable_attention
from denseformer.registry import MODELS

STRIDES = (4, 8, 16, 32)
POINTS = 4
layer_norm = partial(nn.LayerNorm, eps=1e-6)


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
    """Each query reads `POINTS` places near its own in every level: (B, Q, C) -> the same.

    ratio: width of the values as a share of the channels.
    """

    def __init__(self, dim: int, heads: int, levels: int, ratio: float):
        super().__init__()
        self.heads = heads
        self.levels = levels
        self.sampling_offsets = nn.Linear(dim, heads * levels * POINTS * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * POINTS)
        self.value_proj = Linear(dim, int(dim * ratio))
        self.output_proj = Linear(int(dim * ratio), dim)

    def reset(self) -> None:
        """Start with equal weights of points that lie further and further out, in another direction for each head."""
        angle = torch.arange(self.heads) * (2 * pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], -1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, POINTS + 1)[:, None]
        bias = (direction[:, None, None] * steps).expand(-1, self.levels, -1, -1)  # (h, l, p, 2)
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(bias.flatten())

    def forward(self, query: Tensor, places: Tensor, values: Tensor, sizes: Sequence[Size]) -> Tensor:
        """places: (Q, 2), the queries'; values: (B, N, C), the levels' maps of `sizes` one after the other."""
        shape = self.heads, self.levels, POINTS
        extent = query.new_tensor([[W, H] for H, W in sizes])[:, None]  # (l, 1, 2)
        offsets = self.sampling_offsets(query).unflatten(2, (*shape, 2)) / extent
        locations = places.to(query.dtype)[:, None, None, None] + offsets  # (B, Q, h, l, p, 2)
        weights = self.attention_weights(query).unflatten(2, (self.heads, -1)).softmax(-1).unflatten(3, shape[1:])
        value = self.value_proj(values).unflatten(2, (self.heads, -1))
        return self.output_proj(multi_scale_deformable_attention(value, list(sizes), locations, weights))


class Injector(nn.Module):
    """Tokens read from the maps: (B, N, C) -> the same."""

    def __init__(self, dim: int, heads: int, ratio: float):
        super().__init__()
        self.query_norm = layer_norm(dim)
        self.feat_norm = layer_norm(dim)
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
    """Maps read from the tokens, then a `PyramidMlp`: (B, M, C) -> the same."""

    def __init__(self, dim: int, heads: int, ratio: float, mlp_ratio: float, drop_path: float):
        super().__init__()
        self.query_norm = layer_norm(dim)
        self.feat_norm = layer_norm(dim)
        self.attn = DeformableAttention(dim, heads, 1, ratio)
        self.ffn = PyramidMlp(dim, int(dim * mlp_ratio))
        self.ffn_norm = layer_norm(dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, maps: Tensor, places: Tensor, sizes: Sequence[Size], x: Tensor, size: Size) -> Tensor:
        maps = maps + self.attn(self.query_norm(maps), places, self.feat_norm(x), (size,))
        return maps + self.drop_path(self.ffn(self.ffn_norm(maps), sizes))


class Interaction(nn.Module):
    """The injector and extractors around a quarter of the blocks; the last one has two further extractors."""

    def __init__(self, make_extractor: Any, injector: Injector, further: int):
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
    """Convolutions to four maps: (B, in_channels, height, width) -> (B, C, H, W) at strides 4, 8, 16 and 32."""

    def __init__(self, in_channels: int, hidden: int, dim: int):
        super().__init__()
        self.stem = convs(in_channels, *[hidden] * 3, strides=(2, 1, 1))
        self.stem.append(nn.MaxPool2d(3, 2, 1))
        self.conv2 = convs(hidden, 2 * hidden, strides=(2,))
        self.conv3 = convs(2 * hidden, 4 * hidden, strides=(2,))
        self.conv4 = convs(4 * hidden, 4 * hidden, strides=(2,))
        self.fc1, self.fc2, self.fc3, self.fc4 = (nn.Conv2d(hidden * ratio, dim, 1) for ratio in (1, 2, 4, 4))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        c1 = self.stem(image)
        c2 = self.conv2(c1)
        c3 = self.conv3(c2)
        return self.fc1(c1), self.fc2(c2), self.fc3(c3), self.fc4(self.conv4(c3))


@dataclass(frozen=True, kw_only=True)
class Arch(PlainArch):
    """deform_heads, deform_ratio: heads of deformable attention, and the share of the channels that its values have.

    hidden_convs: width of the first convolutions; mlp_ratio: of the extractors' MLPs; layer_scale: where the gains on
    the blocks' branches start, None for none.
    """

    deform_heads: int
    deform_ratio: float = 1.0
    hidden_convs: int = 64
    mlp_ratio: float = 0.25
    layer_scale: float | None = 1.0


class Encoder(PlainBackbone):
    """The vision transformer inside, without a class token; `windows` says by block the side of its windows."""

    def __init__(self, *, drop_path_rate: float, windows: Sequence[int | None], **common: Any):
        super().__init__(**common)
        dim = self.arch.width
        self.build(
            patch_embed=TokenEmbed(
                Patches(self.in_channels, dim, self.patch_size),
                dim,
                cls_token=False,
                positions=PositionTable(dim, self.grid, rows=0),
            ),
            blocks=[
                PreNormBlock(
                    dim,
                    TokenAttention(dim, self.arch.heads)
                    if window is None
                    else PaddedWindowAttention(dim, self.arch.heads, window),
                    Mlp(dim, self.arch.mlp_width),
                    drop_path=rate,
                    norm=layer_norm,
                    layer_scale=self.arch.layer_scale,
                )
                for rate, window in zip(drop_path_rates(drop_path_rate, [self.arch.blocks])[0], windows, strict=True)
            ],
            norm=None,
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From DeiT's layout, whose class token and its row of positions are dropped; gains may be missing."""
        state_dict = {key: value for key, value in state_dict.items() if key not in ('cls_token', 'dist_token')}
        table = state_dict.get('pos_embed')
        if table is not None and isqrt(table.shape[1]) ** 2 != table.shape[1]:
            state_dict['pos_embed'] = table[:, 1:]
        return PlainBackbone.remap_official_keys(state_dict, network)


@MODELS.register_module()
class ViTAdapter(Checkpointing, MapNetwork):
    """A vision transformer with an adapter: maps at strides 4, 8, 16 and 32, each behind a BatchNorm of its own.

    Args:
        windows: by block the side of the windows that it attends in, in tokens, None for all tokens; None for no
            windows at all. The authors' detectors have 14 in two of three blocks.
        image_size: side of the images that the table of positions is made for; it is resized for all others.
        drop_path_rate: stochastic depth of the last block, and of all MLPs of extractors.
        in_channels, with_cp, pretrained, init_cfg: as in `Backbone`. Weights of a DeiT start the transformer alone.

    Images are zero-padded on the right and at the bottom to multiples of 32, which the authors ask for.
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
        image_size: int = 224,
        drop_path_rate: float = 0.0,
        in_channels: int = 3,
        with_cp: bool = False,
        **common: Unpack[NetworkOptions],
    ):
        super().__init__(arch=arch, **common)
        record, dim = self.arch, self.arch.width
        self.with_cp = with_cp
        if record.blocks % len(STRIDES):
            raise ValueError(f'The blocks are divided among {len(STRIDES)} interactions: {record.blocks} cannot be.')
        windows = [None] * record.blocks if windows is None else windows
        if len(windows) != record.blocks:
            raise ValueError(f'windows must be one number or None for each of {record.blocks} blocks.')
        self.encoder = Encoder(
            arch=vars(record),
            windows=windows,
            image_size=image_size,
            drop_path_rate=drop_path_rate,
            in_channels=in_channels,
            with_cp=with_cp,
        )
        extractor = partial(Extractor, dim, record.deform_heads, record.deform_ratio, record.mlp_ratio, drop_path_rate)
        self.spm = SpatialPrior(in_channels, record.hidden_convs, dim)
        self.level_embed = nn.Parameter(torch.randn(len(STRIDES) - 1, dim))
        self.interactions = nn.ModuleList(
            Interaction(extractor, Injector(dim, record.deform_heads, record.deform_ratio), 2 if i == 3 else 0)
            for i in range(len(STRIDES))
        )
        self.up = nn.ConvTranspose2d(dim, dim, 2, 2)
        self.out_norms = nn.ModuleList(nn.BatchNorm2d(dim) for _ in STRIDES)
        self.out_channels = (dim,) * len(STRIDES)
        self.out_strides = STRIDES
        self.interactions.apply(PlainBackbone.initial_weights)
        for module in self.modules():
            if isinstance(module, DeformableAttention):
                module.reset()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: (B, in_channels, height, width), normalised -> one (B, C, H, W) per stride."""
        padded = pad_image_to_multiple(image, STRIDES[-1])
        finest, *levels = self.spm(padded)
        sizes = tuple((level.shape[2], level.shape[3]) for level in levels)
        maps = torch.cat(
            [level.flatten(2).transpose(1, 2) + embed for level, embed in zip(levels, self.level_embed, strict=True)], 1
        )  # (B, M, C)
        x, size = self.encoder.patch_embed(padded)
        own_places, map_places = centers((size,), x.device), centers(sizes, x.device)
        outs = []
        quarter = len(self.encoder.blocks) // len(STRIDES)
        for i, interaction in enumerate(self.interactions):
            x = self.run(interaction.injector, x, own_places, maps, sizes)
            for block in self.encoder.blocks[i * quarter : (i + 1) * quarter]:
                x = self.encoder.run(block, x, size)
            for extractor in (interaction.extractor, *interaction.extra_extractors):
                maps = self.run(extractor, maps, map_places, sizes, x, size)
            outs.append(x.unflatten(1, size).permute(0, 3, 1, 2))  # (B, C, H, W)
        levels = [
            level.unflatten(1, size).permute(0, 3, 1, 2)
            for level, size in zip(maps.split([H * W for H, W in sizes], 1), sizes, strict=True)
        ]
        levels = [self.up(levels[0]) + finest, *levels]
        return tuple(
            norm(level + enlarged(out, 16 / stride))[
                :, :, : ceil_div(image.shape[2], stride), : ceil_div(image.shape[3], stride)
            ]
            for norm, level, out, stride in zip(self.out_norms, levels, outs, STRIDES, strict=True)
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'ViTAdapter') -> StateDict:
        """From the authors' names, or a DeiT's, which the encoder takes."""
        return rename(
            drop(state_dict, r'^(norm|head|head_dist)\.'),
            (r'^(pos_embed|cls_token|patch_embed\.|blocks\.)', r'encoder.\1'),
            (r'^norm([1-4])\.', lambda match: f'out_norms.{int(match[1]) - 1}.'),
            (r'\.dwconv\.dwconv\.', '.dwconv.'),
        )

    @classmethod
    def truncated_arch(cls) -> dict[str, Any]:
        """One block for each interaction."""
        return {**super().truncated_arch(), 'blocks': len(STRIDES)}


def enlarged(x: Tensor, scale: float) -> Tensor:
    """A map at `scale` times its size, bilinearly."""
    return x if scale == 1 else F.interpolate(x, scale_factor=scale, mode='bilinear', align_corners=False)


ViTAdapter.archs = {
    'tiny': Arch(width=192, blocks=12, heads=3, deform_heads=6),
    'small': Arch(width=384, blocks=12, heads=6, deform_heads=6),
    'base': Arch(width=768, blocks=12, heads=12, deform_heads=12, deform_ratio=0.5),
    'large': Arch(width=1024, blocks=24, heads=16, deform_heads=16, deform_ratio=0.5),
}
Encoder.archs = ViTAdapter.archs

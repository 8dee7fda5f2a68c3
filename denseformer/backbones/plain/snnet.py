"""SN-Net v2: two vision transformers stitched together, one network of many speeds.

Paper: "Stitched ViTs are Flexible Vision Backbones", https://arxiv.org/abs/2307.00154.
Official code: https://github.com/ziplab/SN-Netv2 (Apache-2.0), an mmsegmentation fork.

A forward pass starts in one of two anchors, a small and a large vision transformer of the same patches, and may go on
in the other up to twice; linear layers translate the tokens. All anchors and layers are trained together, one route
drawn per step. Maps always have the large anchor's width.

The anchors are DeiT III's with a bias per head and offset, as BEiT's, and a class token that carries no position.

Legend: B batch, C channels, N tokens, S and L the small and the large anchor.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.base import MapNetwork
from denseformer.backbones.plain.base import PlainArch, PlainBackbone
from denseformer.backbones.plain.embedding import Patches, PositionTable, Size, TokenEmbed, square
from denseformer.backbones.plain.vit import RelativeAttention, ViT
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.layers import Mlp, PreNormBlock, drop_path_rates
from denseformer.network import NetworkOptions, Source
from denseformer.registry import MODELS

SMALL, LARGE = 0, 1
GROUP = 10e9
"""Multiplications that a route may cost more than the cheapest one drawn with it."""


@dataclass(frozen=True)
class Route:
    """anchors: in their order; spans: first and last block in each; stitches: the layer behind each but the last."""

    anchors: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    stitches: tuple[int, ...]


def routes_of(small: int, large: int) -> list[Route]:
    """All ways through anchors of `small` and `large` blocks, by the authors' numbers: S, L, then S to L and so on."""
    ratio = large // small
    depths = small, large
    up = [(i, (i + 1) * ratio, i) for i in range(small)]  # last block before, first block behind, stitching layer
    down = [(i, i // ratio + 1, i // ratio) for i in range(ratio - 1, large - 1, ratio)]

    def route(anchors: tuple[int, ...], *crossings: tuple[int, int, int]) -> Route:
        firsts = 0, *(behind for _, behind, _ in crossings)
        lasts = *(before for before, _, _ in crossings), depths[anchors[-1]] - 1
        return Route(anchors, tuple(zip(firsts, lasts, strict=True)), tuple(layer for _, _, layer in crossings))

    alone = [route((SMALL,)), route((LARGE,))]
    once = [route((SMALL, LARGE), one) for one in up] + [route((LARGE, SMALL), one) for one in down]
    large_ends = [route((LARGE, SMALL, LARGE), one, two) for one in down for two in up[:-1] if two[0] >= one[1]]
    small_ends = [route((SMALL, LARGE, SMALL), one, two) for one in up for two in down if two[0] >= one[1]]
    return [*alone, *once, *large_ends, *small_ends]


class StitchingLayer(nn.Module):
    """A linear layer and a low-rank one: (B, N, C) -> (B, N, D).

    The weights of the first are fitted once and then kept; its bias and the low-rank layer are trained.
    """

    def __init__(self, dim: int, out_dim: int, rank: int):
        super().__init__()
        self.rank = rank
        self.linear = nn.Linear(dim, out_dim)
        self.linear.weight.requires_grad_(not rank)
        self.down = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(rank, dim), a=5**0.5)) if rank else None
        self.up = nn.Parameter(torch.zeros(out_dim, rank)) if rank else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.linear(x)
        return out if self.down is None else out + x @ self.down.T @ self.up.T / self.rank


class LeastSquares:
    """The linear layer from tokens x (..., C) to y (..., D) of the least squared error, x and y coming part by part.

    Only the sums of X^T X and X^T Y are kept, for X with a column of ones, on the CPU and in float64. The solution is
    that by X's pseudo-inverse in float32, which leaves out the same small singular values.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.products: Tensor | float = 0.0  # (C + 1, C + 1 + D)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Take in tokens, as many of y as of x."""
        x, y = (tokens.flatten(0, -2).cpu().double() for tokens in (x, y))
        x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
        self.rows += len(x)
        self.products = self.products + x.T @ torch.cat([x, y], 1)

    def solve(self) -> tuple[Tensor, Tensor]:
        """Weight (D, C) and bias (D,)."""
        assert isinstance(self.products, Tensor), 'Nothing was added.'
        C = len(self.products)
        gram, moments = self.products[:, :C], self.products[:, C:]
        smallest = max(self.rows, C) * torch.finfo(torch.float32).eps  # singular value of X, beside its largest
        solution = torch.linalg.pinv(gram, rtol=smallest**2, hermitian=True) @ moments
        return solution[:-1].T.float(), solution[-1].float()


@dataclass(frozen=True, kw_only=True)
class AnchorArch(PlainArch):
    """layer_scale: where the gains on both branches start."""

    layer_scale: float = 1.0


class Anchor(PlainBackbone):
    """One of the two vision transformers; the last register is its class token."""

    no_weight_decay = ViT.no_weight_decay

    def __init__(self, *, drop_path_rate: float, **common: Any):
        super().__init__(**common)
        dim = self.arch.width
        self.build(
            patch_embed=TokenEmbed(
                Patches(self.in_channels, dim, self.patch_size),
                dim,
                cls_token=False,
                registers=1,
                positions=PositionTable(dim, self.grid, rows=0),
            ),
            blocks=[
                PreNormBlock(
                    dim,
                    RelativeAttention(dim, self.arch.heads, self.grid, qkv_bias=True),
                    Mlp(dim, self.arch.mlp_width),
                    drop_path=rate,
                    norm=partial(nn.LayerNorm, eps=1e-6),
                    layer_scale=self.arch.layer_scale,
                )
                for rate in drop_path_rates(drop_path_rate, [self.arch.blocks])[0]
            ],
            norm=None,
        )

    @property
    def cost(self) -> int:
        """Multiplications of one block for an image of the size that the tables are made for."""
        tokens, dim = self.grid[0] * self.grid[1] + 1, self.arch.width
        return tokens * dim * (4 * dim + 2 * self.arch.mlp_width + 2 * tokens)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From mmsegmentation's names; DeiT III's position table has a row less than its class token needs."""
        return ViT.remap_official_keys(rename(state_dict, (r'^cls_token$', 'register_tokens')), network)


Anchor.archs = {'small': AnchorArch(width=384, blocks=12, heads=6)}


@dataclass(frozen=True, kw_only=True)
class Arch:
    """widths, depths, heads: of the small and the large anchor; rank: of the trained part of the stitching layers.

    out_indices: blocks of the large anchor whose maps are returned; the small one has those at the same share of its
    depth. The deeper anchor has a whole multiple of the other's blocks.
    """

    widths: tuple[int, int]
    depths: tuple[int, int]
    heads: tuple[int, int]
    rank: int
    out_indices: tuple[int, ...] = (9, 14, 19, 23)


@MODELS.register_module()
class SNNet(MapNetwork):
    """Two stitched vision transformers, as fast as `speed` says; returns maps at the patch's stride.

    Args:
        speed: how many times as fast as the large anchor alone: of all routes that cost at most 1 / speed of its
            multiplications, the costliest is taken. 1 is the large anchor; `speeds` lists what there is.
        route: the authors' number of a route, 0 for the small anchor, in place of `speed`.
        image_size: the side, or height and width, that the tables of positions are made for; they are resized for
            other images and on loading.
        anchors_pretrained: what the small and the large anchor start from, paths or addresses, as
            ('weights:vit_deit3_small_imagenet22k_1k', 'weights:vit_deit3_large_imagenet22k_1k'); None for random
            weights. `denseformer train` fits the layers between such anchors before training (`FitStitchesHook`).
        drop_path_rate: stochastic depth of the last block of each anchor.
        in_channels, with_cp, pretrained, init_cfg: as in `Backbone`.

    In training a route is drawn in every step, first a group of similar cost, then one of it; so some parameters have
    no gradient (`find_unused_parameters`). `network.speed = 4.0` changes the speed of a built network.
    """

    source = Source(
        paper='Stitched ViTs are Flexible Vision Backbones, https://arxiv.org/abs/2307.00154',
        code='https://github.com/ziplab/SN-Netv2',
        license='Apache-2.0',
    )
    input_size = 512

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'small_large',
        speed: float = 1.0,
        route: int | None = None,
        image_size: int | Size = 512,
        anchors_pretrained: Sequence[str] | None = None,
        drop_path_rate: float = 0.0,
        in_channels: int = 3,
        with_cp: bool = False,
        **common: Unpack[NetworkOptions],
    ):
        super().__init__(arch=arch, **common)
        record = self.arch
        ratio = record.depths[LARGE] // record.depths[SMALL]
        if record.depths[LARGE] != ratio * record.depths[SMALL]:
            raise ValueError(f'The large anchor needs a multiple of the blocks of the small one, got {record.depths}.')
        if anchors_pretrained is not None and len(anchors_pretrained) != len(record.depths):
            raise ValueError(f'anchors_pretrained names a file for each of two anchors, got {anchors_pretrained}.')
        taps = tuple(i // ratio for i in record.out_indices), record.out_indices
        self.anchors = nn.ModuleList(
            Anchor(
                arch=dict(width=width, blocks=blocks, heads=heads),
                image_size=square(image_size),
                out_indices=(*tap[:-1], blocks - 1),
                in_channels=in_channels,
                drop_path_rate=drop_path_rate,
                with_cp=with_cp,
                pretrained=start,
            )
            for width, blocks, heads, tap, start in zip(
                record.widths, record.depths, record.heads, taps, anchors_pretrained or (None, None), strict=True
            )
        )
        self.taps = taps
        small, large = record.widths
        self.stitches = nn.ModuleList(
            nn.ModuleList(StitchingLayer(dim, out_dim, record.rank) for _ in range(count))
            for dim, out_dim, count in ((small, large, record.depths[0]), (large, small, record.depths[0] - 1))
        )
        self.routes = routes_of(*record.depths)
        self.out_channels = (large,) * len(record.out_indices)
        self.out_strides = (self.anchors[LARGE].patch_size,) * len(record.out_indices)
        self.route = 1
        if route is None:
            self.speed = speed
        elif 0 <= route < len(self.routes):
            self.route = route
        else:
            raise ValueError(f'route must be 0..{len(self.routes) - 1}, got {route}.')

    def init_weights(self) -> None:
        """Initialize the anchors, then the network by weights of the whole, if it starts from such."""
        for anchor in self.anchors:
            anchor.init_weights()
        super().init_weights()

    @property
    def drawn(self) -> list[int]:
        """The routes that are drawn in training, without those that end in the anchor they would go on in."""
        return [i for i, route in enumerate(self.routes) if all(first <= last for first, last in route.spans)]

    def cost(self, route: Route) -> int:
        """Multiplications of the blocks of a route, for images of the size that the tables are made for."""
        lengths = [last - first + 1 for first, last in route.spans]
        return sum(self.anchors[i].cost * length for i, length in zip(route.anchors, lengths, strict=True))

    @property
    def speed(self) -> float:
        """How many times fewer multiplications than the large anchor's the current route costs."""
        return self.cost(self.routes[1]) / self.cost(self.routes[self.route])

    @speed.setter
    def speed(self, speed: float) -> None:
        if speed <= 0:
            raise ValueError(f'speed must be above 0: 1 is that of the large anchor, got {speed}.')
        budget = self.cost(self.routes[1]) / speed
        affordable = [i for i in self.drawn if self.cost(self.routes[i]) <= budget * (1 + 1e-9)]
        if not affordable:
            fastest = self.cost(self.routes[1]) / self.cost(self.routes[0])
            raise ValueError(f'speed must be at most {fastest:.1f}, that of the small anchor, got {speed}.')
        self.route = max(affordable, key=lambda i: self.cost(self.routes[i]))

    @property
    def speeds(self) -> list[float]:
        """The speeds of all routes, from the large anchor's, 1, to the small one's."""
        return sorted(self.cost(self.routes[1]) / self.cost(self.routes[i]) for i in self.drawn)

    def draw(self) -> int:
        """A route: first a group of similar cost, then one of it, each as likely as the others."""
        groups = self.groups()
        group = groups[int(torch.randint(len(groups), ()))]
        return group[int(torch.randint(len(group), ()))]

    def groups(self) -> list[list[int]]:
        """The drawn routes, the cheapest first; one that costs `GROUP` more than a group's first opens the next."""
        costs = sorted((self.cost(self.routes[i]), i) for i in self.drawn)
        groups: list[list[int]] = []
        first = -math.inf
        for cost, i in costs:
            if cost - first > GROUP:
                groups.append([])
                first = cost
            groups[-1].append(i)
        return groups

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: (B, in_channels, height, width), normalised -> one (B, C, H, W) per out index."""
        route = self.routes[self.draw() if self.training else self.route]
        x, size = self.anchors[route.anchors[0]].patch_embed(image)
        outs = []
        for leg, (index, (first, last)) in enumerate(zip(route.anchors, route.spans, strict=True)):
            anchor = self.anchors[index]
            for i in range(first, last + 1):
                x = anchor.run(anchor.blocks[i], x, size)
                if i in self.taps[index]:
                    out = self.stitches[SMALL][i](x) if index == SMALL else x
                    outs.append(anchor.output(out, size, anchor.prefix_after(i)))
            if leg < len(route.stitches):
                x = self.stitches[index][route.stitches[leg]](x)
        return tuple(outs)

    @torch.no_grad()
    def fit_stitches(self, images: Iterable[Tensor]) -> None:
        """Fit all stitching layers to the anchors' tokens of `images`, each (in_channels, height, width) of any size:
        once, before training, with the anchors' pre-trained weights; the authors take 50 images.

        Raises ValueError if there is no image.
        """
        crossings = [route for route in self.routes if len(route.anchors) == 2]
        fits = [LeastSquares() for _ in crossings]
        training = self.training
        self.eval()
        for image in images:
            tokens = [self.tokens_of(anchor, image[None]) for anchor in self.anchors]
            for fit, route in zip(fits, crossings, strict=True):
                (_, last), (first, _) = route.spans
                start, end = route.anchors
                fit.add(tokens[start][last], tokens[end][first - 1])
        self.train(training)
        if not fits[0].rows:
            raise ValueError('fit_stitches: there is no image to fit the stitching layers to.')
        for fit, route in zip(fits, crossings, strict=True):
            linear = self.stitches[route.anchors[0]][route.stitches[0]].linear
            for parameter, value in zip((linear.weight, linear.bias), fit.solve(), strict=True):
                parameter.copy_(value)

    @staticmethod
    def tokens_of(anchor: Anchor, images: Tensor) -> list[Tensor]:
        """The tokens (B, N, C) behind every block."""
        x, size = anchor.patch_embed(images)
        tokens = []
        for block in anchor.blocks:
            x = block(x, size)
            tokens.append(x)
        return tokens

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'SNNet') -> StateDict:
        """From the authors' stitching layers; each anchor takes the authors' names itself."""
        return rename(
            state_dict,
            (r'^stitch_layers\.', 'stitches.'),
            (r'\.transform\.lora_A$', '.down'),
            (r'\.transform\.lora_B$', '.up'),
            (r'\.transform\.', '.linear.'),
        )


SNNet.archs = {
    'small_large': Arch(widths=(384, 1024), depths=(12, 24), heads=(6, 16), rank=16),
    'base_large': Arch(widths=(768, 1024), depths=(12, 24), heads=(12, 16), rank=4),
    'small_base': Arch(widths=(384, 768), depths=(12, 12), heads=(6, 12), rank=64, out_indices=(4, 7, 9, 11)),
}

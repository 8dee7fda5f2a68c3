"""The network of kMaX-DeepLab: axial attention up a pyramid, and queries that are the centers of clusters of pixels.

Particular: every layer of the decoder predicts masks, gives each pixel to the query of its greatest logit, and adds the
sum of the values of its pixels to the query: a step of k-means. Convolutions have BatchNorm with epsilon 1e-3, whose
running averages move by a hundredth; attention is not divided by the square root of its depth, BatchNorm scales its
logits.

The official axial attention is built for one size of image. Its tables hold 254 steps either way, and here every size
reads them; farther positions share the outermost entry.

Legend: B batch, C channels, H W map, L positions along an axis, N heads, Q queries, K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.caching import cached_constant
from denseformer.dynamic_shapes import is_symbolic
from denseformer.layers import ConvNorm, DropPath, LayerNorm2d

HEADS = 8
SPAN = 254
"""Steps along an axis, either way, that tables of positions tell apart."""
VOID_ODDS = 9.0
"""How many times likelier than all classes together a query is nothing at first."""

norm_options = dict(eps=1e-3, momentum=0.01)
norm1d, norm2d = partial(nn.BatchNorm1d, **norm_options), partial(nn.BatchNorm2d, **norm_options)
conv_norm = partial(ConvNorm, norm=norm2d)
active_conv = partial(conv_norm, act=nn.GELU)


class QueryConv(nn.Module):
    """A linear layer and BatchNorm of queries, then GELU if `active`: (B, C, Q) -> (B, out_dim, Q)."""

    def __init__(self, dim: int, out_dim: int, active: bool = False, zero_init: bool = False):
        super().__init__()
        self.conv = nn.Conv1d(dim, out_dim, 1, bias=False)
        self.norm = norm1d(out_dim)
        self.act = nn.GELU() if active else nn.Identity()
        if zero_init:
            nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


def resized(x: Tensor, size: Sequence[int], odd: int) -> Tensor:
    """A map at `size`; `odd`, 1 or 0: whether its outer pixels lie on the outer pixels of the other size."""
    if is_symbolic(odd):  # an exported graph cannot choose: it makes both, and one counts
        return odd * resized(x, size, 1) + (1 - odd) * resized(x, size, 0)
    return F.interpolate(x, tuple(size), mode='bilinear', align_corners=odd == 1)


@cached_constant(32)
def steps_between(length: int, device: torch.device) -> Tensor:
    """The entry of a table for each query position and key position: (L, L)."""
    places = torch.arange(length, device=device)
    return (places - places[:, None]).clamp(-SPAN, SPAN) + SPAN


class AxisAttention(nn.Module):
    """Attention along one axis with learned positions of queries, keys and values: (B, C, L) -> (B, value_dim, L)."""

    def __init__(self, dim: int, key_dim: int, value_dim: int):
        super().__init__()
        self.dims = key_dim, key_dim, value_dim
        self.qkv = nn.Conv1d(dim, sum(self.dims), 1, bias=False)
        self.query_positions, self.key_positions, self.value_positions = (
            nn.Parameter(torch.randn(2 * SPAN + 1, width // HEADS)) for width in self.dims
        )
        self.norm_qkv = norm1d(sum(self.dims))
        self.norm_similarity = norm2d(3 * HEADS)
        self.norm_out = norm1d(2 * value_dim)
        nn.init.trunc_normal_(self.qkv.weight, std=dim**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        L = x.shape[-1]
        parts = self.norm_qkv(self.qkv(x)).split(self.dims, 1)
        q, k, v = (part.unflatten(1, (HEADS, -1)) for part in parts)  # each (B, N, d, L)
        index = steps_between(L, x.device)
        logits = (
            q.transpose(2, 3) @ k,
            torch.einsum('bhdl,lmd->bhlm', q, self.query_positions[index]),
            torch.einsum('bhdm,lmd->bhlm', k, self.key_positions[index]),
        )
        similarity = self.norm_similarity(torch.cat(logits, 1)).unflatten(1, (3, HEADS)).sum(1)  # (B, N, L, L)
        weights = similarity.float().softmax(-1).to(v.dtype)
        content = v @ weights.transpose(2, 3)  # (B, N, d, L)
        places = torch.einsum('bhlm,lmd->bhdl', weights, self.value_positions[index].to(v.dtype))
        return self.norm_out(torch.cat([content, places], 1).flatten(1, 2)).unflatten(1, (2, -1)).sum(1)


class AxialAttention(nn.Module):
    """Along columns, then along rows: (B, C, H, W) -> (B, 2 key_dim, H, W)."""

    def __init__(self, dim: int, key_dim: int):
        super().__init__()
        self.height = AxisAttention(dim, key_dim, 2 * key_dim)
        self.width = AxisAttention(2 * key_dim, key_dim, 2 * key_dim)

    def forward(self, x: Tensor) -> Tensor:
        B, _, H, W = x.shape
        x = self.height(x.permute(0, 3, 1, 2).flatten(0, 1)).unflatten(0, (B, W))  # (B, W, C, H)
        x = self.width(x.permute(0, 3, 2, 1).flatten(0, 1)).unflatten(0, (B, H))  # (B, H, C, W)
        return x.transpose(1, 2)


class Block(nn.Module):
    """A residual bottleneck around axial attention, or a 3 x 3 convolution: (B, C, H, W) -> (B, 4 width, H, W)."""

    def __init__(self, dim: int, width: int, axial: bool, drop_path_rate: float):
        super().__init__()
        inner = 2 * width if axial else width
        self.reduce = active_conv(dim, inner)
        self.mix = nn.Sequential(AxialAttention(inner, width), nn.GELU()) if axial else active_conv(width, width, 3)
        self.expand = conv_norm(inner, 4 * width, zero_init=True)
        self.shortcut = nn.Identity() if dim == 4 * width else conv_norm(dim, 4 * width)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(x)
        return self.drop_path(self.expand(self.mix(self.reduce(x)))) + self.shortcut(x)


class Fusion(nn.Module):
    """A coarse map enlarged and added to a fine one, each brought to `width` channels where it has others."""

    def __init__(self, coarse_dim: int, fine_dim: int, width: int):
        super().__init__()
        self.coarse, self.fine = (
            nn.Identity() if dim == width else nn.Sequential(nn.GELU(), conv_norm(dim, width))
            for dim in (coarse_dim, fine_dim)
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        return resized(self.coarse(coarse), fine.shape[2:], coarse.shape[3] % 2) + self.fine(fine)


class PixelDecoder(nn.Module):
    """Maps of a backbone, coarsest first -> as many maps of 4 width channels; the first two stages are axial."""

    def __init__(self, in_channels: Sequence[int], widths: Sequence[int], depths: Sequence[int], drop_path_rate: float):
        super().__init__()
        self.in_norms = nn.ModuleList(LayerNorm2d(dim, 1e-6) for dim in in_channels)
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            dims = [width if i else in_channels[0]] + [4 * width] * (depth - 1)
            self.stages.append(nn.Sequential(*(Block(dim, width, i < 2, drop_path_rate) for dim in dims)))
        self.fusions = nn.ModuleList(
            Fusion(4 * coarse, dim, width)
            for coarse, dim, width in zip(widths[:-1], in_channels[1:], widths[1:], strict=True)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        outs = [self.stages[0](self.in_norms[0](maps[0]))]
        for fuse, norm, stage, fine in zip(self.fusions, self.in_norms[1:], self.stages[1:], maps[1:], strict=True):
            outs.append(stage(fuse(outs[-1], norm(fine))))
        return outs


@dataclass
class Prediction:
    """scores: (B, Q, K + 1), the last one for nothing; masks: (B, Q, H, W); pixels: (B, C, H, W) of length 1."""

    scores: Tensor
    masks: Tensor
    pixels: Tensor

    def at(self, size: Sequence[int]) -> 'Prediction':
        odd = size[0] % 2
        return Prediction(self.scores, resized(self.masks, size, odd), resized(self.pixels, size, odd))


class Predictor(nn.Module):
    """Classes of queries, and masks from the likeness of queries and pixels."""

    def __init__(self, pixel_dim: int, width: int, num_classes: int):
        super().__init__()
        self.pixel = nn.Sequential(
            active_conv(pixel_dim, pixel_dim, 5, groups=pixel_dim),
            active_conv(pixel_dim, width),
            conv_norm(width, width // 2, bias=True),
        )
        self.kernel = QueryConv(width, width // 2)
        self.classify = nn.Conv1d(width, num_classes + 1, 1)
        self.norm = norm2d(1)
        nn.init.xavier_uniform_(self.pixel[0].conv.weight)
        nn.init.trunc_normal_(self.pixel[2].conv.weight, std=0.01)
        nn.init.zeros_(self.pixel[2].conv.bias)
        nn.init.trunc_normal_(self.classify.weight, std=0.01)
        nn.init.zeros_(self.classify.bias)
        nn.init.constant_(self.norm.weight, 0.1)

    def forward(self, mask_queries: Tensor, class_queries: Tensor, pixels: Tensor) -> Prediction:
        pixels = F.normalize(self.pixel(pixels), dim=1)
        scores = self.classify(class_queries).transpose(1, 2)  # (B, Q, K + 1)
        bias = scores.new_zeros(scores.shape[-1])
        bias[-1] = math.log((len(bias) - 1) * VOID_ODDS)
        masks = torch.einsum('bchw,bcq->bqhw', pixels, self.kernel(mask_queries))
        masks = self.norm(masks.flatten(2)[:, None])[:, 0].unflatten(2, pixels.shape[2:])
        return Prediction(scores + bias, masks, pixels)


class DecoderLayer(nn.Module):
    """A prediction, then a step of k-means, attention among queries, and an MLP: (B, C, Q) -> the same."""

    def __init__(self, pixel_dim: int, width: int, num_classes: int, drop_path_rate: float):
        super().__init__()
        self.dims = width // 2, width // 2, width
        self.query_in = QueryConv(width, width, active=True)
        self.pixel_in = active_conv(pixel_dim, width)
        self.predictor = Predictor(width, width, num_classes)
        self.pixel_value = conv_norm(width, width)
        self.cluster_norm = norm1d(width)
        self.cluster_proj = QueryConv(width, width, zero_init=True)
        self.qkv = QueryConv(width, 2 * width)
        self.norm_similarity, self.norm_value = norm2d(HEADS), norm1d(width)
        self.proj = QueryConv(width, width, zero_init=True)
        self.fc1 = QueryConv(width, 8 * width, active=True)
        self.fc2 = QueryConv(8 * width, width, zero_init=True)
        self.drop_path = DropPath(drop_path_rate)
        for conv in (self.qkv.conv, self.pixel_value.conv):
            nn.init.trunc_normal_(conv.weight, std=width**-0.5)

    def forward(self, queries: Tensor, pixels: Tensor) -> tuple[Tensor, Prediction]:
        pixels, seen = self.pixel_in(F.gelu(pixels)), self.query_in(queries)
        found = self.predictor(seen, seen, pixels)
        queries = queries + self.drop_path(self.cluster(found.masks.detach(), self.pixel_value(pixels)))
        queries = F.gelu(queries + self.drop_path(self.attend(seen)))
        return F.gelu(queries + self.drop_path(self.fc2(self.fc1(queries)))), found

    def cluster(self, masks: Tensor, values: Tensor) -> Tensor:
        """The sum of the values (B, C, H, W) of pixels whose greatest logit (B, Q, H, W) is a query's: (B, C, Q)."""
        owner = masks.flatten(2).argmax(1)  # (B, H*W)
        sums = values.new_zeros(*values.shape[:2], masks.shape[1], dtype=torch.float)
        values = values.flatten(2).float()
        sums = sums.scatter_add(2, owner[:, None].expand_as(values), values)
        return self.cluster_proj(self.cluster_norm(sums.to(self.cluster_norm.weight.dtype)))

    def attend(self, queries: Tensor) -> Tensor:
        q, k, v = (part.unflatten(1, (HEADS, -1)) for part in self.qkv(queries).split(self.dims, 1))
        weights = self.norm_similarity(q.transpose(2, 3) @ k).float().softmax(-1).to(v.dtype)  # (B, N, Q, Q)
        return self.proj(F.gelu(self.norm_value((v @ weights.transpose(2, 3)).flatten(1, 2))))


class SemanticBranch(nn.Module):
    """A semantic head that trains the backbone: atrous pooling of its coarsest map, joined with two finer ones."""

    def __init__(self, dims: Sequence[int], width: int, num_classes: int):
        super().__init__()
        coarsest, fine, finest = dims
        self.point = active_conv(coarsest, width)
        self.pyramid = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(coarsest, width, 3, padding=rate, dilation=rate, bias=False), norm2d(width), nn.GELU()
            )
            for rate in (6, 12, 18)
        )
        self.pooled = active_conv(coarsest, width)
        self.proj = active_conv(5 * width, width)
        self.dropout = nn.Dropout(0.1)
        lows = width // 4, width // 8
        self.lateral = nn.ModuleList(active_conv(dim, low) for dim, low in zip((fine, finest), lows, strict=True))
        self.joined = nn.ModuleList(separable_conv(width + low, width) for low in lows)
        self.head = separable_conv(width, width)
        self.classify = nn.Conv2d(width, num_classes + 1, 1)
        nn.init.trunc_normal_(self.classify.weight, std=0.01)
        nn.init.zeros_(self.classify.bias)

    def forward(self, coarsest: Tensor, *finer: Tensor) -> Tensor:
        found = [self.point(coarsest), *(conv(coarsest) for conv in self.pyramid)]
        found.append(self.pooled(coarsest.mean((2, 3), keepdim=True)).expand_as(found[0]))
        x = self.dropout(self.proj(torch.cat(found, 1)))
        for lateral, join, fine in zip(self.lateral, self.joined, finer, strict=True):
            x = join(torch.cat([resized(x, fine.shape[2:], coarsest.shape[3] % 2), lateral(fine)], 1))
        return self.classify(self.head(x))


def separable_conv(dim: int, out_dim: int) -> nn.Sequential:
    layers = nn.Sequential(active_conv(dim, dim, 5, groups=dim), active_conv(dim, out_dim))
    nn.init.xavier_uniform_(layers[0].conv.weight)
    return layers


class SmallSemanticBranch(nn.Sequential):
    """Semantic scores from the coarsest map alone, without a class for nothing; the authors have it for Cityscapes."""

    def __init__(self, dim: int, width: int, num_classes: int):
        super().__init__(*separable_conv(dim, width), nn.Conv2d(width, num_classes, 1))
        nn.init.trunc_normal_(self[2].weight, std=0.01)
        nn.init.zeros_(self[2].bias)


class Decoder(nn.Module):
    """Predictions of all layers and the final one, from the maps of the pixel decoder, coarsest first."""

    def __init__(
        self,
        pixel_dims: Sequence[int],
        layers: Sequence[int],
        width: int,
        num_classes: int,
        num_queries: int,
        drop_path_rate: float,
    ):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(DecoderLayer(dim, width, num_classes, drop_path_rate) for _ in range(count))
            for dim, count in zip(pixel_dims[: len(layers)], layers, strict=True)
        )
        self.queries = nn.Parameter(torch.empty(width, num_queries))
        self.class_in, self.mask_in = (QueryConv(width, width, active=True) for _ in range(2))
        self.predictor = Predictor(pixel_dims[-1], width, num_classes)
        nn.init.trunc_normal_(self.queries, std=1.0)

    def forward(self, maps: Sequence[Tensor]) -> list[Prediction]:
        queries = self.queries.expand(maps[0].shape[0], -1, -1)  # (B, C, Q)
        found = []
        for layers, pixels in zip(self.layers, maps, strict=False):
            for layer in layers:
                queries, prediction = layer(queries, pixels)
                found.append(prediction)
        return [*found, self.predictor(self.mask_in(queries), self.class_in(queries), maps[-1])]

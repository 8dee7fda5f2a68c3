"""Multi-scale deformable attention, https://arxiv.org/abs/2010.04159.

What a query attends to is a few rows of a table: the cells around its sampling points, of all levels. Bilinear
interpolation and attention are one weighted sum of them, which PyTorch has as `embedding_bag`; the samples themselves
are never written to memory. A graph that is exported samples each level instead, as the paper has it: that takes sides
of maps that are symbols, and ONNX has the operator.

Legend: B batch, Q queries, h heads, c channels of a head, l levels, p points, N cells of all levels.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor


def multi_scale_deformable_attention(
    value: Tensor, shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """A weighted sum of samples of several maps, at places that each query chooses -> (B, Q, h * c).

    Args:
        value: (B, N, h, c), the levels' maps one after the other.
        shapes: H and W of each level.
        locations: (B, Q, h, l, p, 2), x and y in 0 .. 1 of the map; samples outside are zero.
        weights: (B, Q, h, l, p).
    """
    if torch.compiler.is_exporting():
        return attention_by_samples(value, shapes, locations, weights)
    B, N, h, c = value.shape
    Q = locations.shape[1]
    image = torch.arange(B, device=value.device).view(B, 1, 1, 1, 1) * N
    head = torch.arange(h, device=value.device).view(h, 1, 1)
    rows, factors = [], []
    for cells, shares in corner_cells(shapes, locations):
        rows.append(((image + cells) * h + head).flatten(3))
        factors.append((weights * shares).flatten(3))
    bags = torch.cat(rows, 3).view(B * Q * h, -1)
    factor = torch.cat(factors, 3).to(value.dtype).view(B * Q * h, -1)
    table = value.reshape(B * N * h, c)
    return F.embedding_bag(bags, table, per_sample_weights=factor, mode='sum').view(B, Q, h * c)


def attention_by_samples(value: Tensor, shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    """`multi_scale_deformable_attention` level by level."""
    levels = value.split([H * W for H, W in shapes], 1)
    grids = (2 * locations - 1).permute(3, 0, 2, 1, 4, 5)  # (l, B, h, Q, p, 2)
    shares = weights.permute(3, 0, 2, 1, 4)  # (l, B, h, Q, p)
    found = []
    for level, size, grid, share in zip(levels, shapes, grids, shares, strict=True):
        maps = level.permute(0, 2, 3, 1).flatten(0, 1).unflatten(2, size)  # (B * h, c, H, W)
        samples = F.grid_sample(maps, grid.flatten(0, 1), align_corners=False)  # (B * h, c, Q, p)
        found.append((samples * share.flatten(0, 1)[:, None]).sum(-1))
    B, Q = locations.shape[:2]
    return torch.stack(found).sum(0).view(B, -1, Q).transpose(1, 2)


def corner_cells(shapes: list[tuple[int, int]], locations: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each of the four cells around locations, (..., l, p, 2): its index among N and its bilinear weight.

    Both are (..., l, p). A cell outside its map has the weight 0.
    """
    locations = locations.to(torch.promote_types(locations.dtype, torch.float32))
    H, W = torch.tensor(shapes, device=locations.device).T[..., None].unbind(0)  # (l, 1) each
    starts = F.pad((H * W).flatten().cumsum(0), (1, 0))[:-1, None]
    x, y = locations[..., 0] * W - 0.5, locations[..., 1] * H - 0.5
    left, top = x.floor(), y.floor()
    across, down = x - left, y - top
    columns, lines = left.long(), top.long()
    for line, share_y in ((lines, 1 - down), (lines + 1, down)):
        start = starts + line.clamp(min=0).minimum(H - 1) * W
        inside_y = (line >= 0) & (line < H)
        for column, share_x in ((columns, 1 - across), (columns + 1, across)):
            inside = inside_y & (column >= 0) & (column < W)
            yield start + column.clamp(min=0).minimum(W - 1), share_y * share_x * inside

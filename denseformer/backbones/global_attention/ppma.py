"""PPMA: Polyline Path Masked Attention for Vision Transformer.

Paper: "Polyline Path Masked Attention for Vision Transformer", https://arxiv.org/abs/2506.15940.
Official code: https://github.com/zhongchenzhao/PPMA (Apache-2.0).

RMT's skeleton with decays that are learned and depend on the image: each token says how much is lost in passing it
along its row and along its column, and a path's decay is the sum over the tokens it passes. Between two tokens lead two
paths with one bend, first along the query's row or first along its column; attention is the mean over both. Decomposed
attention, where maps are large, goes along rows and columns in both orders, and the results are averaged.

Legend: B batch, H W map, N = H * W, C channels, h heads, d head width.
"""

from math import expm1, log

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.attention.axial import column_attention, row_attention
from denseformer.backbones.global_attention.rmt import RMT, RotaryAttention, global_attention
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.layers import Linear
from denseformer.network import Source
from denseformer.precision import at_least_float32
from denseformer.registry import MODELS


class PathDecay(nn.Module):
    """The decay on the way along rows and columns, from each token's features.

    (B, H, W, C) -> (B, H, h, W, W) between the tokens of each row and (B, W, h, H, H) between those of each column; all
    are logarithms, at most 0.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.linear = Linear(dim // heads, 2, bias=False)
        self.bias = nn.Parameter(torch.empty(heads))
        self.log_rate = nn.Parameter(torch.empty(heads))
        nn.init.uniform_(self.bias, log(expm1(1e-3)), log(expm1(1e-1)))  # softplus of it lies between the two
        nn.init.uniform_(self.log_rate, 0, log(1.1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        steps = self.linear(x.unflatten(-1, (self.heads, -1)))  # (B, H, W, h, 2)
        steps = F.softplus(at_least_float32(steps) + self.bias[:, None]) * self.log_rate.exp()[:, None]
        along_row, along_column = steps.unbind(-1)
        return path_decay(along_row.transpose(2, 3)), path_decay(along_column.permute(0, 2, 3, 1))


def path_decay(steps: Tensor) -> Tensor:
    """(..., L) losses at the positions of a line -> (..., L, L) decays between them."""
    travelled = steps.cumsum(-1)
    return -(travelled[..., :, None] - travelled[..., None, :]).abs()


class PolylineAttention(RotaryAttention):
    """Attention that decays along the polyline paths between tokens: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int, decomposed: bool):
        super().__init__(dim, heads, decomposed)
        self.path = PathDecay(dim, heads)

    def mix(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rows, columns = self.path(x)
        if self.decomposed:
            rows, columns = rows.flatten(0, 1), columns.flatten(0, 1)
            rows_first = column_attention(q, k, row_attention(q, k, v, rows), columns)
            columns_first = row_attention(q, k, column_attention(q, k, v, columns), rows)
            return (rows_first + columns_first) / 2
        there, back = bent_paths(rows, columns)
        return (global_attention(q, k, v, there) + global_attention(q, k, v, back)) / 2


def bent_paths(rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Decays (B, h, N, N) from query to key, first along the query's row, and first along its column.

    rows: (B, H, h, W, W); columns: (B, W, h, H, H).
    """
    along_query_row, along_key_row = rows.transpose(1, 2).contiguous(), rows.permute(0, 2, 3, 1, 4).contiguous()
    along_query_column = columns.permute(0, 2, 3, 1, 4).contiguous()  # (B, h, H, W, H')
    along_key_column = columns.permute(0, 2, 3, 4, 1).contiguous()  # (B, h, H, H', W')
    there = along_query_row[:, :, :, :, None, :] + along_key_column[:, :, :, None]  # (B, h, H, W, H', W')
    back = along_key_row[:, :, None] + along_query_column[..., None]
    return there.flatten(4).flatten(2, 3), back.flatten(4).flatten(2, 3)


@MODELS.register_module()
class PPMA(RMT):
    """Vision transformer with polyline path masked attention. The arguments are described in `Backbone`."""

    source = Source(
        paper='Polyline Path Masked Attention for Vision Transformer, https://arxiv.org/abs/2506.15940',
        code='https://github.com/zhongchenzhao/PPMA',
        license='Apache-2.0',
    )
    no_weight_decay = ('norm', 'path.bias', 'path.log_rate')

    def _attention(self, i: int) -> PolylineAttention:
        return PolylineAttention(self.arch.widths[i], self.arch.heads[i], self.arch.decomposed[i])

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'PPMA') -> StateDict:
        """As for RMT, with the path's parameters besides."""
        return rename(
            RMT.remap_official_keys(state_dict, network),
            (r'\.path_embed\.dt_linear\.', '.path.linear.'),
            (r'\.path_embed\.dt_bias$', '.path.bias'),
            (r'\.path_embed\.A_log$', '.path.log_rate'),
        )


PPMA.archs = {name: RMT.archs[name] for name in ('tiny', 'small', 'base')}

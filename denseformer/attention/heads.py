"""Head widths that fused attention takes: projections whose heads are widened with zeros.

Fused kernels want queries, keys and values of one width, best a multiple of 16; zero channels change neither a dot
product nor what is read out through zero columns. Only the small weights are padded, never a map.

Legend: C channels, h heads, d head width, w widened head width.
"""

import torch.nn.functional as F
from torch import Tensor


def padded_head_dim(*widths: int) -> int:
    """The narrowest head width that fused kernels run well at and that holds each of `widths`."""
    return -(-max(widths) // 16) * 16


def pad_head_dim(weight: Tensor, heads: int, width: int) -> Tensor:
    """The weight of a projection to heads, each widened with zero rows: (h * d, C) -> (h * w, C)."""
    rows = weight.unflatten(0, (heads, -1))  # (h, d, C)
    return F.pad(rows, (0, 0, 0, width - rows.shape[1])).flatten(0, 1)


def pad_head_dim_in(weight: Tensor, heads: int, width: int) -> Tensor:
    """The weight of a projection from heads, each widened with zero columns: (C, h * d) -> (C, h * w)."""
    columns = weight.unflatten(1, (heads, -1))  # (C, h, d)
    return F.pad(columns, (0, width - columns.shape[2])).flatten(1)

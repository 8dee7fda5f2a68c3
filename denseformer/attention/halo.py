"""Halo attention: the queries of a block attend to the block and a ring of tokens around it.

Legend: B batch, H W map, h heads, d head width, b block side, w window side (a block and its halo), n blocks per map.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.attention.softmax import window_softmax_attention


def halo_attention(q: Tensor, kv: Tensor, *, block: int, halo: int, rows: Tensor, columns: Tensor) -> Tensor:
    """Softmax attention of every block's queries to the keys of its window, with learned relative positions.

    Tokens outside the map are keys and values of zero, and are attended to.

    q: (B, H / s, W / s, h, d), where s is 1, or a stride that divides `block`; kv: (B, H, W, h, 2d), keys before
    values; H and W must be multiples of `block`. rows, columns: (2w - 1, d), embeddings of the distance between the
    position of a key in its window and that of a query in its block, whose products with the query are added to the
    logits -> like q.
    """
    B, H, W, h, _ = kv.shape
    side, window = block * q.shape[1] // H, block + 2 * halo
    q = q.unflatten(1, (-1, side)).unflatten(3, (-1, side))  # (B, H/b, b/s, W/b, b/s, h, d)
    q = q.permute(0, 1, 3, 5, 2, 4, 6).flatten(0, 2)  # (B*n, h, b/s, b/s, d)
    out = attend_windows(q, kv, rows, columns, block=block, window=window)
    out = out.view(B, H // block, W // block, side, side, h, -1)
    return out.transpose(2, 3).flatten(3, 4).flatten(1, 2)  # (B, H/s, W/s, h, d)


def attend_windows(q: Tensor, kv: Tensor, rows: Tensor, columns: Tensor, *, block: int, window: int) -> Tensor:
    """q: (B*n, h, b/s, b/s, d); kv: (B, H, W, h, 2d) -> (B*n, (b/s)^2, h*d)."""
    h, halo = q.shape[1], (window - block) // 2
    bias = relative_logits(q, rows, columns)
    kv = F.pad(kv, (0, 0, 0, 0, halo, halo, halo, halo)).unfold(1, window, block).unfold(2, window, block)
    kv = kv.permute(0, 1, 2, 3, 5, 6, 4).reshape(-1, h, window * window, kv.shape[4])  # (B*n, h, w*w, 2d)
    k, v = kv.chunk(2, dim=-1)
    return window_softmax_attention(q.flatten(2, 3), k, v, bias)


def relative_logits(q: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """q: (n, h, b, b, d) -> (n, h, b * b, w * w)."""
    side, window = q.shape[2], (rows.shape[0] + 1) // 2
    distance = (
        torch.arange(window, device=q.device) - torch.arange(side, device=q.device)[:, None] + window - 1
    )  # (b, w)
    down = torch.einsum('nhxyd,xkd->nhxyk', q, rows[distance].to(q.dtype))
    across = torch.einsum('nhxyd,ykd->nhxyk', q, columns[distance].to(q.dtype))
    return (down[..., None] + across[..., None, :]).flatten(4).flatten(2, 3)

"""Attention along the rows or the columns of a map.

Legend: B batch, H W map, h heads, d head width.
"""

from torch import Tensor

from denseformer.attention.softmax import window_softmax_attention


def row_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Softmax attention inside each row, logits scaled by d ** -0.5.

    q, k, v: (B, H, W, h, d); bias: (B * H or 1, h, W, W), added to the logits -> (B, H, W, h, d).
    """
    shape = v.shape
    q, k, v = (x.flatten(0, 1).transpose(1, 2) for x in (q, k, v))  # (B*H, h, W, d)
    return window_softmax_attention(q, k, v, bias.to(q.dtype)).view(shape)


def column_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Softmax attention inside each column; bias: (B * W or 1, h, H, H)."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, W, H, h, d)
    return row_attention(q, k, v, bias).transpose(1, 2)

"""Bi-level routing: windows choose the windows they attend to, then tokens attend to the tokens of those.

Legend: B batch, n windows per map, N tokens per window, k chosen windows, h heads, d head width, C = h * d channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def route_windows(q: Tensor, k: Tensor, topk: int) -> Tensor:
    """The windows with the most similar mean key: q, k (B, n, N, C) -> indices (B, n, min(topk, n)).

    A hard choice, in float32 at least, that takes no gradient.
    """
    with torch.no_grad(), torch.autocast(q.device.type, enabled=False):
        precise = torch.promote_types(q.dtype, torch.float32)
        q, k = q.mean(2, dtype=precise), k.mean(2, dtype=precise)  # (B, n, C)
        affinity = (q * q.shape[-1] ** -0.5) @ k.transpose(1, 2)  # (B, n, n)
        return affinity.topk(min(topk, k.shape[1])).indices


def routed_attention(qkv: Tensor, routes: Tensor, heads: int, scale: float | None = None) -> Tensor:
    """Softmax attention of the tokens of each window to all tokens of its chosen windows.

    qkv: (B, n, N, 3C), laid out (3, h, d) on the last axis; routes: (B, n, k) -> (B, n, N, C).
    """
    B, n, N, _ = qkv.shape
    q, kv = qkv.tensor_split((qkv.shape[-1] // 3,), dim=-1)
    first = torch.arange(B, device=routes.device)[:, None, None] * n
    kv = kv.flatten(0, 1)[(routes + first).flatten(0, 1)]  # (B*n, k, N, 2C)
    q = q.reshape(B * n, N, heads, -1).transpose(1, 2)  # (B*n, h, N, d)
    k, v = kv.view(B * n, -1, 2, heads, q.shape[-1]).permute(2, 0, 3, 1, 4)  # each (B*n, h, k*N, d)
    out = F.scaled_dot_product_attention(q, k, v, scale=scale)
    return out.transpose(1, 2).reshape(B, n, N, -1)

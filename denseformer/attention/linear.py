"""Linear attention: keys and values are summed up first, so that the cost grows with the tokens, not their square.

Legend: h heads, N queries, M keys, d head width.
"""

import torch
from torch import Tensor


def linear_attention(q: Tensor, k: Tensor, v: Tensor, *, floor: float) -> Tensor:
    """Attention whose weights are q . k, not negative, over their sum, or over `floor` where the sum is less.

    q: (B, h, N, d), k, v: (B, h, M, d), q and k not negative -> (B, h, N, d). Sums are taken in float32 at least.
    """
    wide = torch.promote_types(v.dtype, torch.float32)
    with torch.autocast(v.device.type, enabled=False):
        q, k, values = (x.to(wide) for x in (q, k, v))
        total = q @ k.sum(-2).unsqueeze(-1)  # (B, h, N, 1)
        out = q @ (k.transpose(-2, -1) @ values) / total.clamp(min=floor)
    return out.to(v.dtype)


def averaging_linear_attention(q: Tensor, k: Tensor, v: Tensor, *, eps: float) -> Tensor:
    """Attention whose weights are q . k, not negative, over the sum of all and `eps` per key.

    q: (B, h, N, d), k, v: (B, h, M, d), q and k not negative -> (B, h, N, d). Means are taken in float32 at least.
    """
    wide = torch.promote_types(v.dtype, torch.float32)
    with torch.autocast(v.device.type, enabled=False):
        q, k, values = (x.to(wide) for x in (q, k, v))
        mean = q @ k.mean(-2).unsqueeze(-1)  # (B, h, N, 1)
        out = q @ (k.mT @ values / k.shape[-2]) / (mean + eps)
    return out.to(v.dtype)


def injective_linear_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """InLine attention, whose weights add up to 1 without a division: q . k less its mean over the keys, plus 1 / M.

    So the output is the mean of v, plus q times the covariance of k and v, over sqrt(d).

    q: (B, h, N, d), k, v: (B, h, M, d) -> (B, h, N, d). Sums are taken in float32 at least.
    """
    wide = torch.promote_types(v.dtype, torch.float32)
    with torch.autocast(v.device.type, enabled=False):
        q, k, values = (x.to(wide) for x in (q, k, v))
        mean_k, mean_v = k.mean(-2, keepdim=True), values.mean(-2, keepdim=True)
        covariance = k.mT @ values / k.shape[-2] - mean_k.mT @ mean_v  # (B, h, d, d)
        out = mean_v + q @ (covariance * k.shape[-1] ** -0.5)
    return out.to(v.dtype)

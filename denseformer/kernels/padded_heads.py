"""Heads of one width, as fused attention takes them on every device.

Zero channels change neither a dot product nor what is read from the others.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from denseformer.kernels.switch import enabled

LANE = 16
"""Head widths that fused kernels run well at are multiples of this."""


def applies(q: Tensor, v: Tensor) -> bool:
    return enabled() and q.shape[-1] != v.shape[-1]


def with_equal_heads(attention: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """attention(q, k, v) of heads widened to one width: (..., N, d), (..., M, d), (..., M, e) -> (..., N, e)."""
    width = -(-max(q.shape[-1], v.shape[-1]) // LANE) * LANE
    q, k, v_wide = (x if x.shape[-1] == width else F.pad(x, (0, width - x.shape[-1])) for x in (q, k, v))
    return attention(q, k, v_wide)[..., : v.shape[-1]]

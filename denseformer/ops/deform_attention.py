"""Multi-scale deformable attention, https://arxiv.org/abs/2010.04159.

Legend: B batch, Q queries, h heads, c channels of a head, l levels, p points.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def multi_scale_deformable_attention(
    value: Tensor, shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """A weighted sum of samples of several maps, at places that each query chooses -> (B, Q, h * c).

    Args:
        value: (B, sum of H * W, h, c), the levels' maps one after the other.
        shapes: H and W of each level.
        locations: (B, Q, h, l, p, 2), x and y in 0 .. 1 of the map; samples outside are zero.
        weights: (B, Q, h, l, p).
    """
    B, _, h, c = value.shape
    Q = locations.shape[1]
    grids = (2 * locations - 1).transpose(1, 2).flatten(0, 1)  # (B * h, Q, l, p, 2)
    weights = weights.transpose(1, 2).flatten(0, 1)  # (B * h, Q, l, p)
    out = value.new_zeros((B * h, c, Q))
    for level, (part, (H, W)) in enumerate(zip(value.split([H * W for H, W in shapes], 1), shapes, strict=True)):
        maps = part.permute(0, 2, 3, 1).reshape(B * h, c, H, W)
        samples = F.grid_sample(maps, grids[:, :, level], padding_mode='zeros', align_corners=False)
        out = out + torch.einsum('bcqp,bqp->bcq', samples, weights[:, :, level])
    return out.view(B, h * c, Q).transpose(1, 2)

"""Learned absolute positions."""

import torch.nn.functional as F
from torch import Tensor

from denseformer.dynamic_shapes import same_size


def resize_positions(table: Tensor, size: tuple[int, int], mode: str = 'bilinear') -> Tensor:
    """Positions (h, w, C) interpolated to a map of another size: -> (H, W, C)."""
    if same_size(table.shape[:2], size):
        return table
    resized = F.interpolate(table.permute(2, 0, 1)[None], size, mode=mode, align_corners=False)  # (1, C, H, W)
    return resized[0].permute(1, 2, 0)

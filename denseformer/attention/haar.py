"""The Haar wavelet transform of a map: 2 x 2 positions to four bands, and back.

Legend: B batch, C channels, H W map, both even.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def haar(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 4C, H/2, W/2): of each channel the low frequencies, then the high ones of rows, of columns
    and of both. The transform keeps lengths, so that its transpose is its inverse."""
    return butterfly(F.pixel_unshuffle(x, 2))


def inverse_haar(bands: Tensor) -> Tensor:
    """The inverse of `haar`: (B, 4C, H/2, W/2) -> (B, C, H, W)."""
    return F.pixel_shuffle(butterfly(bands), 2)


def butterfly(x: Tensor) -> Tensor:
    """Sums and differences of each four successive channels, half as large; the same again gives back the channels."""
    a, b, c, d = (x / 2).unflatten(1, (-1, 4)).unbind(2)  # row by row; each (B, C, H/2, W/2)
    upper, lower, left, right = a + b, c + d, a - b, c - d
    return torch.stack([upper + lower, upper - lower, left + right, left - right], 2).flatten(1, 2)

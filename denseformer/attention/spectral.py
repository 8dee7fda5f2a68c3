"""Global filters: a learned spectrum that the Fourier transform of a map is multiplied by.

Legend: B batch, C channels, H W map, h w spectrum, (rows, columns // 2 + 1) of the map it is made for.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.dynamic_shapes import same_size


def global_filter(x: Tensor, spectrum: Tensor) -> Tensor:
    """A convolution as large as the map, around its edges.

    x: (B, C, H, W); spectrum: (C, h, w, 2), real and imaginary parts, resized to the map's -> (B, C, H, W). Transforms
    are taken in float32 at least.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    waves = torch.fft.rfft2(x.to(wide), norm='ortho')  # (B, C, H, W // 2 + 1)
    gains = torch.view_as_complex(resize_spectrum(spectrum.to(wide), waves.shape[2:]))
    return torch.fft.irfft2(waves * gains, s=x.shape[2:], norm='ortho').to(x.dtype)


def resize_spectrum(spectrum: Tensor, size: tuple[int, ...]) -> Tensor:
    """(C, h, w, 2) -> (C, *size, 2), bilinearly, corners on corners."""
    if same_size(spectrum.shape[1:3], size):
        return spectrum.contiguous()
    parts = F.interpolate(spectrum.permute(3, 0, 1, 2), size=size, mode='bilinear', align_corners=True)
    return parts.permute(1, 2, 3, 0).contiguous()

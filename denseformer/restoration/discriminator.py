"""The discriminator that Real-ESRGAN is trained against."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from denseformer.registry import MODELS


@MODELS.register_module()
class UNetDiscriminator(nn.Module):
    """Real-ESRGAN's discriminator (BSD-3-Clause): a U-Net with spectral norm that judges every pixel.

    Args:
        in_channels: of the images.
        width: channels at full size.

    (B, C, H, W), sides of multiples of 8 -> (B, 1, H, W).
    """

    def __init__(self, *, in_channels: int = 3, width: int = 64):
        super().__init__()
        self.conv_first = nn.Conv2d(in_channels, width, 3, padding=1)
        widths = [width, 2 * width, 4 * width, 8 * width]
        steps = list(pairwise(widths))
        self.down = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, 2, 1, bias=False)) for a, b in steps)
        self.up = nn.ModuleList(spectral_norm(nn.Conv2d(b, a, 3, padding=1, bias=False)) for a, b in reversed(steps))
        self.refine = nn.ModuleList(spectral_norm(nn.Conv2d(width, width, 3, padding=1, bias=False)) for _ in range(2))
        self.conv_last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv_first(image), 0.2)
        maps = []
        for conv in self.down:
            maps.append(x)
            x = F.leaky_relu(conv(x), 0.2)
        for conv in self.up:
            x = F.interpolate(x, scale_factor=2.0, mode='bilinear', align_corners=False)
            x = F.leaky_relu(conv(x), 0.2) + maps.pop()
        for conv in self.refine:
            x = F.leaky_relu(conv(x), 0.2)
        return self.conv_last(x)

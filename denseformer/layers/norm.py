"""Normalizations of whole images, and of maps laid out the other way round."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.registry import MODELS


@MODELS.register_module()
class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of a channel-first map: (B, C, H, W) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class ImageNorm(nn.GroupNorm):
    """GroupNorm of one group: over all channels and positions of an image, (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__(1, dim)

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and not x.requires_grad:
            x = x.contiguous()  # on CPU, PyTorch 2.13 crashes in the gradient of the weights alone of other layouts
        return super().forward(x)


class ChannelLastBatchNorm(nn.Module):
    """BatchNorm over the channels of a channel-last map: (B, H, W, C) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, H, W, C)

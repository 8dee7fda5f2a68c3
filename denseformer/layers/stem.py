"""The deep convolutional stem of ResNet-D, which several transformers begin with."""

from torch import Tensor, nn

from denseformer.layers.channel_first import to_channels_last
from denseformer.layers.conv import ConvNorm


class DeepStem(nn.Sequential):
    """A 7 x 7 stride-2 convolution and two 3 x 3 ones: (B, C, H, W) -> (B, dim, ceil(H/2), ceil(W/2)).

    Each convolution is without bias and followed by BatchNorm and ReLU.
    """

    def __init__(self, in_channels: int, dim: int):
        super().__init__(
            ConvNorm(in_channels, dim, 7, 2, act=nn.ReLU),
            ConvNorm(dim, dim, 3, act=nn.ReLU),
            ConvNorm(dim, dim, 3, act=nn.ReLU),
        )

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(to_channels_last(image))

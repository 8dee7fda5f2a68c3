"""PEPSI: Fast Image Inpainting with Parallel Decoding Network.

Paper: CVPR 2019, and its journal version "PEPSI++", https://arxiv.org/abs/1905.09010.
Official code: https://github.com/Forty-lock/PEPSI (MIT, TensorFlow 1).

One encoder sees the image with its holes blackened, and the mask. One decoder renders a coarse image from the encoder's
features and a refined one from the same features after contextual attention; both are trained, the refined one is
used. Only the network of the first paper is published; the rate-adaptive convolutions of PEPSI++ are not.

Two things differ from the authors' code: a map too small for a reflected margin is reflected to and fro, and where all
patches are equally far from a query they are averaged instead of dividing by zero.

Legend: B batch, C channels, H W image, h w features, H / 8 and W / 8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from typing_extensions import Unpack

from denseformer.attention.contextual import contextual_attention
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.layers import reflect_image_to_multiple, reflect_margin
from denseformer.network import Source
from denseformer.registry import MODELS
from denseformer.restoration.networks.base import RestorationNetwork, RestorationOptions

DILATIONS = (2, 4, 8, 16)
ENCODER = (
    *((1, 5, 1, 1), (2, 3, 2, 1), (2, 3, 1, 1), (4, 3, 2, 1), (4, 3, 1, 1), (8, 3, 2, 1)),
    *((8, 3, 1, dilation) for dilation in DILATIONS),
)
"""Width in multiples of the first, kernel size, stride and dilation of each convolution."""
DECODER = (4, 4, 2, 2, 1, 1, 0.5, 0.5)
"""Width of each convolution; the first three pairs are followed by doubling the map's sides."""


class Generated(NamedTuple):
    """encoded, context: features (B, 8 * width, h, w); coarse, refined: images (B, C, H, W) in [-1, 1]."""

    encoded: Tensor
    context: Tensor
    coarse: Tensor
    refined: Tensor


class ReflectedConv(nn.Conv2d):
    """A convolution of a map continued by reflection, then ELU: (B, C, H, W) -> (B, C', H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, dilation: int = 1):
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation=dilation)
        self.margin = dilation * (kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(super().forward(reflect_margin(x, self.margin, self.margin)))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """width: channels of the first convolution."""

    width: int


@MODELS.register_module()
class PEPSI(RestorationNetwork):
    """The generator of PEPSI. The arguments are described in `RestorationNetwork`."""

    source = Source(
        paper='PEPSI: Fast Image Inpainting with Parallel Decoding Network, CVPR 2019',
        code='https://github.com/Forty-lock/PEPSI',
        license='MIT',
    )
    lora_layers = r'(encoder|decoder)\..+'
    scales = (1,)
    default_scale = 1
    size_multiple = 8
    tile_overlap = 64

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'base',
        **common: Unpack[RestorationOptions],
    ):
        super().__init__(arch=arch, **common)
        width = self.arch.width
        widths = [2 * self.in_channels, *(width * times for times, *_ in ENCODER)]
        specs = zip(pairwise(widths), ENCODER, strict=True)
        self.encoder = nn.ModuleList(ReflectedConv(*pair, *rest) for pair, (_, *rest) in specs)
        self.context = nn.Conv2d(2 * widths[-1], widths[-1], 1)
        widths = [widths[-1], *(int(width * times) for times in DECODER)]
        self.decoder = nn.ModuleList(ReflectedConv(*pair) for pair in pairwise(widths))
        self.conv_last = nn.Conv2d(widths[-1], self.in_channels, 3, padding=1)

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Fill the holes of an image.

        image: (B, C, H, W) in [0, 1]; mask: (B, 1, H, W), 1 where the image is known, 0 in its holes, whose content is
        not looked at -> (B, C, H, W), the image with its holes filled. Without a mask nothing is missing, and the
        network's own rendering of the whole image is returned.
        """
        self.check_image(image)
        if mask is None:
            return self.generate(image, torch.ones_like(image[:, :1])).refined / 2 + 0.5
        return torch.where(mask > 0.5, image, self.generate(image, mask).refined.to(image.dtype) / 2 + 0.5)

    def generate(self, image: Tensor, mask: Tensor) -> Generated:
        """The outputs that training needs: the features, and both images as they were rendered, holes or not."""
        self.check_image(image)
        if mask.shape != image[:, :1].shape:
            raise ValueError(f'mask must be {tuple(image[:, :1].shape)}, 1 where known, got {tuple(mask.shape)}.')
        H, W = image.shape[2:]
        image, mask = self.pad(image), self.pad(mask.to(image.dtype))
        x = torch.cat((2 * image * mask - 1, mask.expand_as(image)), 1)
        for conv in self.encoder:
            x = self.run(conv, x)
        known = mask[..., ::8, ::8]  # (B, 1, h, w)
        attended = self.run(contextual_attention, x, known)
        context = F.elu(self.context(torch.cat((x, attended.to(x.dtype)), 1)))
        coarse, refined = (self.decode(features)[..., :H, :W] for features in (x, context))
        return Generated(x, context, coarse, refined)

    def decode(self, x: Tensor) -> Tensor:
        """(B, 8 * width, h, w) -> (B, C, 8 h, 8 w) in [-1, 1]."""
        for i, conv in enumerate(self.decoder):
            x = self.run(conv, x)
            if i in (1, 3, 5):
                x = F.interpolate(x, scale_factor=2.0, mode='nearest')
        return self.conv_last(x).clamp(-1, 1)

    def pad(self, image: Tensor) -> Tensor:
        """Reflect up to multiples of 8 and at least 32, for more than one 3 x 3 patch of features."""
        H, W = image.shape[2:]
        multiple = self.size_multiple
        image = reflect_image_to_multiple(image, multiple)
        return image if min(H, W) > 24 else reflect_image_to_multiple(image, 32)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any = None) -> StateDict:
        """From TensorFlow's variable names with dots for slashes; kernels already transposed to (C', C, k, k)."""
        return rename(
            state_dict,
            (r'^G_(en|de)\.Conv\.', r'G_\1.Conv_0.'),
            (r'^G_en\.Conv_(\d)\.', r'encoder.\1.'),
            (r'^CB1\.ML\.', 'context.'),
            (r'^G_de\.Conv_8\.', 'conv_last.'),
            (r'^G_de\.Conv_(\d)\.', r'decoder.\1.'),
        )

    @classmethod
    def infer_options(cls, state_dict: StateDict) -> dict[str, Any] | None:
        weights = cls.remap_official_keys(state_dict)
        if 'context.weight' not in weights or 'decoder.7.weight' not in weights:
            return None
        width, channels = weights['encoder.0.weight'].shape[0], weights['conv_last.weight'].shape[0]
        return {'arch': cls.name_arch({'width': width}), 'in_channels': channels}


@MODELS.register_module()
class RegionDiscriminator(nn.Module):
    """RED, the region ensemble discriminator that PEPSI is trained against: a verdict for every region of an image.

    Convolutions of stride 2, then a linear layer of its own for each of the regions, 64 x 64 pixels each. All weights
    are spectrally normalised. Meant for the hinge loss.

    Args:
        size: (H, W) of the images; its regions cannot be moved to other sizes.
        in_channels: channels of the images, which are in [-1, 1].
        width: channels of the first convolution.
    """

    def __init__(self, *, size: tuple[int, int] = (256, 256), in_channels: int = 3, width: int = 64):
        super().__init__()
        widths = [in_channels, *(width * times for times in (1, 2, 4, 4, 4, 8))]
        self.size = tuple(size)
        self.convs = nn.ModuleList(spectral_norm(nn.Conv2d(into, out, 5, 2)) for into, out in pairwise(widths))
        regions = tuple(-(-side // 2 ** len(self.convs)) for side in size)
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(widths[-1], *regions)))
        self.bias = nn.Parameter(torch.zeros(regions))

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, h, w), large for images taken to be real."""
        if tuple(image.shape[2:]) != self.size:
            raise ValueError(f'This discriminator judges images of {self.size} pixels, got {tuple(image.shape[2:])}.')
        x = image
        for conv in self.convs:
            x = F.leaky_relu(conv(pad_as_tensorflow(x, 5)), 0.2)
        weight = F.normalize(self.weight, dim=0)
        return (x * weight).sum(1) + len(weight) * self.bias  # the authors add the bias to each channel


def pad_as_tensorflow(x: Tensor, kernel_size: int) -> Tensor:
    """Zero margins as of TensorFlow's 'SAME' at stride 2: the larger half on the right and at the bottom."""
    total = [kernel_size - 2 + side % 2 for side in x.shape[2:]]
    return F.pad(x, (total[1] // 2, -(-total[1] // 2), total[0] // 2, -(-total[0] // 2)))


PEPSI.archs = {'base': Arch(width=32)}

"""UPLiFT: the map of a frozen vision transformer, upsampled step by step with the image as a guide.

Paper: "UPLiFT: Efficient Pixel-Dense Feature Upsampling with Local Attenders".
Official code: https://github.com/mwalmer-umd/UPLiFT (MIT).

Every step doubles the map. Convolutions of the image, computed once, and of the map predict for each fine place how to
weigh 17 coarse places around it; the weighted sum of the map's own features is the result, so they stay what the
transformer made them.

Legend: B batch, C channels, H W map, D places that are weighed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.base import MapNetwork
from denseformer.backbones.plain.base import PlainBackbone
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.network import NetworkOptions, Source
from denseformer.registry import MODELS

OFFSETS = (
    *((-2, -2), (-2, 0), (-2, 2), (-1, -1), (-1, 0), (-1, 1), (0, -2), (0, -1), (0, 0), (0, 1), (0, 2)),
    *((1, -1), (1, 0), (1, 1), (2, -2), (2, 0), (2, 2)),
)
"""Rows and columns of the weighed places, counted from the place itself."""
REACH = 2


def add_fitted(x: Tensor, out: Tensor) -> Tensor:
    """`out` and as many of the channels of `x` as it has, or all and zeros where it has more."""
    missing = out.shape[1] - x.shape[1]
    return out + (F.pad(x, (0, 0, 0, 0, 0, missing)) if missing > 0 else x[:, : out.shape[1]])


class ConvBlock(nn.Module):
    """3 x 3 convolutions with BatchNorm and ReLU, then a 1 x 1: (B, C, H, W) -> (B, dim, H, W), residual."""

    def __init__(self, in_channels: int, dim: int, depth: int):
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(depth):
            layers += [
                nn.Conv2d(dim if i else in_channels, dim, 3, padding=1, bias=False),
                nn.BatchNorm2d(dim),
                nn.ReLU(inplace=True),
            ]
        self.conv = nn.Sequential(*layers, nn.Conv2d(dim, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        return add_fitted(x, self.conv(x))


class Upsampler(nn.Module):
    """A map and the image's features to a guide twice as fine: (B, C, H, W) -> (B, dim, 2H, 2W).

    guides: channels of the two last features of the image, the coarse step's first.
    """

    def __init__(self, in_channels: int, dim: int, guides: tuple[int, int]):
        super().__init__()
        self.coarse = ConvBlock(in_channels + guides[0], dim, 2)
        self.up = nn.ConvTranspose2d(dim, dim, 2, 2)
        self.fine = ConvBlock(dim + guides[1], dim, 2)

    def forward(self, x: Tensor, coarse_guide: Tensor, fine_guide: Tensor) -> Tensor:
        x = self.coarse(with_guide(x, coarse_guide))
        x = self.up(x) + F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True)
        return self.fine(with_guide(x, fine_guide))


def with_guide(x: Tensor, guide: Tensor) -> Tensor:
    """A map and the image's features at its size, the nearest of each place."""
    return torch.cat([x, F.interpolate(guide, x.shape[2:], mode='nearest')], 1)


class LocalAttender(nn.Module):
    """Weighs the places around each coarse one, by a guide that is twice as fine.

    guide (B, dim, 2H, 2W) and map (B, C, H, W) -> (B, C, 2H, 2W).
    """

    def __init__(self, dim: int):
        super().__init__()
        self.logits = nn.Conv2d(dim, len(OFFSETS), 1)

    def forward(self, guide: Tensor, x: Tensor) -> Tensor:
        H, W = x.shape[2:]
        weights = add_fitted(guide, self.logits(guide)).softmax(1)  # (B, D, 2H, 2W)
        weights = weights.unflatten(3, (W, 2)).unflatten(2, (H, 2)).permute(1, 0, 3, 5, 2, 4)  # (D, B, 2, 2, H, W)
        padded = F.pad(x, (REACH,) * 4, mode='replicate')
        out: Any = 0
        for weight, (row, column) in zip(weights, OFFSETS, strict=True):
            near = padded[:, :, REACH + row : REACH + row + H, REACH + column : REACH + column + W]
            out = out + weight[:, None] * near[:, :, None, None]  # (B, C, 2, 2, H, W)
        return out.permute(0, 1, 4, 2, 5, 3).flatten(4).flatten(2, 3)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """width: channels of the map that is upsampled; patch_size: pixels of its patches.

    encoder: channels of the convolutions of the image; decoder: of those of the map.
    """

    width: int
    patch_size: int
    encoder: tuple[int, ...] = (16, 32, 64, 128, 128)
    decoder: int = 64


@MODELS.register_module()
class UPLiFT(MapNetwork):
    """A plain backbone and the upsampler of its last map: a pyramid with the finest map first.

    Args:
        backbone: config of a plain backbone, of the width and the patches of `arch`, with its weights (`pretrained`);
            None for the published one that the upsampler was trained with.
        steps: doublings; 2 make maps at a quarter of the patch, half of it, and the patch itself.
        freeze: whether the backbone is kept as it is, as in the authors' training.
        pretrained, init_cfg: as in `Backbone`, for the upsampler.
    """

    source = Source(
        paper='UPLiFT: Efficient Pixel-Dense Feature Upsampling with Local Attenders',
        code='https://github.com/mwalmer-umd/UPLiFT',
        license='MIT',
    )
    input_size = 448

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'dinov2-s14',
        backbone: Mapping[str, Any] | None = None,
        steps: int = 2,
        freeze: bool = True,
        **common: Unpack[NetworkOptions],
    ):
        super().__init__(arch=arch, **common)
        record = self.arch
        backbone = BACKBONES.get(str(arch)) if backbone is None else backbone
        if backbone is None:
            raise ValueError('An arch of your own needs a backbone: backbone=dict(type=..., arch=...).')
        self.backbone = MODELS.build({**backbone, 'out_indices': last_block(backbone)})
        self.steps = steps
        self.frozen = freeze
        if (self.backbone.out_channels[-1], self.backbone.patch_size) != (record.width, record.patch_size):
            raise ValueError(
                f'The upsampler is made for {record.width} channels and patches of {record.patch_size} pixels, the '
                f'backbone has {self.backbone.out_channels[-1]} and {self.backbone.patch_size}.'
            )
        widths = (self.backbone.in_channels, *record.encoder)
        self.encoder = nn.ModuleList(ConvBlock(a, b, 1) for a, b in pairwise(widths))
        self.decoder = Upsampler(record.width, record.decoder, (record.encoder[-1], record.encoder[-2]))
        self.attender = LocalAttender(record.decoder)
        self.out_channels = (record.width,) * (steps + 1)
        self.out_strides = tuple(record.patch_size / 2**i for i in range(steps, -1, -1))
        self.backbone.requires_grad_(not freeze)
        if freeze and self.finetune == 'lora':
            raise ValueError("UPLiFT: finetune='lora' updates the backbone, which freeze=True keeps as it is.")

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: (B, in_channels, height, width), normalised -> maps (B, C, H, W) at `out_strides`."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            (x,) = self.backbone(image)
        return (*reversed(self.upsample(self.seen(image, x), x)), x)

    def seen(self, image: Tensor, x: Tensor) -> Tensor:
        """The part of the image that a map (B, C, H, W) shows, which may end before the border or, in zeros, behind."""
        H, W = (side * self.arch.patch_size for side in x.shape[2:])
        return F.pad(image, (0, W - image.shape[3], 0, H - image.shape[2]))

    def upsample(self, image: Tensor, x: Tensor) -> list[Tensor]:
        """The map (B, C, H, W) of an image, doubled once, twice and so on."""
        guides = []
        guide = self.resized(image)
        for block in self.encoder:
            guide = block(guide)
            guides.append(guide)
        outs = []
        for _ in range(self.steps):
            x = self.attender(self.decoder(x, guides[-1], guides[-2]), x)
            outs.append(x)
        return outs

    def resized(self, image: Tensor) -> Tensor:
        """The image as it would be with patches of 16 pixels."""
        if self.arch.patch_size == 16:
            return image
        size = [side * 16 // self.arch.patch_size for side in image.shape[2:]]
        return F.interpolate(image, size, mode='bilinear', align_corners=False, antialias=True)

    def train(self, mode: bool = True) -> 'UPLiFT':
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'UPLiFT') -> StateDict:
        """From the authors' upsampler, whose files hold no backbone."""
        return rename(
            state_dict,
            (r'^encoder\.block_(\d)\.blocks\.0\.', r'encoder.\1.'),
            (r'^decoder\.block_0\.blocks\.0\.', 'decoder.coarse.'),
            (r'^decoder\.block_1\.blocks\.0\.', 'decoder.fine.'),
            (r'^decoder\.up_1\.up\.', 'decoder.up.'),
            (r'^attender\.conv1\.', 'attender.logits.'),
        )


def last_block(backbone: Mapping[str, Any]) -> tuple[int]:
    cls = MODELS.get(backbone['type'])
    if not (isinstance(cls, type) and issubclass(cls, PlainBackbone)):
        raise ValueError(f"UPLiFT upsamples the map of a plain backbone, and '{backbone['type']}' is none.")
    return (cls.resolve_arch(backbone['arch']).blocks - 1,)


BACKBONES: dict[str, dict[str, Any]] = {
    'dinov2-s14': dict(type='denseformer.DINOv2', arch='small', pretrained='lvd142m'),
    'dinov3-splus16': dict(type='denseformer.DINOv3', arch='small_plus', pretrained='lvd1689m'),
}
"""The backbones that the published upsamplers were trained with."""
UPLiFT.archs = {
    'dinov2-s14': Arch(width=384, patch_size=14),
    'dinov3-splus16': Arch(width=384, patch_size=16),
}

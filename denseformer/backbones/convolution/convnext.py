"""ConvNeXt: a convolutional network with the proportions of a transformer.

Paper: "A ConvNet for the 2020s", https://arxiv.org/abs/2201.03545.
Official code: https://github.com/facebookresearch/ConvNeXt (MIT).

A block is one residual branch: a 7 x 7 depth-wise convolution mixes positions (it stands where others attend, and is
named `attn` like theirs), LayerNorm and an MLP mix channels. LayerNorm is everywhere with epsilon 1e-6. Nothing is
padded: rows and columns that do not fill a patch are left out, so a side of length L gives L // 4, L // 8 ...

Legend: B batch, H W map, C channels.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, strip_classifier
from denseformer.layers import (
    DepthwiseConv,
    DropPath,
    Mlp,
    NormedPatchDownsample,
    PatchEmbed,
    apply_layer_scale,
    drop_path_rates,
    make_layer_scale,
)
from denseformer.layers.initializers import narrow
from denseformer.network import Source
from denseformer.registry import MODELS

EPS = 1e-6
default_norm = partial(nn.LayerNorm, eps=EPS)


class Block(nn.Module):
    """Depth-wise convolution, LayerNorm and MLP in one residual branch: (B, H, W, C) -> the same."""

    def __init__(
        self,
        dim: int,
        *,
        drop_path: float,
        layer_scale: float,
        norm: Callable[[int], nn.Module] = default_norm,
    ):
        super().__init__()
        self.attn = DepthwiseConv(dim, 7)
        self.norm2 = norm(dim)
        self.mlp = Mlp(dim, 4 * dim)
        self.gamma = make_layer_scale(dim, layer_scale)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + apply_layer_scale(self.drop_path(self.mlp(self.norm2(self.attn(x)))), self.gamma)


class PaddedPatchEmbed(PatchEmbed):
    """Patches of the image in a zero margin: (B, C, H, W) -> (B, (H + 3) // 4, (W + 3) // 4, dim)."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(F.pad(image, (1, 2, 1, 2)))


class PaddedDownsample(NormedPatchDownsample):
    """Downsampling after one more row and column of zeros: (B, H, W, C) -> (B, (H + 1) // 2, (W + 1) // 2, out_dim)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 0, 0, 1, 0, 1)))


@MODELS.register_module()
class ConvNeXt(Backbone):
    """ConvNeXt.

    Args:
        layer_scale: where the gain of each residual branch starts. The ImageNet recipe starts at 1e-6; the dense ones
            at 1, which a loaded checkpoint overrides.
        norm_outputs: whether maps pass through a norm of their own; kMaX-DeepLab's do not.
        pad_before: zero-pad the image by a pixel at the top and on the left and by two at the bottom and on the right,
            and each stage's map by one at the bottom and on the right, as kMaX-DeepLab does: a side of 32 n + 1 pixels
            gives maps of 8 n + 1, 4 n + 1 ...
        return_stem: return the map of the patch embedding too, first, at the stride of the first stage, as
            kMaX-DeepLab reads it on Cityscapes.
        norm_last_only: return the maps of all stages but the last as they are, as DINOv3's ConvNeXts do.
        patch_size: resize all maps to a transformer's of such patches before their norm, as DINOv3's may; None for maps
            at the strides of the stages.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='A ConvNet for the 2020s, https://arxiv.org/abs/2201.03545',
        code='https://github.com/facebookresearch/ConvNeXt',
        license='MIT',
    )
    no_weight_decay = ('norm', 'bias', 'gamma')
    lora_layers = r'.+\.mlp\.fc\d'
    initial_weights = staticmethod(narrow)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        layer_scale: float = 1e-6,
        norm_outputs: bool = True,
        pad_before: bool = False,
        return_stem: bool = False,
        norm_last_only: bool = False,
        patch_size: int | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.norm_last_only = norm_last_only
        self.patch_size = patch_size
        widths = self.arch.widths
        self.return_stem = return_stem
        if return_stem and patch_size is not None:
            raise ValueError(
                'return_stem gives a map at its own stride, patch_size gives all one: leave one of them out.'
            )
        if return_stem:
            self.out_channels = (widths[0], *self.out_channels)
        last = len(widths) - 1
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            blocks = [Block(widths[i], drop_path=rate, layer_scale=layer_scale) for rate in rates]
            downsample = PaddedDownsample if pad_before else NormedPatchDownsample
            stages.append(Stage(blocks, downsample(widths[i - 1], widths[i]) if i else None))
        patch_embed = PaddedPatchEmbed if pad_before else PatchEmbed
        self.assemble(
            patch_embed=patch_embed(self.in_channels, widths[0], pad=False, eps=EPS),
            stages=stages,
            out_norms=[
                nn.Identity() if not norm_outputs or (norm_last_only and i < last) else nn.LayerNorm(width, EPS)
                for i, width in enumerate(widths)
            ],
        )

    @property
    def out_strides(self) -> tuple[int, ...]:
        if self.patch_size is not None:
            return (self.patch_size,) * len(self.out_indices)
        return (*self.strides[: self.return_stem], *super().out_strides)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See `Backbone`; the stem's map comes first."""
        self.check_image(image)
        x = self.patch_embed(image)
        if self.patch_size is not None:
            return self.maps_of_patches(x, [side // self.patch_size for side in image.shape[2:]])
        maps = self.run_stages(x)
        return (x.permute(0, 3, 1, 2), *maps) if self.return_stem else maps

    def maps_of_patches(self, x: Tensor, size: list[int]) -> tuple[Tensor, ...]:
        """The chosen maps at `size`, from the embedding (B, H, W, C)."""
        outs = []
        for i, (stage, norm) in enumerate(zip(self.stages, self.out_norms, strict=True)):
            x = self.plug_in(i, stage(x))
            if i in self.out_indices:
                out = F.interpolate(x.permute(0, 3, 1, 2), size, mode='bilinear', align_corners=False, antialias=True)
                outs.append(norm(out.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))  # (B, C, H, W)
        return tuple(outs)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'ConvNeXt') -> StateDict:
        """From the authors' names, and from DINOv3's, which may hold the last norm under two."""
        if network.norm_last_only:  # is no classifier's
            state_dict = rename(state_dict, (r'^norm\.', f'norms.{len(network.arch.widths) - 1}.'))
        return rename(
            rename_skeleton(state_dict),
            (r'^norms\.(\d)\.', r'out_norms.\1.'),
            (r'^(stages\.\d+\.blocks\.\d+)\.dwconv\.', r'\1.attn.'),
            (r'^(stages\.\d+\.blocks\.\d+)\.norm\.', r'\1.norm2.'),
        )


def rename_skeleton(state_dict: StateDict) -> StateDict:
    """From the authors' names to ours for what HorNet shares with ConvNeXt: all but the token mixer."""
    return rename(
        strip_classifier(state_dict, official=r'^downsample_layers\.'),
        (r'^downsample_layers\.0\.0\.', 'patch_embed.proj.'),
        (r'^downsample_layers\.0\.1\.', 'patch_embed.norm.'),
        (r'^downsample_layers\.(\d)\.0\.', r'stages.\1.downsample.norm.'),
        (r'^downsample_layers\.(\d)\.1\.', r'stages.\1.downsample.reduction.'),
        (r'^stages\.(\d+)\.(\d+)\.', r'stages.\1.blocks.\2.'),
        (r'\.pwconv([12])\.', r'.mlp.fc\1.'),
        (r'^norm(\d)\.', r'out_norms.\1.'),
    )


ConvNeXt.archs = {
    'tiny': DoublingArch(width=96, depths=(3, 3, 9, 3)),
    'small': DoublingArch(width=96, depths=(3, 3, 27, 3)),
    'base': DoublingArch(width=128, depths=(3, 3, 27, 3)),
    'large': DoublingArch(width=192, depths=(3, 3, 27, 3)),
    'xlarge': DoublingArch(width=256, depths=(3, 3, 27, 3)),
}

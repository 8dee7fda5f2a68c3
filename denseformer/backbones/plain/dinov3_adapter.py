"""DINOv3's adapter: a convolutional pyramid that reads from a plain transformer and writes nothing into it.

Paper: "DINOv3", https://arxiv.org/abs/2508.10104.
Official code: https://github.com/facebookresearch/dinov3 (DINOv3 License: code and weights; not an OSI license).

ViT-Adapter without its injectors: the transformer's tokens never see the pyramid, so that a frozen one is computed
without gradients, whatever it is. The pyramid reads four of its maps, as heads would get them, one after the other.

Legend: B batch, C channels, H W map.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import lcm
from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from denseformer.backbones.plain.base import PlainBackbone
from denseformer.backbones.plain.vit_adapter import ADAPTER_NAMES, STRIDES, Adapter, AdapterArch
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.layers import pad_image_to_multiple
from denseformer.network import NetworkOptions, Source
from denseformer.registry import MODELS

OWN = r'(encoder|spm|interactions|up|out_norms|norm[1-4])\.|level_embed$'
"""The beginnings of an adapter's names, in the authors' files and here; all others are the transformer's."""


@dataclass(frozen=True, kw_only=True)
class Arch(AdapterArch):
    """encoder: the plain backbone that is read, and its options, dict(type=..., arch=...)."""

    encoder: Mapping[str, Any]
    deform_heads: int = 16
    deform_ratio: float = 0.5


@MODELS.register_module()
class DINOv3Adapter(Adapter):
    """A plain backbone with a pyramid that reads from it: maps at strides 4, 8, 16 and 32, behind BatchNorms.

    Args:
        arch: 'dinov3_7b' or another variant of DINOv3 or DINOv2, or a dict with the config of any plain backbone:
            dict(encoder=dict(type='denseformer.DINOv2', arch='base', registers=4)).
        drop_path_rate: stochastic depth of the extractors' MLPs; the backbone has none.
        in_channels, with_cp, init_cfg: as in `Backbone`.
        pretrained: weights of the backbone, by the labels of its variant.
        finetune: 'head' keeps the backbone as it is, as the authors do.

    Images are zero-padded on the right and at the bottom to multiples of 32 and of the backbone's patch, so that its
    maps and the pyramid's show the same. With patches of 14 pixels these are multiples of 224.
    """

    source = Source(
        paper='DINOv3, https://arxiv.org/abs/2508.10104',
        code='https://github.com/facebookresearch/dinov3',
        license='DINOv3 License',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'dinov3_small',
        drop_path_rate: float = 0.3,
        in_channels: int = 3,
        with_cp: bool = False,
        **common: Unpack[NetworkOptions],
    ):
        super().__init__(arch=arch, **common)
        kind = MODELS.get(self.arch.encoder['type'])
        if not (isinstance(kind, type) and issubclass(kind, PlainBackbone)):
            raise ValueError(f"DINOv3Adapter reads from a plain backbone, and '{self.arch.encoder['type']}' is none.")
        options = {name: value for name, value in self.arch.encoder.items() if name != 'type'}
        encoder = kind(**options, in_channels=in_channels, with_cp=with_cp)
        self.with_cp = with_cp
        self.build(encoder, injectors=False, drop_path_rate=drop_path_rate)

    @property
    def reader(self) -> PlainBackbone:
        """The backbone: nothing of the pyramid enters it."""
        return self.encoder

    def padded(self, image: Tensor) -> Tensor:
        """An image whose sides are multiples of the coarsest stride and of the patch."""
        return pad_image_to_multiple(image, lcm(STRIDES[-1], self.encoder.patch_size))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: (B, in_channels, height, width), normalised -> one (B, C, H, W) per stride."""
        padded = self.padded(image)
        outs = self.encoder(padded)
        finest, maps, sizes = self.spm(padded)
        for interaction, out in zip(self.interactions, outs, strict=True):
            maps = self.read(interaction, maps, sizes, out)
        return self.fused(image, finest, maps, sizes, outs)

    @classmethod
    def starting_point(cls, arch: str | Mapping[str, Any], pretrained: str) -> str:
        """The path or address of a checkpoint of the backbone that `pretrained` stands for."""
        encoder = cls.resolve_arch(arch).encoder
        return MODELS.get(encoder['type']).starting_point(encoder['arch'], pretrained)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'DINOv3Adapter') -> StateDict:
        """From the authors' names, or those of the backbone, in any layout that it takes."""
        state_dict = rename(state_dict, (r'^backbone\.', 'encoder.'), (rf'^(?!{OWN})', 'encoder.'))
        return rename(state_dict, *ADAPTER_NAMES)

    @classmethod
    def truncated_arch(cls) -> dict[str, Any]:
        """One block of the smallest variant's backbone for each map."""
        known = super().truncated_arch()
        encoder = known['encoder']
        blocks = {**vars(MODELS.get(encoder['type']).resolve_arch(encoder['arch'])), 'blocks': 4, 'out_indices': ()}
        return {**known, 'encoder': {**encoder, 'arch': blocks}}


DINOv3Adapter.archs = {
    **{
        f'dinov3_{arch}': Arch(encoder=dict(type='denseformer.DINOv3', arch=arch))
        for arch in ('small', 'small_plus', 'base', 'large', 'large_plus', 'huge_plus', '7b')
    },
    **{
        f'dinov2_{arch}': Arch(encoder=dict(type='denseformer.DINOv2', arch=arch))
        for arch in ('small', 'base', 'large', 'giant')
    },
}

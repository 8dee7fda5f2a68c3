"""TIPS: vision transformers trained on images with captions, for dense tasks.

Papers: "TIPS: Text-Image Pretraining with Spatial awareness", https://arxiv.org/abs/2410.16512; the second version's
weights have the same network.
Official code: https://github.com/google-deepmind/tips (Apache-2.0; weights CC-BY 4.0).

The network is DINOv2's with one register, which is a second class token. Position tables are of 32 x 32 patches and
resized bilinearly, averaging where they shrink. Images lie in [0, 1], without mean and deviation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import Unpack

from denseformer.backbones.plain import dinov2
from denseformer.backbones.plain.base import PlainOptions
from denseformer.backbones.plain.embedding import PositionTable
from denseformer.network import Source
from denseformer.registry import MODELS


@dataclass(frozen=True, kw_only=True)
class Arch(dinov2.Arch):
    """DINOv2's, for position tables of 32 x 32 patches."""

    image_size: int = 448


@MODELS.register_module()
class TIPS(dinov2.DINOv2Base):
    """TIPS and TIPS v2; every map passes through the final norm.

    Args:
        The options are described in `PlainBackbone`. Images lie in [0, 1].
    """

    source = Source(
        paper='TIPS: Text-Image Pretraining with Spatial awareness, https://arxiv.org/abs/2410.16512',
        code='https://github.com/google-deepmind/tips',
        license='Apache-2.0 (code), CC-BY-4.0 (weights)',
    )
    input_size = 448

    def __init__(
        self, *, arch: str | Mapping[str, Any] = 'small', drop_path_rate: float = 0.0, **common: Unpack[PlainOptions]
    ):
        super().__init__(arch=arch, **common)
        positions = PositionTable(self.arch.width, self.grid, rows=1, mode='bilinear', antialias=True)
        self.build_from(registers=1, positions=positions, drop_path_rate=drop_path_rate)


TIPS.archs = {
    'small': Arch(width=384, blocks=12, heads=6),
    'base': Arch(width=768, blocks=12, heads=12),
    'large': Arch(width=1024, blocks=24, heads=16),
    'so400m': Arch(width=1152, blocks=27, heads=16, hidden=4304, out_indices=(6, 13, 20, 26)),
    'giant': Arch(width=1536, blocks=40, heads=24, hidden=4096, swiglu=True),
}

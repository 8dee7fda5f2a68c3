"""GiT's transformer: SAM's encoder and six more blocks of windows, without the neck.

Paper: "GiT: Towards Generalist Vision Transformer through Universal Language Interface",
https://arxiv.org/abs/2403.09394.
Official code: https://github.com/Haiyang-W/GiT (Apache-2.0, code and weights).

`denseformer.GiT` sends questions through its blocks, too. By itself it is a backbone as any other.
"""

from dataclasses import dataclass

from denseformer.backbones.plain import sam
from denseformer.network import Source
from denseformer.registry import MODELS


@dataclass(frozen=True, kw_only=True)
class Arch(sam.Arch):
    """image_size: side in pixels of the images that positions are learned at."""

    image_size: int = 1120

    @property
    def default_out_indices(self) -> tuple[int, ...]:
        return (self.blocks - 1,)


@MODELS.register_module()
class GiTViT(sam.SAM):
    """GiT's transformer; returns the map of the last block without a norm.

    Args:
        The options are described in `SAM`, whose weights its first blocks start from.
    """

    source = Source(
        paper='GiT: Towards Generalist Vision Transformer through Universal Language Interface, '
        'https://arxiv.org/abs/2403.09394',
        code='https://github.com/Haiyang-W/GiT',
        license='Apache-2.0',
    )
    input_size = 1120


GiTViT.archs = {
    'base': Arch(width=768, blocks=18, heads=12, global_blocks=(2, 5, 8, 11)),
    'large': Arch(width=1024, blocks=30, heads=16, global_blocks=(5, 11, 17, 23)),
    'huge': Arch(width=1280, blocks=38, heads=16, global_blocks=(7, 15, 23, 31)),
}

"""ViTDet: a plain vision transformer for detection, with windows in most blocks and a pyramid of the last map alone.

Paper: "Exploring Plain Vision Transformer Backbones for Object Detection", https://arxiv.org/abs/2203.16527.
Official code: https://github.com/facebookresearch/detectron2, `modeling/backbone/vit.py` (Apache-2.0); weights start
from MAE's (CC BY-NC 4.0).

SAM's encoder is this network with a table of positions at the size of its images. Here the table is MAE's, of images of
224 pixels, and is resized bicubically; vectors of relative positions are made for `image_size` and start from zero. The
pyramid is the neck `SimpleFeaturePyramid`.
"""

from dataclasses import dataclass
from typing import Any

from denseformer.backbones.plain import sam
from denseformer.backbones.plain.base import PlainBackbone
from denseformer.backbones.plain.embedding import PositionTable
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.network import Source
from denseformer.registry import MODELS


@dataclass(frozen=True, kw_only=True)
class Arch(sam.Arch):
    """pretrain_size: side of the images, in pixels, that the table of positions was trained at."""

    pretrain_size: int = 224


@MODELS.register_module()
class ViTDet(sam.SAM):
    """ViTDet's backbone; returns the maps of the global blocks without a norm, of which the pyramid takes the last.

    Args:
        The options are described in `PlainBackbone`; `image_size` decides the vectors of relative positions. There is
        no neck inside: use `SimpleFeaturePyramid`.
    """

    source = Source(
        paper='Exploring Plain Vision Transformer Backbones for Object Detection, https://arxiv.org/abs/2203.16527',
        code='https://github.com/facebookresearch/detectron2',
        license='Apache-2.0 (code), CC-BY-NC-4.0 (weights of MAE)',
    )
    no_weight_decay = PlainBackbone.no_weight_decay  # vectors of relative positions decay in the authors' recipes

    def positions(self) -> PositionTable:
        side = self.arch.pretrain_size // self.patch_size
        return PositionTable(self.arch.width, (side, side), rows=0)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any) -> StateDict:
        """From Detectron2's backbone, with its pyramid or without, or MAE's encoder, whose class token is dropped."""
        state_dict = rename(state_dict, (r'^(backbone\.)?net\.', ''))
        state_dict = {
            key: value for key, value in state_dict.items() if not key.startswith(('simfp_', 'cls_token', 'norm.'))
        }
        if 'pos_embed' in state_dict:
            table = state_dict['pos_embed']
            state_dict['pos_embed'] = table[:, network.patch_embed.positions.fixed_rows(table, (1, 0)) :]
        return sam.SAM.remap_official_keys(state_dict, network)


ViTDet.archs = {
    'base': Arch(width=768, blocks=12, heads=12, global_blocks=(2, 5, 8, 11)),
    'large': Arch(width=1024, blocks=24, heads=16, global_blocks=(5, 11, 17, 23)),
    'huge': Arch(width=1280, blocks=32, heads=16, global_blocks=(7, 15, 23, 31)),
}

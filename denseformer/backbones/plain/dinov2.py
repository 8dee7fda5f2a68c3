"""DINOv2: vision transformers trained without labels, whose frozen maps dense heads read.

Papers: "DINOv2: Learning Robust Visual Features without Supervision", https://arxiv.org/abs/2304.07193; registers:
"Vision Transformers Need Registers", https://arxiv.org/abs/2309.16588.
Official code: https://github.com/facebookresearch/dinov2 (Apache-2.0, code and weights), and
https://github.com/facebookresearch/webssl (CC BY-NC 4.0, what is not DINOv2's).

Both branches of a block are scaled; MLPs of the giant and of Web-DINO are SwiGLU. Position tables are of 37 x 37
patches. For other maps the networks without registers sample them as if the map had 0.1 patches more, as they were
trained; those with registers by the sizes, averaging where the table shrinks.

Legend: B batch, C channels, N tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn
from typing_extensions import Unpack

from denseformer.backbones.plain.base import PlainArch, PlainBackbone, PlainOptions
from denseformer.backbones.plain.embedding import Patches, PositionTable, TokenEmbed
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.layers import Mlp, PreNormBlock, SelfAttention, SwiGLU, drop_path_rates
from denseformer.network import Source
from denseformer.registry import MODELS


@dataclass(frozen=True, kw_only=True)
class Arch(PlainArch):
    """swiglu: whether MLPs are gated."""

    patch_size: int = 14
    image_size: int = 518
    swiglu: bool = False


class DINOv2Base(PlainBackbone):
    """The parts that DINOv2 and TIPS share: the blocks, and maps that pass through the final norm."""

    normed_outputs = True

    def build_from(
        self,
        *,
        registers: int,
        positions: PositionTable,
        drop_path_rate: float,
        logit_cap: float | None = None,
        center_pad: bool = False,
    ) -> None:
        dim = self.arch.width
        norm = partial(nn.LayerNorm, eps=1e-6)
        mlp = SwiGLU if self.arch.swiglu else Mlp
        self.build(
            patch_embed=TokenEmbed(
                Patches(self.in_channels, dim, self.patch_size, center=center_pad),
                dim,
                registers=registers,
                positions=positions,
            ),
            blocks=[
                PreNormBlock(
                    dim,
                    SelfAttention(dim, self.arch.heads, logit_cap=logit_cap),
                    mlp(dim, self.arch.mlp_width),
                    drop_path=rate,
                    norm=norm,
                    layer_scale=1.0,
                )
                for rate in drop_path_rates(drop_path_rate, [self.arch.blocks])[0]
            ],
            norm=norm(dim),
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From the authors' layout, with chunks of blocks or without, and from timm's."""
        state_dict = rename(state_dict, (r'\.mlp\.w12\.', '.mlp.fc1.'), (r'\.mlp\.w3\.', '.mlp.fc2.'))
        return PlainBackbone.remap_official_keys(state_dict, network)


@MODELS.register_module()
class DINOv2(DINOv2Base):
    """DINOv2; every map passes through the final norm, as for the authors' segmentation heads (`norm_outputs`).

    Args:
        registers: 0, or 4 for the checkpoints that have them. It decides the rule of positions.
        center_pad: zero-pad images on all sides to a multiple of the patch, as the authors' segmentation and depth do,
            instead of on the right and at the bottom. Maps then lie up to half a patch off their stride's grid, so it
            suits heads that resize them to the image, not detectors.
        logit_cap: what the logits of attention approach but do not exceed, 30 in networks after locality alignment.
        The others are described in `PlainBackbone`.
    """

    source = Source(
        paper='DINOv2: Learning Robust Visual Features without Supervision, https://arxiv.org/abs/2304.07193',
        code='https://github.com/facebookresearch/dinov2',
        license='Apache-2.0',
    )
    input_size = 518

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'small',
        registers: int = 0,
        center_pad: bool = False,
        logit_cap: float | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[PlainOptions],
    ):
        super().__init__(arch=arch, **common)
        rule = dict(antialias=True) if registers else dict(offset=0.1)
        positions = PositionTable(self.arch.width, self.grid, rows=1, **rule)
        self.build_from(
            registers=registers,
            positions=positions,
            drop_path_rate=drop_path_rate,
            logit_cap=logit_cap,
            center_pad=center_pad,
        )


DINOv2.archs = {
    'small': Arch(width=384, blocks=12, heads=6),
    'base': Arch(width=768, blocks=12, heads=12),
    'large': Arch(width=1024, blocks=24, heads=16, out_indices=(4, 11, 17, 23)),
    'giant': Arch(width=1536, blocks=40, heads=24, hidden=4096, swiglu=True),
    'webdino_7b': Arch(width=4096, blocks=32, heads=32, hidden=10928, swiglu=True),
}

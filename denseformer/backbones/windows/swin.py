"""Swin Transformer: attention inside windows that are shifted by half their side in every second block.

Paper: "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", https://arxiv.org/abs/2103.14030.
Official code: https://github.com/microsoft/Swin-Transformer and, for dense tasks,
https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation (MIT).

Every block pads its normalised map to a multiple of the window, and attends to the padding. As in the authors' dense
code, and unlike their classification code, the shift stays half a window on maps smaller than a window.

`SwinBase` is what the networks that put other blocks into Swin's place share with it.

Legend: B batch, H W map, C channels, h heads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn
from typing_extensions import Unpack

from denseformer.attention.windows import resize_position_table
from denseformer.backbones.arch import DoublingArch
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, drop, rename, stages_from, strip_classifier
from denseformer.dynamic_shapes import ceil_div
from denseformer.layers import Mlp, PatchEmbed, PatchMerging, PreNormBlock, ShiftedWindowAttention, drop_path_rates
from denseformer.network import Source
from denseformer.registry import MODELS


class SwinBase(Backbone):
    """4 x 4 patches, four stages of blocks, and patch merging between them.

    A subclass overrides `make_attention`, or `make_block`; its constructor sets what these need, `window_size` among
    it, and then calls `build`.
    """

    make_downsample: ClassVar[Callable[..., nn.Module]] = PatchMerging
    shift_small_maps: bool = True
    """Whether maps that fit into one window are shifted."""
    window_size: int

    def make_attention(self, stage: int, index: int) -> nn.Module:
        """The token mixer of block `index` of `stage`, on maps (B, H, W, C): windows, shifted in every second one."""
        window = self.window_of(stage)
        return ShiftedWindowAttention(
            self.arch.widths[stage],
            self.arch.heads[stage],
            window=window,
            shift=window // 2 if index % 2 else 0,
            shift_small_maps=self.shift_small_maps,
        )

    def window_of(self, stage: int) -> int:
        """The side of the windows of a stage, in tokens."""
        return self.window_size

    def make_block(self, stage: int, index: int, drop_path: float) -> nn.Module:
        width = self.arch.widths[stage]
        return PreNormBlock(width, self.make_attention(stage, index), Mlp(width, 4 * width), drop_path=drop_path)

    def build(self, drop_path_rate: float, out_norms: Sequence[nn.Module] | None) -> None:
        widths = self.arch.widths
        stages = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            downsample = self.make_downsample(widths[i - 1], widths[i]) if i else None
            stages.append(Stage([self.make_block(i, j, rate) for j, rate in enumerate(rates)], downsample))
        self.assemble(patch_embed=PatchEmbed(self.in_channels, widths[0]), stages=stages, out_norms=out_norms)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Backbone) -> StateDict:
        """From `layers.i`, where merging closes the stage before; position tables as large as `network`'s."""
        state_dict = rename(
            drop(strip_classifier(state_dict, official=r'^layers\.'), r'\.relative_position_index$', r'\.attn_mask$'),
            *stages_from('layers'),
            (r'^norm(\d)\.', r'out_norms.\1.'),
            (r'\.relative_position_bias_table$', '.bias.table'),
        )
        own = dict(network.named_parameters())
        for key in [key for key in state_dict if key.endswith('.bias.table') and key in own]:
            state_dict[key] = resize_position_table(state_dict[key], own[key].shape[0])
        return state_dict


@dataclass(frozen=True, kw_only=True)
class Arch(DoublingArch):
    """window: side of the published models' windows, in tokens."""

    heads: tuple[int, ...]
    window: int = 7


@MODELS.register_module()
class Swin(SwinBase):
    """Swin Transformer.

    Args:
        window_size: side of a window in tokens; None for the variant's own. Checkpoints of another window load: their
            position tables are resized bicubically.
        image_size: side of the images in pixels, where all have that one: windows are then no larger than a stage's
            map, and maps of one window are not shifted, as when SimMIM and classifiers are trained. None for the rule
            of the authors' dense code, which pads small maps to a window and shifts them.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, '
        'https://arxiv.org/abs/2103.14030',
        code='https://github.com/microsoft/Swin-Transformer',
        license='MIT',
    )
    no_weight_decay = ('norm', 'bias.table')

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        window_size: int | None = None,
        image_size: int | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.window_size = window_size or self.arch.window
        self.image_size = image_size
        self.shift_small_maps = image_size is None
        self.build(drop_path_rate, [nn.LayerNorm(width) for width in self.arch.widths])

    def window_of(self, stage: int) -> int:
        if self.image_size is None:
            return self.window_size
        return min(self.window_size, ceil_div(self.image_size, self.strides[stage]))


Swin.archs = {
    'tiny': Arch(width=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24)),
    'small': Arch(width=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24)),
    'base': Arch(width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32)),
    'large': Arch(width=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48), window=12),
}

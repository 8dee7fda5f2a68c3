"""SAM 2's image encoder: Hiera with windows in all stages, three global blocks, and positions for any size.

Paper: "SAM 2: Segment Anything in Images and Videos", https://arxiv.org/abs/2408.00714.
Official code: https://github.com/facebookresearch/sam2 (Apache-2.0, code and weights).

Positions are the sum of a small table, resized to the map, and a table of one window of the first stage, repeated.

Legend: B batch, H W map, C channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.base import BackboneOptions, ParamGroup
from denseformer.backbones.plain import hiera
from denseformer.backbones.plain.embedding import Size
from denseformer.caching import CachesInEval
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.dynamic_shapes import ceil_div
from denseformer.layers.initializers import INIT_STD
from denseformer.network import Source
from denseformer.registry import MODELS


class TiledPositions(CachesInEval):
    """A table `background` x `background`, resized bicubically, and one `window` x `window`, repeated.

    (H, W) -> (1, H * W, C).
    """

    def __init__(self, dim: int, background: int, window: int):
        super().__init__()
        self.background = nn.Parameter(torch.zeros(1, dim, background, background))
        self.window = nn.Parameter(torch.zeros(1, dim, window, window))
        for table in (self.background, self.window):
            nn.init.normal_(table, std=INIT_STD)

    def forward(self, size: Size) -> Tensor:
        return self.cached(size, lambda: self.make(size))

    def make(self, size: Size) -> Tensor:
        background = F.interpolate(self.background, size, mode='bicubic', align_corners=False)
        repeats = (ceil_div(side, self.window.shape[-1]) for side in size)
        windows = self.window.tile(1, 1, *repeats)[:, :, : size[0], : size[1]]
        return (background + windows).flatten(2).transpose(1, 2)


class Neck(nn.Module):
    """Four maps to as many of one width; the last one, enlarged, is added to the third."""

    def __init__(self, widths: Sequence[int], width: int):
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(dim, width, 1) for dim in widths)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        a, b, c, d = (lateral(x) for lateral, x in zip(self.lateral, maps, strict=True))
        return a, b, c + F.interpolate(d, c.shape[2:], mode='nearest'), d


@dataclass(frozen=True, kw_only=True)
class Arch(hiera.Arch):
    """global_blocks: those without windows, blocks counted through; background: side of the table that is resized."""

    global_blocks: tuple[int, ...]
    background: int = 7
    windows: tuple[int | None, ...] = (8, 4, 14, 7)

    def block_windows(self) -> list[list[int | None]]:
        windows = super().block_windows()
        for stage, of_stage in enumerate(windows):
            start = sum(self.depths[:stage])
            windows[stage] = [None if start + i in self.global_blocks else w for i, w in enumerate(of_stage)]
        return windows


@MODELS.register_module()
class SAM2(hiera.HieraBase):
    """SAM 2's image encoder; returns the maps of the four stages without a norm.

    Args:
        neck: return the neck's maps in their place, all 256 channels wide. SAM 2 takes the first three.
        The others are described in `Backbone`.

    The authors take sides that are multiples of 32. For others maps are rounded down.
    """

    source = Source(
        paper='SAM 2: Segment Anything in Images and Videos, https://arxiv.org/abs/2408.00714',
        code='https://github.com/facebookresearch/sam2',
        license='Apache-2.0',
    )
    input_size = 1024

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        neck: bool = False,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        positions = TiledPositions(self.arch.width, self.arch.background, self.arch.windows[0])
        self.build(positions, self.arch.block_windows(), drop_path_rate)
        self.neck = None
        if neck:
            if len(self.out_indices) < len(self.arch.widths):
                raise ValueError(f'The neck takes the maps of all stages: out_indices is {self.out_indices}.')
            self.neck = Neck(self.arch.widths, 256)
            self.out_channels = (256,) * 4

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps = super().forward(image)
        return maps if self.neck is None else self.neck(maps)

    def param_groups(self) -> dict[str, ParamGroup]:
        """See `Backbone`; the neck has the rate of heads."""
        deepest = self.depth + 1
        return {
            name: ParamGroup(group.decay, deepest) if name.startswith('neck.') else group
            for name, group in super().param_groups().items()
        }

    def drop_keys_of_unbuilt_parts(self, state_dict: StateDict) -> StateDict:
        unbuilt = ('neck.',) if self.neck is None else ()
        state_dict = super().drop_keys_of_unbuilt_parts(state_dict)
        return {key: value for key, value in state_dict.items() if not key.startswith(unbuilt)}

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'SAM2') -> StateDict:
        """From the authors' encoder or their whole model, whose neck counts from the last map."""
        if any(key.startswith('image_encoder.') for key in state_dict):
            state_dict = {key: value for key, value in state_dict.items() if key.startswith('image_encoder.')}
        state_dict = rename(
            drop(state_dict, r'^(head|norm)\.'),
            (r'^image_encoder\.', ''),
            (r'^trunk\.', ''),
            (r'^pos_embed$', 'patch_embed.positions.background'),
            (r'^pos_embed_window$', 'patch_embed.positions.window'),
            (r'\.mlp\.layers\.([01])\.', lambda match: f'.mlp.fc{int(match[1]) + 1}.'),
            (r'^neck\.convs\.(\d)\.conv\.', lambda match: f'neck.lateral.{3 - int(match[1])}.'),
        )
        return hiera.HieraBase.remap_official_keys(state_dict, network)


SAM2.archs = {
    'tiny': Arch(width=96, depths=(1, 2, 7, 2), heads=1, global_blocks=(5, 7, 9)),
    'small': Arch(width=96, depths=(1, 2, 11, 2), heads=1, global_blocks=(7, 10, 13)),
    'base_plus': Arch(width=112, depths=(2, 3, 16, 3), heads=2, global_blocks=(12, 16, 20), background=14),
    'large': Arch(width=144, depths=(2, 6, 36, 4), heads=2, global_blocks=(23, 33, 43), windows=(8, 4, 16, 8)),
}

"""The pyramid of Mamba YOLO, https://arxiv.org/abs/2406.05835: three maps, fused by scans from coarse to fine and back.

Legend: B batch, C channels, H W a map.
"""

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from denseformer.backbones.state_space.mamba_yolo import (
    BLOCK,
    ScanBlock,
    conv_norm_silu,
    plain_scans,
    split_scans,
)
from denseformer.checkpoints.keys import RenamesKeys, StateDict, drop, rename
from denseformer.registry import MODELS

PLACES = {11: 'top_down.0', 14: 'top_down.1', 15: 'downs.0', 17: 'bottom_up.0', 18: 'downs.1', 20: 'bottom_up.1'}
"""The authors' number of each part in their detector, and its name here."""


@MODELS.register_module()
class MambaYOLOPAFPN(RenamesKeys, BaseModule):
    """Maps that are fused from coarse to fine and back by blocks of scans.

    Args:
        in_channels: of a backbone's maps, finest first, of which the three coarsest are used; levels have as many. A
            map is half as high and wide as the one before it, rounded up: images are padded to multiples of 32 where
            a backbone rounds down.
        scans: in each of the four blocks; the authors' large detector has two.
        init_cfg: mmengine's.

    Raises ValueError for fewer than three maps.
    """

    def __init__(self, *, in_channels: Sequence[int], scans: int = 1, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if len(in_channels) < 3:
            raise ValueError(f'Three maps are fused, in_channels={tuple(in_channels)} has {len(in_channels)}.')
        fine, middle, coarse = in_channels[-3:]

        def block(dim: int, out_dim: int) -> ScanBlock:
            return ScanBlock(out_dim, scans, None if dim == out_dim else conv_norm_silu(dim, out_dim))

        self.top_down = nn.ModuleList([block(coarse + middle, middle), block(middle + fine, fine)])
        self.downs = nn.ModuleList(conv_norm_silu(dim, dim, 3, 2) for dim in (fine, middle))
        self.bottom_up = nn.ModuleList([block(fine + middle, middle), block(middle + coarse, coarse)])
        self.apply(plain_scans)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """One (B, C_i, H_i, W_i) per in_channels -> the three levels, like the three coarsest maps."""
        fine, middle, coarse = maps[-3:]
        middle = self.top_down[0](torch.cat([F.interpolate(coarse, middle.shape[2:]), middle], 1))
        fine = self.top_down[1](torch.cat([F.interpolate(middle, fine.shape[2:]), fine], 1))
        middle = self.bottom_up[0](torch.cat([self.downs[0](fine), middle], 1))
        coarse = self.bottom_up[1](torch.cat([self.downs[1](middle), coarse], 1))
        return fine, middle, coarse

    def own_names(self, state_dict: StateDict) -> StateDict:
        """From `model.i` of the detector, with i = 9 .. 20 in the neck; our own keys stay as they are."""
        if not any(key.startswith('model.') for key in state_dict):
            return state_dict
        numbers = '|'.join(str(number) for number in PLACES)
        neck = {key: value for key, value in state_dict.items() if re.match(rf'model\.({numbers})\.', key)}
        return split_scans(
            rename(
                drop(neck, r'num_batches_tracked$'),
                (r'\.bn\.', '.norm.'),
                *BLOCK,
                (rf'^model\.({numbers})\.', lambda match: f'{PLACES[int(match[1])]}.'),
            )
        )

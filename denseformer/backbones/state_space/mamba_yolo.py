"""Mamba YOLO's backbone: scans of a map along its rows and columns, amid convolutions.

Paper: "Mamba YOLO: SSMs-Based YOLO For Object Detection", https://arxiv.org/abs/2406.05835.
Official code: https://github.com/HZAI-ZJNU/Mamba-YOLO (AGPL-3.0), of which nothing but facts stands here.

A block projects its map, scans a locally mixed copy of it in four directions, each with parameters of its own, and adds
what it finds to the projection, not to the mixed copy; a gated MLP with a depth-wise convolution follows. A 1 x 1
convolution of the four phases of pixels halves a map. What a classifier would read, the coarsest map, is pooled in
windows of 5, 9 and 13 positions (SPPF).

The neck, the head and the detector of the system stand in `denseformer.detection`.

Legend: B batch, H W map, C channels, L = H * W tokens, D inner channels.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import Rule, StateDict, drop, rename
from denseformer.layers import ConvNorm, DepthwiseConv2d, DropPath, LayerNorm2d, drop_path_rates
from denseformer.layers.channel_first import to_channels_last
from denseformer.layers.padding import pad_image_to_multiple
from denseformer.layers.state_space import SelectiveScan, scan_side_by_side
from denseformer.network import Source
from denseformer.registry import MODELS

STATES = 16
BatchNorm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.03)
Norm = partial(LayerNorm2d, eps=1e-6)


def conv_norm_silu(dim: int, out_dim: int, kernel_size: int = 1, stride: int = 1, bias: bool = False) -> ConvNorm:
    return ConvNorm(dim, out_dim, kernel_size, stride, bias=bias, norm=BatchNorm, act=nn.SiLU)


class FourWayScan(nn.Module):
    """Scans along rows, along columns, and along either in reverse, summed and gated: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        inner = 2 * dim
        self.in_proj = nn.Conv2d(dim, 2 * inner, 1, bias=False)
        self.conv = DepthwiseConv2d(inner)
        self.scans = nn.ModuleList(SelectiveScan(inner, STATES, -(-dim // 16)) for _ in range(4))
        self.norm = nn.LayerNorm(inner)
        self.out_proj = nn.Conv2d(inner, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.in_proj(x).chunk(2, 1)
        scanned = self.scan(F.gelu(self.conv(x)))  # (B, H, W, D)
        return self.out_proj(self.norm(scanned).permute(0, 3, 1, 2) * F.gelu(gate))

    def scan(self, x: Tensor) -> Tensor:
        """Sum the four scans at each position: (B, D, H, W) -> (B, H, W, D)."""
        H, W = x.shape[2:]
        by_rows, by_columns = x.permute(0, 2, 3, 1).flatten(1, 2), x.permute(0, 3, 2, 1).flatten(1, 2)  # (B, L, D)
        walks = [by_rows, by_columns, by_rows.flip(1), by_columns.flip(1)]
        right, down, left, up = scan_side_by_side(list(self.scans), walks)
        rows, columns = right + left.flip(1), down + up.flip(1)
        return rows.unflatten(1, (H, W)) + columns.unflatten(1, (W, H)).transpose(1, 2)


class LocalMixing(nn.Module):
    """A depth-wise convolution and two point-wise ones, added to their input: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.mix = ConvNorm(dim, dim, 3, groups=dim, bias=True, norm=BatchNorm)
        self.fc1 = nn.Conv2d(dim, dim, 1)
        self.fc2 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fc2(F.gelu(self.fc1(self.mix(x))))


class GatedConvMlp(nn.Module):
    """An MLP whose gate sees its surroundings by a depth-wise convolution: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        hidden = 8 * dim // 3
        self.fc1 = nn.Conv2d(dim, 2 * hidden, 1)
        self.dwconv = DepthwiseConv2d(hidden)
        self.fc2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.fc1(x).chunk(2, 1)
        return self.fc2(F.gelu(self.dwconv(gate) + gate) * value)


class ScanBlock(nn.Module):
    """A projection, one or more scans in a row, and a gated MLP: (B, dim, H, W) -> (B, out_dim, H, W).

    proj: the projection, None where the map is taken as it is.
    """

    def __init__(self, dim: int, scans: int = 1, proj: nn.Module | None = None, drop_path: float = 0.0):
        super().__init__()
        self.proj = nn.Identity() if proj is None else proj
        self.local = LocalMixing(dim)
        self.norm1 = Norm(dim)
        self.attn = nn.Sequential(*(FourWayScan(dim) for _ in range(scans)))
        self.norm2 = Norm(dim)
        self.mlp = GatedConvMlp(dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x)
        x = x + self.drop_path(self.attn(self.norm1(self.local(x))))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PhaseMerging(nn.Module):
    """Joins the four phases of pixels; odd sides are padded by zeros: (B, C, H, W) -> (B, out_dim, H / 2, W / 2)."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.proj = conv_norm_silu(4 * dim, out_dim, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = pad_image_to_multiple(x, 2)
        phases = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.proj(torch.cat(phases, 1))


class PyramidPooling(nn.Module):
    """Maxima of windows of growing size beside the map itself (SPPF): (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.reduce = conv_norm_silu(dim, dim // 2)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.expand = conv_norm_silu(4 * (dim // 2), dim)

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.reduce(x)]
        for _ in range(3):
            maps.append(self.pool(maps[-1]))
        return self.expand(torch.cat(maps, 1))


class Stem(nn.Module):
    """Two strided convolutions: (B, in_channels, H, W) -> (B, dim, ceil(H/4), ceil(W/4))."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        self.conv1 = ConvNorm(in_channels, dim // 2, 3, 2, norm=BatchNorm, act=nn.GELU)
        self.conv2 = conv_norm_silu(dim // 2, dim, 3, 2)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv2(self.conv1(to_channels_last(image)))


def plain_scans(module: nn.Module) -> None:
    """The rule of initial weights: all states decay alike, step sizes are drawn; all else is PyTorch's."""
    if isinstance(module, SelectiveScan):
        nn.init.zeros_(module.A_log)
        nn.init.normal_(module.dt_proj)
        nn.init.normal_(module.dt_bias)


SCANNED = r'\.(x_proj_weight|dt_projs_weight|dt_projs_bias|A_logs|Ds)$'
SCAN_NAMES = {
    'x_proj_weight': 'x_proj',
    'dt_projs_weight': 'dt_proj',
    'dt_projs_bias': 'dt_bias',
    'A_logs': 'A_log',
    'Ds': 'D',
}
BLOCK: tuple[Rule, ...] = (
    (r'\.(?:proj_conv|in_proj)\.0\.', '.proj.conv.'),
    (r'\.(?:proj_conv|in_proj)\.1\.', '.proj.norm.'),
    (r'\.lsblock\.fc1\.', '.local.mix.conv.'),
    (r'\.lsblock\.norm\.', '.local.mix.norm.'),
    (r'\.lsblock\.fc2\.', '.local.fc1.'),
    (r'\.lsblock\.fc3\.', '.local.fc2.'),
    (r'\.norm\.norm\.', '.norm1.'),
    (r'\.norm2\.norm\.', '.norm2.'),
    (r'\.op\.', '.attn.0.'),
    (r'\.ss2d\.(\d+)\.', r'.attn.\1.'),
    (r'\.(attn\.\d+)\.out_norm\.', r'.\1.norm.'),
    (r'\.(attn\.\d+)\.conv2d\.', r'.\1.conv.'),
)
"""Rules from the authors' names within a block, of the backbone or of the neck, to ours."""


def split_scans(state_dict: StateDict) -> StateDict:
    """The parameters of four scans, which the authors stack, scan by scan."""
    parts: StateDict = {}
    for key, value in state_dict.items():
        match = re.search(SCANNED, key)
        if match is None:
            parts[key] = value
            continue
        name = SCAN_NAMES[match[1]]
        for i, part in enumerate(value.chunk(4)):
            parts[f'{key[: match.start()]}.scans.{i}.{name}'] = part[0] if '_proj' in match[1] else part
    return parts


@dataclass(frozen=True, kw_only=True)
class Arch:
    """Per stage: widths and depths."""

    widths: tuple[int, ...]
    depths: tuple[int, ...] = (1, 1, 3, 1)


@MODELS.register_module()
class MambaYOLO(Backbone):
    """Mamba YOLO's backbone. Variants: 'tiny', 'base' (M in the authors' table), 'large'.

    Args:
        drop_path_rate: the authors have none.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='Mamba YOLO: SSMs-Based YOLO For Object Detection, https://arxiv.org/abs/2406.05835',
        code='https://github.com/HZAI-ZJNU/Mamba-YOLO',
        license='AGPL-3.0',
    )
    input_size = 640
    channels_last = False
    no_weight_decay = ('norm', 'bias')
    initial_weights = staticmethod(plain_scans)

    def __init__(
        self, *, arch: str | Mapping[str, Any] = 'tiny', drop_path_rate: float = 0.0, **common: Unpack[BackboneOptions]
    ):
        super().__init__(arch=arch, **common)
        widths, rates = self.arch.widths, drop_path_rates(drop_path_rate, self.arch.depths)
        stages = []
        for i, dim in enumerate(widths):
            blocks: list[nn.Module] = [
                ScanBlock(dim, proj=conv_norm_silu(dim, dim, bias=True), drop_path=rate) for rate in rates[i]
            ]
            if i == len(widths) - 1:
                blocks.append(PyramidPooling(dim))
            stages.append(Stage(blocks, PhaseMerging(widths[i - 1], dim) if i else None))
        self.assemble(patch_embed=Stem(self.in_channels, widths[0]), stages=stages)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'MambaYOLO') -> StateDict:
        """From `model.i` of the detector, with i = 0 .. 8 in the backbone."""
        if not any(key.startswith('model.') for key in state_dict):
            return state_dict
        renamed = rename(
            drop(state_dict, r'^model\.(9|\d\d)\.'),
            (r'^model\.0\.conv\.([0134])\.', lambda match: f'patch_embed.conv{1 + int(match[1]) // 3}.{match[1]}.'),
            (r'^(patch_embed\.conv\d)\.[03]\.', r'\1.conv.'),
            (r'^(patch_embed\.conv\d)\.[14]\.', r'\1.norm.'),
            (r'^model\.8\.cv1\.', f'stages.3.blocks.{network.arch.depths[3]}.reduce.'),
            (r'^model\.8\.cv2\.', f'stages.3.blocks.{network.arch.depths[3]}.expand.'),
            (r'\.bn\.', '.norm.'),
            (r'^model\.([246])\.pw_linear\.0\.', r'model.\1.proj.conv.'),
            (r'^model\.([246])\.pw_linear\.1\.', r'model.\1.proj.norm.'),
            (r'^model\.([246])\.', lambda match: f'stages.{int(match[1]) // 2}.downsample.'),
            (r'^model\.([1357])\.(\d)\.', lambda match: f'stages.{int(match[1]) // 2}.blocks.{match[2]}.'),
            (r'^model\.([1357])\.', lambda match: f'stages.{int(match[1]) // 2}.blocks.0.'),
            *BLOCK,
        )
        return split_scans(renamed)


MambaYOLO.archs = {
    'tiny': Arch(widths=(32, 64, 128, 256)),
    'base': Arch(widths=(64, 128, 256, 512)),
    'large': Arch(widths=(96, 192, 384, 576), depths=(2, 2, 6, 2)),
}

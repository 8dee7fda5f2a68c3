"""MobileMamba: a scan, wavelets and small convolutions, each on some of the channels.

Paper: "MobileMamba: Lightweight Multi-Receptive Visual Mamba Network", https://arxiv.org/abs/2411.15941.
Official code: https://github.com/lewandofskee/MobileMamba (MIT).

On EfficientViT's skeleton of three stages, which is at stride 16 at once. Most channels pass a scan with one state per
channel, from the first position to the last and back, and, added to that, a convolution of their Haar bands; some pass
a depth-wise convolution, the rest nothing. The block adds its input once more to what its residual branches made of it.
Maps with an odd side are zero-padded for the wavelets alone.

Legend: B batch, H W map, C channels, L = H * W tokens, D inner channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.haar import haar, inverse_haar
from denseformer.backbones.base import BackboneOptions
from denseformer.backbones.light.sandwich import FeedForward, SandwichSkeleton, rename_skeleton
from denseformer.checkpoints.keys import StateDict, drop
from denseformer.layers import ConvNorm, DepthwiseConv2d, DropPath, make_layer_scale, pad_image_to_multiple
from denseformer.layers.state_space import SelectiveScan, scan_side_by_side
from denseformer.network import Source
from denseformer.registry import MODELS


class TwoWayScan(nn.Module):
    """Gated scans of a map row by row, forwards and backwards: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        inner = 2 * dim
        self.in_proj = ConvNorm(dim, 2 * inner)
        self.conv = DepthwiseConv2d(inner)
        self.scans = nn.ModuleList(first_scan(inner, -(-dim // 16)) for _ in range(2))
        self.norm = nn.LayerNorm(inner)
        self.out_proj = ConvNorm(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.in_proj(x).chunk(2, 1)
        tokens = F.silu(self.conv(x)).permute(0, 2, 3, 1).flatten(1, 2)  # (B, L, D)
        forwards, backwards = scan_side_by_side(self.scans, (tokens, tokens.flip(1)))
        y = self.norm(forwards + backwards.flip(1)).unflatten(1, gate.shape[2:])  # (B, H, W, D)
        return self.out_proj(y.permute(0, 3, 1, 2) * F.silu(gate))


def first_scan(channels: int, rank: int) -> SelectiveScan:
    """A scan with one state per channel that starts from small positive step sizes, all channels decaying alike."""
    scan = SelectiveScan(channels, 1, rank)
    nn.init.uniform_(scan.dt_proj, 0, 0.1)
    nn.init.uniform_(scan.dt_bias, 0, 0.1)
    return scan


class WaveletScan(nn.Module):
    """The scan, and a depth-wise convolution of the Haar bands, each weighed, summed: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, kernel_size: int):
        super().__init__()
        self.scan = TwoWayScan(dim)
        self.scan_gain = make_layer_scale(dim, 1.0, channel_first=True)
        self.bands = DepthwiseConv2d(4 * dim, kernel_size, bias=False)
        self.bands_gain = make_layer_scale(4 * dim, 0.1, channel_first=True)

    def forward(self, x: Tensor) -> Tensor:
        H, W = x.shape[2:]
        bands = self.bands(haar(pad_image_to_multiple(x, 2))) * self.bands_gain
        return torch.addcmul(inverse_haar(bands)[:, :, :H, :W], self.scan(x), self.scan_gain)


class LocalConv(nn.Module):
    """A depth-wise convolution, and what the authors make a depth-wise 1 x 1 one: a gain; each with BatchNorm.

    Shape: (B, C, H, W) -> the same.
    """

    def __init__(self, dim: int, kernel_size: int):
        super().__init__()
        self.conv = ConvNorm(dim, dim, kernel_size, groups=dim, act=nn.ReLU)
        self.gain = nn.Parameter(torch.empty(dim, 1, 1).uniform_(-1, 1))
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x) * self.gain)


class MultiReceptiveField(nn.Module):
    """The channels in three parts, treated globally, locally and not at all, then mixed: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, kernel_size: int, global_ratio: float, local_ratio: float):
        super().__init__()
        distant = (int(global_ratio * dim) + 8) // 16 * 16  # rounded to a multiple of 16
        local = min(int(local_ratio * dim), dim - distant)
        self.widths = distant, local, dim - distant - local
        self.distant = WaveletScan(distant, kernel_size)
        self.local = LocalConv(local, kernel_size)
        self.proj = ConvNorm(dim, dim, zero_init=True)

    def forward(self, x: Tensor) -> Tensor:
        distant, local, rest = x.split(self.widths, 1)
        return self.proj(torch.cat([self.distant(distant), self.local(local), rest], 1).relu())


class Block(nn.Module):
    """The mixer between feed-forward layers, and the input added again: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, attn: nn.Module, drop_path: float):
        super().__init__()
        self.before = FeedForward(dim, zero_init=True)
        self.attn = attn
        self.after = FeedForward(dim, zero_init=True)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.before(x)
        return x + self.drop_path(self.after(inner + self.attn(inner)))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """global_ratios, local_ratios: of the channels of each stage; kernels: sides of its convolutions in the mixer."""

    widths: tuple[int, ...]
    depths: tuple[int, ...] = (1, 2, 2)
    global_ratios: tuple[float, ...] = (0.8, 0.7, 0.6)
    local_ratios: tuple[float, ...] = (0.2, 0.2, 0.3)
    kernels: tuple[int, ...] = (7, 5, 3)


@MODELS.register_module()
class MobileMamba(SandwichSkeleton):
    """MobileMamba. The variants b1, b2 and b4 are one network, trained at 256, 384 and 512 pixels."""

    source = Source(
        paper='MobileMamba: Lightweight Multi-Receptive Visual Mamba Network, https://arxiv.org/abs/2411.15941',
        code='https://github.com/lewandofskee/MobileMamba',
        license='MIT',
    )
    no_weight_decay = ('scan.norm',)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 't2',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.build(drop_path_rate)

    def make_block(self, stage: int, drop_path: float) -> nn.Module:
        arch, dim = self.arch, self.arch.widths[stage]
        ratios = arch.global_ratios[stage], arch.local_ratios[stage]
        return Block(dim, MultiReceptiveField(dim, arch.kernels[stage], *ratios), drop_path)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'MobileMamba') -> StateDict:
        """Also from the authors' tensors of both scans to one for each."""
        renamed = rename_skeleton(
            drop(state_dict, r'\.i?wt_filter$'),
            (r'\.dw0\.m\.', '.before.conv.'),
            (r'\.ffn0\.m\.', '.before.mlp.'),
            (r'\.dw1\.m\.', '.after.conv.'),
            (r'\.ffn1\.m\.', '.after.mlp.'),
            (r'\.mixer\.m\.attn\.', '.attn.'),
            (r'\.proj\.1\.', '.proj.'),
            (r'\.local_op\.dwconv3x3\.', '.local.conv.conv.'),
            (r'\.local_op\.bn1\.', '.local.conv.norm.'),
            (r'\.local_op\.dwconv1x1\.weight$', '.local.gain'),
            (r'\.local_op\.bn2\.', '.local.norm.'),
            (r'\.global_op\.global_atten\.', '.distant.scan.'),
            (r'\.global_op\.base_scale\.weight$', '.distant.scan_gain'),
            (r'\.global_op\.wavelet_convs\.0\.', '.distant.bands.'),
            (r'\.global_op\.wavelet_scale\.0\.weight$', '.distant.bands_gain'),
            (r'\.scan\.conv2d\.', '.scan.conv.'),
            (r'\.scan\.out_norm\.', '.scan.norm.'),
        )
        split = {}
        for key, value in renamed.items():
            stem, _, name = key.rpartition('.')
            if name.endswith('gain'):
                split[key] = value.view(-1, 1, 1)
            elif name in SCAN_TENSORS:
                own = SCAN_TENSORS[name]
                split |= {f'{stem}.scans.{i}.{own}': part.squeeze(0) for i, part in enumerate(value.chunk(2))}
            else:
                split[key] = value
        return split


SCAN_TENSORS = {
    'x_proj_weight': 'x_proj',
    'dt_projs_weight': 'dt_proj',
    'dt_projs_bias': 'dt_bias',
    'A_logs': 'A_log',
    'Ds': 'D',
}
"""The authors' names of what both scans have, one after the other along the first axis."""


MobileMamba.archs = {
    't2': Arch(widths=(144, 272, 368)),
    't4': Arch(widths=(176, 368, 448)),
    's6': Arch(widths=(192, 384, 448)),
    'b1': Arch(widths=(200, 376, 448), depths=(2, 3, 2)),
    'b2': Arch(widths=(200, 376, 448), depths=(2, 3, 2)),
    'b4': Arch(widths=(200, 376, 448), depths=(2, 3, 2)),
}

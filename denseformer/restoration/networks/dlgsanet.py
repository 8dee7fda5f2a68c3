"""DLGSANet: Lightweight Dynamic Local and Global Self-Attention Networks for Image Super-Resolution.

Paper: https://arxiv.org/abs/2301.02031. Official code: https://github.com/NeonLeexiang/DLGSANet (Apache-2.0; its README
asks for academic use).

Local blocks, a depth-wise convolution whose kernels are made for every pixel, alternate with global blocks, attention
among channels with ReLU in the place of softmax. Training sees patches of 48 pixels, so in prediction channels attend
within overlapping windows of about that size, which are averaged ("Improving Image Restoration by Revisiting Global
Information Aggregation", https://arxiv.org/abs/2112.04491); the published figures depend on it.

The authors' convolution is a CUDA kernel; here it is PyTorch, for any device.

Legend: B batch, H W map, N tokens, C channels, h heads, d channels of a head, r channels that kernels are made from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.channel import channel_cosines, mix_channels
from denseformer.attention.dynamic_conv import dynamic_depthwise
from denseformer.attention.patches import average_patches, balanced_starts, extract_patches
from denseformer.checkpoints.keys import StateDict, count, linear_from_pointwise, rename
from denseformer.layers import DepthwiseConv, Linear, PreNormBlock
from denseformer.network import Source
from denseformer.registry import MODELS
from denseformer.restoration.networks.base import RGB_MEAN, RestorationNetwork, RestorationOptions
from denseformer.restoration.networks.layers import DirectUpsampler, conv3x3
from denseformer.restoration.networks.trunk import ResidualGroup

WINDOWS = {2: 96, 3: 72, 4: 48}
"""Side of the windows of global attention in prediction, by scale."""


class LocalAttention(nn.Module):
    """A dynamic depth-wise convolution between two linear layers: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, group_channels: int, kernel_size: int):
        super().__init__()
        self.kernel_size = kernel_size
        self.proj_in = Linear(dim, dim, bias=False)
        self.reduce = Linear(dim, dim // 4)
        self.depthwise = nn.Conv2d(dim // 4, dim // 4, kernel_size, padding=kernel_size // 2, groups=dim // 4)
        self.expand = Linear(dim // 4, dim // group_channels * kernel_size**2)
        self.proj_out = Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj_in(x)
        hidden = self.depthwise(self.reduce(x).permute(0, 3, 1, 2))  # (B, r, H, W)
        x = x.permute(0, 3, 1, 2)  # (B, C, H, W)
        x = dynamic_depthwise(x, hidden, self.expand.weight, self.expand.bias, self.kernel_size)
        return self.proj_out(x.permute(0, 2, 3, 1))


class SparseGlobalAttention(nn.Module):
    """Attention among the channels of a head, non-negative and not normalised: (B, H, W, C) -> the same.

    window: the side of the windows in which channels attend in prediction; None for the whole image.
    """

    def __init__(self, dim: int, heads: int, window: int | None):
        super().__init__()
        self.window = window
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = Linear(dim, 3 * dim, bias=False)
        self.dwconv = DepthwiseConv(3 * dim, bias=False)
        self.proj = Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        _, H, W, _ = x.shape
        qkv = self.dwconv(self.qkv(x))
        if self.training or self.window is None or max(H, W) <= self.window:
            return self.attend(qkv.flatten(1, 2)).view(x.shape)
        window = min(H, self.window), min(W, self.window)
        starts = balanced_starts(H, window[0]), balanced_starts(W, window[1])
        windows = extract_patches(qkv, window, starts)  # (B, n, N, 3C)
        out = self.attend(windows.flatten(0, 1))
        return average_patches(out.view(*windows.shape[:3], -1), window, starts, (H, W))

    def attend(self, qkv: Tensor) -> Tensor:
        """(B, N, 3C), laid out (3, h, d) on the last axis -> (B, N, C)."""
        q, k, v = qkv.unflatten(-1, (3, len(self.temperature), -1)).unbind(2)  # each (B, N, h, d)
        weights = F.relu(channel_cosines(q, k) * self.temperature)
        return self.proj(mix_channels(v, weights))


class GatedMlp(nn.Module):
    """A depth-wise convolution on twice the hidden channels, one half of which gates the other: (B, H, W, C)."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = Linear(dim, 2 * hidden, bias=False)
        self.dwconv = DepthwiseConv(2 * hidden, bias=False)
        self.fc2 = Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.dwconv(self.fc1(x)).chunk(2, -1)
        return self.fc2(F.gelu(gate) * value)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """blocks: pairs of a local and a global block per group; group_channels: channels that share a dynamic kernel."""

    dim: int
    groups: int
    blocks: int
    heads: int = 6
    group_channels: int = 6
    kernel_size: int = 7
    expansion: float = 2


@MODELS.register_module()
class DLGSANet(RestorationNetwork):
    """Dynamic Local and Global Self-Attention Network.

    Args:
        windowed: in prediction, let channels attend within windows; False for the whole image, as in training.
        The others are described in `RestorationNetwork`.
    """

    source = Source(
        paper='DLGSANet: Lightweight Dynamic Local and Global Self-Attention Networks for Image Super-Resolution, '
        'https://arxiv.org/abs/2301.02031',
        code='https://github.com/NeonLeexiang/DLGSANet',
        license='Apache-2.0 (README: academic use only)',
    )
    scales = tuple(WINDOWS)
    tile_overlap = 24

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'light',
        windowed: bool = True,
        **common: Unpack[RestorationOptions],
    ):
        super().__init__(arch=arch, **common)
        dim = self.arch.dim
        self.mean = RGB_MEAN if self.in_channels == 3 else (0.0,) * self.in_channels
        self.conv_first = nn.Conv2d(self.in_channels, dim, 3, padding=1, bias=False)
        window = WINDOWS[self.scale] if windowed else None
        groups = (ResidualGroup(self._blocks(window), conv3x3(dim, dim)) for _ in range(self.arch.groups))
        self.groups = nn.ModuleList(groups)
        self.conv_after_body = conv3x3(dim, dim)
        self.upsampler = DirectUpsampler(dim, self.in_channels, self.scale)

    def _blocks(self, window: int | None) -> list[nn.Module]:
        arch, blocks = self.arch, []
        for _ in range(arch.blocks):
            local = LocalAttention(arch.dim, arch.group_channels, arch.kernel_size)
            for attn in (local, SparseGlobalAttention(arch.dim, arch.heads, window)):
                mlp = GatedMlp(arch.dim, int(arch.dim * arch.expansion))
                blocks.append(PreNormBlock(arch.dim, attn, mlp, drop_path=0))
        return blocks

    def restore(self, image: Tensor) -> Tensor:
        mean = image.new_tensor(self.mean).view(1, -1, 1, 1)
        shallow = self.conv_first((image - mean).contiguous(memory_format=torch.channels_last))
        x = shallow.permute(0, 2, 3, 1)  # (B, H, W, C)
        for group in self.groups:
            x = group(x, self.run)
        x = self.conv_after_body(x.permute(0, 3, 1, 2)) + shallow  # (B, C, H, W)
        return self.upsampler(x) + mean

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any = None) -> StateDict:
        """From `deep_feature_extraction`, whose groups and convolutions are numbered without names."""
        return linear_from_pointwise(rename(state_dict, *OFFICIAL_NAMES))

    @classmethod
    def infer_options(cls, state_dict: StateDict) -> dict[str, Any] | None:
        weights = cls.remap_official_keys(state_dict)
        local, other = 'groups.0.blocks.0.attn.', 'groups.0.blocks.1.'
        if f'{local}expand.weight' not in weights or f'{other}attn.temperature' not in weights:
            return None
        dim, channels = weights['conv_first.weight'].shape[:2]
        kernel_size = weights[f'{local}depthwise.weight'].shape[-1]
        fields = {
            'dim': dim,
            'groups': count(weights, r'groups\.(\d+)\.'),
            'blocks': count(weights, r'groups\.0\.blocks\.(\d+)\.') // 2,
            'heads': len(weights[f'{other}attn.temperature']),
            'group_channels': dim * kernel_size**2 // len(weights[f'{local}expand.bias']),
            'kernel_size': kernel_size,
            'expansion': weights[f'{other}mlp.fc2.weight'].shape[1] / dim,
        }
        scale = round((len(weights['upsampler.convs.0.bias']) / channels) ** 0.5)
        return {'arch': cls.name_arch(fields), 'scale': scale, 'in_channels': channels}


OFFICIAL_NAMES = (
    (r'^overlap_embed\.0\.proj\.', 'conv_first.'),
    (r'^deep_feature_extraction\.\d+\.(weight|bias)$', r'conv_after_body.\1'),
    (r'^deep_feature_extraction\.(\d+)\.body\.\d+\.(weight|bias)$', r'groups.\1.conv.\2'),
    (r'^deep_feature_extraction\.(\d+)\.body\.(\d+)\.', r'groups.\1.blocks.\2.'),
    (r'^upsample\.0\.', 'upsampler.convs.0.'),
    (r'\.norm[13]\.body\.', '.norm1.'),
    (r'\.norm[24]\.body\.', '.norm2.'),
    (r'\.IDynamicDWConv\.conv\.conv1\.0\.', '.attn.reduce.'),
    (r'\.IDynamicDWConv\.conv\.conv1\.1\.', '.attn.depthwise.'),
    (r'\.IDynamicDWConv\.conv\.conv2\.0\.', '.attn.expand.'),
    (r'\.IDynamicDWConv\.conv0\.', '.attn.proj_in.'),
    (r'\.IDynamicDWConv\.conv1\.', '.attn.proj_out.'),
    (r'\.restormer_attn\.', '.attn.'),
    (r'\.(IDynamic|restormer)_ffn\.', '.mlp.'),
    (r'\.qkv_dwconv\.', '.dwconv.'),
    (r'\.attn\.project_out\.', '.attn.proj.'),
    (r'\.project_in\.', '.fc1.'),
    (r'\.project_out\.', '.fc2.'),
)

DLGSANet.archs = {
    'tiny': Arch(dim=48, groups=3, blocks=3),
    'light': Arch(dim=48, groups=4, blocks=3),
    'large': Arch(dim=90, groups=6, blocks=4),
}

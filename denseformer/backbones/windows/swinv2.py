"""Swin Transformer V2: shifted windows with cosine attention, norms behind the branches, and a bias made by a network.

Paper: "Swin Transformer V2: Scaling Up Capacity and Resolution", https://arxiv.org/abs/2111.09883.
Official code: https://github.com/microsoft/Swin-Transformer (MIT), which has this network for classification only.

The position bias comes from a small network on log-spaced offsets, so any window loads any checkpoint. As in the
authors' code, the window is as large as the shorter side of the map, and does not shift, where that side is no longer
than a window; this is decided for each input. Their code takes an image size fixed at construction, a multiple of all
windows; here maps are zero-padded to whole windows as in Swin, and odd ones to even before merging. The maps returned
are those that leave the stages; only the last one is normalised, as the authors' classifier sees it.

Legend: B batch, H W map, C channels, h heads, d head width, N tokens of a window.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.shifted import gather_windows, plan_windows, planned_attention, scatter_windows
from denseformer.attention.windows import Size, position_bias
from denseformer.backbones.base import BackboneOptions
from denseformer.backbones.windows import swin
from denseformer.checkpoints.keys import StateDict, drop, rename, stages_from
from denseformer.layers import Linear, Mlp, PatchMerging, PostNormBlock
from denseformer.network import Source
from denseformer.registry import MODELS

MAX_LOGIT_SCALE = math.log(100)


class ContinuousPositionBias(nn.Sequential):
    """Offsets between query and key, on a logarithmic scale, to a bias per head in (0, 16).

    forward(window) -> (heads, N, N). pretrained_window: offsets are measured in windows of this side; None for those
    of the window given.
    """

    def __init__(self, heads: int, pretrained_window: int | None):
        super().__init__(Linear(2, 512), nn.ReLU(), Linear(512, heads, bias=False))
        self.pretrained_window = pretrained_window

    def forward(self, window: Size) -> Tensor:
        weight = self.get_parameter('0.weight')
        axes = [torch.arange(1 - side, side, device=weight.device, dtype=weight.dtype) for side in window]
        units = [max((self.pretrained_window or side) - 1, 1) for side in window]
        offsets = 8 * torch.cartesian_prod(*(axis / unit for axis, unit in zip(axes, units, strict=True)))
        offsets = offsets.sign() * (1 + offsets.abs()).log2() / 3
        return position_bias(16 * super().forward(offsets).sigmoid(), window)


class CosineWindowAttention(nn.Module):
    """Attention by the cosine between query and key, inside shifted windows: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int, *, window: int, shifted: bool, pretrained_window: int | None):
        super().__init__()
        self.heads, self.window, self.shifted = heads, window, shifted
        self.qkv = Linear(dim, 3 * dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.logit_scale = nn.Parameter(torch.full((heads, 1), math.log(10)))
        self.bias = ContinuousPositionBias(heads, pretrained_window)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        B, H, W, _ = x.shape
        window, shift = self.windows_of((H, W))
        plan = plan_windows(B, (H, W), window, shift, x.device)
        qkv = gather_windows(self.cosine_qkv(x), plan, window[0] * window[1])  # (n, N, 3C)
        out = scatter_windows(planned_attention(qkv, self.heads, self.bias(window), plan), plan, B, (H, W))
        # The weights of each query add up to 1, so what is common to all values can be added behind.
        bias = F.linear(self.v_bias, self.proj.weight, self.proj.bias)
        return F.linear(out, self.proj.weight, bias)

    def windows_of(self, size: Size) -> tuple[Size, Size]:
        """Window and shift on a map of this size."""
        shorter = min(size)
        if shorter <= self.window:
            return (shorter, shorter), (0, 0)
        shift = self.window // 2 if self.shifted else 0
        return (self.window, self.window), (shift, shift)

    def cosine_qkv(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, 3C): unit queries times what makes logits of cosines, unit keys, values less bias.

        Zeros may pad these maps: zero queries, keys and values are what zero tokens have once the biases are set apart.
        """
        no_bias = torch.zeros_like(self.q_bias)
        qkv = F.linear(x, self.qkv.weight, torch.cat([self.q_bias, no_bias, no_bias]))
        qkv = qkv.unflatten(-1, (3, self.heads, -1))  # (B, H, W, 3, h, d)
        norms = torch.linalg.vector_norm(qkv[..., :2, :, :], dim=-1, keepdim=True).clamp(min=1e-12)
        head_width = qkv.shape[-1]
        gain = self.logit_scale.clamp(max=MAX_LOGIT_SCALE).exp() * head_width**0.5  # the attention divides by this root
        factors = [gain / norms[..., 0, :, :], 1 / norms[..., 1, :, :], torch.ones_like(norms[..., 0, :, :])]
        return (qkv * torch.stack(factors, dim=-3).to(qkv.dtype)).flatten(3)


def silent_norm(dim: int) -> nn.LayerNorm:
    """A LayerNorm that lets nothing through until it has been trained: blocks start as the identity."""
    norm = nn.LayerNorm(dim)
    nn.init.zeros_(norm.weight)
    return norm


@dataclass(frozen=True, kw_only=True)
class Arch(swin.Arch):
    """pretrained_windows: the side of the windows per stage that the position bias was trained with, if another."""

    window: int = 8
    pretrained_windows: tuple[int, ...] | None = None


@MODELS.register_module()
class SwinV2(swin.SwinBase):
    """Swin Transformer V2.

    Args:
        window_size: side of a window in tokens; None for the variant's own (8, the large variant's 16). The models of
            256 pixel images were published with 8 and 16.
        pretrained_windows: side of the windows per stage with which the checkpoint's position biases were trained, when
            `window_size` differs from it: (12, 12, 12, 6) for the models pre-trained on 192 pixel images,
            (16, 16, 16, 8) to go on from window 16 at 256 pixels to larger images; None for the variant's own.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='Swin Transformer V2: Scaling Up Capacity and Resolution, https://arxiv.org/abs/2111.09883',
        code='https://github.com/microsoft/Swin-Transformer',
        license='MIT',
    )
    input_size = 256
    no_weight_decay = ('norm', 'attn.bias', 'logit_scale')
    make_downsample = partial(PatchMerging, norm_after=True)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        window_size: int | None = None,
        pretrained_windows: Sequence[int] | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        stages = len(self.arch.depths)
        self.window_size = window_size or self.arch.window
        self.pretrained_windows = pretrained_windows or self.arch.pretrained_windows or (None,) * stages
        if len(self.pretrained_windows) != stages:
            raise ValueError(f'pretrained_windows needs {stages} entries, got {tuple(self.pretrained_windows)}.')
        self.build(drop_path_rate, [*(nn.Identity() for _ in range(stages - 1)), nn.LayerNorm(self.arch.widths[-1])])

    def make_block(self, stage: int, index: int, drop_path: float) -> nn.Module:
        width = self.arch.widths[stage]
        attn = CosineWindowAttention(
            width,
            self.arch.heads[stage],
            window=self.window_size,
            shifted=bool(index % 2),
            pretrained_window=self.pretrained_windows[stage],
        )
        return PostNormBlock(width, attn, Mlp(width, 4 * width), norm=silent_norm, drop_path=drop_path)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'SwinV2') -> StateDict:
        """From `layers.i`, where merging closes the stage before; the last norm is the last map's."""
        constants = r'\.(relative_coords_table|relative_position_index|attn_mask)$'
        state_dict = rename(
            drop(state_dict, constants, r'^head\.'),
            *stages_from('layers'),
            (r'^norm\.', f'out_norms.{len(network.arch.depths) - 1}.'),
            (r'\.cpb_mlp\.', '.bias.'),
        )
        scales = {key: value.flatten(1) for key, value in state_dict.items() if key.endswith('.logit_scale')}
        return {**state_dict, **scales}


SwinV2.archs = {
    'tiny': Arch(width=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24)),
    'small': Arch(width=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24)),
    'base': Arch(width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32)),
    'large': Arch(
        width=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48), window=16, pretrained_windows=(12, 12, 12, 6)
    ),
}

"""The skeleton of SwinIR and its successors: a convolution, groups of blocks on channel-last maps, an upsampler.

Legend: B batch, H W map, C channels.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from denseformer.checkpoints.keys import Rule, StateDict, count
from denseformer.layers import DropPath, LayerNorm, Mlp, accumulate_mlp
from denseformer.layers.window_attention import ShiftedWindowAttention
from denseformer.restoration.networks.base import RGB_MEAN, RestorationNetwork
from denseformer.restoration.networks.layers import (
    DirectUpsampler,
    NearestUpsampler,
    NoUpsampler,
    ShuffleUpsampler,
    conv3x3,
    convolve,
    residual_conv,
)

Run = Callable[..., Any]

UPSAMPLERS = {'pixelshuffle': ShuffleUpsampler, 'pixelshuffledirect': DirectUpsampler, 'nearest+conv': NearestUpsampler}


class SwinBlock(nn.Module):
    """Windowed attention and an MLP, each pre-normalised and residual: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int, *, window: int, shift: int, mlp_ratio: float, drop_path: float):
        super().__init__()
        self.norm1 = LayerNorm(dim)
        self.attn = ShiftedWindowAttention(dim, heads, window=window, shift=shift)
        self.norm2 = LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return accumulate_mlp(x, self.norm2, self.mlp, drop_path=self.drop_path)


class ResidualGroup(nn.Module):
    """Blocks, then a convolution, and what came in added: (B, H, W, C) -> the same."""

    def __init__(self, blocks: Iterable[nn.Module], conv: nn.Module):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.conv = conv

    def forward(self, x: Tensor, run: Run) -> Tensor:
        """run: calls a block, and decides whether to keep its activations."""
        out = x
        for block in self.mixers():
            out = run(block, out)
        return x + convolve(self.conv, out)

    def mixers(self) -> Iterable[nn.Module]:
        """What is called in turn before the convolution."""
        return self.blocks


def drop_path_rates(rate: float, groups: int, blocks: int) -> list[list[float]]:
    """Stochastic depth of each block of each group: linear from 0 at the first block to `rate` at the last."""
    rates = [rate * i / max(groups * blocks - 1, 1) for i in range(groups * blocks)]
    return [rates[i * blocks : (i + 1) * blocks] for i in range(groups)]


class SwinIRBase(RestorationNetwork):
    """Mean subtracted, a convolution, `groups`, a norm and a convolution, residual; then an upsampler, mean added.

    A subclass's constructor hands its parts to `assemble`.
    """

    def assemble(
        self,
        *,
        dim: int,
        groups: Iterable[nn.Module],
        upsampler: str = 'pixelshuffle',
        closing: str = '1conv',
        norm_eps: float = 1e-5,
        embed_norm: bool = True,
        image_range: float = 1.0,
    ) -> None:
        """Take the parts over and initialise the linear layers.

        upsampler: a key of `UPSAMPLERS`, or '' to keep the size and add the restored image to the given one; closing:
        the `residual_conv` before the upsampler; image_range: what the image is multiplied by inside.
        """
        self.image_range = image_range
        self.mean = RGB_MEAN if self.in_channels == 3 else (0.0,) * self.in_channels
        self.conv_first = conv3x3(self.in_channels, dim)
        self.embed_norm = LayerNorm(dim) if embed_norm else nn.Identity()
        self.groups = nn.ModuleList(groups)
        self.norm = LayerNorm(dim, eps=norm_eps)
        self.conv_after_body = residual_conv(dim, closing)
        self.adds_image = not upsampler
        if upsampler:
            self.upsampler = UPSAMPLERS[upsampler](dim, self.in_channels, self.scale)
        else:
            self.upsampler = NoUpsampler(dim, self.in_channels)
        self.apply(initialize_linear)

    def restore(self, image: Tensor) -> Tensor:
        mean = image.new_tensor(self.mean).view(1, -1, 1, 1)
        centred = ((image - mean) * self.image_range).contiguous(memory_format=torch.channels_last)
        shallow = self.conv_first(centred)
        x = self.embed_norm(shallow.permute(0, 2, 3, 1))  # (B, H, W, C)
        for group in self.groups:
            x = group(x, self.run)
        deep = self.conv_after_body(self.norm(x).permute(0, 3, 1, 2)) + shallow  # (B, C, H, W)
        restored = self.upsampler(deep)
        if self.adds_image:
            restored = restored + centred
        return restored / self.image_range + mean


def initialize_linear(module: nn.Module) -> None:
    """Normal weights of width 0.02 and no bias, as all of these networks start from."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


TRUNK_RULES: tuple[Rule, ...] = (
    (r'^patch_embed\.norm\.', 'embed_norm.'),
    (r'^layers\.(\d+)\.(?:residual_group\.)?', r'groups.\1.'),
    (r'\.attn\.relative_position_bias_table$', '.attn.bias.table'),
    (r'^conv_before_upsample\.0\.', 'upsampler.conv_before.'),
    (r'^upsample\.(\d)\.', lambda match: f'upsampler.convs.{int(match[1]) // 2}.'),
    (r'^conv_up(\d)\.', lambda match: f'upsampler.convs.{int(match[1]) - 1}.'),
    (r'^conv_(hr|last)\.', r'upsampler.conv_\1.'),
)
"""From the authors' names, which these networks share, to ours."""


def infer_trunk(state_dict: StateDict) -> dict[str, Any] | None:
    """dim, in_channels, groups, upsampler and scale of a state dict in our layout; None if it is no such network's."""
    first, body = state_dict.get('conv_first.weight'), state_dict.get('norm.weight')
    if first is None or body is None or 'groups.0.blocks.0.norm1.weight' not in state_dict:
        return None
    channels = first.shape[1]
    convs = count(state_dict, r'upsampler\.convs\.(\d+)\.weight')
    if 'upsampler.conv_hr.weight' in state_dict:
        upsampler, scale = 'nearest+conv', 2**convs
    elif 'upsampler.conv_before.weight' in state_dict:
        factor = state_dict['upsampler.convs.0.weight']
        upsampler = 'pixelshuffle'
        scale = 3 if factor.shape[0] == 9 * factor.shape[1] else 2**convs
    elif convs:
        upsampler = 'pixelshuffledirect'
        scale = round((state_dict['upsampler.convs.0.weight'].shape[0] / channels) ** 0.5)
    else:
        upsampler, scale = '', 1
    return {
        'dim': first.shape[0],
        'in_channels': channels,
        'groups': count(state_dict, r'groups\.(\d+)\.'),
        'upsampler': upsampler,
        'scale': scale,
    }


def infer_window(table: Tensor) -> tuple[int, int]:
    """The side of the window, and the number of heads, of a table of position biases."""
    rows, heads = table.shape
    return (round(rows**0.5) + 1) // 2, heads

"""The base of SwinIR and its successors: a convolution, groups of blocks on channel-last maps, an upsampler.

Legend: B batch, H W map, C channels.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from denseformer.checkpoints.keys import Rule, StateDict, count
from denseformer.layers.initializers import linears
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
        """The modules that are called in turn before the convolution."""
        return self.blocks


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
        """Take the parts over and draw the initial weights of linear layers.

        upsampler: a key of `UPSAMPLERS`, or '' to keep the size and add the restored image to the given one; closing:
        the `residual_conv` before the upsampler; image_range: what the image is multiplied by inside.
        """
        self.image_range = image_range
        self.mean = RGB_MEAN if self.in_channels == 3 else (0.0,) * self.in_channels
        self.conv_first = conv3x3(self.in_channels, dim)
        self.embed_norm = nn.LayerNorm(dim) if embed_norm else nn.Identity()
        self.groups = nn.ModuleList(groups)
        self.norm = nn.LayerNorm(dim, eps=norm_eps)
        self.conv_after_body = residual_conv(dim, closing)
        self.adds_image = not upsampler
        if upsampler:
            self.upsampler = UPSAMPLERS[upsampler](dim, self.in_channels, self.scale)
        else:
            self.upsampler = NoUpsampler(dim, self.in_channels)
        self.apply(linears)

    def restore(self, image: Tensor) -> Tensor:
        mean = image.new_tensor(self.mean).view(1, -1, 1, 1)
        centered = ((image - mean) * self.image_range).contiguous(memory_format=torch.channels_last)
        shallow = self.conv_first(centered)
        x = self.embed_norm(shallow.permute(0, 2, 3, 1))  # (B, H, W, C)
        for group in self.groups:
            x = group(x, self.run)
        deep = self.conv_after_body(self.norm(x).permute(0, 3, 1, 2)) + shallow  # (B, C, H, W)
        restored = self.upsampler(deep)
        if self.adds_image:
            restored = restored + centered
        return restored / self.image_range + mean

    @classmethod
    def infer_options(cls, state_dict: StateDict) -> dict[str, Any] | None:
        weights = cls.remap_official_keys(state_dict, None)
        trunk = infer_trunk(weights)
        arch = None if trunk is None else cls.infer_arch(weights, trunk)
        if trunk is None or arch is None:
            return None
        return {'arch': cls.name_arch(arch), 'scale': trunk['scale'], 'in_channels': trunk['in_channels']}

    @classmethod
    def infer_arch(cls, weights: StateDict, trunk: dict[str, Any]) -> dict[str, Any] | None:
        """The fields of the arch record of weights in our layout; None if they are another family's.

        trunk: what `infer_trunk` reads from them.
        """
        raise NotImplementedError


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

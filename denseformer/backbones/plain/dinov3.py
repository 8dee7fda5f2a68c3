"""DINOv3: vision transformers trained without labels, with rotary positions.

Paper: "DINOv3", https://arxiv.org/abs/2508.10104.
Official code: https://github.com/facebookresearch/dinov3 (DINOv3 License: code and weights; not an OSI license).

As DINOv2 with four registers and no position table: queries and keys of patches are turned by where the patch's center
lies in the image, rows and columns from -1 to 1 whatever the map's size. Keys have no bias. Several variants gate
their MLPs. The family's ConvNeXts are variants of `ConvNeXt`.

Legend: B batch, H W the map in patches, C channels, N tokens, d head width.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.rotary import centered_angles, centered_rotation
from denseformer.backbones.plain.base import PlainArch, PlainBackbone, PlainOptions
from denseformer.backbones.plain.embedding import Patches, Size, TokenEmbed
from denseformer.checkpoints.keys import StateDict, drop, join, rename
from denseformer.layers import Mlp, PreNormBlock, SelfAttention, SwiGLU
from denseformer.network import Source
from denseformer.registry import MODELS

ROTARY_BASE = 100.0
LARGEST_RESCALE = 2.0


@dataclass(frozen=True, kw_only=True)
class Arch(PlainArch):
    """swiglu: whether MLPs are gated; qv_bias: whether queries and values have a bias."""

    swiglu: bool = False
    qv_bias: bool = True


@MODELS.register_module()
class DINOv3(PlainBackbone):
    """DINOv3; every map passes through the final norm.

    Args:
        registers: tokens besides the class token; 4 in all published weights.
        drop_path_rate: stochastic depth of every block.
        The others are described in `PlainBackbone`; `image_size` decides nothing here.

    What does not fill a patch at the right and the bottom of an image is left out, as in the authors' code. While its
    last block is trained, each forward pass draws how far apart the patches lie, from half as far to twice as far.
    """

    source = Source(
        paper='DINOv3, https://arxiv.org/abs/2508.10104',
        code='https://github.com/facebookresearch/dinov3',
        license='DINOv3 License',
    )
    normed_outputs = True

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'small',
        registers: int = 4,
        drop_path_rate: float = 0.0,
        **common: Unpack[PlainOptions],
    ):
        super().__init__(arch=arch, **common)
        dim = self.arch.width
        norm = partial(nn.LayerNorm, eps=1e-5)
        mlp = SwiGLU if self.arch.swiglu else Mlp
        self.build(
            patch_embed=TokenEmbed(
                Patches(self.in_channels, dim, self.patch_size, pad=False), dim, registers=registers
            ),
            blocks=[
                PreNormBlock(
                    dim,
                    SelfAttention(dim, self.arch.heads, qkv_bias='qv' if self.arch.qv_bias else False),
                    mlp(dim, self.arch.mlp_width),
                    drop_path=drop_path_rate,
                    norm=norm,
                    layer_scale=1e-5,
                )
                for _ in range(self.arch.blocks)
            ],
            norm=norm(dim),
        )

    def context(self, x: Tensor, size: Size) -> tuple[Any, ...]:
        """The rotation of queries and keys, in single precision at least."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        places = size, self.arch.width // self.arch.heads, ROTARY_BASE, self.patch_embed.prefix, x.device, dtype
        if not self.blocks[-1].training:
            return (centered_rotation(*places),)
        angle = centered_angles(*places) * LARGEST_RESCALE ** float(torch.empty(()).uniform_(-1, 1))
        return ((angle.sin(), angle.cos()),)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: PlainBackbone) -> StateDict:
        """From the authors' layout, whose bias of keys is stored and never used, and from timm's.

        timm leaves out biases that are zero, of all its networks but those with `qkvb` in their name.
        """
        timms = any(re.fullmatch(r'blocks\.\d+\.gamma_1', key) for key in state_dict)
        biases = any(key.endswith(('.attn.qkv.bias', '.attn.q_bias')) for key in state_dict)
        if timms and network.arch.qv_bias and not biases:
            weights = {key: value for key, value in state_dict.items() if key.endswith('.attn.qkv.weight')}
            zeros = {key[:-6] + 'bias': value.new_zeros(len(value)) for key, value in weights.items()}
            state_dict = {**state_dict, **zeros}
        state_dict = drop(state_dict, r'^rope_embed\.', r'\.bias_mask$', r'^local_cls_norm\.', r'^cls_norm\.')
        for key in [key for key in state_dict if key.endswith('.attn.qkv.bias')]:
            state_dict[key[:-4] + 'q_bias'], _, state_dict[key[:-4] + 'v_bias'] = state_dict.pop(key).chunk(3)
        state_dict = rename(
            state_dict, (r'\.mlp\.(w1|fc1_g)\.', '.mlp.gates.'), (r'\.mlp\.(w2|fc1_x)\.', '.mlp.values.')
        )
        state_dict = rename(join(state_dict, ('gates', 'values'), 'fc1'), (r'\.mlp\.w3\.', '.mlp.fc2.'))
        return PlainBackbone.remap_official_keys(state_dict, network)


DINOv3.archs = {
    'tiny': Arch(width=192, blocks=12, heads=3),  # distilled by others
    'small': Arch(width=384, blocks=12, heads=6),
    'small_plus': Arch(width=384, blocks=12, heads=6, hidden=1536, swiglu=True),
    'base': Arch(width=768, blocks=12, heads=12),
    'large': Arch(width=1024, blocks=24, heads=16, out_indices=(4, 11, 17, 23)),
    'large_plus': Arch(width=1024, blocks=24, heads=16, hidden=4096, swiglu=True, out_indices=(4, 11, 17, 23)),
    'huge_plus': Arch(width=1280, blocks=32, heads=20, hidden=5120, swiglu=True),
    '7b': Arch(width=4096, blocks=40, heads=32, hidden=8192, swiglu=True, qv_bias=False),
}

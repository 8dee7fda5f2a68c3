"""SwinIR: Swin Transformer blocks for image restoration.

Paper: "SwinIR: Image Restoration Using Swin Transformer", https://arxiv.org/abs/2108.10257.
Official code: https://github.com/JingyunLiang/SwinIR (Apache-2.0).

Groups of shifted-window blocks at the image's own resolution, each closed by a convolution. One network serves
super-resolution (pixel shuffling), real-world super-resolution (nearest neighbors and convolutions), denoising and
JPEG artefacts (the image itself is added). The JPEG variant has windows of 7, which do not coincide with JPEG's blocks,
and works on [0, 255] inside.

The network reflects the image up to a multiple of the window, as the authors' does. Their test script besides mirrors
the image by 1 to a whole window more before that, which changes the border of the published results slightly.

Legend: B batch, H W map, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import Unpack

from denseformer.checkpoints.keys import StateDict, count, drop, rename
from denseformer.layers import Mlp, PreNormBlock, ShiftedWindowAttention, drop_path_rates
from denseformer.network import Source
from denseformer.registry import MODELS
from denseformer.restoration.networks.base import RestorationOptions
from denseformer.restoration.networks.layers import residual_conv
from denseformer.restoration.networks.trunk import TRUNK_RULES, ResidualGroup, SwinIRBase, infer_window


@dataclass(frozen=True, kw_only=True)
class Arch:
    """groups, blocks: residual groups, and blocks of each; closing: '1conv' or '3conv', what closes a group.

    upsampler: 'pixelshuffle', 'pixelshuffledirect', 'nearest+conv', or '' for a network that keeps the size;
    image_range: what the image, in [0, 1], is multiplied by inside.
    """

    dim: int
    groups: int
    blocks: int = 6
    heads: int = 6
    window: int = 8
    mlp_ratio: float = 2
    upsampler: str = 'pixelshuffle'
    closing: str = '1conv'
    image_range: float = 1


@MODELS.register_module()
class SwinIR(SwinIRBase):
    """SwinIR.

    Args:
        scale: None for 4, or for 1 where the variant keeps the size (denoising, jpeg).
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0 at the first.
        The others are described in `RestorationNetwork`.
    """

    source = Source(
        paper='SwinIR: Image Restoration Using Swin Transformer, https://arxiv.org/abs/2108.10257',
        code='https://github.com/JingyunLiang/SwinIR',
        license='Apache-2.0',
    )
    scales = (1, 2, 3, 4, 8)
    tile_overlap = 32

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'light',
        drop_path_rate: float = 0.1,
        **common: Unpack[RestorationOptions],
    ):
        upsampler = self.resolve_arch(arch).upsampler
        if common.get('scale') is None:
            common['scale'] = 4 if upsampler else 1
        super().__init__(arch=arch, **common)
        if (self.scale == 1) == bool(upsampler):
            what = 'enlarges, and takes another scale' if upsampler else 'keeps the size, and takes scale 1'
            raise ValueError(f'This arch of SwinIR {what} than {self.scale}: {arch}.')
        self.size_multiple = self.arch.window
        self.assemble(
            dim=self.arch.dim,
            groups=self._groups(drop_path_rate),
            upsampler=upsampler,
            closing=self.arch.closing,
            image_range=self.arch.image_range,
        )

    def _groups(self, drop_path_rate: float) -> list[ResidualGroup]:
        arch = self.arch
        return [
            ResidualGroup(
                [
                    PreNormBlock(
                        arch.dim,
                        ShiftedWindowAttention(
                            arch.dim, arch.heads, window=arch.window, shift=arch.window // 2 * (i % 2)
                        ),
                        Mlp(arch.dim, int(arch.dim * arch.mlp_ratio)),
                        drop_path=rate,
                    )
                    for i, rate in enumerate(rates)
                ],
                residual_conv(arch.dim, arch.closing),
            )
            for rates in drop_path_rates(drop_path_rate, [arch.blocks] * arch.groups)
        ]

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any = None) -> StateDict:
        """Position indices and shift masks, which the authors keep as buffers, are dropped."""
        return rename(drop(state_dict, r'\.relative_position_index$', r'\.attn_mask$'), *TRUNK_RULES)

    @classmethod
    def infer_arch(cls, weights: StateDict, trunk: dict[str, Any]) -> dict[str, Any] | None:
        """The range of the image leaves no trace in the weights: it is 255 for windows of 7 without an upsampler."""
        first = 'groups.0.blocks.0.'
        foreign = (f'{first}conv_block.conv1.weight', f'{first}conv_block.cab.0.weight', 'groups.0.adjust.0.weight')
        if f'{first}attn.bias.table' not in weights or any(key in weights for key in foreign):
            return None
        window, heads = infer_window(weights[f'{first}attn.bias.table'])
        return {
            'dim': trunk['dim'],
            'groups': trunk['groups'],
            'blocks': count(weights, r'groups\.0\.blocks\.(\d+)\.'),
            'heads': heads,
            'window': window,
            'mlp_ratio': weights[f'{first}mlp.fc1.weight'].shape[0] / trunk['dim'],
            'upsampler': trunk['upsampler'],
            'closing': '1conv' if 'conv_after_body.weight' in weights else '3conv',
            'image_range': 255 if window == 7 and not trunk['upsampler'] else 1,
        }


SwinIR.archs = {
    'light': Arch(dim=60, groups=4, upsampler='pixelshuffledirect'),
    'classical': Arch(dim=180, groups=6),
    'real': Arch(dim=180, groups=6, upsampler='nearest+conv'),
    'real_large': Arch(dim=240, groups=9, heads=8, upsampler='nearest+conv', closing='3conv'),
    'denoising': Arch(dim=180, groups=6, upsampler=''),
    'jpeg': Arch(dim=180, groups=6, window=7, upsampler='', image_range=255),
}

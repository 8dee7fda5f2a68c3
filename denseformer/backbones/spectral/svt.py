"""SVT, the Scattering Vision Transformer: mixing in wavelet bands on the finest map, attention on the others.

Paper: "Scattering Vision Transformer: Spectral Mixing Matters", https://arxiv.org/abs/2311.01310.
Official code: https://github.com/badripatro/svt (no licence given), for classification only.

In the first stage a dual-tree complex wavelet transform splits the map. Its low frequencies are multiplied by a learned
map, its six complex bands go through an MLP of complex numbers at each position, and the inverse transform joins them.
Of the mixers in the authors' file this is the one that their networks use. All else is SpectFormer's.

The learned maps fit images of 224 x 224 alone in the authors' code. Here they are resized bilinearly for others, and a
map with an odd side is continued by its last row or column, as the transform does, and cropped.

Legend: B batch, H W map, C channels, G groups, d = C / G, P positions of all bands.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.attention.wavelets import dual_tree, inverse_dual_tree
from denseformer.backbones.base import Backbone
from denseformer.backbones.spectral.spectformer import ARCHS, SpectralTransformer
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.dynamic_shapes import needs_padding, padding_to_multiple
from denseformer.layers import resize_positions
from denseformer.network import Source
from denseformer.registry import MODELS

GROUPS = 4


def drawn(*shape: int) -> Tensor:
    return nn.init.normal_(torch.empty(shape), std=0.02)


class ComplexLinear(nn.Module):
    """A linear layer on complex channels in groups: real and imaginary parts (B, G, d, P) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        width = dim // GROUPS
        self.weight = nn.Parameter(drawn(2, GROUPS, width, width))  # (real or imaginary, G, in, out)
        self.bias = nn.Parameter(drawn(2, GROUPS, width))

    def forward(self, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self.weight.to(real.dtype).mT
        bias_a, bias_b = self.bias.to(real.dtype)[..., None]
        return a @ real - b @ imaginary + bias_a, b @ real + a @ imaginary + bias_b


class Scattering(nn.Module):
    """A gain for low frequencies, an MLP for the complex bands of high ones: (B, H, W, C) -> the same.

    side: of the square map that the gains are made for.
    """

    def __init__(self, dim: int, side: int):
        super().__init__()
        self.gains = nn.Parameter(drawn(side, side, dim))
        self.fc1 = ComplexLinear(dim)
        self.fc2 = ComplexLinear(dim)

    def forward(self, x: Tensor) -> Tensor:
        H, W = x.shape[1:3]
        wide = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            low, real, imaginary = dual_tree(pad_to_even(x.permute(0, 3, 1, 2).to(wide)))
            gains = resize_positions(self.gains.to(wide), (low.shape[2], low.shape[3]))
            out = inverse_dual_tree(low * gains.permute(2, 0, 1), *self.mix(real, imaginary))
        return out[..., :H, :W].permute(0, 2, 3, 1).to(x.dtype)

    def mix(self, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """The MLP: (B, C, bands, H/2, W/2) each -> the same."""
        shape = real.shape
        real, imaginary = (part.flatten(2).unflatten(1, (GROUPS, -1)) for part in (real, imaginary))  # (B, G, d, P)
        hidden = self.fc1(real, imaginary)
        return tuple(part.reshape(shape) for part in self.fc2(*(part.relu() for part in hidden)))


def pad_to_even(x: Tensor) -> Tensor:
    """(B, C, H, W) with its last row and column once more where a side is odd."""
    bottom, right = padding_to_multiple(x.shape[2], 2), padding_to_multiple(x.shape[3], 2)
    return F.pad(x, (0, right, 0, bottom), mode='replicate') if needs_padding(bottom, right) else x


@MODELS.register_module()
class SVT(SpectralTransformer):
    """Scattering vision transformer, with wavelets in the first stage. Arguments as in `SpectralTransformer`."""

    source = Source(
        paper='Scattering Vision Transformer: Spectral Mixing Matters, https://arxiv.org/abs/2311.01310',
        code='https://github.com/badripatro/svt',
        license='none given',
    )
    archs = ARCHS

    def make_mixer(self, stage: int) -> nn.Module:
        return self.make_attention(stage) if stage else Scattering(self.arch.widths[stage], self.side(stage))

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Backbone) -> StateDict:
        """From `SpectralTransformer`'s names without the transform's constants; gains (C, H, W) become (H, W, C)."""
        state_dict = rename(
            drop(SpectralTransformer.remap_official_keys(state_dict, network), r'\.attn\.[xi]fm\.'),
            (r'\.attn\.complex_weight_lh_([12])$', r'.attn.fc\1.weight'),
            (r'\.attn\.complex_weight_lh_b([12])$', r'.attn.fc\1.bias'),
        )
        official = [key for key in state_dict if key.endswith('.attn.complex_weight_ll')]
        for key in official:
            state_dict[key.replace('complex_weight_ll', 'gains')] = state_dict.pop(key).permute(1, 2, 0)
        own = dict(network.named_parameters())
        for key in [key for key in state_dict if key.endswith('.attn.gains') and key in own]:
            state_dict[key] = resize_positions(state_dict[key], tuple(own[key].shape[:2]))
        return state_dict

"""CFSR: a ConvFormer for efficient super-resolution.

Paper: "Transforming Image Super-Resolution: A ConvFormer-based Efficient Approach", https://arxiv.org/abs/2401.05633.
Official code: https://github.com/Aitical/CFSR (no licence stated).

Self-attention is replaced by a 9 x 9 depth-wise convolution that modulates a linear projection. The MLP holds a 3 x 3
depth-wise convolution which in training is the sum of a learned kernel and three fixed ones (two Sobel, a Laplacian)
with learned gains; for use they are `merge`d into one. The published checkpoints, and the authors' class, exist in the
merged form only. Their fixed kernels have one misplaced entry each, kept here.

Legend: B batch, H W map, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.checkpoints.keys import StateDict, count, linear_from_pointwise, rename
from denseformer.layers import DepthwiseConv, Linear
from denseformer.network import Source
from denseformer.registry import MODELS
from denseformer.restoration.networks.base import RestorationOptions
from denseformer.restoration.networks.layers import ResidualConvMlp
from denseformer.restoration.networks.trunk import TRUNK_RULES, ResidualGroup, Run, SwinIRBase

EDGES = {
    'sobel_x': ((0, 1, -1), (2, 0, -2), (1, 0, -1)),
    'sobel_y': ((1, 2, 1), (0, 0, 0), (-1, -2, -1)),
    'laplacian': ((1, 0, 0), (1, -4, 1), (0, 1, 0)),
}


class ConvModulation(nn.Module):
    """A large depth-wise convolution gating a linear projection: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, kernel_size: int):
        super().__init__()
        self.gate = Linear(dim, dim)
        self.act = nn.GELU()
        self.dwconv = DepthwiseConv(dim, kernel_size)
        self.value = Linear(dim, dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(self.dwconv(self.act(self.gate(x))) * self.value(x))


class EdgeBranch(nn.Module):
    """A fixed 3 x 3 kernel with a learned gain and bias per channel."""

    def __init__(self, dim: int, kernel: tuple[tuple[int, ...], ...]):
        super().__init__()
        self.kernel = kernel
        self.scale = nn.Parameter(nn.init.normal_(torch.empty(dim, 1, 1, 1), std=1e-3))
        self.bias = nn.Parameter(nn.init.normal_(torch.empty(dim), std=1e-3))

    def weight(self) -> Tensor:
        return self.scale * self.scale.new_tensor(self.kernel)


class EdgeConv(DepthwiseConv):
    """A 3 x 3 depth-wise convolution, with `branches` of fixed kernels until they are merged: (B, H, W, C) -> same."""

    def __init__(self, dim: int, merged: bool):
        super().__init__(dim)
        self.branches = nn.ModuleDict()
        if not merged:
            self.branches.update({name: EdgeBranch(dim, kernel) for name, kernel in EDGES.items()})

    def merged(self) -> tuple[Tensor, Tensor]:
        weight, bias = self.weight, self.bias
        for branch in self.branches.values():
            weight, bias = weight + branch.weight(), bias + branch.bias
        return weight, bias

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x.permute(0, 3, 1, 2), *self.merged()).permute(0, 2, 3, 1)  # (B, H, W, C)

    @torch.no_grad()
    def merge(self) -> None:
        weight, bias = self.merged()
        self.weight.copy_(weight)
        self.bias.copy_(bias)
        self.branches.clear()


class Block(nn.Module):
    """Modulation and an MLP, each pre-normalised, scaled per channel and residual: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, *, kernel_size: int, mlp_ratio: int, merged: bool):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = ConvModulation(dim, kernel_size)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = ResidualConvMlp(dim, dim * mlp_ratio, partial(EdgeConv, merged=merged))
        self.gamma1 = nn.Parameter(torch.full((dim,), 1e-6))
        self.gamma2 = nn.Parameter(torch.full((dim,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x)) * self.gamma1.to(x.dtype)
        return x + self.mlp(self.norm2(x)) * self.gamma2.to(x.dtype)


class Group(ResidualGroup):
    """Blocks, and a 1 x 1 convolution of what they return added to it: (B, H, W, C) -> the same."""

    def forward(self, x: Tensor, run: Run) -> Tensor:
        for block in self.blocks:
            x = run(block, x)
        return x + self.conv(x)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """groups, blocks: residual groups, and blocks of each; kernel_size: of the convolution that modulates."""

    dim: int = 48
    groups: int = 2
    blocks: int = 6
    kernel_size: int = 9
    mlp_ratio: int = 2


@MODELS.register_module()
class CFSR(SwinIRBase):
    """CFSR.

    Args:
        merged: build the form for use, that of the published checkpoints, rather than the one for training.
        The others are described in `RestorationNetwork`.
    """

    source = Source(
        paper='Transforming Image Super-Resolution: A ConvFormer-based Efficient Approach, '
        'https://arxiv.org/abs/2401.05633',
        code='https://github.com/Aitical/CFSR',
        license='not stated',
    )
    tile_overlap = 32

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'base',
        merged: bool = False,
        **common: Unpack[RestorationOptions],
    ):
        super().__init__(arch=arch, **common)
        self.merged = merged
        arch = self.arch
        self.assemble(
            dim=arch.dim,
            groups=[
                Group(
                    [
                        Block(arch.dim, kernel_size=arch.kernel_size, mlp_ratio=arch.mlp_ratio, merged=merged)
                        for _ in range(arch.blocks)
                    ],
                    Linear(arch.dim, arch.dim),
                )
                for _ in range(arch.groups)
            ],
            upsampler='pixelshuffledirect',
            norm_eps=1e-6,
            embed_norm=False,
        )

    def merge(self) -> 'CFSR':
        """Turn the training form into the merged one, in place; the output stays the same."""
        for module in self.modules():
            if isinstance(module, EdgeConv):
                module.merge()
        self.merged = True
        return self

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any = None) -> StateDict:
        """1 x 1 convolutions become linear layers; the fixed kernels of the training form are dropped."""
        renamed = rename(
            {key: value for key, value in state_dict.items() if '.mlp.mask_' not in key},
            (r'\.attn\.norm\.', '.norm1.'),
            (r'\.attn\.a\.0\.', '.attn.gate.'),
            (r'\.attn\.a\.2\.lkb_reparam\.', '.attn.dwconv.'),
            (r'\.attn\.v\.', '.attn.value.'),
            (r'\.layer_scale_(\d)$', r'.gamma\1'),
            (r'\.mlp\.norm\.', '.norm2.'),
            (r'\.mlp\.pos\.', '.mlp.dwconv.'),
            (r'\.mlp\.scale_(\w+)$', r'.mlp.dwconv.branches.\1.scale'),
            (r'\.mlp\.(sobel_x|sobel_y|laplacian)_bias$', r'.mlp.dwconv.branches.\1.bias'),
            *TRUNK_RULES,
        )
        return linear_from_pointwise(renamed)

    @classmethod
    def infer_arch(cls, weights: StateDict, trunk: dict[str, Any]) -> dict[str, Any] | None:
        first = 'groups.0.blocks.0.'
        if f'{first}attn.gate.weight' not in weights:
            return None
        return {
            'dim': trunk['dim'],
            'groups': trunk['groups'],
            'blocks': count(weights, r'groups\.0\.blocks\.(\d+)\.'),
            'kernel_size': weights[f'{first}attn.dwconv.weight'].shape[-1],
            'mlp_ratio': weights[f'{first}mlp.fc1.weight'].shape[0] // trunk['dim'],
        }

    @classmethod
    def infer_options(cls, state_dict: StateDict) -> dict[str, Any] | None:
        options = super().infer_options(state_dict)
        branched = any('.dwconv.branches.' in key for key in cls.remap_official_keys(state_dict))
        return options and {**options, 'merged': not branched}


CFSR.archs = {'base': Arch()}

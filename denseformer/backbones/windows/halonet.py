"""HaloNet: scaling local self-attention for parameter-efficient visual backbones.

Paper: "Scaling Local Self-Attention for Parameter Efficient Visual Backbones", https://arxiv.org/abs/2103.12731.
No official code is public; networks, numbers and keys are those of timm (Apache-2.0),
https://github.com/huggingface/pytorch-image-models.

A ResNet with a tiered stem, in which some of the bottlenecks' 3 x 3 convolutions are replaced by attention of 8 x 8
blocks to themselves and a halo of 2 or 3 tokens. Where attention has stride 2, every second query is left out.
Maps are returned as they are, without a norm.

timm takes only images whose maps divide into blocks; here maps are zero-padded on the right and at the bottom. Like the
halo outside the image, the padding is not masked: its keys and values are zero.

Legend: B batch, H W map, C channels, h heads, d head width.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.halo import halo_attention
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, strip_classifier
from denseformer.dynamic_shapes import ceil_div
from denseformer.layers import ConvNorm, DropPath, Linear, drop_path_rates, pad_to_multiple, to_channels_last
from denseformer.layers.initializers import draw, fan_out
from denseformer.network import Source
from denseformer.registry import MODELS

BLOCK = 8
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    # in place: what enters them nobody else reads, and wide maps at stride 4 are most of the memory
    'relu': partial(nn.ReLU, inplace=True),
    'silu': partial(nn.SiLU, inplace=True),
}


class Stem(nn.Module):
    """Three convolutions, the first one strided, and a pooling: (B, in_channels, H, W) -> (B, dim, H/4, W/4)."""

    def __init__(self, in_channels: int, dim: int, act: Callable[[], nn.Module]):
        super().__init__()
        self.conv1 = ConvNorm(in_channels, 3 * dim // 8, 3, 2, act=act)
        self.conv2 = ConvNorm(3 * dim // 8, dim // 2, 3, act=act)
        self.conv3 = ConvNorm(dim // 2, dim, 3, act=act)
        self.pool = nn.MaxPool2d(3, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.pool(self.conv3(self.conv2(self.conv1(to_channels_last(image)))))


class HaloAttention(nn.Module):
    """Attention of blocks to their surroundings: (B, C, H, W) -> (B, C, ceil(H/stride), ceil(W/stride))."""

    def __init__(self, dim: int, heads: int, *, halo: int, stride: int):
        super().__init__()
        self.heads, self.halo, self.stride = heads, halo, stride
        self.q = Linear(dim, dim, bias=False)
        self.kv = Linear(dim, 2 * dim, bias=False)
        distances = 2 * (BLOCK + 2 * halo) - 1
        self.height_rel = nn.Parameter(torch.empty(distances, dim // heads))
        self.width_rel = nn.Parameter(torch.empty(distances, dim // heads))
        for embedding in (self.height_rel, self.width_rel):
            nn.init.trunc_normal_(embedding, std=(dim // heads) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        H, W = (ceil_div(side, self.stride) for side in x.shape[2:])
        x = pad_to_multiple(x.permute(0, 2, 3, 1), BLOCK)  # (B, H', W', C)
        q = self.q(x[:, :: self.stride, :: self.stride]).unflatten(-1, (self.heads, -1))
        kv = self.kv(x).unflatten(-1, (self.heads, -1))  # (B, H', W', h, 2d)
        out = halo_attention(q, kv, block=BLOCK, halo=self.halo, rows=self.height_rel, columns=self.width_rel)
        return out[:, :H, :W].flatten(3).permute(0, 3, 1, 2)  # (B, C, H, W)


class Bottleneck(nn.Module):
    """1 x 1 convolution to a quarter of the width, a mixer of tokens, 1 x 1 convolution back, residual.

    mixer: given the quarter's width; it takes (B, C, H, W) and may have a stride.
    """

    def __init__(
        self,
        dim: int,
        out_dim: int,
        mixer: Callable[[int], nn.Module],
        *,
        stride: int,
        act: Callable[[], nn.Module],
        drop_path: float,
    ):
        super().__init__()
        same = dim == out_dim and stride == 1
        self.shortcut = nn.Identity() if same else ConvNorm(dim, out_dim, 1, stride)
        self.conv1 = ConvNorm(dim, out_dim // 4, act=act)
        self.attn = mixer(out_dim // 4)
        self.norm = nn.BatchNorm2d(out_dim // 4)
        self.act = act()
        self.conv3 = ConvNorm(out_dim // 4, out_dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv3(self.act(self.norm(self.attn(self.conv1(x)))))
        return self.act(self.drop_path(out).add_(self.shortcut(x)))


def draw_weights(module: nn.Module) -> None:
    """timm's rule of initial weights: projections by their input's width, and residual branches that start at zero."""
    fan_out(module)
    if isinstance(module, HaloAttention):
        for projection in (module.q, module.kv):
            draw(projection, projection.in_features**-0.5)
    elif isinstance(module, Bottleneck):
        nn.init.zeros_(module.conv3.norm.weight)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """mixers: per stage a letter per block, 'c' for convolution, 'a' for attention; heads: per stage; act: a name."""

    mixers: tuple[str, ...]
    heads: tuple[int, ...]
    halo: int
    act: str
    stem: int = 64
    widths: tuple[int, ...] = (256, 512, 1024, 2048)

    @property
    def depths(self) -> tuple[int, ...]:
        return tuple(len(stage) for stage in self.mixers)


@MODELS.register_module()
class HaloNet(Backbone):
    """ResNet with halo attention. The arguments are described in `Backbone`."""

    source = Source(
        paper='Scaling Local Self-Attention for Parameter Efficient Visual Backbones, https://arxiv.org/abs/2103.12731',
        code='https://github.com/huggingface/pytorch-image-models',
        license='Apache-2.0',
    )
    input_size = 256
    initial_weights = staticmethod(draw_weights)
    channels_last = False

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = '26t',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        act = ACTIVATIONS[self.arch.act]
        self.assemble(patch_embed=Stem(self.in_channels, self.arch.stem, act), stages=self._stages(act, drop_path_rate))

    def _stages(self, act: Callable[[], nn.Module], drop_path_rate: float) -> list[Stage]:
        arch = self.arch
        rates = drop_path_rates(drop_path_rate, arch.depths)
        stages, dim = [], arch.stem
        for i, width in enumerate(arch.widths):
            blocks = []
            for j, letter in enumerate(arch.mixers[i]):
                stride = 2 if i and not j else 1
                mixer = convolution(stride) if letter == 'c' else attention(arch.heads[i], arch.halo, stride)
                blocks.append(Bottleneck(dim, width, mixer, stride=stride, act=act, drop_path=rates[i][j]))
                dim = width
            stages.append(Stage(blocks))
        return stages

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'HaloNet') -> StateDict:
        """From timm's classifier (`stages.i.j`) or feature extractor (`stages_i.j`)."""
        renamed = rename(
            strip_classifier(state_dict, official=r'^stem'),
            (r'^stem[._]', 'patch_embed.'),
            (r'^stages[._](\d)\.(\d+)\.', r'stages.\1.blocks.\2.'),
            (r'\.bn\.', '.norm.'),
            (r'\.conv1_1x1\.', '.conv1.'),
            (r'\.conv2_kxk\.conv\.', '.attn.'),
            (r'\.conv2_kxk\.norm\.|\.post_attn\.', '.norm.'),
            (r'\.conv3_1x1\.', '.conv3.'),
            (r'\.self_attn\.(pos_embed\.)?', '.attn.'),
        )
        linear = ('.attn.q.weight', '.attn.kv.weight')
        return {key: value.flatten(1) if key.endswith(linear) else value for key, value in renamed.items()}


def convolution(stride: int) -> Callable[[int], nn.Module]:
    return lambda dim: nn.Conv2d(dim, dim, 3, stride, 1, bias=False)


def attention(heads: int, halo: int, stride: int) -> Callable[[int], nn.Module]:
    return lambda dim: HaloAttention(dim, heads, halo=halo, stride=stride)


HaloNet.archs = {
    '26t': Arch(mixers=('cc', 'cc', 'ca', 'aa'), heads=(8, 8, 8, 8), halo=2, act='relu'),
    '50ts': Arch(mixers=('ccc', 'ccca', 'cacaca', 'cac'), heads=(8, 4, 8, 8), halo=3, act='silu'),
}

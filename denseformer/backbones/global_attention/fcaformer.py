"""FcaFormer: forward cross attention in a hybrid of convolutions and attention.

Paper: "FcaFormer: Forward Cross Attention in Hybrid Vision Transformer", https://arxiv.org/abs/2211.07198.
Official code: https://github.com/hkzhang-git/FcaFormer (without a licence).

The first two stages are ConvNeXt's. In the last two, blocks attend inside windows of 14 x 14 and 7 x 7 tokens, and
besides to cross tokens, which every earlier block of the stage has condensed from the same window. Windows do not
shift; a map that does not divide into them is zero-padded before the normalisation, on the left and at the top in even
blocks, on the right and at the bottom in odd ones, and the padding is attended to. As in the authors' code, cross
tokens stay with the window of their number although windows of even and odd blocks then lie differently. Dense outputs
are projected to widths that double from stage to stage; the authors give such widths for L2 only.

Legend: B batch, H W map, C channels, n windows of all images, N their tokens, M cross tokens, h heads, d head width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.softmax import window_softmax_attention
from denseformer.attention.windows import Size, window_partition, window_reverse
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.backbones.convolution.convnext import Block as ConvNeXtBlock
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.dynamic_shapes import padding_to_multiple
from denseformer.layers import (
    BottleneckDownsample,
    ConvNorm,
    DropPath,
    Linear,
    Mlp,
    apply_layer_scale,
    drop_path_rates,
    make_layer_scale,
    to_channels_last,
)
from denseformer.layers.initializers import narrow
from denseformer.network import Source
from denseformer.registry import MODELS

HEAD_WIDTH = 32
WINDOWS = (None, None, 14, 7)
CROSS_STRIDE = 4


class Stem(nn.Module):
    """Two strided convolutions: (B, in_channels, H, W) -> (B, ceil(H/4), ceil(W/4), dim)."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        self.conv1 = ConvNorm(in_channels, dim // 2, 3, 2, act=nn.GELU)
        self.conv2 = ConvNorm(dim // 2, dim, 3, 2)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv2(self.conv1(to_channels_last(image))).permute(0, 2, 3, 1)  # (B, H/4, W/4, C)


class CrossAttention(nn.Module):
    """Attention of a window to itself and to cross tokens: (n, N, C), (n, M, C) -> (n, N, C).

    cross: how many cross tokens there are; 0 in the first block of a stage.
    """

    def __init__(self, dim: int, *, window: int, cross: int):
        super().__init__()
        self.heads, self.window = dim // HEAD_WIDTH, window
        self.qkv = Linear(dim, 3 * dim)
        self.table = nn.Parameter(torch.zeros(self.heads, window * window))
        self.proj = Linear(dim, dim)
        self.cross = CrossTokens(dim, self.heads, cross) if cross else None

    def forward(self, x: Tensor, tokens: Tensor | None) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (n, h, N, d)
        bias = self.table[:, distances(self.window, x.device)]  # (h, N, N)
        if self.cross is not None:
            C = x.shape[-1]
            kv = F.linear(self.cross(tokens), self.qkv.weight[C:], self.qkv.bias[C:])
            more_k, more_v = kv.unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (n, h, M, d)
            k, v = torch.cat([k, more_k], 2), torch.cat([v, more_v], 2)
            bias = torch.cat([bias, self.cross.bias.expand(-1, bias.shape[1], -1)], -1)  # (h, N, N + M)
        return self.proj(window_softmax_attention(q, k, v, bias[None].to(q.dtype)))


class CrossTokens(nn.Module):
    """Cross tokens, scaled one by one and normalised: (n, M, C) -> the same; `bias` is that of their logits."""

    def __init__(self, dim: int, heads: int, tokens: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(tokens, 1))
        self.norm = nn.LayerNorm(dim)
        self.bias = nn.Parameter(torch.zeros(heads, 1, tokens))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.norm(tokens * self.scale)


def distances(window: int, device: torch.device) -> Tensor:
    """(N, N): index of the absolute offset (rows, columns) between two tokens of a window, row-major."""
    side = torch.arange(window, device=device)
    apart = (side[:, None] - side).abs()
    index = apart[:, None, :, None] * window + apart[None, :, None, :]  # (w, w, w, w)
    return index.flatten(2).flatten(0, 1)


class NormedMlp(Mlp):
    """An MLP with a normalisation of its own."""

    def __init__(self, dim: int, hidden: int):
        super().__init__(dim, hidden)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.norm(x))


class FcaBlock(nn.Module):
    """Cross attention, a depth-wise convolution without a residual, MLP, all inside windows.

    forward(windows, *tokens): (n, N, C) and what earlier blocks have condensed, each (n, M / blocks, C) -> windows and
    what this block condenses, None unless `condenses`.
    """

    def __init__(self, dim: int, *, window: int, earlier: int, condenses: bool, drop_path: float, layer_scale: float):
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(dim)
        self.attn = CrossAttention(dim, window=window, cross=earlier * (-(-window // CROSS_STRIDE)) ** 2)
        self.condense = nn.Conv2d(dim, dim, 7, CROSS_STRIDE, 3, groups=dim, bias=False) if condenses else None
        self.local = ConvNorm(dim, dim, 3, groups=dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = NormedMlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)
        self.gamma1, self.gamma2 = make_layer_scale(dim, layer_scale), make_layer_scale(dim, layer_scale)

    def forward(self, x: Tensor, *tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        cross = torch.cat(tokens, 1) if tokens else None
        x = x + apply_layer_scale(self.drop_path(self.attn(self.norm1(x), cross)), self.gamma1)
        x = x.unflatten(1, (self.window, self.window)).permute(0, 3, 1, 2)  # (n, C, w, w)
        condensed = None if self.condense is None else as_tokens(self.condense(x))
        x = as_tokens(self.local(x))
        return x + apply_layer_scale(self.drop_path(self.mlp(self.norm2(x))), self.gamma2), condensed


def as_tokens(x: Tensor) -> Tensor:
    """(n, C, H, W) -> (n, H * W, C)."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


class FcaStage(Stage):
    """A stage that cuts its map into windows for every block and hands the blocks' cross tokens on."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module, window: int):
        super().__init__(blocks, downsample)
        self.window = (window, window)

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        tokens: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            windows, condensed = self.run(block, cut(x, self.window, before=i % 2 == 0), *tokens)
            x = uncut(windows, self.window, x.shape[1:3], before=i % 2 == 0)
            tokens.append(condensed)
        return x


def cut(x: Tensor, window: Size, *, before: bool) -> Tensor:
    """(B, H, W, C) -> (n, N, C), zero-padded before the first row and column, or after the last ones."""
    down, across = padding_to_multiple(x.shape[1], window[0]), padding_to_multiple(x.shape[2], window[1])
    x = F.pad(x, (0, 0, across, 0, down, 0) if before else (0, 0, 0, across, 0, down))
    return window_partition(x, window).flatten(0, 1)


def uncut(windows: Tensor, window: Size, size: Size, *, before: bool) -> Tensor:
    """The inverse of `cut`: (n, N, C) -> (B, H, W, C) with `size` = (H, W)."""
    (H, W), (down, across) = size, (padding_to_multiple(size[0], window[0]), padding_to_multiple(size[1], window[1]))
    per_map = (H + down) // window[0] * ((W + across) // window[1])
    x = window_reverse(windows.unflatten(0, (-1, per_map)), window, (H + down, W + across))
    return x[:, down:, across:] if before else x[:, :H, :W]


class OutNorm(nn.Module):
    """Projection to the width of the output, then LayerNorm: (B, H, W, C) -> (B, H, W, width)."""

    def __init__(self, dim: int, width: int):
        super().__init__()
        self.proj = Linear(dim, width, bias=False)
        self.norm = nn.LayerNorm(width, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """dims: channels inside the stages; the outputs have the first one's, doubled at each further stage."""

    dims: tuple[int, ...]
    depths: tuple[int, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.dims[0] * 2**i for i in range(len(self.dims)))


@MODELS.register_module()
class FcaFormer(Backbone):
    """FcaFormer.

    Args:
        layer_scale: where the gain of each residual branch starts. The ImageNet recipe starts at 1e-6; the dense ones
            at 1, which a loaded checkpoint overrides.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='FcaFormer: Forward Cross Attention in Hybrid Vision Transformer, https://arxiv.org/abs/2211.07198',
        code='https://github.com/hkzhang-git/FcaFormer',
        license='none given',
    )
    no_weight_decay = ('norm', 'bias', 'gamma')
    initial_weights = staticmethod(narrow)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'l2',
        layer_scale: float = 1e-6,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.assemble(
            patch_embed=Stem(self.in_channels, self.arch.dims[0]),
            stages=self._stages(drop_path_rate, layer_scale),
            out_norms=[OutNorm(*channels) for channels in zip(self.arch.dims, self.arch.widths, strict=True)],
        )

    def _stages(self, drop_path_rate: float, layer_scale: float) -> list[Stage]:
        dims = self.arch.dims
        stages: list[Stage] = []
        for i, rates in enumerate(drop_path_rates(drop_path_rate, self.arch.depths)):
            downsample = BottleneckDownsample(dims[i - 1], dims[i]) if i else None
            window = WINDOWS[i]
            if window is None:
                blocks = [ConvNeXtBlock(dims[i], drop_path=rate, layer_scale=layer_scale) for rate in rates]
                stages.append(Stage(blocks, downsample))
                continue
            blocks = [
                FcaBlock(
                    dims[i],
                    window=window,
                    earlier=j,
                    condenses=j < len(rates) - 1,
                    drop_path=rate,
                    layer_scale=layer_scale,
                )
                for j, rate in enumerate(rates)
            ]
            stages.append(FcaStage(blocks, downsample, window))
        return stages

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'FcaFormer') -> StateDict:
        """From `layer_i`, where downsampling closes the stage before, `head{i}` and `norm{i}`."""
        renamed = rename(
            drop(state_dict, r'^norm_head\.', r'^head\.', r'attention_bias_idxs$'),
            (r'^patch_embed\.seq\.0\.', 'patch_embed.conv1.'),
            (r'^patch_embed\.seq\.2\.', 'patch_embed.conv2.'),
            (r'^layer_(\d)\.downsample\.', lambda match: f'stages.{int(match[1]) + 1}.downsample.'),
            (r'^layer_(\d)\.', r'stages.\1.'),
            (r'\.c\.', '.conv.'),
            (r'\.bn\.', '.norm.'),
            (r'(blocks\.\d+)\.dwconv\.', r'\1.attn.'),
            (r'(blocks\.\d+)\.norm\.', r'\1.norm2.'),
            (r'(blocks\.\d+)\.pwconv(\d)\.', r'\1.mlp.fc\2.'),
            (r'(blocks\.\d+)\.gamma_(\d)$', r'\1.gamma\2'),
            (r'(blocks\.\d+)\.(qkv|proj)\.', r'\1.attn.\2.'),
            (r'(blocks\.\d+)\.attention_biases$', r'\1.attn.table'),
            (r'(blocks\.\d+)\.s_token_bias$', r'\1.attn.cross.bias'),
            (r'(blocks\.\d+)\.s_scale_factors$', r'\1.attn.cross.scale'),
            (r'(blocks\.\d+)\.s_norm\.', r'\1.attn.cross.norm.'),
            (r'(blocks\.\d+)\.dw_conv\.', r'\1.condense.'),
            (r'(blocks\.\d+)\.local_conv\.', r'\1.local.'),
            (r'^head(\d)\.', r'out_norms.\1.proj.'),
            (r'^norm(\d)\.', r'out_norms.\1.norm.'),
        )
        return {key: adapt(key, value) for key, value in renamed.items()}


def adapt(key: str, value: Tensor) -> Tensor:
    """The authors' 1 x 1 convolutions as linear layers, and their cross tokens' parameters without a batch axis."""
    if key.endswith(('cross.bias', 'cross.scale')):
        return value.reshape(value.shape[-3:]) if key.endswith('bias') else value.reshape(-1, 1)
    return value.flatten(1) if key.startswith('out_norms') and value.ndim == 4 else value


FcaFormer.archs = {
    'l1': Arch(dims=(64, 128, 192, 320), depths=(2, 2, 6, 2)),
    'l2': Arch(dims=(96, 192, 320, 480), depths=(2, 2, 7, 2)),
    'l3': Arch(dims=(96, 192, 320, 512), depths=(3, 6, 12, 3)),
    'l4': Arch(dims=(128, 256, 512, 768), depths=(3, 6, 12, 3)),
}

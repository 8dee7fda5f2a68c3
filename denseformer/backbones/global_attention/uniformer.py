"""UniFormer: convolution in the shallow stages, self-attention in the deep ones.

Papers: "UniFormer: Unifying Convolution and Self-attention for Visual Recognition", https://arxiv.org/abs/2201.09450;
for the pruning of the light variants "Evo-ViT: Slow-Fast Token Evolution for Dynamic Vision Transformer",
https://arxiv.org/abs/2108.01390.
Official code: https://github.com/Sense-X/UniFormer (Apache-2.0).

Blocks open with a 3 x 3 depth-wise convolution that encodes positions. Stages 1 and 2 mix tokens by a 5 x 5 depth-wise
one, without any activation; stages 3 and 4 by softmax attention. `windows` says how far stage 3 looks: over the whole
map, in windows, or ('hybrid') in windows but for every fourth block. Windows have no position bias and are not shifted;
zeros that fill the last ones up are attended to. Rows and columns that do not fill a patch are left out.

In the light variants the deep stages carry a summary token. Its running attention to the map scores the tokens; from
the second block on only the better half attends, with one token that represents the others, their mean weighted by
score, and what that one gains is added to all it stands for. The authors keep scores in global variables; here they
are passed from block to block, so that the network is re-entrant. Which tokens are the better half is a hard choice
that rounding changes: in bfloat16 outputs deviate by 0.054 of their standard deviation from those in float32
(`python -m benchmarks.precision UniFormer:light_xxs:224`, made-up weights).

Legend: B batch, H W map, N = H * W tokens, C channels, h heads, d head width.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.windows import window_attention
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import (
    StateDict,
    linear_mlps_from_pointwise,
    rename,
    stages_from_numbers,
    strip_classifier,
)
from denseformer.layers import (
    ConvStem,
    DepthwiseConv,
    GlobalAttention,
    Linear,
    Mlp,
    Mlp2d,
    PatchDownsample,
    PatchEmbed,
    PreNormBlock,
    ShiftedWindowAttention,
    drop_path_rates,
)
from denseformer.network import Source
from denseformer.registry import MODELS

Memory = tuple[Tensor, Tensor]
"""The summary token (B, 1, C) and the scores (B, H, W) of the tokens."""

Norm = partial(nn.LayerNorm, eps=1e-6)
TRADE_OFF = 0.5  # weight of the newest attention in a score
FULL_BLOCK_EVERY = 4  # in hybrid stages


class ConvMixer(nn.Module):
    """5 x 5 depth-wise convolution between two projections: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj_in = nn.Conv2d(dim, dim, 1)
        self.conv = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)
        self.proj_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj_out(self.conv(self.proj_in(x)))


class ConvStage(Stage):
    """A stage whose blocks work on channel-first maps: (B, H, W, C) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x).permute(0, 3, 1, 2)  # (B, C, H, W)
        for block in self.blocks:
            x = self.run(block, x)
        return x.permute(0, 2, 3, 1)  # (B, H, W, C)


class SummaryAttention(GlobalAttention):
    """Also how much the first token attends to each of the others, the mean over heads.

    Shape: (B, N, C) -> (B, N, C), (B, N - 1).
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        qkv = self.qkv(x)
        q, k, _ = qkv.unflatten(-1, (3, self.heads, -1)).unbind(2)  # each (B, N, h, d)
        logits = torch.einsum('bhd,bnhd->bhn', q[:, 0] * q.shape[-1] ** -0.5, k)
        out = window_attention(qkv[:, None], self.heads)[:, 0]
        return self.proj(out), logits.softmax(-1)[..., 1:].mean(1)


class PrunedBlock(PreNormBlock):
    """A block on the better half of the tokens: (B, H, W, C) and the stage's memory -> the same."""

    def forward(self, x: Tensor, summary: Tensor, scores: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        _, H, W, _ = x.shape
        x = self.encode_position(x).flatten(1, 2)  # (B, N, C)
        if scores is None:
            x, summary, scores = self._attend_all(x, summary)
        else:
            x, summary, scores = self._attend_half(x, summary, scores.flatten(1))
        return x.unflatten(1, (H, W)), summary, scores.unflatten(1, (H, W))

    def _attend_all(self, x: Tensor, summary: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, _, attention = self._evolve(torch.cat([summary, x], dim=1))
        return x[:, 1:], x[:, :1], attention

    def _attend_half(self, x: Tensor, summary: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        N = x.shape[1]
        half = N // 2
        order = scores.argsort(dim=1, descending=True, stable=True)
        best = order[:, :half, None].expand(-1, -1, x.shape[2])  # (B, half, C)
        rest = scores.scatter(1, order[:, :half], 0)
        representative = (rest / rest.sum(1, keepdim=True)).to(x.dtype)[:, None] @ x  # (B, 1, C)
        tokens = torch.cat([summary, x.gather(1, best), representative], dim=1)
        tokens, gained, attention = self._evolve(tokens)
        x = x + gained[:, -1:]
        x = x.scatter(1, best, tokens[:, 1:-1].to(x.dtype))
        scored = order[:, : N if half + 1 == N else half]  # a single token left out is its own representative
        attention = attention[:, : scored.shape[1]].to(scores.dtype)
        newest = (1 - TRADE_OFF) * scores.gather(1, scored) + TRADE_OFF * attention
        return x, tokens[:, :1], scores.scatter(1, scored, newest)

    def _evolve(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, n, C) -> the tokens after both branches, what the branches gave, and the first one's attention."""
        mixed, attention = self.attn(self.norm1(tokens))
        tokens = tokens + self.drop_path(mixed)
        refined = self.mlp(self.norm2(tokens))
        return tokens + self.drop_path(refined), mixed + refined, attention


class PrunedStage(Stage):
    """A stage of `PrunedBlock`s, which starts from a summary token of its own or from that of the stage before.

    Shape: (B, H, W, C) and the memory of the stage before -> the same at this stage's size.
    """

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module | None, dim: int, before: int | None):
        super().__init__(blocks, downsample)
        self.summary = nn.Parameter(torch.zeros(1, 1, dim)) if before is None else None
        self.widen = nn.Identity() if before is None else Linear(before, dim)

    def forward(self, x: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        x = self.downsample(x)
        state: Any = (x, *self._recall(memory, x.shape[0]))
        for block in self.blocks:
            state = self.run(block, *state)
        x, summary, scores = state
        return x, (summary, scores)

    def _recall(self, memory: Memory | None, batch: int) -> tuple[Tensor, Tensor | None]:
        """The summary token to start from, and the scores, None before any attention."""
        if memory is None:
            return cast(Tensor, self.summary).expand(batch, -1, -1), None
        return self.widen(memory[0]), pool_scores(memory[1])


def pool_scores(scores: Tensor) -> Tensor:
    """Means over 2 x 2 tokens, with the same sum as before: (B, H, W) -> (B, H // 2, W // 2)."""
    pooled = F.avg_pool2d(scores[:, None], 2)[:, 0]
    return pooled * (scores.sum((1, 2), keepdim=True) / pooled.sum((1, 2), keepdim=True))


@dataclass(frozen=True, kw_only=True)
class Arch:
    """light: convolutional stem, and deep stages with a summary token and pruning."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    head_dim: int = 64
    mlp_ratio: int = 4
    light: bool = False


@MODELS.register_module()
class UniFormer(Backbone):
    """UniFormer.

    Args:
        windows: how far the third stage attends: 'global', or the side of its windows, 'window14', or 'hybrid14' to
            attend globally in every fourth block; any other side does. All load the same checkpoints. The light
            variants know 'global' only.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='UniFormer: Unifying Convolution and Self-attention for Visual Recognition, '
        'https://arxiv.org/abs/2201.09450',
        code='https://github.com/Sense-X/UniFormer',
        license='Apache-2.0',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'small',
        windows: str = 'global',
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        if self.arch.light and windows != 'global':
            raise ValueError(f"The light variants of UniFormer have no windows, got '{windows}'; leave it 'global'.")
        widths = self.arch.widths
        stem = light_stem if self.arch.light else partial(PatchEmbed, pad=False)
        self.assemble(
            patch_embed=stem(self.in_channels, widths[0]),
            stages=self._stages(drop_path_rates(drop_path_rate, self.arch.depths), windows),
            out_norms=[Norm(width) for width in widths],
        )

    def _stages(self, rates: list[list[float]], windows: str) -> list[Stage]:
        widths, light = self.arch.widths, self.arch.light
        down = [None, *(PatchDownsample(widths[i - 1], widths[i], 2, pad=False) for i in range(1, len(widths)))]
        stages: list[Stage] = [ConvStage(self._conv_blocks(widths[i], rates[i]), down[i]) for i in (0, 1)]
        for i in range(2, len(widths)):
            local = local_window(windows, self.arch.depths[i]) if i == 2 else [None] * self.arch.depths[i]
            blocks = [self._block(widths[i], rate, side) for rate, side in zip(rates[i], local, strict=True)]
            before = widths[i - 1] if i > 2 else None
            stages.append(PrunedStage(blocks, down[i], widths[i], before) if light else Stage(blocks, down[i]))
        return stages

    def _conv_blocks(self, dim: int, rates: Sequence[float]) -> list[nn.Module]:
        return [
            PreNormBlock(
                dim,
                ConvMixer(dim),
                Mlp2d(dim, dim * self.arch.mlp_ratio),
                drop_path=rate,
                norm=nn.BatchNorm2d,
                pos_embed=nn.Conv2d(dim, dim, 3, padding=1, groups=dim),
            )
            for rate in rates
        ]

    def _block(self, dim: int, drop_path: float, window: int | None) -> nn.Module:
        heads, light = dim // self.arch.head_dim, self.arch.light
        attention: Callable[[int, int], nn.Module] = SummaryAttention if light else GlobalAttention
        if window is not None:
            attention = partial(ShiftedWindowAttention, window=window, position_bias=False)
        return (PrunedBlock if light else PreNormBlock)(
            dim,
            attention(dim, heads),
            Mlp(dim, dim * self.arch.mlp_ratio),
            drop_path=drop_path,
            norm=Norm,
            pos_embed=DepthwiseConv(dim),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See `Backbone`; the memory of the pruned stages is handed from one to the next."""
        self.check_image(image)
        x, memory = self.patch_embed(image), None
        outs = []
        for i, (stage, norm) in enumerate(zip(self.stages, self.out_norms, strict=True)):
            if isinstance(stage, PrunedStage):
                x, memory = stage(x, memory)
            else:
                x = stage(x)
            x = self.plug_in(i, x)
            if i in self.out_indices:
                outs.append(norm(x).permute(0, 3, 1, 2))  # (B, C, H, W)
        return tuple(outs)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'UniFormer') -> StateDict:
        """From `patch_embed1`, `blocks1`, `norm1`, counted from 1."""
        classifier = (r'^norm(_cls)?\.', r'^(aux_)?head(_cls)?\.')
        renamed = rename(
            strip_classifier(state_dict, official=r'^blocks\d\.', classifier=classifier),
            *stages_from_numbers('blocks'),
            (r'\.attn\.(weight|bias)$', r'.attn.conv.\1'),
            (r'\.conv1\.', '.attn.proj_in.'),
            (r'\.conv2\.', '.attn.proj_out.'),
            (r'^cls_token$', 'stages.2.summary'),
            (r'^cls_upsample\.', 'stages.3.widen.'),
        )
        return linear_mlps_from_pointwise(renamed)


def light_stem(in_channels: int, dim: int) -> nn.Module:
    return ConvStem(in_channels, (dim // 2, dim), (2, 2))


def local_window(windows: str, depth: int) -> list[int | None]:
    """The side of each block's windows, None for a block that attends globally."""
    match = re.fullmatch(r'global|(window|hybrid)([1-9]\d*)', windows)
    if match is None:
        raise ValueError(f"windows is 'global', or 'window' or 'hybrid' with a side, like 'hybrid14'; got '{windows}'.")
    if windows == 'global':
        return [None] * depth
    side = int(match[2])
    return [None if match[1] == 'hybrid' and (i + 1) % FULL_BLOCK_EVERY == 0 else side for i in range(depth)]


UniFormer.archs = {
    'small': Arch(widths=(64, 128, 320, 512), depths=(3, 4, 8, 3)),
    'base': Arch(widths=(64, 128, 320, 512), depths=(5, 8, 20, 7)),
    'light_xxs': Arch(widths=(56, 112, 224, 448), depths=(2, 5, 8, 2), head_dim=28, mlp_ratio=3, light=True),
    'light_xs': Arch(widths=(64, 128, 256, 512), depths=(3, 5, 9, 3), head_dim=32, mlp_ratio=3, light=True),
}

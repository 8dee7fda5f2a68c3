"""VCMamba: convolutions, and a scan in four directions at the end.

Paper: "VCMamba: Bridging Convolutions with Multi-Directional Mamba for Efficient Visual Representation",
https://arxiv.org/abs/2509.04669.
Official code: https://github.com/Wertyuui345/VCMamba (no licence).

Inverted bottlenecks with a depth-wise convolution, without a token mixer beside, in all but the last four blocks. These
scan the map along PlainMamba's four snakes, each position's B shifted by how the walk came to it, and add up what the
scans give. As in PlainMamba's code, on which the published weights rest, only what is scanned follows the walk: step
sizes, B and C stay in the order of the rows; and the bias of the step sizes is added twice.

Learned positions are added before the first scan; on maps of other sizes they are resized, where the authors' code
takes square images of the trained size alone. The stem's activation is GELU, as in the dense code; the classifier's is
ReLU.

Legend: B batch, H W map, C channels, L = H * W tokens, D inner channels, N states of a channel.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.selective_scan import selective_scan
from denseformer.attention.snake import snake_orders
from denseformer.backbones.base import Backbone, BackboneOptions, Stage
from denseformer.checkpoints.keys import StateDict, rename, strip_classifier
from denseformer.dynamic_shapes import same_size
from denseformer.layers import ConvNorm, DepthwiseConv2d, DropPath, PreNormBlock, drop_path_rates, make_layer_scale
from denseformer.layers.channel_first import ConvEmbed, to_channels_last
from denseformer.layers.initializers import INIT_STD, draw, narrow
from denseformer.layers.state_space import SelectiveScan
from denseformer.network import Source
from denseformer.registry import MODELS

STATES = 16
SCANNING_BLOCKS = 4
"""Blocks at the end of the last stage that scan."""


class SnakeScan(nn.Module):
    """Four scans of a map along snakes, summed, between two projections: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        inner = 2 * dim
        self.in_proj = ConvNorm(dim, inner, bias=True)
        self.conv = DepthwiseConv2d(inner, 7)
        self.scan = SelectiveScan(inner, STATES, -(-dim // 16))
        self.moves = nn.Parameter(nn.init.normal_(torch.empty(5, STATES), std=INIT_STD))
        self.norm = nn.LayerNorm(inner)
        self.out_proj = ConvNorm(inner, dim, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.conv(self.in_proj(x)))
        tokens = x.permute(0, 2, 3, 1).flatten(1, 2)  # (B, L, D)
        y = self.norm(self.scan_snakes(tokens, x.shape[2:])).unflatten(1, x.shape[2:])  # (B, H, W, D)
        return self.out_proj(y.permute(0, 3, 1, 2).relu())

    def scan_snakes(self, tokens: Tensor, size: Sequence[int]) -> Tensor:
        """Sum the four scans at each token: (B, L, D) -> the same."""
        orders, inverses, moves = snake_orders(tuple(size), tokens.device)
        walks = len(orders)
        delta, entry, readout = self.scan.project(tokens)
        walked = tokens[:, orders].flatten(0, 1)  # (B * 4, L, D)
        entry = (entry[:, None] + self.moves[moves]).flatten(0, 1)  # (B * 4, L, N)
        delta, readout = (x.repeat_interleave(walks, 0) for x in (delta, readout))
        y = selective_scan(
            walked,
            delta,
            -self.scan.A_log.exp(),
            entry[:, :, None],
            readout[:, :, None],
            self.scan.D,
            delta_bias=2 * self.scan.dt_bias,
        ).unflatten(0, (-1, walks))
        return sum(y[:, i, inverse] for i, inverse in enumerate(inverses))


class Bottleneck(nn.Module):
    """1 x 1, depth-wise 3 x 3 and 1 x 1 convolutions, BatchNorm behind each: (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        hidden = 4 * dim
        self.fc1 = ConvNorm(dim, hidden, bias=True, act=nn.GELU)
        self.mid = ConvNorm(hidden, hidden, 3, groups=hidden, bias=True, act=nn.GELU)
        self.fc2 = ConvNorm(hidden, dim, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.mid(self.fc1(x)))


class ConvBlock(nn.Module):
    """A scaled residual bottleneck: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, drop_path: float):
        super().__init__()
        self.mlp = Bottleneck(dim)
        self.gamma2 = make_layer_scale(dim, 1e-5, channel_first=True)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.mlp(x) * self.gamma2)


class LastStage(Stage):
    """Bottlenecks, then, with learned positions added, scans. side: of the map the positions are learned on."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module, dim: int, side: int):
        super().__init__(blocks, downsample)
        self.pos_embed = nn.Parameter(nn.init.normal_(torch.empty(1, dim, side, side), std=INIT_STD))

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        for i, block in enumerate(self.blocks):
            if i == max(len(self.blocks) - SCANNING_BLOCKS, 0):
                x = x + resized(self.pos_embed, x.shape[2:])
            x = self.run(block, x)
        return x


def resized(pos_embed: Tensor, size: Sequence[int]) -> Tensor:
    """Positions (1, C, h, w) interpolated to a map of another size: (1, C, H, W)."""
    if same_size(pos_embed.shape[2:], tuple(size)):
        return pos_embed
    return F.interpolate(pos_embed, tuple(size), mode='bicubic', align_corners=False)


class Stem(nn.Module):
    """Two strided convolutions: (B, in_channels, H, W) -> (B, dim, ceil(H/4), ceil(W/4))."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        self.conv1 = ConvNorm(in_channels, dim // 2, 3, 2, bias=True, act=nn.GELU)
        self.conv2 = ConvNorm(dim // 2, dim, 3, 2, bias=True, act=nn.GELU)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv2(self.conv1(to_channels_last(image)))


def narrow_bottlenecks_and_scans(module: nn.Module) -> None:
    """The rule of initial weights: narrow in bottlenecks and a scan's projections, the stem's by their inputs."""
    if isinstance(module, Bottleneck):
        module.apply(narrow)
    elif isinstance(module, SelectiveScan):
        nn.init.normal_(module.x_proj, std=INIT_STD)
        nn.init.normal_(module.dt_proj, std=INIT_STD)
        nn.init.zeros_(module.dt_bias)
    elif isinstance(module, Stem):
        for layer in (module.conv1.conv, module.conv2.conv):
            draw(layer, layer.weight[0].numel() ** -0.5)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """Per stage: widths and depths."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]


@MODELS.register_module()
class VCMamba(Backbone):
    """VCMamba.

    Args:
        image_size: side of the images that positions are learned at, in pixels, a multiple of 32. Those of checkpoints
            are resized to it.
        The others are described in `Backbone`.
    """

    source = Source(
        paper='VCMamba: Bridging Convolutions with Multi-Directional Mamba for Efficient Visual Representation, '
        'https://arxiv.org/abs/2509.04669',
        code='https://github.com/Wertyuui345/VCMamba',
        license='none stated',
    )
    channels_last = False
    no_weight_decay = ()
    initial_weights = staticmethod(narrow_bottlenecks_and_scans)

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'small',
        image_size: int = 512,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        if image_size < 32:
            raise ValueError(f'image_size must be at least the stride of the last stage, 32, got {image_size}.')
        widths, depths = self.arch.widths, self.arch.depths
        rates = drop_path_rates(drop_path_rate, depths)
        stages = []
        for i, dim in enumerate(widths):
            down = ConvEmbed(widths[i - 1], dim, kernel_size=3, stride=2, padding=1, norm=nn.BatchNorm2d) if i else None
            if i < len(widths) - 1:
                stages.append(Stage([ConvBlock(dim, rate) for rate in rates[i]], down))
                continue
            convs = depths[i] - SCANNING_BLOCKS
            blocks = [ConvBlock(dim, rate) if j < convs else scan_block(dim, rate) for j, rate in enumerate(rates[i])]
            stages.append(LastStage(blocks, down, dim, image_size // 32))
        self.assemble(patch_embed=Stem(self.in_channels, widths[0]), stages=stages)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'VCMamba') -> StateDict:
        """From `network.i`, where stages have even numbers and the embeddings that lead to the next one odd ones.

        Positions of another size are resized as a map; the authors' loader takes their axes for others.
        """
        renamed = rename(
            strip_classifier(
                state_dict, official=r'^network\.', classifier=(r'^norm\.', r'^(dist_)?head\.', r'^drop_path\.')
            ),
            (r'^patch_embed\.([03])\.', lambda match: f'patch_embed.conv{int(match[1]) // 3 + 1}.conv.'),
            (r'^patch_embed\.([14])\.', lambda match: f'patch_embed.conv{int(match[1]) // 3 + 1}.norm.'),
            (r'^network\.([135])\.', lambda match: f'stages.{int(match[1]) // 2 + 1}.downsample.'),
            (r'^network\.([0246])\.', lambda match: f'stages.{int(match[1]) // 2}.blocks.'),
            (r'^pos_embed$', 'stages.3.pos_embed'),
            (r'\.layer_scale_2$', '.gamma2'),
            (r'\.mlp\.(fc1|mid|fc2)\.(weight|bias)$', r'.mlp.\1.conv.\2'),
            (r'\.mlp\.norm([12])\.', r'.mlp.fc\1.norm.'),
            (r'\.mlp\.mid_norm\.', '.mlp.mid.norm.'),
            (r'(blocks\.\d+)\.norm\.', r'\1.norm1.'),
            (r'\.mamba\.in_conv\.0\.', '.attn.in_proj.conv.'),
            (r'\.mamba\.in_conv\.1\.', '.attn.in_proj.norm.'),
            (r'\.mamba\.out_conv\.1\.', '.attn.out_proj.conv.'),
            (r'\.mamba\.out_conv\.2\.', '.attn.out_proj.norm.'),
            (r'\.mamba\.conv2d\.', '.attn.conv.'),
            (r'\.mamba\.direction_Bs$', '.attn.moves'),
            (r'\.mamba\.norm\.', '.attn.norm.'),
            (r'\.mamba\.(x_proj|dt_proj)\.weight$', r'.attn.scan.\1'),
            (r'\.mamba\.dt_proj\.bias$', '.attn.scan.dt_bias'),
            (r'\.mamba\.(A_log|D)$', r'.attn.scan.\1'),
        )
        positions, own = renamed.get('stages.3.pos_embed'), dict(network.named_parameters()).get('stages.3.pos_embed')
        if positions is not None and own is not None:
            renamed['stages.3.pos_embed'] = resized(positions, own.shape[2:])
        return renamed


def scan_block(dim: int, drop_path: float) -> nn.Module:
    return PreNormBlock(
        dim, SnakeScan(dim), Bottleneck(dim), drop_path=drop_path, norm=nn.BatchNorm2d, channel_first=True
    )


VCMamba.archs = {
    'small': Arch(widths=(32, 64, 144, 288), depths=(4, 4, 12, 8)),
    'medium': Arch(widths=(48, 96, 224, 448), depths=(4, 4, 12, 6)),
    'base': Arch(widths=(64, 128, 320, 512), depths=(4, 4, 12, 6)),
}

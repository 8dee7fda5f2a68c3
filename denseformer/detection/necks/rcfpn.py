"""RCFPN: a pyramid that is fused from fine to coarse, and then mixes all its levels.

Paper: "RCNet: Reverse Feature Pyramid and Cross-scale Shift Network for Object Detection",
https://arxiv.org/abs/2110.12130. Official: https://github.com/TempleX98/RCNet (Apache-2.0).

Legend: B batch, L levels, C channels, H W a map.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, Rule
from denseformer.necks.fpn import first_of
from denseformer.registry import MODELS

LEVELS = 5
NAMES: tuple[Rule, ...] = (
    (r'^RevFP\.p(\d)\.', lambda match: f'fusions.{int(match[1]) - 3}.'),
    (r'\.weight\.(\d)\.', r'.gates.\1.'),
    (r'\.spatial_weight\.', '.attention.'),
    (r'\.temp$', '.temperature'),
    (r'^CSN\.msm\.', 'mixer.'),
    (r'^CSN\.spatialContext\.', 'mixer.positions.'),
    (r'^CSN\.scaleContext\.', 'mixer.scales.'),
    (r'\.channel_agg\.', '.query.'),
    (r'\.trans\.', '.proj.'),
)


def halved(x: Tensor) -> Tensor:
    """The maxima of 2 x 2 positions, with an odd last row or column repeated: -> (B, C, ceil(H/2), ceil(W/2))."""
    H, W = x.shape[2:]
    return F.max_pool2d(F.pad(x, (0, W % 2, 0, H % 2), mode='replicate'), 2)


class FusionNode(nn.Module):
    """One level, its coarser neighbor, and the finer one that has been fused: maps -> (B, C, H, W) of the first.

    inputs: 2 or 3; attends: whether the second map is weighed by position before it is mixed in.
    """

    def __init__(self, dim: int, inputs: int, attends: bool, conv_cfg: dict | None, norm_cfg: dict | None):
        super().__init__()
        options = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, order=('act', 'conv', 'norm'))
        self.gates = nn.ModuleList(nn.Conv2d(2 * dim, 1, 1) for _ in range(inputs - 1))
        self.attends = attends
        if attends:
            self.attention = nn.Conv2d(2 * dim, 1, 3, padding=1)
            self.temperature = nn.Parameter(torch.ones(1))
        if inputs > 2:
            self.pre_fusion = ConvModule(dim, dim, 3, padding=1, **options)
        self.post_fusion = ConvModule(dim, dim, 3, padding=1, **options)
        for conv in (*self.gates, *([self.attention] if attends else [])):
            nn.init.zeros_(conv.weight)
            nn.init.zeros_(conv.bias)

    def forward(self, own: Tensor, *others: Tensor) -> Tensor:
        first, *further = (self.resized(x, own.shape[2:]) for x in others)
        share = self.share(0, own, first)
        if self.attends:
            first = first * self.weights(own, first)
        x = share * own + (1 - share) * first
        for other in further:
            x = self.pre_fusion(x)
            share = self.share(1, x, other)
            x = share * x + (1 - share) * other
        return self.post_fusion(x)

    def share(self, gate: int, x: Tensor, other: Tensor) -> Tensor:
        """The share of the first map, (B, 1, 1, 1) in (0, 1)."""
        return self.gates[gate](torch.cat([x, other], 1).mean((2, 3), keepdim=True)).sigmoid()

    def weights(self, x: Tensor, other: Tensor) -> Tensor:
        """Weights of positions, (B, 1, H, W), that are 1 on the average."""
        B, C, H, W = x.shape
        logits = self.temperature * C**-0.5 * self.attention(torch.cat([x, other], 1))
        return logits.flatten(1).softmax(-1).view(B, 1, H, W) * (H * W)

    @staticmethod
    def resized(x: Tensor, size: Sequence[int]) -> Tensor:
        """A neighboring level at `size`: a coarser one enlarged, a finer one halved."""
        if tuple(x.shape[2:]) == tuple(size):
            return x
        if tuple(x.shape[2:]) < tuple(size):
            return F.interpolate(x, tuple(size), mode='bilinear')
        return halved(x)


class GlobalContext(nn.Module):
    """The result of one query among all positions: (B, C, H, W) -> (B, C, 1, 1)."""

    def __init__(self, dim: int):
        super().__init__()
        self.query = nn.Conv2d(dim, 1, 1)
        self.proj = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        chosen = self.query(x).flatten(2).softmax(-1)  # (B, 1, H*W)
        return self.proj((x.flatten(2) @ chosen.transpose(1, 2))[..., None])


class CrossScaleShift(nn.Module):
    """Mixes levels: each sees some channels of those one and two above and below, the outermost meeting.

    Levels are brought to the size of the second and what they learn is added to them at their own.
    """

    def __init__(self, dim: int, norm_cfg: dict | None):
        super().__init__()
        self.part = dim // 16
        self.aggregation = nn.ModuleList(
            nn.Sequential(ConvModule(dim + 4 * self.part, dim, 1, norm_cfg=norm_cfg), nn.Conv2d(dim, dim, 1))
            for _ in range(LEVELS)
        )
        self.positions, self.scales = GlobalContext(dim), GlobalContext(dim)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        size = levels[1].shape[2:]
        gathered = [F.adaptive_max_pool2d(levels[0], size)]
        gathered += [F.interpolate(x, size, mode='bilinear') for x in levels[1:]]
        x = torch.stack(gathered, 1)  # (B, L, C, H, W)
        seen = zip(self.aggregation, self.shifted(x).unbind(1), strict=True)
        x = x + torch.stack([aggregate(level) for aggregate, level in seen], 1)
        scales = self.scales(x.mean((3, 4)).transpose(1, 2)[..., None])  # of (B, C, L, 1)
        x = x + (self.positions(x.mean(1)) + scales)[:, None]
        learned = [F.interpolate(x[:, 0], levels[0].shape[2:], mode='bilinear')]
        learned += [F.adaptive_max_pool2d(x[:, i], levels[i].shape[2:]) for i in range(1, LEVELS)]
        return [level + new for level, new in zip(levels, learned, strict=True)]

    def shifted(self, x: Tensor) -> Tensor:
        """(B, L, C, H, W) -> (B, L, C + 4 parts, H, W)."""
        parts = x[:, :, : 4 * self.part].split(self.part, 2)
        moved = [part.roll(step, 1) for part, step in zip(parts, (-1, 1, -2, 2), strict=True)]
        return torch.cat([*moved, x], 2)


@MODELS.register_module()
class RCFPN(RenamesKeys, BaseModule):
    """Five levels from the maps of a backbone, each twice as coarse as the one before.

    Args:
        in_channels: of the backbone's maps, finest first.
        out_channels: of every level, a multiple of 16.
        start_level: the first map that is taken; the published detectors leave out stride 4.
        in_strides, out_strides: of the maps and the levels, in place of start_level.
        num_outs: the number of levels, 5, as mmdetection's configs give it to every neck.
        norm_cfg: mmcv's, of the convolutions; None for none.
        out_conv_cfg: mmcv's, of the 3 x 3 convolutions; published with modulated deformable ones.

    Raises ValueError for maps that do not make five levels, for another number of levels, and for strides that do not
    fit each other.
    """

    names = NAMES

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        out_channels: int = 256,
        start_level: int = 1,
        num_outs: int = LEVELS,
        in_strides: Sequence[int] | None = None,
        out_strides: Sequence[int] | None = None,
        norm_cfg: dict | None = None,
        out_conv_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg or dict(type='Xavier', layer='Conv2d', distribution='uniform'))
        if in_strides is not None and out_strides is not None:
            start_level = first_of(in_strides, out_strides)
        used = in_channels[start_level:]
        if not 2 <= len(used) <= LEVELS or out_channels % 16 or num_outs != LEVELS:
            raise ValueError(
                f'RCFPN makes {LEVELS} levels of a multiple of 16 channels from 2 to {LEVELS} maps: in_channels='
                f'{tuple(in_channels)} from start_level={start_level} on are {len(used)}, out_channels={out_channels}, '
                f'num_outs={num_outs}.'
            )
        self.start_level = start_level
        conv_cfg = dict(type='DCNv2', deform_groups=2) if out_conv_cfg is None else out_conv_cfg
        plain = dict(norm_cfg=norm_cfg, act_cfg=None)
        self.lateral_convs = nn.ModuleList(ConvModule(width, out_channels, 1, **plain) for width in used)
        self.extra_downsamples = nn.ModuleList(
            nn.Sequential(ConvModule(out_channels, out_channels, 1, **plain), nn.MaxPool2d(2))
            for _ in range(LEVELS - len(used))
        )
        inputs = (2, 3, 3, 3, 2)
        self.fusions = nn.ModuleList(
            FusionNode(out_channels, count, i < LEVELS - 1, conv_cfg, norm_cfg) for i, count in enumerate(inputs)
        )
        self.mixer = CrossScaleShift(out_channels, norm_cfg)

    def init_weights(self) -> None:
        """Gates and weights of positions stay at zero: at first, neighbors are averaged."""
        zero = {key: value.clone() for key, value in self.state_dict().items() if 'gates' in key or 'attention' in key}
        super().init_weights()
        self.load_state_dict(zero, strict=False)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One (B, C_i, H_i, W_i) per in_channels -> five (B, out_channels, H_j, W_j)."""
        levels = [conv(x) for conv, x in zip(self.lateral_convs, maps[self.start_level :], strict=True)]
        for downsample in self.extra_downsamples:
            H, W = levels[-1].shape[2:]
            levels.append(downsample(F.pad(levels[-1], (0, W % 2, 0, H % 2), mode='replicate')))
        fused: list[Tensor] = []
        for i, fuse in enumerate(self.fusions):
            fused.append(fuse(levels[i], *levels[i + 1 : i + 2], *fused[-1:]))
        return tuple(self.mixer(fused))

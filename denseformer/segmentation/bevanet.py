"""BEVANet: a detail and a semantic branch for real-time segmentation, joined along predicted borders.

Paper: "BEVANet: Bilateral Efficient Visual Attention Network for Real-Time Semantic Segmentation",
https://arxiv.org/abs/2508.07300. Official: https://github.com/maomao0819/BEVANet (MIT), which grew out of PIDNet: its
residual blocks, its fusion of the branches and its head with losses are mmsegmentation's.

Particular: attention by large separable depth-wise kernels, with a gate that weighs a small one, a wide one and a high
one (SDLSKA); pooling of several sizes beside such a kernel (DLKPPM). While training, a batch has two images at least:
BatchNorm follows global pooling.

Legend: B batch, C channels, H W the image, h w a map.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmseg.models.backbones.pidnet import PagFM
from mmseg.models.decode_heads import PIDHead
from mmseg.models.utils import BasicBlock, Bottleneck, resize
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.checkpoints.keys import Rule, StateDict, drop, linear_from_pointwise, rename
from denseformer.layers import ConvMlp2d, DepthwiseConv2d, LayerNorm2d, make_layer_scale
from denseformer.network import Network, NetworkOptions, Source
from denseformer.registry import MODELS
from denseformer.segmentation.segmentor import SystemHead, label_borders

KERNELS = {7: (3, 3, 2), 11: (3, 5, 2), 23: (5, 7, 3), 35: (5, 11, 3)}
"""Side of a large kernel -> side of the small one, length and dilation of the separated one that follow each other."""


def depthwise(dim: int, height: int, width: int, dilation: int = 1) -> nn.Conv2d:
    padding = (height // 2 * dilation, width // 2 * dilation)
    return nn.Conv2d(dim, dim, (height, width), padding=padding, dilation=dilation, groups=dim)


class KernelSelection(nn.Module):
    """Weighs three maps by channel and by position, each weight in (0, 1), and adds them (CKS)."""

    def __init__(self, dim: int):
        super().__init__()
        hidden = max(dim // 16, 32)
        self.squeeze = self.pooled_layer(dim, hidden)
        self.excite = nn.ModuleList(self.pooled_layer(hidden, dim) for _ in range(3))
        self.conv_squeeze = nn.Conv2d(2, 3, 7, padding=3)

    @staticmethod
    def pooled_layer(dim: int, out_dim: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(dim, out_dim, 1), DepthwiseConv2d(out_dim), nn.BatchNorm2d(out_dim), nn.ReLU(inplace=True)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        total = maps[0] + maps[1] + maps[2]
        pooled = self.squeeze(total.mean((2, 3), keepdim=True))
        extremes = torch.cat([total.mean(1, keepdim=True), total.amax(1, keepdim=True)], 1)
        places = self.conv_squeeze(extremes).sigmoid().split(1, 1)  # three of (B, 1, h, w)
        chosen = [x * gate(pooled).sigmoid() * at for x, gate, at in zip(maps, self.excite, places, strict=True)]
        return chosen[0] + chosen[1] + chosen[2]


class SelectiveKernelAttention(nn.Module):
    """Multiplies a map by one of its large neighborhoods, whose shape is chosen (SDLSKA): (B, C, h, w) -> the same."""

    def __init__(self, dim: int, kernel_size: int):
        super().__init__()
        small, length, dilation = KERNELS[kernel_size]
        self.small = depthwise(dim, small, small)
        self.wide = depthwise(dim, 1, length, dilation)
        self.high = depthwise(dim, length, 1, dilation)
        self.select = KernelSelection(dim)
        self.proj = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = self.small(x)
        return x * self.proj(self.select((near, self.wide(near), self.high(near))))


class SeparableKernelAttention(nn.Module):
    """Multiplies a map by its large neighborhood, from four kernels one after the other (LSKA)."""

    def __init__(self, dim: int, kernel_size: int):
        super().__init__()
        small, length, dilation = KERNELS[kernel_size]
        self.kernels = nn.Sequential(
            depthwise(dim, 1, small),
            depthwise(dim, small, 1),
            depthwise(dim, 1, length, dilation),
            depthwise(dim, length, 1, dilation),
        )
        self.proj = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.proj(self.kernels(x))


class GatedAttention(nn.Module):
    """Large-kernel attention between two 1 x 1 convolutions, added to its input: (B, C, h, w) -> the same."""

    def __init__(self, dim: int, gate: nn.Module):
        super().__init__()
        self.proj_in = nn.Conv2d(dim, dim, 1)
        self.gate = gate
        self.proj_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.proj_out(self.gate(F.gelu(self.proj_in(x))))


class Block(nn.Module):
    """Efficient visual attention (EVAN), then a norm over channels: (B, C, h, w) -> the same."""

    def __init__(self, dim: int, kernel_size: int, mlp_ratio: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(dim)
        self.attn = GatedAttention(dim, SelectiveKernelAttention(dim, kernel_size))
        self.gamma1 = make_layer_scale(dim, 1e-2, channel_first=True)
        self.norm2 = nn.BatchNorm2d(dim)
        self.mlp = ConvMlp2d(dim, mlp_ratio * dim)
        self.gamma2 = make_layer_scale(dim, 1e-2, channel_first=True)
        self.norm = LayerNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.gamma1 * self.attn(self.norm1(x))
        x = x + self.gamma2 * self.mlp(self.norm2(x))
        return self.norm(x)


def residual(block: type[nn.Module], dim: int, out_dim: int, depth: int, stride: int = 1) -> nn.Sequential:
    """`depth` residual blocks to `out_dim` channels; the last one of several has no ReLU at its end."""
    hidden = out_dim // block.expansion
    skip = None
    if stride != 1 or dim != out_dim:
        skip = nn.Sequential(nn.Conv2d(dim, out_dim, 1, stride, bias=False), nn.BatchNorm2d(out_dim))
    ends = [dict(type='ReLU', inplace=True)] * (depth - 2) + [None] * min(depth - 1, 1)
    others = (block(out_dim, hidden, act_cfg_out=end) for end in ends)
    return nn.Sequential(block(dim, hidden, stride, skip), *others)


def pre_activated(dim: int, out_dim: int, kernel_size: int, dilation: int = 1) -> list[nn.Module]:
    padding = kernel_size // 2 * dilation
    conv = nn.Conv2d(dim, out_dim, kernel_size, padding=padding, dilation=dilation, bias=False)
    return [nn.BatchNorm2d(dim), nn.ReLU(inplace=True), conv]


class PyramidPooling(nn.Module):
    """Means over growing areas, each added to what the one before it became, beside a large kernel (DLKPPM).

    Shape: (B, C, h, w) -> (B, out_dim, h, w).
    """

    def __init__(self, dim: int, hidden: int, out_dim: int):
        super().__init__()
        pools = nn.AvgPool2d(5, 2, 2), nn.AvgPool2d(9, 4, 4), nn.AdaptiveAvgPool2d(2), nn.AdaptiveAvgPool2d(1)
        self.whole = nn.Sequential(*pre_activated(dim, hidden, 1))
        self.pooled = nn.ModuleList(nn.Sequential(pool, *pre_activated(dim, hidden, 1)) for pool in pools)
        self.norm = nn.BatchNorm2d(hidden)
        self.attn = GatedAttention(hidden, SeparableKernelAttention(hidden, 35))
        self.gamma = make_layer_scale(hidden, 1e-2, channel_first=True)
        self.process = nn.ModuleList(nn.Sequential(*pre_activated(hidden, hidden, 3, d)) for d in (2, 2, 1, 1, 1))
        self.compression = nn.Sequential(*pre_activated(6 * hidden, out_dim, 1))
        self.shortcut = nn.Sequential(*pre_activated(dim, out_dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        whole = self.whole(x)
        scales = [self.enlarged(pool(x), whole) for pool in self.pooled]
        scales.insert(2, whole + self.gamma * self.attn(self.norm(whole)))
        found = [whole]
        for process, scale in zip(self.process, scales, strict=True):
            found.append(process(scale + found[-1]))
        return self.compression(torch.cat(found, 1)) + self.shortcut(x)

    @staticmethod
    def enlarged(x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, like.shape[2:], mode='bilinear')


class BorderFusion(nn.Module):
    """Details where a border is, semantics elsewhere, and both everywhere (BGAF): three (B, C, h, w) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.detail, self.semantic, self.out = (nn.Sequential(*pre_activated(dim, dim, 3)) for _ in range(3))

    def forward(self, detail: Tensor, semantic: Tensor, border: Tensor) -> Tensor:
        detail, semantic = self.detail(detail), self.semantic(semantic)
        edge = border.sigmoid()
        return self.out(edge * detail + (1 - edge) * semantic + detail + semantic)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """A variant.

    width: of the first convolutions; depths: residual blocks of two stem stages and of three semantic stages;
    semantic_kernels, detail_kernels: sides of the large kernels of each branch's stages, 0 for residual blocks;
    pooling_width: channels of each pooled map; mlp_ratio: of blocks of attention.
    """

    width: int = 64
    depths: tuple[int, ...] = (2, 2, 4, 4, 2)
    semantic_kernels: tuple[int, ...] = (0, 35, 35)
    detail_kernels: tuple[int, ...] = (0, 23)
    pooling_width: int = 96
    mlp_ratio: int = 4


def numbered(pattern: str, name: str, digits: str) -> Rule:
    """The rule from a `pattern` that captures one of `digits` to `name` with the digit's place among them."""
    return pattern, lambda match: name.format(digits.index(match[1]))


LARGE, GATE = r'\.spatial_gating_unit\.', '.gate.'
OFFICIAL: tuple[Rule, ...] = (
    (r'\.(pw|dw)conv\.(weight|bias)$', r'.\2'),
    (r'(layer\d\w*\.\d\.)bn(\d)\.', r'\1conv\2.bn.'),
    (r'(layer\d\w*\.\d\.conv\d\.)weight$', r'\1conv.weight'),
    (r'_seg\.', '.'),
    (r'^layer(\d)_(semantic|detail)\.(norm|attn|mlp|layer_scale)', r'layer\1_\2_1.\3'),
    (r'^norm(\d)_(semantic|detail)\.', r'layer\1_\2_1.norm.'),
    (r'^norm(\d)_(semantic|detail)_(\d)\.', r'layer\1_\2_\3.norm.'),
    (r'^layer(\d)_down_semantic\.', r'layer\1_semantic.'),
    (r'^layer(\d)_detail_conv\.', r'layer\1_detail.'),
    (r'^layer5_detail_semantic\.', 'detail.2.'),
    (r'^layer5_detail_boundary\.', 'border.'),
    (r'^layer(\d)_(semantic|detail)_(\d)\.', r'layer\1_\2.\3.'),
    numbered(r'^layer(\d)_semantic\.', 'semantic.{}.', '345'),
    numbered(r'^layer(\d)_detail\.', 'detail.{}.', '34'),
    numbered(r'^layer(\d)\.', 'stages.{}.', '12'),
    (r'^conv1\.', 'stem.'),
    numbered(r'^compression(\d)\.', 'compression.{}.', '34'),
    numbered(r'^fuse_sd_(\d)\.', 'fusions.{}.', '34'),
    (r'\.f_y\.', '.f_i.'),
    (r'\.f_x\.', '.f_p.'),
    (r'\.(f_[ip])\.0\.', r'.\1.conv.'),
    (r'\.(f_[ip])\.1\.', r'.\1.bn.'),
    (r'\.layer_scale_([12])$', r'.gamma\1'),
    (r'^spp\.lska\.', 'spp.attn.'),
    (r'^spp\.layer_scale_lska$', 'spp.gamma'),
    (r'^spp\.bn\.', 'spp.norm.'),
    (r'^spp\.scale0\.', 'spp.whole.'),
    numbered(r'^spp\.scale(\d)\.', 'spp.pooled.{}.', '1245'),
    numbered(r'^spp\.process_?(\d|l)(?:ska)?\.', 'spp.process.{}.', '12l45'),
    (r'\.proj_1\.', '.proj_in.'),
    (r'\.proj_2\.', '.proj_out.'),
    (LARGE + r'(pwconv\.)?(weight|bias)$', GATE + r'proj.\2'),
    (r'spp\.attn' + LARGE + r'DW_conv_h\.', 'spp.attn.gate.kernels.0.'),
    (r'spp\.attn' + LARGE + r'DW_conv_v\.', 'spp.attn.gate.kernels.1.'),
    (r'spp\.attn' + LARGE + r'DW_D_conv_h\.', 'spp.attn.gate.kernels.2.'),
    (r'spp\.attn' + LARGE + r'DW_D_conv_v\.', 'spp.attn.gate.kernels.3.'),
    (LARGE + r'DW_conv\.', GATE + 'small.'),
    (LARGE + r'DW_D_conv_h\.', GATE + 'wide.'),
    (LARGE + r'DW_D_conv_v\.', GATE + 'high.'),
    (LARGE + r'FS_kernel\.fc_reduce\.', GATE + 'select.squeeze.'),
    (LARGE + r'FS_kernel\.fc_expand_small\.', GATE + 'select.excite.0.'),
    (LARGE + r'FS_kernel\.fc_expand_big_h\.', GATE + 'select.excite.1.'),
    (LARGE + r'FS_kernel\.fc_expand_big_v\.', GATE + 'select.excite.2.'),
    (LARGE + r'FS_kernel\.', GATE + 'select.'),
    (r'^spp\.', 'pooling.'),
    (r'^dfm\.conv_p\.', 'fuse.detail.'),
    (r'^dfm\.conv_i\.', 'fuse.semantic.'),
    (r'^dfm\.out\.', 'fuse.out.'),
)
"""Rules from the authors' names; the stages of either branch are 3 to 5 there and 0 to 2 here."""


@MODELS.register_module()
class BEVANet(Network):
    """The network up to the maps from which classes and borders are read.

    Args:
        arch: 'small', 'base', 'small_wide', 'large', or a dict of the fields of `Arch`.
        common: `NetworkOptions`.
    """

    archs: ClassVar[Mapping[str, Arch]] = {
        'small': Arch(width=32, depths=(2, 2, 3, 3, 2)),
        'base': Arch(),
        'small_wide': Arch(depths=(2, 2, 3, 3, 2)),
        'large': Arch(depths=(3, 3, 4, 4, 2), pooling_width=112),
    }
    source = Source(
        paper='BEVANet: Bilateral Efficient Visual Attention Network for Real-Time Semantic Segmentation, '
        'https://arxiv.org/abs/2508.07300',
        code='https://github.com/maomao0819/BEVANet',
        license='MIT',
    )

    def __init__(self, *, arch: str | Mapping[str, Any] = 'base', **common: Unpack[NetworkOptions]):
        super().__init__(arch=arch, **common)
        record, C = self.arch, self.arch.width
        widths = (2 * C, 4 * C, 8 * C, 16 * C)
        self.stem = nn.Sequential(
            *(nn.Conv2d(3, C, 3, 2, 1), nn.BatchNorm2d(C), nn.ReLU(inplace=True)),
            *(nn.Conv2d(C, C, 3, 2, 1), nn.BatchNorm2d(C), nn.ReLU(inplace=True)),
        )
        self.stages = nn.ModuleList(
            [residual(BasicBlock, C, C, record.depths[0]), residual(BasicBlock, C, 2 * C, record.depths[1], 2)]
        )
        self.semantic = nn.ModuleList(
            self.stage(block, widths[i], widths[i + 1], record.depths[i + 2], 2, record.semantic_kernels[i], attentive)
            for i, (block, attentive) in enumerate(((BasicBlock, 1), (BasicBlock, 2), (Bottleneck, 2)))
        )
        self.detail = nn.ModuleList(
            self.stage(BasicBlock, 2 * C, 2 * C, depth, 1, kernel, 1)
            for depth, kernel in zip(record.depths, record.detail_kernels, strict=False)
        )
        self.detail.append(residual(Bottleneck, 2 * C, 4 * C, 1))
        self.border = residual(Bottleneck, 2 * C, 4 * C, 1)
        self.compression = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, 2 * C, 1, bias=False), nn.BatchNorm2d(2 * C)) for width in widths[1:3]
        )
        self.fusions = nn.ModuleList(PagFM(2 * C, C) for _ in range(2))
        self.pooling = PyramidPooling(16 * C, record.pooling_width, 4 * C)
        self.fuse = BorderFusion(4 * C)

    def stage(
        self, block: type[nn.Module], dim: int, out_dim: int, depth: int, stride: int, kernel: int, attentive: int
    ) -> nn.Sequential:
        """Residual blocks; or, with a large kernel, one of them and then `attentive` blocks of attention."""
        if not kernel:
            return residual(block, dim, out_dim, depth, stride)
        blocks = (Block(out_dim, kernel, self.arch.mlp_ratio) for _ in range(attentive))
        return nn.Sequential(*residual(BasicBlock, dim, out_dim, 1, stride), *blocks)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor] | Tensor:
        """image: (B, 3, H, W), normalised -> while training, maps of details, of both branches, and of borders.

        They have 2 C, 4 C and 2 C channels at stride 8, with C the width, and are what mmsegmentation's `PIDHead`
        takes; while predicting, it takes the second alone.
        """
        x = F.relu(self.stages[0](self.stem(image)))  # stride 4
        detail = semantic = F.relu(self.stages[1](x))  # stride 8
        middles = []
        for i in range(2):
            semantic = self.ended(self.semantic[i](semantic), self.arch.semantic_kernels[i])
            detail = self.fusions[i](self.detail[i](detail), self.compression[i](semantic))
            detail = self.ended(detail, self.arch.detail_kernels[i])
            middles.append(detail)
        semantic = self.pooling(self.semantic[2](semantic))  # stride 64
        semantic = F.interpolate(semantic, detail.shape[2:], mode='bilinear')
        both = self.fuse(self.detail[2](detail), semantic, self.border(detail))
        return (middles[0], both, middles[1]) if self.training else both

    @staticmethod
    def ended(x: Tensor, kernel: int) -> Tensor:
        """Residual stages end in a ReLU, those of attention in a norm."""
        return x if kernel else F.relu(x)

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'BEVANet') -> StateDict:
        """From the authors' names, of a segmentor or of their classifier, whose last stage is its own."""
        if not any(key.startswith('layer1.') for key in state_dict):
            return state_dict
        own = rename(drop(state_dict, r'_cls\.', r'^layer5_down\.', r'^last_layer\.', r'^(seg)?head'), *OFFICIAL)
        own = linear_from_pointwise(own, r'\.mlp\.fc\d\.')
        return {key: value.view(-1, 1, 1) if re.search(r'gamma\d?$', key) else value for key, value in own.items()}


@MODELS.register_module()
class BEVANetHead(SystemHead, PIDHead):
    """mmsegmentation's `PIDHead`, with the borders to learn taken from the labels.

    The authors take them from OpenCV's Canny filter of the label map; here they are where neighboring labels differ,
    and as wide, 4 pixels.
    """

    official: ClassVar[tuple[Rule, ...]] = (
        (r'^model\.', ''),
        (r'^seghead_ds\.conv2\.', 'decode_head.p_cls_seg.'),
        (r'^seghead_db\.conv2\.', 'decode_head.d_cls_seg.'),
        (r'^head\.conv2\.', 'decode_head.conv_seg.'),
        (r'^seghead_ds\.', 'decode_head.p_head.'),
        (r'^seghead_db\.', 'decode_head.d_head.'),
        (r'^head\.', 'decode_head.i_head.'),
        (r'(_head\.)bn1\.', r'\1conv.bn.'),
        (r'(_head\.)conv1\.', r'\1conv.conv.'),
        (r'(_head\.)bn2\.', r'\1norm.'),
        (r'^(?!decode_head\.)', 'backbone.'),
    )

    def _stack_batch_gt(self, batch_data_samples: list) -> tuple[Tensor, Tensor]:
        labels = torch.stack([sample.gt_sem_seg.data for sample in batch_data_samples])  # (B, 1, H, W)
        return labels, label_borders(labels[:, 0])[:, None]

    def loss_by_feat(self, seg_logits: Tensor | tuple[Tensor, ...], batch_data_samples: list) -> dict[str, Tensor]:
        """All losses of training; in validation, where there is the result alone, which comes as a tensor, its own."""
        if not isinstance(seg_logits, Tensor):
            return super().loss_by_feat(seg_logits, batch_data_samples)
        labels = self._stack_batch_gt(batch_data_samples)[0].squeeze(1)  # (B, H, W)
        scores = resize(seg_logits, labels.shape[1:], mode='bilinear', align_corners=self.align_corners)
        return {'loss_sem_i': self.loss_decode[1](scores, labels)}

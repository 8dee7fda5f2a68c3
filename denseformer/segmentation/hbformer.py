"""HBFormer's decoder: transposed convolutions up a pyramid, with dilated convolutions mixed for each image.

Paper: "HBFormer: A Hybrid-Bridge Transformer for Microtumor and Miniature Organ Segmentation",
https://arxiv.org/abs/2512.03597. Official: https://github.com/lzeeorno/HBFormer (MIT).

Particular: the skips are one level coarser than where they join, and enlarged: the coarsest but one unprojected, then
projections of this same map and of the two finer ones. The official network begins with a 1 x 1 convolution of the
three colors, which is folded into the encoder's patch embedding when weights are loaded.

Legend: B batch, C channels, h w a map, E experts, R rates.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.checkpoints.keys import Rule, StateDict, drop, rename
from denseformer.registry import MODELS
from denseformer.segmentation.segmentor import DeepSupervisionHead, fitted

RATES, EXPERTS = (1, 4, 8), 4


class LocalBlock(nn.Module):
    """A 3 x 3 and a 1 x 1 convolution beside a 1 x 1 one: (B, C, h, w) -> (B, out_dim, h, w)."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.conv1 = nn.Conv2d(dim, out_dim, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_dim)
        self.conv2 = nn.Conv2d(out_dim, out_dim, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_dim)
        self.conv_skip = nn.Conv2d(dim, out_dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = F.leaky_relu(self.bn1(self.conv1(x)))
        return F.leaky_relu(self.bn2(self.conv2(out)) + self.conv_skip(x))


class DynamicPyramid(nn.Module):
    """Dilated depth-wise and 1 x 1 convolutions, of several experts each, in shares that the image's mean decides.

    Shape: (B, C, h, w) -> the same.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.branch_attention, self.expert_attention = (self.shares(dim, count) for count in (len(RATES), EXPERTS))
        self.dw_experts = nn.ModuleList(
            nn.ModuleList(
                nn.Conv2d(dim, dim, 3, padding=rate, dilation=rate, groups=dim, bias=False) for _ in range(EXPERTS)
            )
            for rate in RATES
        )
        self.pw_experts = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(dim, dim, 1, bias=False) for _ in range(EXPERTS)) for _ in RATES
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(dim) for _ in RATES)
        self.channels = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.fuse = nn.Conv2d(len(RATES) * dim, dim, 1, bias=False)
        self.fuse_norm = nn.BatchNorm2d(dim)

    @staticmethod
    def shares(dim: int, count: int) -> nn.Sequential:
        hidden = max(dim // 8, 1)
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(dim, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, count, 1),
            nn.Softmax(1),
        )

    def forward(self, x: Tensor) -> Tensor:
        branches = self.branch_attention(x).split(1, 1)  # R times (B, 1, 1, 1)
        experts = self.expert_attention(x).split(1, 1)  # E times
        found = []
        for i, share in enumerate(branches):
            wide = mixed(x, self.dw_experts[i], experts)
            found.append(share * F.silu(self.norms[i](mixed(wide, self.pw_experts[i], experts))))
        x = torch.cat(found, 1)
        gates = self.channels(x.mean((2, 3))[:, None]).sigmoid()  # (B, 1, R C)
        return self.fuse_norm(self.fuse(x * gates.transpose(1, 2)[..., None]))


def mixed(x: Tensor, convs: Sequence[nn.Module], shares: Sequence[Tensor]) -> Tensor:
    return torch.stack([share * conv(x) for share, conv in zip(shares, convs, strict=True)]).sum(0)


class DecoderBlock(nn.Module):
    """A map enlarged twice and joined with a skip: (B, C, h, w) -> (B, out_dim, ..) at the skip's size."""

    def __init__(self, dim: int, skip_dim: int, out_dim: int):
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(dim, out_dim, 2, 2)
        self.local = LocalBlock(out_dim + skip_dim, out_dim)
        self.pyramid = DynamicPyramid(out_dim)
        self.norm = nn.BatchNorm2d(out_dim)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.local(torch.cat([fitted(self.enlarge(x), skip), skip], 1))
        return self.norm(F.relu(self.pyramid(x)))


@MODELS.register_module()
class HBFormerHead(DeepSupervisionHead):
    """The decoder, for four maps of any backbone, finest first, each half as high and wide as the one before.

    Args:
        in_channels, num_classes, options: as in `DeepSupervisionHead`; there are no auxiliary outputs.
        channels: of the finest map, doubled with each coarser one.

    Raises ValueError for other numbers of maps.
    """

    official: ClassVar[tuple[Rule, ...]] = (
        (r'^MWAencoder\.backbone\.', 'backbone.swin.'),
        (r'^(backbone\.swin\.layers)\.(\d)\.downsample\.', lambda match: f'{match[1]}.{int(match[2]) - 1}.downsample.'),
        (r'^(?!backbone\.)', 'decode_head.'),
        (r'\.proj_enc(\d)\.', lambda match: f'.laterals.{int(match[1]) - 1}.'),
        (r'\.MFF_decoder(\d)\.', lambda match: f'.blocks.{4 - int(match[1])}.'),
        (r'\.transp_conv\.', '.enlarge.'),
        (r'\.LRD_block\.', '.local.'),
        (r'\.Med_DSPP\.', '.pyramid.'),
        (r'\.bns\.', '.norms.'),
        (r'\.eca\.conv\.', '.channels.'),
        (r'\.fuse_bn\.', '.fuse_norm.'),
        (r'\.BN\.', '.norm.'),
        (r'\.out\.0\.', '.enlarge.'),
        (r'\.out\.1\.', '.conv_seg.'),
    )

    def __init__(self, *, in_channels: Sequence[int], channels: int = 48, **options: Any):
        if len(in_channels) != 4:
            raise ValueError(f'HBFormerHead takes four maps, in_channels={tuple(in_channels)} are {len(in_channels)}.')
        super().__init__(in_channels=in_channels, channels=channels, **options)
        widths = [channels << i for i in range(4)]
        self.laterals = nn.ModuleList(
            nn.Conv2d(dim, width, 1) for dim, width in zip(in_channels[:3], widths[:3], strict=True)
        )
        skips = (in_channels[2], *reversed(widths[:3]))
        dims = (in_channels[3], *reversed(widths[1:]))
        self.blocks = nn.ModuleList(
            DecoderBlock(dim, skip, width) for dim, skip, width in zip(dims, skips, reversed(widths), strict=True)
        )
        self.enlarge = nn.ConvTranspose2d(channels, channels, 4, 2, 1, bias=False)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor | tuple[Tensor]:
        *finer, coarsest = self._transform_inputs(inputs)
        skips = [finer[-1]]
        for lateral, x in zip(reversed(self.laterals), reversed(finer), strict=True):
            size = [2 * side for side in x.shape[2:]]
            skips.append(F.interpolate(lateral(x), size, mode='bilinear', align_corners=True))
        x = coarsest
        for block, skip in zip(self.blocks, skips, strict=True):
            x = block(x, skip)
        scores = self.cls_seg(self.enlarge(x))
        return (scores,) if self.training else scores

    @classmethod
    def remap_official_keys(cls, state_dict: StateDict) -> StateDict:
        """From the authors' names of the whole network, with its first convolution folded into the patch embedding."""
        if not any(key.startswith('MWAencoder.') for key in state_dict):
            return state_dict
        own = rename(drop(state_dict, r'^input_proj\.', r'^proj_enc4\.', r'\.backbone\.norm\.'), *cls.official)
        mix, shift = state_dict['input_proj.weight'][:, :, 0, 0], state_dict['input_proj.bias']  # (3, 3), (3,)
        patch = 'backbone.swin.patch_embed.proj.'
        weight = own[patch + 'weight']  # (C, 3, 4, 4)
        own[patch + 'bias'] = own[patch + 'bias'] + torch.einsum('cikl,i->c', weight, shift)
        own[patch + 'weight'] = torch.einsum('cikl,ij->cjkl', weight, mix)
        return own

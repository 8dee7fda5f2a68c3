"""Isomer: a video's moving object from a frame and its optical flow, without being told which.

Paper: "Isomer: Isomerous Transformer for Zero-shot Video Object Segmentation", https://arxiv.org/abs/2308.06693.
Official code: https://github.com/DLUT-yyc/Isomer (README: Apache-2.0, without a licence file).

Two backbones of one kind read the frame and the colors of its flow. The two finer levels of their maps are joined by
one context that all positions share; the two coarser ones by attention of the foreground and of the background, each to
a few tokens gathered from itself. The authors' code computes that attention and drops the outcome, so that their
coarser levels are joined by a projection alone; this is the default here, and `scatter=True` is the paper's way.

Legend: B batch, C channels, H W the image, h w a map, K gathered tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, Rule
from denseformer.layers import DepthwiseConv2d
from denseformer.registry import MODELS
from denseformer.segmentation.segformer import JoinedMaps

CONTEXT_RATIO = 16
"""Hidden channels of the shared context in those of the map."""
SPREAD = 0.01
"""The deviation of the first weights of convolutions outside of the backbones."""


class SharedContext(nn.Module):
    """Adds to every position what the map holds on the whole: (B, C, h, w) -> the same.

    The last convolution starts from zeros, so that nothing is added at first.
    """

    def __init__(self, dim: int):
        super().__init__()
        hidden = CONTEXT_RATIO * dim
        self.weigh = nn.Conv2d(dim, 1, 1)
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.norm = nn.LayerNorm((hidden, 1, 1))
        self.fc2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.weigh(x).flatten(2).softmax(-1)  # (B, 1, h * w)
        context = (x.flatten(2) @ weights.mT)[..., None]  # (B, C, 1, 1)
        return x + self.fc2(F.relu(self.norm(self.fc1(context))))


class FeedForward(nn.Module):
    """Linear, depth-wise convolution, ReLU, linear; added to its input, then normed: (B, C, h, w) -> the same."""

    def __init__(self, dim: int, hidden: int, dropout: float):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.dwconv = DepthwiseConv2d(hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # (B, h, w, C)
        hidden = self.dwconv(self.fc1(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = x + self.dropout(self.fc2(self.dropout(hidden.relu())))
        return self.norm(x).permute(0, 3, 1, 2)


@MODELS.register_module()
class ContextSharingTransformer(RenamesKeys, nn.Module):
    """Joins two maps of a fine level (CST): two of (B, C, h, w) -> the same.

    Args:
        in_channels: C.
        dim_feedforward: hidden channels of the feed-forward network.
        dropout: within it.
    """

    names: ClassVar[tuple[Rule, ...]] = (
        (r'^transformer_self_attention_layers\.0\.conv_mask\.', 'context.weigh.'),
        (r'^transformer_self_attention_layers\.0\.channel_add_conv\.0\.', 'context.fc1.'),
        (r'^transformer_self_attention_layers\.0\.channel_add_conv\.1\.', 'context.norm.'),
        (r'^transformer_self_attention_layers\.0\.channel_add_conv\.3\.', 'context.fc2.'),
        (r'^transformer_ffn_layers\.0\.linear(\d)\.', r'ffn.fc\1.'),
        (r'^transformer_ffn_layers\.0\.dwconv\.', 'ffn.'),
        (r'^transformer_ffn_layers\.0\.', 'ffn.'),
    )

    def __init__(self, *, in_channels: int, dim_feedforward: int, dropout: float = 0.1):
        super().__init__()
        self.project = nn.Conv2d(2 * in_channels, in_channels, 1)
        self.context = SharedContext(in_channels)
        self.ffn = FeedForward(in_channels, dim_feedforward, dropout)

    def forward(self, image: Tensor, flow: Tensor) -> Tensor:
        return self.ffn(self.context(self.project(torch.cat([image, flow], 1))))


class Gathering(nn.Module):
    """Attention of chosen tokens to K that are gathered from the whole map.

    forward(tokens (n, C), weighted (C, h * w)) -> (n, C): what the map holds is weighted by how much it belongs here.
    """

    def __init__(self, dim: int, heads: int, hidden: int, depth: int, tokens: int, dropout: float):
        super().__init__()
        self.gather = nn.Conv2d(dim, tokens, 1)
        self.attn = nn.ModuleList(nn.MultiheadAttention(dim, heads, dropout) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(depth))
        self.ffn = nn.ModuleList(FeedForward(dim, hidden, dropout) for _ in range(depth))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, weighted: Tensor) -> Tensor:
        gathered = self.gather(weighted[None, :, :, None])[0, :, :, 0] @ weighted.mT  # (K, C)
        for attn, norm, ffn in zip(self.attn, self.norms, self.ffn, strict=True):
            tokens = norm(tokens + self.dropout(attn(tokens, gathered, gathered, need_weights=False)[0]))
            tokens = ffn(tokens.mT[None, :, :, None])[0, :, :, 0].mT  # the chosen tokens stand in one column
        return tokens


@MODELS.register_module()
class SemanticGatheringScatteringTransformer(RenamesKeys, nn.Module):
    """Joins two maps of a coarse level (SGST): two of (B, C, h, w) -> the same.

    Args:
        in_channels: C.
        hidden_dim: the same, as the authors have it.
        nheads: attention heads.
        dim_feedforward: hidden channels of the feed-forward networks.
        dec_layers: layers of attention to the gathered tokens.
        dropout: within them.
        select_tokens: K.
        threshold: the sureness from which on a position is foreground.
        scatter: put what attention finds in its place, as in the paper; without it, as in the authors' code, nothing
            but the projection is left, and there are no other parameters.

    Raises ValueError for a hidden_dim other than in_channels.
    """

    names: ClassVar[tuple[Rule, ...]] = (
        (r'^generate_heat_map\.sal_conv\.', 'saliency.'),
        (r'^fg_', 'foreground.'),
        (r'^bg_', 'background.'),
        (r'\.soft_weights\.', '.gather.'),
        (r'\.self_attention_layers\.(\d+)\.self_attn\.', r'.attn.\1.'),
        (r'\.self_attention_layers\.(\d+)\.norm\.', r'.norms.\1.'),
        (r'\.ffn_layers\.(\d+)\.linear(\d)\.', r'.ffn.\1.fc\2.'),
        (r'\.ffn_layers\.(\d+)\.dwconv\.', r'.ffn.\1.'),
        (r'\.ffn_layers\.(\d+)\.', r'.ffn.\1.'),
    )

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_dim: int | None = None,
        nheads: int = 8,
        dim_feedforward: int = 2048,
        dec_layers: int = 1,
        dropout: float = 0.1,
        select_tokens: int = 121,
        threshold: float = 0.5,
        scatter: bool = False,
    ):
        super().__init__()
        if hidden_dim not in (None, in_channels):
            raise ValueError(f'hidden_dim={hidden_dim} must be in_channels={in_channels}: tokens keep their width.')
        self.scatter, self.threshold = scatter, threshold
        self.project = nn.Conv2d(2 * in_channels, in_channels, 1)
        if scatter:
            self.saliency = nn.Conv2d(in_channels, 1, 1)
            sizes = in_channels, nheads, dim_feedforward, dec_layers, select_tokens, dropout
            self.foreground, self.background = Gathering(*sizes), Gathering(*sizes)

    def forward(self, image: Tensor, flow: Tensor) -> Tensor:
        x = self.project(torch.cat([image, flow], 1))
        if not self.scatter:
            return x
        sureness = self.saliency(x).sigmoid()
        pairs = zip(x.flatten(2), sureness.flatten(2), strict=True)
        return torch.stack([self.attend(each, sure) for each, sure in pairs]).view_as(x)

    def attend(self, x: Tensor, sureness: Tensor) -> Tensor:
        """One image, (C, h * w) with the sureness of foreground (1, h * w) -> the same.

        An image that is all foreground, or all background, stays as it is.
        """
        front, back = sureness[0] >= self.threshold, sureness[0] < 1 - self.threshold
        if not front.any() or not back.any():
            return x
        tokens = x.mT.clone()  # (h * w, C)
        tokens[front] = self.foreground(x.mT[front], x * sureness)
        tokens[back] = self.background(x.mT[back], x * (1 - sureness))
        return tokens.mT

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if not self.scatter:
            unused = tuple(prefix + part for part in ('generate_heat_map.', 'fg_', 'bg_'))
            for key in [key for key in state_dict if key.startswith(unused)]:
                del state_dict[key]
        super()._load_from_state_dict(state_dict, prefix, *args)


@MODELS.register_module()
class Isomer(BaseModule):
    """Two backbones and what joins their maps: (B, 6, H, W) -> one map per level, as one of them alone would return.

    The first three channels are the frame, the others the colors of its flow (`denseformer.LoadFlow`).

    Args:
        stream: the config of a backbone of four maps, of which there are two.
        ffn_ratio: hidden channels of feed-forward networks in those of the map.
        heads, depth, num_points, threshold, dropout: of the coarser levels' attention; the coarsest gathers a quarter
            of the points.
        scatter: as in `SemanticGatheringScatteringTransformer`.
        init_cfg: mmengine's.

    Raises ValueError for a backbone of another number of maps.
    """

    def __init__(
        self,
        *,
        stream: Mapping[str, Any],
        ffn_ratio: int = 8,
        heads: int = 8,
        depth: int = 1,
        num_points: int = 121,
        threshold: float = 0.5,
        dropout: float = 0.1,
        scatter: bool = False,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.image, self.flow = MODELS.build(stream), MODELS.build(stream)
        self.out_channels = self.image.out_channels
        if len(self.out_channels) != 4:
            raise ValueError(f'stream returns {len(self.out_channels)} maps, of channels {self.out_channels}, not 4.')
        *fine, third, last = self.out_channels
        options: dict[str, Any] = dict(nheads=heads, dec_layers=depth, threshold=threshold)
        options |= dict(dropout=dropout, scatter=scatter)
        self.fusions = nn.ModuleList(
            ContextSharingTransformer(in_channels=dim, dim_feedforward=ffn_ratio * dim, dropout=dropout) for dim in fine
        )
        for dim, points in ((third, num_points), (last, num_points // 4)):
            self.fusions.append(
                SemanticGatheringScatteringTransformer(
                    in_channels=dim, dim_feedforward=ffn_ratio * dim, select_tokens=points, **options
                )
            )
        draw(self.fusions)

    def forward(self, pair: Tensor) -> tuple[Tensor, ...]:
        maps = self.image(pair[:, :3]), self.flow(pair[:, 3:])
        return tuple(join(*levels) for join, *levels in zip(self.fusions, *maps, strict=True))


def draw(module: nn.Module) -> None:
    """Narrow first weights of convolutions, as the authors have them everywhere but in the backbones."""
    for each in module.modules():
        if isinstance(each, nn.Conv2d):
            nn.init.normal_(each.weight, std=SPREAD)


@MODELS.register_module()
class IsomerHead(JoinedMaps):
    """SegFormer's head that enlarges twice more, for one logit at the size of the image.

    The authors' code takes square images; here both sides are doubled.

    Args:
        in_channels: of the maps, finest first, at stride 4.
        channels: that all maps are brought to.
        dropout_ratio: of whole channels before the last layer.
        options: of mmsegmentation's `BaseDecodeHead`.
    """

    names = (
        *JoinedMaps.names,
        (r'^linear_project\.', 'refine.'),
        (r'^linear_saliency_pred\.', 'conv_seg.'),
    )

    def __init__(self, *, in_channels: Sequence[int], channels: int, dropout_ratio: float = 0.1, **options: Any):
        super().__init__(
            in_channels=in_channels,
            width=channels,
            channels=channels // 4,
            num_classes=options.pop('num_classes', 2),
            out_channels=1,
            threshold=options.pop('threshold', 0.5),
            dropout_ratio=dropout_ratio,
            **options,
        )
        self.refine = ConvModule(channels, channels // 4, 3, padding=1, norm_cfg=dict(type='BN'))
        draw(self)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """One (B, C_i, h_i, w_i) per in_channels -> logits of the object, (B, 1, 4 * h_0, 4 * w_0)."""
        return self.cls_seg(doubled(self.refine(doubled(self.join(inputs)))))


def doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode='bilinear')


@MODELS.register_module()
class FlowPreProcessor(SegDataPreProcessor):
    """mmsegmentation's, of images (6, H, W): R, G, B of a frame and of its flow's colors, normalized alike.

    Args:
        mean, std: of R, G, B.
        options: of mmsegmentation's `SegDataPreProcessor`.
    """

    def __init__(self, *, mean: Sequence[float], std: Sequence[float], **options: Any):
        super().__init__(mean=mean, std=std, **options)
        for name in ('mean', 'std'):
            setattr(self, name, getattr(self, name).repeat(2, 1, 1))


@MODELS.register_module()
class VideoObjectSegmentor(RenamesKeys, EncoderDecoder):
    """mmsegmentation's `EncoderDecoder` of frames with their flow, which takes the authors' weights of Isomer."""

    names: ClassVar[tuple[Rule, ...]] = (
        (r'^module\.', ''),
        (r'^backbone_x\.', 'backbone.image.'),
        (r'^backbone_y\.', 'backbone.flow.'),
        (r'^fusion_module(\d)\.', r'backbone.fusions.\1.'),
    )

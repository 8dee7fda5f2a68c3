"""The network of FashionFormer: queries for objects, and beside them queries for what the objects are like.

Particular: a query gathers the map inside its mask, as a sum over pixels and not a mean, so that its magnitude grows
with the object; masks are cut at a half and pass no gradient here. The queries of attributes gather every level of the
pyramid ("multi-layer rendering") with the masks that a stage begins with.

Legend: B batch, C channels, h w a map at stride 8, Q queries, K classes, A attributes, L levels of the pyramid.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks.transformer import FFN, MultiheadAttention
from mmdet.models.layers import SinePositionalEncoding
from mmseg.models.decode_heads.knet_head import KernelUpdator
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, Rule
from denseformer.layers import Linear

LEVELS = 4
PRIOR = -4.595
"""The bias of a sigmoid that begins at 0.01."""


class Proposals(NamedTuple):
    """Inputs of the first stage: kernels (B, Q, C), feature (B, C, h, w), masks (B, Q, h, w), and the semantic
    scores of pixels (B, K, h, w) that train the feature; masks and scores are logits."""

    kernels: Tensor
    feature: Tensor
    masks: Tensor
    semantic: Tensor


class Stage(NamedTuple):
    """Outputs of a stage: classes (B, Q, K), attributes (B, Q, A) or None, masks (B, Q, h, w), all logits, and kernels
    (B, Q, C) for the next one."""

    classes: Tensor
    attributes: Tensor | None
    masks: Tensor
    kernels: Tensor


def conv_norm(dim: int, kernel_size: int, stride: int = 1) -> ConvModule:
    return ConvModule(dim, dim, kernel_size, stride, kernel_size // 2, norm_cfg=dict(type='GN', num_groups=32))


def at_size(x: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    if x.shape[2:] == tuple(size):
        return x
    return F.interpolate(x, tuple(size), mode='bilinear', align_corners=align_corners)


def doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode='bilinear')


def gather(masks: Tensor, feature: Tensor) -> Tensor:
    """The sum of a map (B, C, h, w) over the pixels that are more likely than not inside each mask: (B, Q, C)."""
    inside = (masks.sigmoid() > 0.5).to(feature.dtype)
    return torch.einsum('bqhw,bchw->bqc', inside, feature)


class FusedPyramid(nn.Module):
    """Four levels (B, C, ...) summed at the size of the second -> a map for places and one for classes, (B, C, h, w).

    The coarsest level is told where its pixels are.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.positions = SinePositionalEncoding(dim // 2, normalize=True)
        self.levels = nn.ModuleList(
            nn.ModuleList(conv_norm(dim, 3, stride=1 if i else 2) for _ in range(max(i, 1))) for i in range(LEVELS)
        )
        self.places, self.classes = conv_norm(dim, 1), conv_norm(dim, 1)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        *finer, coarsest = maps
        coarsest = coarsest + self.positions(None, coarsest).to(coarsest.dtype)
        sizes = [x.shape[2:] for x in maps]
        total: Tensor | float = 0.0
        for i, (convs, x) in enumerate(zip(self.levels, (*finer, coarsest), strict=True)):
            for step, conv in enumerate(convs):
                x = at_size(conv(x), sizes[max(i - 1 - step, 1)])
            total = total + x
        return self.places(total), self.classes(total)


class KernelProposals(RenamesKeys, nn.Module):
    """Learned kernels find the first masks, and take up what lies inside them.

    Args:
        dim: C, a multiple of 32; num_classes: K; num_queries: Q.
    """

    names: ClassVar[tuple[Rule, ...]] = (
        (r'^localization_fpn\.convs_all_levels\.(\d)\.conv(\d)\.', r'pyramid.levels.\1.\2.'),
        (r'^localization_fpn\.conv_pred\.', 'pyramid.places.'),
        (r'^localization_fpn\.aux_convs\.0\.', 'pyramid.classes.'),
        (r'^loc_convs\.0\.', 'place_conv.'),
        (r'^seg_convs\.0\.', 'class_conv.'),
        (r'^init_kernels\.weight$', 'kernels.weight'),
    )

    def __init__(self, dim: int = 256, num_classes: int = 46, num_queries: int = 100):
        super().__init__()
        self.pyramid = FusedPyramid(dim)
        self.place_conv, self.class_conv = conv_norm(dim, 1), conv_norm(dim, 1)
        self.kernels = nn.Conv2d(dim, num_queries, 1, bias=False)
        self.conv_seg = nn.Conv2d(dim, num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
        nn.init.normal_(self.kernels.weight)
        nn.init.constant_(self.conv_seg.bias, PRIOR)

    def forward(self, maps: Sequence[Tensor]) -> Proposals:
        """maps: L times (B, C, ...), finest first."""
        places, classes = self.pyramid(maps)
        places, classes = self.place_conv(places), self.class_conv(classes)
        masks, feature = self.kernels(places), places + classes
        kernels = self.kernels.weight.flatten(1) + gather(masks, feature)  # (B, Q, C)
        return Proposals(kernels, feature, masks, self.conv_seg(classes))


class QueryStream(nn.Module):
    """Queries (B, Q, C) take up what they have gathered, (B, Q, C), exchange, and pass an MLP: -> (B, Q, C)."""

    def __init__(self, dim: int, heads: int, hidden: int):
        super().__init__()
        self.update = KernelUpdator(dim, feat_channels=dim, out_channels=dim)
        self.attention = MultiheadAttention(dim, heads, batch_first=True)
        self.attention_norm = nn.LayerNorm(dim)
        self.ffn = FFN(dim, hidden)
        self.ffn_norm = nn.LayerNorm(dim)

    def forward(self, gathered: Tensor, queries: Tensor) -> Tensor:
        x = self.update(gathered, queries).view_as(queries)
        x = self.attention_norm(self.attention(x))
        return self.ffn_norm(self.ffn(x))


def branch(dim: int, out_dim: int) -> nn.Sequential:
    return nn.Sequential(Linear(dim, dim, bias=False), nn.LayerNorm(dim), nn.ReLU(), Linear(dim, out_dim))


class KernelUpdate(RenamesKeys, nn.Module):
    """A stage: kernels and masks -> better ones, with classes and attributes.

    Args:
        dim: C, a multiple of `heads`; num_classes: K; num_attributes: A, 0 for no stream of attributes.
        num_queries: Q.
        heads, hidden: of attention, and width of the MLPs.
        all_levels: whether attributes are read from every level of the pyramid, or from the feature of the masks.
        shared: whether the queries of attributes are made of the stage's objects, or of the kernels that it begins with
            and a learned part.
    """

    names: ClassVar[tuple[Rule, ...]] = (
        (r'^kernel_update_conv\.', 'objects.update.'),
        (r'^(attention|attention_norm|ffn|ffn_norm)\.', r'objects.\1.'),
        (r'^attr_query_update\.', 'details.update.'),
        (r'^attr_(attention|attention_norm|ffn|ffn_norm)\.', r'details.\1.'),
        (r'^attr_kernels\.', 'detail_queries.'),
        (r'^mlvl_feat_fusion\.', 'render.'),
        (r'^feat_transform\.conv\.', 'transform.'),
        (r'^cls_fcs\.', 'classes.'),
        (r'^fc_cls\.', 'classes.3.'),
        (r'^attr_fcs\.', 'attributes.'),
        (r'^attr_pred\.', 'attributes.3.'),
        (r'^mask_fcs\.', 'masks.'),
        (r'^fc_mask\.', 'masks.3.'),
    )

    def __init__(
        self,
        dim: int = 256,
        num_classes: int = 46,
        num_attributes: int = 294,
        num_queries: int = 100,
        *,
        heads: int = 8,
        hidden: int = 2048,
        all_levels: bool = True,
        shared: bool = False,
    ):
        super().__init__()
        self.num_attributes, self.all_levels, self.shared = num_attributes, all_levels, shared
        self.transform = nn.Conv2d(dim, dim, 1)
        self.objects = QueryStream(dim, heads, hidden)
        self.classes, self.masks = branch(dim, num_classes), branch(dim, dim)
        if num_attributes:
            self.detail_queries = Linear(dim, dim) if shared else nn.Embedding(num_queries, dim)
            self.details = QueryStream(dim, heads, hidden)
            self.attributes = branch(dim, num_attributes)
        if num_attributes and all_levels:
            self.render = nn.Sequential(Linear(LEVELS * dim, dim), nn.LayerNorm(dim), nn.ReLU())
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.constant_(self.classes[-1].bias, PRIOR)

    def forward(self, feature: Tensor, maps: Sequence[Tensor], kernels: Tensor, masks: Tensor) -> Stage:
        """feature: (B, C, h, w); maps: L times (B, C, ...), finest first; kernels: (B, Q, C); masks: (B, Q, ...)."""
        feature = self.transform(feature)
        masks = at_size(masks, feature.shape[2:])
        gathered = gather(masks, feature)
        objects = self.objects(gathered, kernels)
        attributes = None
        if self.num_attributes:
            queries = self.detail_queries(objects) if self.shared else kernels + self.detail_queries.weight
            if self.all_levels:
                levels = [gather(at_size(masks, x.shape[2:], align_corners=True), x) for x in maps]
                gathered = self.render(torch.cat(levels, -1))
            attributes = self.attributes(self.details(gathered, queries))
        found = torch.einsum('bqc,bchw->bqhw', self.masks(objects), feature)
        return Stage(self.classes(objects), attributes, found, objects)

"""Mask2Former's head, "Masked-attention Mask Transformer for Universal Image Segmentation", arXiv 2112.01527.

Official: https://github.com/facebookresearch/Mask2Former (MIT). The network and its losses are mmdetection's; here its
numbers are stated once, masks are matched and compared with labels by `points`, and the authors' weights load.

Legend: B batch, Q queries, K classes, G labels, n matched masks, P points, H W image, h w the finest map.
"""

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import Mask2FormerHead as MMDetHead
from mmdet.models.detectors import Mask2Former as MMDetMask2Former
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.utils import reduce_mean
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from mmseg.models.decode_heads import Mask2FormerHead as MMSegHead
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, StateDict, drop, rename
from denseformer.checkpoints.layouts.detectron2 import RESNET
from denseformer.detection.mask2former.keys import in_our_order, remap_official_keys
from denseformer.detection.mask2former.points import (
    CLASS,
    DICE,
    MASK,
    match_queries,
    point_sample,
    sample_uncertain_points,
)
from denseformer.ops.dispatch import patch_mmcv_deform_attention
from denseformer.registry import MODELS

patch_mmcv_deform_attention()

WHOLE_EOMT = r'(network\.)?encoder\.backbone\.|query\.weight$'
"""A name that EoMT's authors, or transformers, give a part of it, from its beginning."""
LEVELS = 3
"""Maps that the deformable encoder and the decoder attend to, the coarsest; mostly strides 8, 16 and 32."""


def positional_encoding(width: int) -> dict:
    return dict(num_feats=width // 2, normalize=True)


def mlp(width: int, hidden: int) -> dict:
    activation = dict(type='ReLU', inplace=True)
    return dict(embed_dims=width, feedforward_channels=hidden, num_fcs=2, ffn_drop=0.0, act_cfg=activation)


def pixel_decoder(width: int, num_heads: int, layers: int, hidden: int) -> dict:
    """Deformable attention between the coarser maps, then a pyramid up to the finest."""
    attention = dict(
        embed_dims=width, num_heads=num_heads, num_levels=LEVELS, num_points=4, dropout=0.0, batch_first=True
    )
    return dict(
        type='mmdet.MSDeformAttnPixelDecoder',
        num_outs=LEVELS,
        norm_cfg=dict(type='GN', num_groups=32),
        act_cfg=dict(type='ReLU'),
        encoder=dict(num_layers=layers, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=mlp(width, hidden))),
        positional_encoding=positional_encoding(width),
    )


def query_decoder(width: int, num_heads: int, layers: int, hidden: int) -> dict:
    """Masked attention from the queries to the maps, then between the queries."""
    attention = dict(embed_dims=width, num_heads=num_heads, dropout=0.0, batch_first=True)
    layer = dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=mlp(width, hidden))
    return dict(return_intermediate=True, num_layers=layers, layer_cfg=layer)


class QueryLosses:
    """Mixin before mmdetection's or mmsegmentation's head: losses of the classes and masks of queries."""

    num_classes: int
    num_points: int
    class_weight: list[float]
    loss_cls: nn.Module
    loss_mask: nn.Module
    loss_dice: nn.Module

    def build_losses(self, num_classes: int, void_weight: float) -> None:
        """Set the losses of a head that mmdetection's constructor does not build."""
        settings = loss_settings(num_classes, void_weight)
        self.class_weight = settings['loss_cls']['class_weight']
        self.loss_cls, self.loss_mask, self.loss_dice = (MMDET_MODELS.build(loss) for loss in settings.values())

    def _loss_by_feat_single(
        self, scores: Tensor, masks: Tensor, truth: Sequence[InstanceData], metas: Sequence[dict]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The losses of one decoder layer: of classes, of masks, and their dice loss; of masks per labelled one.

        Args:
            scores: (B, Q, K + 1) before the softmax.
            masks: (B, Q, h, w) before the sigmoid.
            truth: of each image, `labels` (G,) and `masks` (G, H, W), 0 or 1.
            metas: not used.
        """
        scores = scores.float()
        with torch.no_grad(), torch.autocast(masks.device.type, enabled=False):
            pairs = [
                match_queries(each, found, gt.labels, gt.masks, torch.rand(self.num_points, 2, device=masks.device))
                for each, found, gt in zip(scores, masks, truth, strict=True)
            ]
        labels = scores.new_full(scores.shape[:2], self.num_classes, dtype=torch.long)  # (B, Q)
        for row, (queries, matched), gt in zip(labels, pairs, truth, strict=True):
            row[queries] = gt.labels[matched]
        weight = scores.new_tensor(self.class_weight)[labels].sum()
        loss_cls = self.loss_cls(scores.flatten(0, 1), labels.flatten(), avg_factor=weight)
        found = torch.cat([each[queries] for each, (queries, _) in zip(masks, pairs, strict=True)]).float()  # (n, h, w)
        count = reduce_mean(scores.new_tensor(float(len(found)))).clamp(min=1)
        if not len(found):
            return loss_cls, found.sum(), found.sum()
        with torch.no_grad():
            targets = torch.cat([gt.masks[matched] for gt, (_, matched) in zip(truth, pairs, strict=True)])
            points = sample_uncertain_points(found, self.num_points)
            targets = point_sample(targets.float(), points)
        found = point_sample(found, points)  # (n, P)
        loss_mask = self.loss_mask(found.flatten(), targets.flatten(), avg_factor=count * self.num_points)
        return loss_cls, loss_mask, self.loss_dice(found, targets, avg_factor=count)


def loss_settings(num_classes: int, void_weight: float) -> dict[str, dict[str, Any]]:
    """mmdetection's losses of classes, of masks, and of their dice; `void_weight` is that of the class `nothing`."""
    weights = [1.0] * num_classes + [void_weight]
    mean = dict(use_sigmoid=True, reduction='mean')
    return dict(
        loss_cls=dict(type='mmdet.CrossEntropyLoss', loss_weight=CLASS, class_weight=weights),
        loss_mask=dict(mean, type='mmdet.CrossEntropyLoss', loss_weight=MASK),
        loss_dice=dict(mean, type='mmdet.DiceLoss', loss_weight=DICE, activate=True, naive_dice=True, eps=1.0),
    )


class PlainHead(RenamesKeys, QueryLosses):
    """Mixin before mmdetection's or mmsegmentation's head, which state most of these numbers in several places.

    Args:
        in_channels: of the backbone's three or four maps, finest first, each half as high and wide as the one before.
            Masks are as fine as the first.
        num_classes: of things and stuff together; things stand first.
        num_stuff: how many of them are stuff.
        num_queries: the most masks that are found in an image.
        width: channels of queries and maps.
        encoder_hidden, decoder_hidden: of the hidden layers; None for 4 and 8 times the width.
        num_heads: of every attention.
        encoder_layers: of deformable attention between the maps.
        decoder_layers: of masked attention from the queries to the maps.
        num_points: at which a mask is compared with a label.
        void_weight: of the class `nothing`, which most queries have, in the loss.
        train_cfg, test_cfg: passed by mmdetection's detector; not used.

    Raises ValueError for numbers that contradict one another.
    """

    num_stuff: int

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        num_classes: int,
        num_stuff: int = 0,
        num_queries: int = 100,
        width: int = 256,
        encoder_hidden: int | None = None,
        decoder_hidden: int | None = None,
        num_heads: int = 8,
        encoder_layers: int = 6,
        decoder_layers: int = 9,
        num_points: int = 12544,
        void_weight: float = 0.1,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
    ):
        if not 0 <= num_stuff <= num_classes:
            raise ValueError(f'num_stuff={num_stuff} of num_classes={num_classes}: the stuff is a part of the classes.')
        if width % 32 or width % num_heads:
            raise ValueError(f'width={width} must be a multiple of 32 and of num_heads={num_heads}.')
        if not LEVELS <= len(in_channels) <= LEVELS + 1:
            raise ValueError(f'{LEVELS} or {LEVELS + 1} maps are needed, not {len(in_channels)}: {tuple(in_channels)}.')
        options = ConfigDict(
            in_channels=list(in_channels),
            feat_channels=width,
            out_channels=width,
            num_things_classes=num_classes - num_stuff,
            num_stuff_classes=num_stuff,
            num_queries=num_queries,
            num_transformer_feat_level=LEVELS,
            positional_encoding=positional_encoding(width),
            pixel_decoder=pixel_decoder(width, num_heads, encoder_layers, encoder_hidden or 4 * width),
            transformer_decoder=query_decoder(width, num_heads, decoder_layers, decoder_hidden or 8 * width),
            **loss_settings(num_classes, void_weight),
        )
        super().__init__(num_classes=num_classes, **options)  # type: ignore[call-arg]
        self.num_points = num_points
        self.num_stuff = num_stuff

    def own_names(self, state_dict: StateDict) -> StateDict:
        """`state_dict`, under the names of Detectron2, of mmdetection 2 or ours, under ours, things first; pure."""
        return remap_official_keys(state_dict, self)


@MODELS.register_module()
class Mask2FormerHead(PlainHead, MMDetHead):
    """Head for instance and panoptic segmentation, of mmdetection's `Mask2Former`."""

    def predict(self, x: Sequence[Tensor], batch_data_samples: list) -> tuple[Tensor, Tensor]:
        """Class scores (B, Q, K + 1) and masks (B, Q, h, w) before the softmax and the sigmoid.

        mmdetection enlarges the masks of all queries to the image's size here; `MaskFusion` enlarges those that count.
        """
        scores, masks = self(x, batch_data_samples)
        return scores[-1], masks[-1]


@MODELS.register_module()
class Mask2FormerSemanticHead(PlainHead, MMSegHead):
    """Head for semantic segmentation: a decode head of mmsegmentation's `EncoderDecoder`."""

    def predict(self, x: Sequence[Tensor], batch_img_metas: list[dict], test_cfg: dict) -> Tensor:
        """Class scores (B, K, H, W): over all queries, the class's chance times the mask's.

        mmsegmentation's takes a window of sliding inference to be as large as the whole image.
        """
        scores, masks = (outputs[-1] for outputs in self(x, []))
        meta = batch_img_metas[0]
        window = isinstance(meta['img_shape'], torch.Size)  # as mmsegmentation tells a window from an image
        size = meta['img_shape'] if window else meta.get('pad_shape', meta['img_shape'])
        masks = F.interpolate(masks, size[:2], mode='bilinear').sigmoid_()
        return torch.einsum('bqk,bqhw->bkhw', scores.softmax(-1)[..., :-1], masks)


class OfficialNames(RenamesKeys):
    """Mixin before mmdetection's or mmsegmentation's model: weights trained with Detectron2 load as they are.

    There the head is `sem_seg_head`, and a ResNet has names of its own; besides head and backbone they hold the weights
    of classes in the loss. In DINOv3's segmentor, backbone and head are the parts 0 and 1 of `segmentation_model`. An
    EoMT of its authors or of transformers is nothing but what is the backbone here.
    """

    head_name: ClassVar[str]

    def own_names(self, state_dict: StateDict) -> StateDict:
        """`state_dict`, in any of these layouts or in ours, below the names that backbone and head have here; pure."""
        if any(re.match(WHOLE_EOMT, key) for key in state_dict):
            head: Any = getattr(self, self.head_name)
            stuff = getattr(head, 'num_stuff_classes', 0)
            state_dict = in_our_order(state_dict, r'\bclass_(head|predictor)\.', head.num_classes, stuff)
            return {f'backbone.{key}': value for key, value in state_dict.items()}
        state_dict = rename(
            drop(state_dict, r'^criterion\.'),
            (r'^(sem_seg_head|segmentation_model\.1)\.', f'{self.head_name}.'),
            (r'^segmentation_model\.0\.', 'backbone.'),
        )
        resnet = {key for key in state_dict if key.startswith(('backbone.stem.', 'backbone.res'))}
        rest = {key: value for key, value in state_dict.items() if key not in resnet}
        return {**rest, **rename({key: state_dict[key] for key in resnet}, *RESNET)}


@MODELS.register_module()
class Mask2Former(OfficialNames, MMDetMask2Former):
    """Model for instance and panoptic segmentation: mmdetection's."""

    head_name = 'panoptic_head'


@MODELS.register_module()
class Mask2FormerSegmentor(OfficialNames, EncoderDecoder):
    """Model for semantic segmentation: mmsegmentation's."""

    head_name = 'decode_head'

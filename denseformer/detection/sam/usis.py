"""USIS-SAM: SAM prompted region by region, in the two stages of Mask R-CNN.

Paper: "Diving into Underwater: Segment Anything Model Guided Underwater Salient Instance Segmentation and A Large-scale
Dataset", https://arxiv.org/abs/2406.06039.
Official code: https://github.com/LiamLian0727/USIS10K (Apache-2.0).

The encoder is the backbone `AdaptedSAM`. The neck joins the maps of its adapted blocks into one and makes a pyramid of
it, proposals and boxes are Mask R-CNN's, and each region's features become five tokens that prompt SAM's mask decoder,
which sees the whole image. Masks are learned at the size of the image.

Legend: B batch, R regions, C channels, H W the map of the embedding, h w the image.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.detectors import MaskRCNN
from mmdet.models.layers import SinePositionalEncoding
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.structures.bbox import bbox2roi
from mmengine.model import BaseModule
from torch import Tensor, nn

from denseformer.backbones.plain.adapted_sam import ChannelGate
from denseformer.checkpoints.keys import RenamesKeys, StateDict
from denseformer.detection.sam.decoder import FourierPositions, MaskDecoder
from denseformer.detection.sam.keys import remap_detector_keys
from denseformer.layers import LayerNorm2d, Linear
from denseformer.necks import SimpleFeaturePyramid
from denseformer.registry import MODELS

TOGETHER = 32
"""Regions that are decoded at once while predicting, which bounds the memory for their copies of the embedding."""


class MultiScaleConv(nn.Module):
    """Narrows a map and sees it in three sizes at once: (B, dim, H, W) -> (B, out_dim, H, W)."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.conv1 = nn.Conv2d(dim, out_dim, 1)
        self.bn1 = nn.BatchNorm2d(out_dim)
        self.conv3 = nn.Conv2d(out_dim, out_dim, 3, padding=1)
        self.conv5 = nn.Conv2d(out_dim, out_dim, 5, padding=2)
        self.conv7 = nn.Conv2d(out_dim, out_dim, 7, padding=3)
        self.bn2 = nn.BatchNorm2d(out_dim)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.bn1(self.conv1(x)))
        return F.gelu(self.bn2(self.conv3(x) + self.conv5(x) + self.conv7(x)))


def conv_norm_relu(dim: int, out_dim: int, kernel_size: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(dim, out_dim, kernel_size, stride, kernel_size // 2)
    return [conv, nn.BatchNorm2d(out_dim), nn.ReLU(inplace=True)]


@MODELS.register_module()
class USISNeck(BaseModule):
    """The maps of the encoder to a pyramid: they are joined from the first to the last, then taken apart by size.

    Args:
        in_channels, in_strides: of the backbone's maps, which are equally wide but for SAM's embedding, the last.
        out_channels: of every level.
        out_strides: of the levels, finest first, powers of two.
        levels: how many of the backbone's maps are joined, counted from the first; None for all but the embedding.
        width: channels of the maps while they are joined.
        init_cfg: mmengine's.
    """

    channel_mean = 0.2
    """The share of the mean over channels in each map."""

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        out_channels: int,
        out_strides: Sequence[int],
        levels: int | None = None,
        width: int = 32,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.levels = len(in_channels) - 1 if levels is None else levels
        if not 1 <= self.levels < len(in_channels):
            raise ValueError(
                f'levels={levels} of {len(in_channels)} maps: at least one is joined, the last, the embedding, is not.'
            )
        dim = in_channels[0]
        self.gate = ChannelGate(dim, int(dim * 0.0625), nn.ReLU)
        self.narrow = nn.ModuleList(MultiScaleConv(dim, width) for _ in range(self.levels))
        self.smooth = nn.ModuleList(nn.Sequential(*conv_norm_relu(width, width, 3)) for _ in range(self.levels))
        self.widen = nn.Sequential(
            *conv_norm_relu(width, out_channels, 1),
            *conv_norm_relu(out_channels, out_channels, 3),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        self.pyramid = SimpleFeaturePyramid(
            in_channels=(out_channels,),
            in_strides=in_strides[:1],
            out_channels=out_channels,
            out_strides=out_strides,
        )
        for norm in self.pyramid.modules():
            if isinstance(norm, LayerNorm2d):
                norm.eps = 1e-5  # mmcv's for norms of all kinds, not ViTDet's

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The backbone's maps, (B, C, H, W) -> one (B, out_channels, H_j, W_j) per out_strides."""
        joined: Tensor | float = 0.0
        for x, narrow, smooth in zip(maps[: self.levels], self.narrow, self.smooth, strict=True):
            gain = self.gate(x.flatten(2).transpose(1, 2)).transpose(1, 2)[..., None]  # (B, C, 1, 1)
            x = narrow(x * gain)
            x = torch.lerp(x, x.mean(1, keepdim=True), self.channel_mean) + joined
            joined = x + smooth(x)
        return self.pyramid([self.widen(joined)])


@MODELS.register_module()
class PromptedMaskHead(BaseModule):
    """Tokens of each region, and the mask that SAM's decoder finds for them.

    Args:
        in_channels: C, of the pyramid's levels and of the embedding.
        roi_feat_size: side of a region's features.
        num_tokens: how many tokens prompt the decoder.
        hidden: channels of the MLPs in the decoder.
        frozen: whether the decoder stays as it is, which is the paper's way.
        init_cfg: mmengine's.
    """

    def __init__(
        self,
        *,
        in_channels: int = 256,
        roi_feat_size: int = 14,
        num_tokens: int = 5,
        hidden: int = 2048,
        frozen: bool = True,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        dim = in_channels
        self.num_tokens = num_tokens
        self.tokens = nn.Sequential(
            *conv_norm_relu(dim, dim, 3, stride=2),
            nn.Flatten(),
            Linear(dim * ((roi_feat_size + 1) // 2) ** 2, dim),
            nn.ReLU(inplace=True),
            Linear(dim, dim),
            nn.ReLU(inplace=True),
            Linear(dim, 2 * dim * num_tokens),
        )
        self.decoder = MaskDecoder(dim, hidden)
        self.positions = FourierPositions(dim)
        self.no_mask_embed = nn.Embedding(1, dim)
        if frozen:
            self.decoder.requires_grad_(False)
            self.no_mask_embed.requires_grad_(False)

    def prompt(self, regions: Tensor) -> Tensor:
        """Features (R, C, roi_feat_size, roi_feat_size) -> tokens (R, num_tokens, C)."""
        angles, offsets = self.tokens(regions).unflatten(1, (self.num_tokens, -1, 2)).unbind(-1)
        return angles.sin() + offsets

    def forward(self, regions: Tensor, images: Tensor, embedding: Tensor) -> Tensor:
        """Masks (R, 4H, 4W) before the sigmoid.

        regions: (R, C, roi_feat_size, roi_feat_size); images: (R,), the number of each region's image; embedding:
        (B, C, H, W).
        """
        position = self.positions.of_map(*embedding.shape[2:])
        nothing = self.no_mask_embed.weight[:, :, None, None]
        tokens = self.prompt(regions)
        step = len(tokens) if self.training else TOGETHER
        masks = [
            self.decoder(embedding[of], position, each, nothing)[0][:, 0]
            for each, of in zip(tokens.split(step), images.split(step), strict=True)
        ]
        return torch.cat(masks)


class Levels(tuple[Tensor, ...]):
    """A pyramid, (B, C, H_i, W_i) per level, and beside it SAM's embedding of the image, (B, C, H, W)."""

    embedding: Tensor

    def __new__(cls, levels: Iterable[Tensor], embedding: Tensor) -> 'Levels':
        self = super().__new__(cls, levels)
        self.embedding = embedding
        return self


@MODELS.register_module()
class PromptedRoIHead(StandardRoIHead):
    """mmdetection's head of regions with a `PromptedMaskHead`; levels carry sines of the places in the image."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.places = SinePositionalEncoding(self.bbox_roi_extractor.out_channels // 2, normalize=True)

    def placed(self, levels: Levels) -> Levels:
        B, _, height, width = levels[0].shape
        places = self.places(levels[0].new_zeros(B, height, width, dtype=torch.bool)).to(levels[0].dtype)
        return Levels(
            (x + F.interpolate(places, x.shape[2:], mode='bilinear', align_corners=False) for x in levels),
            levels.embedding,
        )

    def loss(self, x: Levels, *args: Any) -> dict[str, Tensor]:
        return super().loss(self.placed(x), *args)

    def predict(self, x: Levels, *args: Any, **options: Any) -> list:
        return super().predict(self.placed(x), *args, **options)

    def find_masks(self, x: Levels, rois: Tensor) -> Tensor:
        """Regions (R, 5), each the number of its image and its box -> masks (R, 4H, 4W) before the sigmoid."""
        regions = self.mask_roi_extractor(x[: self.mask_roi_extractor.num_inputs], rois)
        return self.mask_head(regions, rois[:, 0].long(), x.embedding)

    def mask_loss(
        self, x: Levels, sampling_results: list, bbox_feats: Tensor, batch_gt_instances: list
    ) -> dict[str, dict[str, Tensor]]:
        """Cross-entropy of the masks of positive regions, at the size of the labels."""
        rois = bbox2roi([each.pos_priors for each in sampling_results])
        if not len(rois):
            none = sum((p.sum() for p in self.mask_head.parameters() if p.requires_grad), x[0].sum())
            return dict(loss_mask=dict(loss_mask=0.0 * none))
        truth = torch.cat(
            [
                labels.masks[each.pos_assigned_gt_inds.cpu().numpy()].to_tensor(torch.float32, rois.device)
                for each, labels in zip(sampling_results, batch_gt_instances, strict=True)
                if len(each.pos_priors)
            ]
        )
        masks = enlarged(self.find_masks(x, rois), truth.shape[1:])
        return dict(loss_mask=dict(loss_mask=F.binary_cross_entropy_with_logits(masks.float(), truth)))

    def predict_mask(self, x: Levels, batch_img_metas: list[dict], results_list: list, rescale: bool = False) -> list:
        """Adds to the boxes of each image, which are those of the network's input, their masks; `rescale`s both."""
        rois = bbox2roi([each.bboxes for each in results_list])
        found = self.find_masks(x, rois) if len(rois) else x.embedding.new_zeros(0, 1, 1)
        masks = found.sigmoid().split([len(each) for each in results_list])
        for each, own, meta in zip(results_list, masks, batch_img_metas, strict=True):
            height, width = meta['img_shape'][:2]
            size = meta['ori_shape'][:2] if rescale else (height, width)
            each.masks = each.bboxes.new_zeros((len(each), *size), dtype=torch.bool)
            for i, mask in enumerate(own):
                mask = enlarged(mask[None], meta['batch_input_shape'])[:, :height, :width]
                each.masks[i] = enlarged(mask, size)[0] >= self.test_cfg.mask_thr_binary
            if rescale:
                each.bboxes = each.bboxes / each.bboxes.new_tensor(meta['scale_factor']).repeat(2)
        return results_list


def enlarged(masks: Tensor, size: Sequence[int]) -> Tensor:
    """(R, h', w') -> (R, h, w), bilinearly."""
    return F.interpolate(masks[:, None], tuple(size), mode='bilinear', align_corners=False)[:, 0]


@MODELS.register_module()
class USISSAM(RenamesKeys, MaskRCNN):
    """Model for instance segmentation: mmdetection's `MaskRCNN` of the parts above.

    Weights load under the authors' names, whose encoder and decoder have those of transformers; those of SAM's own
    files set the encoder and the decoder.
    """

    def extract_feat(self, batch_inputs: Tensor) -> Levels:
        maps = self.backbone(batch_inputs)
        return Levels(self.neck(maps), maps[-1])

    def own_names(self, state_dict: StateDict) -> StateDict:
        return remap_detector_keys(state_dict)

"""The anchor-free head of YOLOv8, and the detector of Mamba YOLO around it.

The head came without a paper; https://arxiv.org/abs/2406.05835 describes it as part of Mamba YOLO. Classes and boxes
have branches of their own at each level. A box is four distances from the center of a cell, each the mean of a
distribution over whole strides (https://arxiv.org/abs/2006.04388). Cells are assigned to objects by how well class and
box agree (https://arxiv.org/abs/2108.07755). Losses, assigner and suppression are mmdetection's.

Legend: B batch, N cells of all levels, K classes, b bins of a distribution, h w a level.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import distance2bbox, get_box_tensor
from mmdet.utils import reduce_mean
from mmengine.config import ConfigDict
from mmengine.dist import get_world_size
from mmengine.structures import InstanceData
from torch import Tensor, nn

from denseformer.backbones.state_space.mamba_yolo import conv_norm_silu
from denseformer.checkpoints.keys import RenamesKeys, Rule
from denseformer.registry import MODELS

TRUST_IN_CLASS, TRUST_IN_BOX = 0.5, 6.0
"""Exponents of a cell's class score and of its overlap with an object, whose product the assignment goes by."""
CLASS, BOX, DISTRIBUTION = 0.5, 7.5, 1.5
"""Weights of the losses."""
OBJECTS, SIDE = 5, 640
"""Objects in an image of that side in pixels, for the first scores of classes."""


@MODELS.register_module()
class YOLOv8Head(RenamesKeys, BaseDenseHead):
    """Class scores and boxes at each cell of several levels.

    Losses are sums over the images of all GPUs, as YOLO's learning rates expect; the cells of an object share one
    weight, however many they are. mmdetection's assigner compares boxes by their IoU, where YOLOv8 takes the complete
    IoU.

    Args:
        num_classes: K.
        in_channels: of the levels, finest first.
        strides: of the levels, in pixels.
        bins: b; distances reach b - 1 strides.
        train_cfg: `assigner`, in mmdetection's form.
        test_cfg: `score_thr`, `nms_pre`, `nms`, `max_per_img`, in mmdetection's form.
        init_cfg: mmengine's.
    """

    names: ClassVar[tuple[Rule, ...]] = (
        (r'^model\.\d+\.', ''),
        (r'^cv2\.', 'boxes.'),
        (r'^cv3\.', 'classes.'),
        (r'\.bn\.', '.norm.'),
    )

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: Sequence[int],
        strides: Sequence[int] = (8, 16, 32),
        bins: int = 16,
        train_cfg: ConfigDict | None = None,
        test_cfg: ConfigDict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if len(in_channels) != len(strides):
            raise ValueError(f'{len(in_channels)} levels and {len(strides)} strides: as many of each.')
        self.num_classes = self.cls_out_channels = num_classes
        self.strides, self.bins = tuple(strides), bins
        self.use_sigmoid_cls = True
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        self.assigner = TASK_UTILS.build(train_cfg['assigner']) if train_cfg else None
        self.prior_generator = TASK_UTILS.build(dict(type='mmdet.MlvlPointGenerator', strides=self.strides))
        self.bbox_coder = TASK_UTILS.build(dict(type='mmdet.DistancePointBBoxCoder'))
        self.loss_cls = MODELS.build(dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, loss_weight=CLASS))
        self.loss_bbox = MODELS.build(dict(type='mmdet.CIoULoss', loss_weight=BOX))
        self.loss_dfl = MODELS.build(dict(type='mmdet.DistributionFocalLoss', loss_weight=DISTRIBUTION))
        box_dim = max(bins, in_channels[0] // 4, 4 * bins)
        class_dim = max(in_channels[0], min(num_classes, 100))
        self.boxes = nn.ModuleList(branch(dim, box_dim, 4 * bins) for dim in in_channels)
        self.classes = nn.ModuleList(branch(dim, class_dim, num_classes) for dim in in_channels)
        for box, score, stride in zip(self.boxes, self.classes, self.strides, strict=True):
            nn.init.ones_(box[-1].bias)
            nn.init.constant_(score[-1].bias, math.log(OBJECTS / num_classes / (SIDE / stride) ** 2))

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Levels (B, C_i, h, w) -> class logits (B, K, h, w) and distributions before softmax (B, 4 * b, h, w) of each.

        Sides of a box in the order left, top, right, bottom.
        """
        scores = [layers(x) for layers, x in zip(self.classes, levels, strict=True)]
        return scores, [layers(x) for layers, x in zip(self.boxes, levels, strict=True)]

    def distances(self, logits: Tensor) -> Tensor:
        """The means of distributions (.., b), in strides: (..)."""
        return logits.softmax(-1) @ torch.arange(self.bins, device=logits.device, dtype=logits.dtype)

    def predict_by_feat(self, cls_scores: list[Tensor], bbox_preds: list[Tensor], **options: Any) -> list[InstanceData]:
        """mmdetection's, whose boxes are distances in pixels."""
        pixels = [
            self.distances(x.unflatten(1, (4, self.bins)).movedim(2, -1)) * stride
            for x, stride in zip(bbox_preds, self.strides, strict=True)
        ]
        return super().predict_by_feat(cls_scores, pixels, **options)

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData] | None = None,
    ) -> dict[str, Tensor]:
        """Losses of classes, boxes and distributions, each a sum over the images of all GPUs."""
        sizes = [x.shape[2:] for x in cls_scores]
        device = cls_scores[0].device
        cells = torch.cat(self.prior_generator.grid_priors(sizes, device=device, with_stride=True))  # (N, 4)
        points, strides = cells[:, :2], cells[:, 2:3]
        scores = torch.cat([x.flatten(2).mT for x in cls_scores], 1).float()  # (B, N, K)
        bins = torch.cat([x.flatten(2).mT for x in bbox_preds], 1).float().unflatten(2, (4, self.bins))  # (B, N, 4, b)
        boxes = distance2bbox(points, self.distances(bins) * strides)  # (B, N, 4)

        targets = torch.zeros_like(scores)
        found, wanted, weights, near, nearness = [], [], [], [], []
        for i, truth in enumerate(batch_gt_instances):
            corners = get_box_tensor(truth.bboxes)
            at, which, fit = self.assign(cells, scores[i].detach().sigmoid(), boxes[i].detach(), corners, truth.labels)
            targets[i, at, truth.labels[which]] = fit
            found.append(boxes[i, at])
            wanted.append(corners[which])
            weights.append(fit)
            sides = torch.cat([points[at] - wanted[-1][:, :2], wanted[-1][:, 2:] - points[at]], 1) / strides[at]
            near.append(bins[i, at])
            nearness.append(sides.clamp(0, self.bins - 1.01))
        total = reduce_mean(targets.sum()).clamp(min=1)
        weight = torch.cat(weights)
        images = len(batch_gt_instances) * get_world_size()
        side_loss = self.loss_dfl(
            torch.cat(near).flatten(0, 1),
            torch.cat(nearness).flatten(),
            weight=weight.repeat_interleave(4),
            avg_factor=4 * total,
        )
        return {
            'loss_cls': images * self.loss_cls(scores, targets, avg_factor=total),
            'loss_bbox': images * self.loss_bbox(torch.cat(found), torch.cat(wanted), weight=weight, avg_factor=total),
            'loss_dfl': images * side_loss,
        }

    def assign(
        self, cells: Tensor, scores: Tensor, boxes: Tensor, corners: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The cells of an image that have an object, which object, and how well they fit it: three of (n,).

        cells: (N, 4) of x, y and strides; scores: (N, K); boxes: (N, 4); corners, labels: of G objects, (G, 4), (G,).
        The best cell of an object fits as well as its best box overlaps; the others less, by what they are assigned by.
        """
        squares = torch.cat([cells[:, :2] - cells[:, 2:] / 2, cells[:, :2] + cells[:, 2:] / 2], 1)
        assigned = self.assigner.assign(
            InstanceData(priors=squares, scores=scores, bboxes=boxes),
            InstanceData(bboxes=corners, labels=labels),
            alpha=TRUST_IN_CLASS,
            beta=TRUST_IN_BOX,
        )
        (at,) = torch.where(assigned.gt_inds > 0)
        which, agreement, overlap = assigned.gt_inds[at] - 1, assigned.assign_metrics[at], assigned.max_overlaps[at]
        best, best_overlap = (
            x.new_zeros(len(labels)).scatter_reduce(0, which, x, 'amax')[which] for x in (agreement, overlap)
        )
        return at, which, agreement / (best + 1e-9) * best_overlap


def branch(dim: int, hidden: int, out_dim: int) -> nn.Sequential:
    return nn.Sequential(
        conv_norm_silu(dim, hidden, 3), conv_norm_silu(hidden, hidden, 3), nn.Conv2d(hidden, out_dim, 1)
    )


@MODELS.register_module()
class MambaYOLODetector(SingleStageDetector):
    """mmdetection's one-stage detector, which takes the authors' weights of a whole Mamba YOLO under their names."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for key in list(state_dict):
            match = re.match(r'model\.(\d+)\.', key[len(prefix) :]) if key.startswith(prefix) else None
            if match is None:
                continue
            value = state_dict.pop(key)
            part = 'backbone' if int(match[1]) < 9 else 'neck' if int(match[1]) < 21 else 'bbox_head'
            if not key.endswith('.dfl.conv.weight'):  # the numbers of the bins
                state_dict[f'{prefix}{part}.{key[len(prefix) :]}'] = value
        super()._load_from_state_dict(state_dict, prefix, *args)

"""FashionFormer's head for mmdetection, and the detector around it.

Paper: "Fashionformer: A Simple, Effective and Unified Baseline for Human Fashion Segmentation and Recognition",
https://arxiv.org/abs/2204.04654. Official: https://github.com/xushilin1/FashionFormer (Apache-2.0), which builds on
K-Net, https://arxiv.org/abs/2106.14855.

Legend: B batch, Q queries, K classes, A attributes, G objects of an image, n instances, H W image, h w masks.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmdet.models.detectors.single_stage_instance_seg import SingleStageInstanceSegmentor
from mmdet.structures.mask import mask2bbox
from mmdet.utils import reduce_mean
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, Rule
from denseformer.detection.fashionformer import losses
from denseformer.detection.fashionformer.losses import Objects
from denseformer.detection.fashionformer.network import LEVELS, KernelProposals, KernelUpdate, Proposals, Stage, doubled
from denseformer.registry import MODELS

MASK_THRESHOLD = 0.5


@MODELS.register_module()
class FashionFormerHead(BaseModule):
    """Instances with attributes from four levels of one width, as mmdetection's `FPN` makes them.

    Args:
        num_classes: K.
        num_attributes: A; 0 for instances without attributes. Training takes them from `gt_instances.attributes`,
            (G, A) of 0 and 1.
        in_channels: of each level, a multiple of 32.
        num_queries: the most instances that are found in an image.
        num_stages: how often kernels are updated.
        heads, hidden: of attention, and width of the MLPs.
        all_levels: whether attributes are read from every level, or from the feature of the masks.
        shared: whether the queries of attributes are made of the objects, or have a learned part.
        max_per_image: the most instances that are kept; a query may be one of several classes.
        init_cfg: mmengine's; train_cfg, test_cfg: passed by mmdetection's detector; not used.

    Raises ValueError for a width that does not fit.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        num_attributes: int = 0,
        in_channels: int = 256,
        num_queries: int = 100,
        num_stages: int = 3,
        heads: int = 8,
        hidden: int = 2048,
        all_levels: bool = True,
        shared: bool = False,
        max_per_image: int = 100,
        init_cfg: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if in_channels % 32 or in_channels % heads:
            raise ValueError(f'in_channels={in_channels} must be a multiple of 32 and of heads={heads}.')
        self.num_classes, self.num_attributes, self.max_per_image = num_classes, num_attributes, max_per_image
        self.proposals = KernelProposals(in_channels, num_classes, num_queries)
        self.stages = nn.ModuleList(
            KernelUpdate(
                *(in_channels, num_classes, num_attributes, num_queries),
                heads=heads,
                hidden=hidden,
                all_levels=all_levels,
                shared=shared,
            )
            for _ in range(num_stages)
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Proposals, list[Stage]]:
        """Four maps (B, C, ...), finest first -> the proposals and what each stage makes of them."""
        if len(maps) != LEVELS:
            raise ValueError(
                f'FashionFormerHead takes {LEVELS} levels, its neck has {len(maps)}: set num_outs={LEVELS}.'
            )
        proposals = self.proposals(maps)
        kernels, masks, stages = proposals.kernels, proposals.masks, []
        for update in self.stages:
            stages.append(update(proposals.feature, maps, kernels, masks))
            kernels, masks = stages[-1].kernels, stages[-1].masks
        return proposals, stages

    def loss(
        self, maps: Sequence[Tensor], batch_data_samples: Sequence[Any], positive_infos: None = None
    ) -> dict[str, Tensor]:
        """Losses by name; positive_infos: of a head of boxes, which the detector has not."""
        proposals, stages = self(maps)
        masks, classes = doubled(proposals.masks).float(), None
        truth = [self.objects_of(sample, masks.shape[2:]) for sample in batch_data_samples]
        matches = losses.match_batch(masks, None, truth)
        found = losses.mask_losses(masks, matches)
        found['semantic'] = losses.semantic_loss(doubled(proposals.semantic).float(), truth)
        named = {f'loss_proposal_{name}': value for name, value in found.items()}
        for i, stage in enumerate(stages):
            matches = losses.match_batch(masks, classes, truth)
            count = reduce_mean(masks.new_tensor(float(len(matches.queries)))).clamp(min=1)
            masks, classes = doubled(stage.masks).float(), stage.classes.float()
            found = losses.mask_losses(masks, matches)
            found['class'] = losses.class_loss(classes, matches, count)
            if stage.attributes is not None:
                found['attributes'] = losses.attribute_loss(stage.attributes.float(), matches)
            named |= {f'stage{i}.loss_{name}': value for name, value in found.items()}
        return named

    def objects_of(self, sample: Any, size: Sequence[int]) -> Objects:
        """The objects of a training image, with masks of `size`; its bitmaps lack the batch's padding."""
        truth = sample.gt_instances
        if self.num_attributes and 'attributes' not in truth:
            raise ValueError(
                f'The head has num_attributes={self.num_attributes}, and the data has no attributes: use '
                'denseformer.LoadAttributes and denseformer.PackAttributes, or set num_attributes=0.'
            )
        device = truth.labels.device
        masks = truth.masks.to_tensor(torch.float, device)
        H, W = sample.metainfo['batch_input_shape']
        masks = F.pad(masks, (0, W - masks.shape[2], 0, H - masks.shape[1]))[:, None]
        masks = F.interpolate(masks, tuple(size), mode='bilinear')[:, 0] if len(masks) else masks.new_zeros(0, *size)
        return Objects(truth.labels, masks, truth.attributes if self.num_attributes else None)

    def predict(
        self,
        maps: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        rescale: bool = True,
        results_list: None = None,
    ) -> list[InstanceData]:
        """`labels`, `scores`, `bboxes`, `masks` (n, H, W) and `attributes` (n, A), probabilities, of each image.

        They are at the image's size before resizing if `rescale`; results_list: of a head of boxes, which the detector
        has not.
        """
        final = self(maps)[1][-1]
        masks = doubled(final.masks).float().sigmoid()
        attributes = [None] * len(masks) if final.attributes is None else final.attributes.float().sigmoid()
        rows = zip(final.classes.float().sigmoid(), attributes, masks, batch_data_samples, strict=True)
        return [self.instances(*row[:3], row[3].metainfo, rescale) for row in rows]

    def instances(
        self, chances: Tensor, attributes: Tensor | None, masks: Tensor, meta: Mapping[str, Any], rescale: bool
    ) -> InstanceData:
        """The best pairs of a query and a class: chances (Q, K), attributes (Q, A), masks (Q, h, w) in 0 .. 1."""
        scores, index = chances.flatten().topk(min(self.max_per_image, chances.numel()))
        used, queries = (index // self.num_classes).unique(return_inverse=True)
        whole = torch.stack([enlarged(masks[query], meta, rescale) > MASK_THRESHOLD for query in used.tolist()])
        found = InstanceData(scores=scores, labels=index % self.num_classes, masks=whole[queries])
        found.bboxes = mask2bbox(found.masks)
        if attributes is not None:
            found.attributes = attributes[used][queries]
        return found[found.masks.flatten(1).any(1)]


def enlarged(mask: Tensor, meta: Mapping[str, Any], rescale: bool) -> Tensor:
    """A mask (h, w) as the image's, (H, W): unpadded, before resizing if `rescale`."""
    H, W = meta['img_shape'][:2]
    mask = F.interpolate(mask[None, None], tuple(meta['batch_input_shape']), mode='bilinear')[..., :H, :W]
    if rescale:
        mask = F.interpolate(mask, tuple(meta['ori_shape'][:2]), mode='bilinear')
    return mask[0, 0]


@MODELS.register_module()
class FashionFormer(RenamesKeys, SingleStageInstanceSegmentor):
    """Detector of instances with attributes, whose `mask_head` is a `FashionFormerHead`; takes the authors' weights."""

    names: ClassVar[tuple[Rule, ...]] = (
        (r'^rpn_head\.', 'mask_head.proposals.'),
        (r'^roi_head\.mask_head\.', 'mask_head.stages.'),
    )

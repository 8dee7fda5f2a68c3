"""GiT's three tasks: heads without parameters, and the models of mmdetection and mmsegmentation around them.

Paper: "GiT: Towards Generalist Vision Transformer through Universal Language Interface",
https://arxiv.org/abs/2403.09394. Official code: https://github.com/Haiyang-W/GiT (Apache-2.0).

A point says the class of the object that it speaks of, or that it speaks of none, then where the object is, and how
long the rays are that reach its outline. In semantic segmentation it says the classes of the pixels around it.

Legend: B images, n windows of all of them, G points of a window, Q of an image, L words of a sequence, K classes, V
words of the vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import pycocotools.mask as rle
import torch
import torch.nn.functional as F
from mmdet.models.detectors import SingleStageDetector
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from mmdet.utils import reduce_mean
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from denseformer.checkpoints.keys import RenamesKeys, Rule
from denseformer.detection.git import targets
from denseformer.detection.git.network import Sight
from denseformer.registry import MODELS

BOX = 4
NAMES: tuple[Rule, ...] = (
    (r'^backbone\.(layers|patch_embed|pos_embed)', r'backbone.backbone.\1'),
    (r'^(embed|synt_position_embeddings|synt_att)\.', r'backbone.\1.'),
)
"""From the names of the authors' model to those of a model around `GiT`."""


class GiTHead(BaseModule):
    """The base of the heads of all tasks.

    grid: rows and columns of points in a window; sampled: how many of a window's points are taught in a step.
    """

    def __init__(self, *, num_classes: int, grid: tuple[int, int], sampled: int):
        super().__init__()
        if not 1 <= sampled <= grid[0] * grid[1]:
            raise ValueError(f'sampled={sampled} of {grid[0]} x {grid[1]} points in a window: 1 or more, and not more.')
        self.num_classes = self.out_channels = num_classes
        self.grid = (grid[0], grid[1])
        self.sampled = sampled

    def init_weights(self) -> None:
        """Draw nothing: there are no parameters."""

    def forward(self, sight: Sight, batch_data_samples: Any = None) -> Sight:
        return sight

    def teach(self, sight: Sight, truth: Tensor, positive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (n, sampled, L, V) at drawn points, and what `truth` (n, G, L) and `positive` (n, G) say of them."""
        words, task = sight.network.words.vectors()
        chosen = targets.choose(positive, self.sampled)
        points, starts, truth = (
            torch.take_along_dim(each, chosen[..., None], 1)
            for each in (sight.points(self.grid), sight.starts(self.grid, task), truth)
        )
        given = truth[:, :, :-1].clamp(max=len(words) - 1)
        scores = sight.teach(points, starts, task, words, given)
        return scores.float(), truth, torch.take_along_dim(positive, chosen, 1)

    def ask(self, sight: Sight, allowed: Sequence[range]) -> list[Tensor]:
        words, task = sight.network.words.vectors()
        return sight.ask(sight.points(self.grid), sight.starts(self.grid, task), task, words, allowed)


@MODELS.register_module()
class GiTDetectionHead(GiTHead):
    """Boxes, and with `rays` outlines: the head of mmdetection's `SingleStageDetector`.

    Args:
        num_classes: K.
        grid: rows and columns of points in a window.
        sampled: how many of a window's points are taught in a step, those of objects first.
        rays: of an outline; 0 for boxes alone, and a divisor of 360.
        max_per_image: the most objects that are found.
        train_cfg, test_cfg: passed by mmdetection's model; not used.

    Numbers are shares of the padded image in `num_bins` parts; that of a center counts from half an image before its
    point.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        grid: tuple[int, int] = (5, 5),
        sampled: int = 10,
        rays: int = 0,
        max_per_image: int = 100,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
    ):
        super().__init__(num_classes=num_classes, grid=grid, sampled=sampled)
        if rays and 360 % rays:
            raise ValueError(f'rays={rays} must divide 360.')
        self.rays = rays
        self.max_per_image = max_per_image

    @property
    def centers(self) -> list[int]:
        """Indices of the numbers after the class that are places, counted beside the point's own."""
        return [0, 1, BOX, BOX + 1] if self.rays else [0, 1]

    def loss(self, sight: Sight, batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        bins = self.bins(sight)
        points = sight.points(self.grid)
        nothing = bins + 1 + self.num_classes
        truth = points.new_full((*points.shape[:2], 1 + BOX + (2 + self.rays if self.rays else 0)), nothing).long()
        positive = torch.zeros(points.shape[:2], dtype=torch.bool, device=points.device)
        views = (each.unflatten(0, (len(batch_data_samples), -1)) for each in (points, truth, positive))
        for places, said, speaks, sample in zip(*views, batch_data_samples, strict=True):
            self.write(places.flatten(0, 1), said, speaks, sample, bins)
        scores, truth, taught = self.teach(sight, truth, positive)
        return self.compare(scores, truth, taught, bins, positive.sum())

    def write(self, points: Tensor, said: Tensor, speaks: Tensor, sample: Any, bins: int) -> None:
        """Into the words (windows, G, L) of one image, and the marks (windows, G) of the points that speak."""
        objects = sample.gt_instances
        if not len(objects):
            return
        height, width = sample.metainfo['batch_input_shape']
        boxes = objects.bboxes.tensor if hasattr(objects.bboxes, 'tensor') else objects.bboxes
        values = targets.box_values(boxes, boxes.new_tensor([width, height]))
        if self.rays:
            masks = objects.masks.to_ndarray()
            values = torch.cat([values, values.new_tensor(targets.ray_values(masks, self.rays, (width, height)))], 1)
        who, what = targets.assign(points, values[:, :2])
        values = values[what]
        values[:, self.centers] += 0.5 - points[who].repeat(1, len(self.centers) // 2)
        numbers = (values * bins).round().long().clamp(0, bins)
        words = torch.cat([objects.labels[what, None] + bins + 1, numbers], 1)
        said.flatten(0, 1)[who] = words
        speaks.flatten()[who] = True

    def compare(self, scores: Tensor, truth: Tensor, taught: Tensor, bins: int, objects: Tensor) -> dict[str, Tensor]:
        """Cross-entropies of classes and numbers, over as many words as count: one of each point, and an object's."""
        count = taught.numel()
        labels = truth[:, :, 0] - bins - 1
        classes = F.cross_entropy(scores[:, :, 0, bins + 1 :].flatten(0, 1), labels.flatten(), reduction='sum')
        numbers, given = scores[taught][:, 1:, : bins + 1], truth[taught][:, 1:]

        def of(words: slice) -> Tensor:
            return F.cross_entropy(numbers[:, words].flatten(0, 1), given[:, words].flatten(), reduction='sum')

        boxes = count + BOX * objects
        losses = dict(loss_cls=classes / averaged(boxes), loss_reg=of(slice(0, BOX)) / averaged(boxes))
        if self.rays:
            losses['loss_poly'] = of(slice(BOX, None)) / averaged(count + (2 + self.rays) * objects)
        return losses

    def bins(self, sight: Sight) -> int:
        bins = sight.network.words.num_bins
        if bins is None:
            raise ValueError('Boxes are numbers: give GiT num_bins, twice the side of the image.')
        return bins

    def predict(self, sight: Sight, batch_data_samples: Sequence[Any], rescale: bool = False) -> list[InstanceData]:
        bins = self.bins(sight)
        numbers = range(bins + 1)
        classes = range(bins + 1, bins + 2 + self.num_classes)
        scores, *others = self.ask(sight, [classes] + [numbers] * (BOX + (2 + self.rays if self.rays else 0)))
        values = torch.stack([each.argmax(-1) for each in others], -1) / bins  # (n, G, L - 1)
        values[..., self.centers] += sight.points(self.grid).repeat(1, 1, len(self.centers) // 2) - 0.5
        chances = scores.float().softmax(-1)[..., :-1]
        B = len(batch_data_samples)
        chances, values = (each.unflatten(0, (B, -1)).flatten(1, 2) for each in (chances, values))  # (B, Q, ..)
        return [
            self.found(of_classes, said, sample.metainfo, rescale)
            for of_classes, said, sample in zip(chances, values, batch_data_samples, strict=True)
        ]

    def found(self, chances: Tensor, values: Tensor, meta: dict, rescale: bool) -> InstanceData:
        """The best (Q, K) classes of the points of one image, with their numbers (Q, L - 1)."""
        scores, places = chances.flatten().topk(min(self.max_per_image, chances.numel()))
        labels, values = places % self.num_classes, values[places // self.num_classes]
        height, width = meta['batch_input_shape']
        padded = values.new_tensor([width, height])
        seen = values.new_tensor([meta['img_shape'][1], meta['img_shape'][0]])
        scale = values.new_tensor(meta['scale_factor']) if rescale else torch.ones_like(padded)

        def in_image(corners: Tensor) -> Tensor:
            return corners.clamp(min=0).minimum(seen) / scale

        boxes = bbox_cxcywh_to_xyxy(values[:, :BOX]).unflatten(1, (2, 2)) * padded
        found = InstanceData(bboxes=in_image(boxes).flatten(1), scores=scores, labels=labels)
        if self.rays:
            rays = torch.cat([values[:, BOX : BOX + 2] * padded, values[:, BOX + 2 :] * width], 1)
            size = meta['ori_shape' if rescale else 'img_shape'][:2]
            found.masks = filled(in_image(targets.polygons(rays)), size)
        return found


def averaged(count: Tensor) -> Tensor:
    """A count, averaged over GPUs, 1 or more."""
    return reduce_mean(count.float()).clamp(min=1)


def filled(corners: Tensor, size: tuple[int, int]) -> Tensor:
    """Polygons (m, R, 2) as masks (m, height, width) of bool."""
    masks = torch.zeros((len(corners), *size), dtype=torch.bool, device=corners.device)
    for mask, polygon in zip(masks, corners.double().cpu().flatten(1).tolist(), strict=True):
        mask |= torch.from_numpy(rle.decode(rle.merge(rle.frPyObjects([polygon], *size))).astype(bool)).to(mask.device)
    return masks


@MODELS.register_module()
class GiTSemanticHead(GiTHead):
    """Label maps: a decode head of mmsegmentation's `EncoderDecoder`.

    Args:
        num_classes: K.
        grid: rows and columns of points in a window.
        sampled: how many of a window's points are taught in a step.
        pixel: side of the squares that get a class, in pixels of the image.
        ignore_index: the label of pixels that do not count.
    """

    align_corners = False
    threshold = None

    def __init__(
        self,
        *,
        num_classes: int,
        grid: tuple[int, int] = (14, 14),
        sampled: int = 32,
        pixel: int = 4,
        ignore_index: int = 255,
    ):
        super().__init__(num_classes=num_classes, grid=grid, sampled=sampled)
        self.pixel = pixel
        self.ignore_index = ignore_index

    def cell(self, sight: Sight) -> tuple[int, int]:
        """Rows and columns of pixels that a point speaks of."""
        side = sight.network.window * sight.network.backbone.patch_size
        if any(side % (parts * self.pixel) for parts in self.grid):
            raise ValueError(
                f'{self.grid[0]} x {self.grid[1]} points to a window of {side} pixels, seen in squares of '
                f'{self.pixel}: the squares of a point must be whole.'
            )
        return side // (self.grid[0] * self.pixel), side // (self.grid[1] * self.pixel)

    def loss(self, sight: Sight, batch_data_samples: Sequence[Any], train_cfg: Any) -> dict[str, Tensor]:
        labels = torch.stack([sample.gt_sem_seg.data[0] for sample in batch_data_samples])  # (B, h, w)
        truth = self.cut(labels[:, :: self.pixel, :: self.pixel].long(), sight)
        counted = truth != self.ignore_index
        positive = torch.zeros(truth.shape[:2], dtype=torch.bool, device=truth.device)
        scores, truth, _ = self.teach(sight, truth, positive)
        # The authors count the pixels of all points, also of those that are not taught in this step.
        loss = F.cross_entropy(scores.flatten(0, 2), truth.flatten(), ignore_index=self.ignore_index, reduction='sum')
        return dict(loss_cls=loss / counted.sum().clamp(min=1))

    def cut(self, pixels: Tensor, sight: Sight) -> Tensor:
        """(B, rows, columns) -> (n, G, L), the pixels of each point in row-major order."""
        (gy, gx), (cy, cx), (wy, wx) = self.grid, self.cell(sight), sight.windows
        x = pixels.unflatten(2, (wx, gx, cx)).unflatten(1, (wy, gy, cy))  # (B, wy, gy, cy, wx, gx, cx)
        return x.permute(0, 1, 4, 2, 5, 3, 6).flatten(5).flatten(3, 4).flatten(0, 2)

    def predict(self, sight: Sight, batch_img_metas: list[dict], test_cfg: Any) -> Tensor:
        """Chances of the classes at the size of the network's input, (B, K, h, w)."""
        (gy, gx), (cy, cx), (wy, wx) = self.grid, self.cell(sight), sight.windows
        scores = self.ask(sight, [range(self.num_classes + 1)] * (cy * cx))
        chances = torch.stack(scores, 2).float().softmax(-1)[..., :-1]  # (n, G, L, K)
        x = chances.unflatten(2, (cy, cx)).unflatten(1, (gy, gx)).unflatten(0, (-1, wy, wx))
        x = x.permute(0, 7, 1, 3, 5, 2, 4, 6).flatten(5).flatten(2, 4)  # (B, K, rows, columns)
        return F.interpolate(x, scale_factor=self.pixel, mode='bilinear', align_corners=False)


@MODELS.register_module()
class GiTDetector(RenamesKeys, SingleStageDetector):
    """Model for boxes and outlines: mmdetection's, which loads the authors' weights."""

    names = NAMES


@MODELS.register_module()
class GiTSegmentor(RenamesKeys, EncoderDecoder):
    """Model for label maps: mmsegmentation's, which loads the authors' weights."""

    names = NAMES

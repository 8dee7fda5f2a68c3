"""Heads of kMaX-DeepLab for mmdetection and mmsegmentation, and the models around them.

Paper: "k-means Mask Transformer", https://arxiv.org/abs/2207.04044. Official, in PyTorch:
https://github.com/bytedance/kmax-deeplab (Apache-2.0).

Legend: B batch, Q queries, K classes, H W image, h w the final masks.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors import MaskFormer
from mmdet.models.utils import preprocess_panoptic_gt
from mmengine.model import BaseModule
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from denseformer.checkpoints.keys import RenamesKeys, StateDict
from denseformer.detection.kmax import losses
from denseformer.detection.kmax.keys import remap_official_keys
from denseformer.detection.kmax.losses import Segments
from denseformer.detection.kmax.network import (
    Decoder,
    PixelDecoder,
    Prediction,
    SemanticBranch,
    SmallSemanticBranch,
    resized,
)
from denseformer.detection.mask2former.model import OfficialNames
from denseformer.registry import MODELS


class KMaX(RenamesKeys, BaseModule):
    """The network and its losses, from the maps of a backbone.

    Args:
        in_channels: of the backbone's maps, finest first, four or more; the last three halve in size from one to the
            next. Masks are as fine as the first.
        num_classes: of things and stuff together; things stand first.
        num_stuff: how many of them are stuff.
        num_queries: the most masks that are found in an image.
        widths, depths: of the pixel decoder's stages, coarsest first, as many as maps; its maps are four times as wide.
        layers: of the decoder at each of the coarsest maps.
        width: channels of queries, a multiple of 16.
        drop_path_rate: stochastic depth of the decoder; pixel_drop_path_rate: of the pixel decoder.
        semantic: the branch that trains the backbone with a label map: 'pyramid', 'small', or None for none.
        num_pixels: how many are compared with one another, and with the label map by the branch 'pyramid'.
        pixel_temperature, semantic_temperature: how much rather either draws pixels of small segments.
        init_cfg: mmengine's; train_cfg, test_cfg: passed by mmdetection's model; not used.

    Raises ValueError for numbers that contradict one another.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        num_classes: int,
        num_stuff: int = 0,
        num_queries: int = 128,
        widths: Sequence[int] = (512, 256, 128, 64),
        depths: Sequence[int] = (1, 5, 1, 1),
        layers: Sequence[int] = (2, 2, 2),
        width: int = 256,
        drop_path_rate: float = 0.2,
        pixel_drop_path_rate: float = 0.0,
        semantic: str | None = 'pyramid',
        num_pixels: int = 4096,
        pixel_temperature: float = 1.5,
        semantic_temperature: float = 2.0,
        init_cfg: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if not len(in_channels) == len(widths) == len(depths) >= 4:
            raise ValueError(
                f'{len(in_channels)} maps, {len(widths)} widths and {len(depths)} depths: as many of each, 4 or more.'
            )
        if not 0 <= num_stuff <= num_classes:
            raise ValueError(f'num_stuff={num_stuff} of num_classes={num_classes}: the stuff is a part of the classes.')
        if width % 16 or any(each % 8 for each in widths[:2]):
            raise ValueError(f'width={width} must be a multiple of 16, and widths={tuple(widths)} begin with two of 8.')
        if semantic not in ('pyramid', 'small', None):
            raise ValueError(f"semantic is 'pyramid', 'small' or None, not {semantic!r}.")
        self.num_classes = num_classes
        self.num_stuff_classes, self.num_things_classes = num_stuff, num_classes - num_stuff
        self.num_pixels = num_pixels
        self.pixel_temperature, self.semantic_temperature = pixel_temperature, semantic_temperature
        self.layers = tuple(layers)
        coarse = list(reversed(in_channels))
        self.pixel_decoder = PixelDecoder(coarse, widths, depths, pixel_drop_path_rate)
        dims = [4 * each for each in widths]
        self.decoder = Decoder(dims, layers, width, num_classes, num_queries, drop_path_rate)
        self.semantic: SemanticBranch | SmallSemanticBranch | None = None
        if semantic == 'pyramid':
            self.semantic = SemanticBranch((coarse[0], *coarse[2:4]), width, num_classes)
        elif semantic == 'small':
            self.semantic = SmallSemanticBranch(coarse[0], width, num_classes)

    def forward(self, maps: Sequence[Tensor], batch_data_samples: Any = None) -> list[Prediction]:
        """One (B, C_i, H_i, W_i) per in_channels -> the predictions of all layers, the final one last."""
        return self.decoder(self.pixel_decoder(list(reversed(maps))))

    def compute_losses(self, maps: Sequence[Tensor], truth: Sequence[Segments]) -> dict[str, Tensor]:
        """truth: the segments of each image, with masks at the size of the image."""
        with torch.autocast(maps[0].device.type, enabled=False):
            *earlier, final = [
                Prediction(each.scores.float(), each.masks.float(), each.pixels.float()) for each in self(maps)
            ]
            size = final.masks.shape[2:]
            truth = [Segments(each.labels, losses.subsampled(each.masks, size)) for each in truth]
            targets = losses.make_targets(final, truth)
            found = self.prediction_losses(final, targets)
            for i, prediction in enumerate(earlier):
                of_layer = self.prediction_losses(prediction.at(size), targets)
                found |= {f'd{i}.{name}': value for name, value in of_layer.items()}
            if self.semantic is not None:
                found['loss_semantic'] = losses.SEMANTIC * self.semantic_loss(self.semantic, maps, truth, targets)
        return found

    def prediction_losses(self, found: Prediction, targets: losses.Targets) -> dict[str, Tensor]:
        pixel = losses.pixel_loss(found.pixels, targets, self.pixel_temperature, self.num_pixels)
        return {
            'loss_cls': losses.CLASS * losses.class_loss(found.scores, targets),
            'loss_mask': losses.MASK * losses.mask_loss(found.masks, targets),
            'loss_dice': losses.DICE * losses.dice_loss(found.masks, targets),
            'loss_pixel': losses.PIXEL * pixel,
        }

    def semantic_loss(
        self,
        branch: SemanticBranch | SmallSemanticBranch,
        maps: Sequence[Tensor],
        truth: Sequence[Segments],
        targets: losses.Targets,
    ) -> Tensor:
        nothing = self.num_classes
        labels = torch.stack([losses.label_map(each, nothing) for each in truth])  # (B, h, w)
        if isinstance(branch, SemanticBranch):
            scores = resized(branch(maps[-1], maps[-3], maps[-4]).float(), labels.shape[1:], odd=0)
            chosen = losses.sample(targets, self.semantic_temperature, self.num_pixels)
            return losses.semantic_loss(scores, labels, chosen, nothing)
        scores = branch(maps[-1]).float()
        return losses.semantic_loss(scores, losses.subsampled(labels, scores.shape[2:]), None, nothing)

    def own_names(self, state_dict: StateDict) -> StateDict:
        return remap_official_keys(state_dict, self.layers, self.num_classes, self.num_stuff_classes)


@MODELS.register_module()
class KMaXHead(KMaX):
    """Head for instance and panoptic segmentation, of mmdetection's `MaskFormer`."""

    def loss(self, maps: Sequence[Tensor], batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        truth = []
        for sample in batch_data_samples:
            things, stuff = sample.gt_instances, sample.get('gt_sem_seg')
            labels, masks = preprocess_panoptic_gt(
                things.labels,
                things.masks,
                stuff.sem_seg if self.num_stuff_classes and stuff is not None else None,
                self.num_things_classes,
                self.num_stuff_classes,
            )
            truth.append(Segments(labels, masks))
        return self.compute_losses(maps, truth)

    def predict(self, maps: Sequence[Tensor], batch_data_samples: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Class scores (B, Q, K + 1) and masks (B, Q, h, w) before the softmax over classes and that over queries."""
        final = self(maps)[-1]
        return final.scores, final.masks


@MODELS.register_module()
class KMaXSemanticHead(KMaX):
    """Head for semantic segmentation: a decode head of mmsegmentation's `EncoderDecoder`.

    ignore_index: the label of pixels that do not count. The others are described in `KMaX`.
    """

    align_corners = False
    threshold = None

    def __init__(self, *, num_classes: int, ignore_index: int = 255, **options: Any):
        super().__init__(num_classes=num_classes, num_stuff=num_classes, **options)
        self.out_channels = num_classes
        self.ignore_index = ignore_index

    def loss(self, maps: Sequence[Tensor], batch_data_samples: Sequence[Any], train_cfg: Any) -> dict[str, Tensor]:
        truth = []
        for sample in batch_data_samples:
            labels = sample.gt_sem_seg.data[0]  # (H, W)
            classes = labels.unique()
            classes = classes[classes != self.ignore_index].long()
            truth.append(Segments(classes, (labels == classes[:, None, None]).long()))
        return self.compute_losses(maps, truth)

    def predict(self, maps: Sequence[Tensor], batch_img_metas: list[dict], test_cfg: Any) -> Tensor:
        """Class scores (B, K, H, W): over all queries, the class's chance times the query's at each pixel."""
        final, meta = self(maps)[-1], batch_img_metas[0]
        window = isinstance(meta['img_shape'], torch.Size)  # as mmsegmentation tells a window from an image
        size = (meta['img_shape'] if window else meta.get('pad_shape', meta['img_shape']))[:2]
        masks = resized(final.masks, size, size[1] % 2).softmax(1)
        return torch.einsum('bqk,bqhw->bkhw', final.scores.softmax(-1)[..., :-1], masks)


@MODELS.register_module()
class KMaXDeepLab(OfficialNames, MaskFormer):
    """Model for instance and panoptic segmentation: mmdetection's `MaskFormer`, which loads the authors' weights."""

    head_name = 'panoptic_head'


@MODELS.register_module()
class KMaXSegmentor(OfficialNames, EncoderDecoder):
    """Model for semantic segmentation: mmsegmentation's."""

    head_name = 'decode_head'

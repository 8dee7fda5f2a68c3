"""The hook that computes the loss on the validation set."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.structures import PixelData
from torch import Tensor

from denseformer.engine.validation import fitted_label_map, has_truth, load_labels, same_size_parts
from denseformer.registry import HOOKS
from denseformer.restoration.adversarial import AdversarialRestorer
from denseformer.seeding import VALIDATION, derive_seed, seeded

NAME = 'val_loss'


@HOOKS.register_module()
class ValidationLossHook(Hook):
    """Logs `val_loss`, the sum of the training's losses on validation images, at each validation.

    The model computes it as it predicts: without augmentation and dropout, and with the statistics and averaged weights
    of prediction. What the losses draw at random, such as points and proposals, is the same each time. Without a
    discriminator's verdict no such sum means anything: adversarial training logs none.

    images: at most about so many, evenly spread over the set; the loss costs a second pass through the network.
    """

    priority = 'NORMAL'  # before the hook that writes the log

    def __init__(self, images: int = 500):
        if images < 1:
            raise ValueError(f'ValidationLossHook: images={images}; at least one is needed.')
        self.images = images
        self.active = False
        self.sums = torch.zeros(2, dtype=torch.float64)  # of losses, of images

    def before_train(self, runner: Runner) -> None:
        self.active = runner._val_dataloader is not None and not isinstance(unwrapped(runner), AdversarialRestorer)
        if self.active:
            load_labels(runner.val_dataloader.dataset, runner.train_dataloader.dataset)

    def before_val_epoch(self, runner: Runner) -> None:
        self.sums = torch.zeros(2, dtype=torch.float64)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        every = -(-len(runner.val_dataloader.dataset) // self.images)
        if not self.active or batch_idx % every:
            return
        with torch.no_grad(), seeded(derive_seed(runner.seed, VALIDATION, batch_idx)):
            for members, part in same_size_parts(data_batch):
                if part.get('data_samples') and all(map(has_truth, part['data_samples'])):
                    loss = validation_loss(unwrapped(runner), part)
                    self.sums += torch.tensor([len(members) * loss, len(members)], dtype=torch.float64)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if not self.active:
            return
        all_reduce(self.sums)
        total, images = self.sums.tolist()
        if images:
            runner.message_hub.update_scalar(f'val/{NAME}', total / images)


def unwrapped(runner: Runner) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def validation_loss(model: Any, batch: Mapping[str, Any]) -> float:
    """The sum of a model's losses on images of one size, with labels at the size of what the network is given."""
    data = model.data_preprocessor(batch, False)
    inputs: Tensor = data['inputs']
    for image, sample in zip(batch['inputs'], data['data_samples'], strict=True):
        fit_truth(sample, image, inputs, model)
    preprocessor = model.data_preprocessor
    if getattr(preprocessor, 'pad_mask', False):
        preprocessor.pad_gt_masks(data['data_samples'])
    if getattr(preprocessor, 'pad_seg', False):
        preprocessor.pad_gt_sem_seg(data['data_samples'])
    with asked_for_losses(model):
        total, _ = model.parse_losses(model(**data, mode='loss'))
    return float(total)


@contextmanager
def asked_for_losses(model: Any) -> Iterator[None]:
    """mmdetection's DETRs hand to their losses what these need only while they and their head are in training.

    Their layers stay in evaluation.
    """
    is_transformer = any(cls.__name__ == 'DetectionTransformer' for cls in type(model).__mro__)
    parts = [model, model.bbox_head] if is_transformer else []
    before = [part.training for part in parts]
    try:
        for part in parts:
            part.training = True
        yield
    finally:
        for part, was_training in zip(parts, before, strict=True):
            part.training = was_training


def fit_truth(sample: Any, image: Tensor, inputs: Tensor, model: Any) -> None:
    """Bring a sample's label map to the size of its image in the batch, or crop a target that no pixel leads to."""
    if 'gt_sem_seg' in sample and 'data' in sample.gt_sem_seg:
        size, padded = image.shape[-2:], inputs.shape[-2:]
        ignored = getattr(model.decode_head, 'ignore_index', 255)
        sample.gt_sem_seg = PixelData(data=fitted_label_map(sample.gt_sem_seg.data, size, padded, ignored))
        sample.set_metainfo({'img_shape': tuple(padded), 'pad_shape': tuple(padded)})
    if 'gt_img' in sample:
        scale = model.network.scale
        sample.gt_img = sample.gt_img[:, : scale * image.shape[-2], : scale * image.shape[-1]]

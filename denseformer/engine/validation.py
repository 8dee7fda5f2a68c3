"""Validation in batches, with labels for its loss.

Batches change no score: images of one size go through the network together, others by themselves, so that none is
padded to the size of another.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.runner import TestLoop, ValLoop
from mmengine.runner.amp import autocast
from torch import Tensor

from denseformer.datasets.building import built_leaf_datasets


class SameSizeValLoop(ValLoop):
    """mmengine's loop, whose batches may hold images of any sizes; results keep the order of the dataset."""

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Any) -> None:
        self.runner.call_hook('before_val_iter', batch_idx=idx, data_batch=data_batch)
        with autocast(enabled=self.fp16):
            outputs = in_parts(self.runner.model.val_step, data_batch)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook('after_val_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs)


class SameSizeTestLoop(TestLoop):
    """Testing in parts of one image size; see `SameSizeValLoop`."""

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Any) -> None:
        self.runner.call_hook('before_test_iter', batch_idx=idx, data_batch=data_batch)
        with autocast(enabled=self.fp16):
            outputs = in_parts(self.runner.model.test_step, data_batch)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook('after_test_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs)


def in_parts(step: Callable[[Any], Sequence[Any]], batch: Any) -> list[Any]:
    """Outputs of `step` for the images of a batch, those of one size at a time, in the order of the batch.

    A batch of several versions of an image, as test-time augmentation makes, is left whole.
    """
    inputs = batch.get('inputs') if isinstance(batch, Mapping) else None
    if not isinstance(inputs, list) or not all(isinstance(image, Tensor) for image in inputs):
        return list(step(batch))
    found: dict[int, Any] = {}
    for members, part in same_size_parts(batch):
        found.update(zip(members, step(part), strict=True))
    return [found[i] for i in sorted(found)]


def same_size_parts(batch: Mapping[str, Any]) -> Iterator[tuple[list[int], Mapping[str, Any]]]:
    """The images of a batch that have one size, before and after the pipeline: (their places, their part of it).

    batch: what the loader collates, lists as long as the batch. One that is stacked already is one part.
    """
    inputs, samples = batch['inputs'], batch.get('data_samples')
    if not isinstance(inputs, list):
        yield list(range(len(inputs))), batch
        return
    places: dict[Any, list[int]] = {}
    for i, image in enumerate(inputs):
        original = samples[i].get('ori_shape') if samples else None
        places.setdefault((tuple(image.shape), original and tuple(original)), []).append(i)
    for members in places.values():
        yield members, {key: [values[i] for i in members] for key, values in batch.items()}


def load_labels(dataset: Any, training: Any) -> None:
    """Let the validation set read labels as the training set does; detection's pipelines leave them out.

    The transforms are put behind those that read the image, so that what resizes it resizes boxes and masks too.
    """
    wanted = [step for part in built_leaf_datasets(training) for step in transforms_of(part) if reads_labels(step)]
    for part in built_leaf_datasets(dataset):
        steps = transforms_of(part)
        known = {type(step) for step in steps}
        missing = {type(step): step for step in wanted if type(step) not in known}
        place = 1 + max((i for i, step in enumerate(steps) if type(step).__name__.startswith('Load')), default=-1)
        steps[place:place] = missing.values()


def transforms_of(dataset: Any) -> list[Any]:
    """The list of a dataset's transforms itself; an empty one where it has none."""
    return getattr(getattr(dataset, 'pipeline', None), 'transforms', [])


def reads_labels(step: Any) -> bool:
    name = type(step).__name__
    return name.startswith('Load') and not name.startswith('LoadImage')


def has_truth(sample: Any) -> bool:
    """Whether a data sample holds what a loss compares with: a label map, objects or a target."""
    return 'gt_sem_seg' in sample or 'gt_img' in sample or 'bboxes' in sample.get('gt_instances', ())


def scores_per_class(metrics: Sequence[Any]) -> dict[str, Any]:
    """{class: {score: value}} of the first metric that keeps them."""
    tables = (getattr(metric, 'per_class', None) for metric in metrics)
    return next((table for table in tables if table), {})


def fitted_label_map(labels: Tensor, size: tuple[int, int], padded: tuple[int, int], ignored: int) -> Tensor:
    """A label map (1, H, W) at the `size` of the network's image, ignored where that is padded on the right and below.

    padded: the size of the batch, at least `size`.
    """
    resized = torch.nn.functional.interpolate(labels[None].float(), size, mode='nearest')[0].to(labels.dtype)
    return torch.nn.functional.pad(resized, (0, padded[1] - size[1], 0, padded[0] - size[0]), value=ignored)

"""Training on small patches first and on large ones later, as Restormer is trained, https://arxiv.org/abs/2111.09881."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.logging import MessageHub
from torch import Tensor

from denseformer.registry import MODELS
from denseformer.restoration.data_sample import RestorationSample
from denseformer.restoration.preprocessor import RestorationPreprocessor


@dataclass(frozen=True)
class Stage:
    """batch images, cut to squares of `patch` pixels, until iteration `until`."""

    until: int
    batch: int
    patch: int


@MODELS.register_module()
class ProgressivePreprocessor(RestorationPreprocessor):
    """Batches with fewer images and smaller crops in training, by stages: memory stays about the same.

    The data loader delivers the largest batch in the largest patches. All images of a batch are cropped alike. The
    iteration is the Runner's, so that a resumed run is in the right stage.

    Args:
        stages: [{'until': iteration, 'batch': images per GPU, 'patch': side of the degraded image}, ...]; the last one
            lasts.
        scale: how many times larger targets are.
    """

    def __init__(self, *, stages: Sequence[dict[str, int]], scale: int = 1):
        super().__init__()
        self.stages = [Stage(**stage) for stage in stages]
        self.scale = scale
        ends = [stage.until for stage in self.stages]
        if not ends or ends != sorted(set(ends)):
            raise ValueError(f'The stages of progressive training end one after another, got {ends}.')

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        if training:
            data = crop_batch(data, self.stage_at(MessageHub.get_current_instance().get_info('iter', 0)), self.scale)
        return super().forward(data, training)

    def stage_at(self, iteration: int) -> Stage:
        return next((stage for stage in self.stages if iteration < stage.until), self.stages[-1])


def crop_batch(data: dict[str, Any], stage: Stage, scale: int) -> dict[str, Any]:
    """The first images of a batch, all cut to the same random square, and their targets and masks likewise.

    Raises ValueError for a batch or images that are too small for the stage.
    """
    images, samples = list(data['inputs']), data['data_samples']
    H, W = images[0].shape[1:]
    if len(images) < stage.batch or min(H, W) < stage.patch:
        raise ValueError(
            f'A stage of progressive training takes {stage.batch} images of {stage.patch} x {stage.patch} pixels, but '
            f'the data loader delivers {len(images)} of {H} x {W}: set batch_size and patch_size to the largest stage.'
        )
    top, left = (int(torch.randint(side - stage.patch + 1, ())) for side in (H, W))

    def window(image: Tensor, factor: int) -> Tensor:
        rows, columns = (slice(factor * start, factor * (start + stage.patch)) for start in (top, left))
        return image[:, rows, columns]

    def windows(sample: RestorationSample) -> RestorationSample:
        parts = {'gt_img': scale, 'mask': 1}
        return sample.new(**{name: window(sample.get(name), parts[name]) for name in parts if name in sample})

    chosen = slice(stage.batch)
    return {
        'inputs': [window(image, 1) for image in images[chosen]],
        'data_samples': list(map(windows, samples[chosen])),
    }

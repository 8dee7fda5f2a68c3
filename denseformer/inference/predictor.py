"""From a config and a checkpoint, or a checkpoint alone, to predictions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
from torch import nn

from denseformer.checkpoints import read_checkpoint
from denseformer.datasets.loading import MAX_PIXELS
from denseformer.engine import load_config
from denseformer.engine.runner import load_weights
from denseformer.export.runtime import RUNNERS, ExportedModel, load_exported
from denseformer.images.video_files import frames_of
from denseformer.inference.restoration import RestorationTask
from denseformer.inference.segmentation import SegmentationTask
from denseformer.inference.sources import Source, find_items
from denseformer.inference.task import Settings, Task
from denseformer.restoration import from_checkpoint
from denseformer.restoration.restorer import Restorer

INITIAL = ('init_cfg', 'pretrained', 'start_from')
WEIGHTS = ('.pth', '.pt', '.ckpt', '.safetensors')


class Predictor:
    """A trained model that predicts on images, as its config tests it, at each image's own size.

    `Predictor('CFSR_x2.pth')('photographs')` needs no config: a restoration network is recognised by its weights, and
    an exported file (.onnx, .pt2) says what it is.

    Args:
        config: path of a config, one that `load_config` returned, or the path of a restoration network's weights
            or of an exported file.
        checkpoint: path of the weights; None leaves a config's model as it was initialised.
        device: 'auto' for a GPU where there is one, 'cpu', 'cuda', 'cuda:1' ...
        amp: predict under bfloat16 autocast.
        compile: let torch.compile make the network faster, which takes a while for each new image size.
        tile: side of the windows that larger images are cut into; None for what the free memory allows.
        overlap: of neighbouring windows in pixels; None for what the network needs.
        batch_size: how many images of one size, or windows of an image, go through the network together;
            None for what the free memory allows.
        native: predict at the image's own size, whatever the config resizes to.
        augment: average over copies: for segmentation of the sizes of the config's test-time augmentation, and
            mirrored; for restoration turned and mirrored (8).
        probabilities: keep the probability of each class (segmentation).
        score: the least of an instance that is kept (detection).
        classes: the names of those to find (detection); all when there are none.
        suffix: format of restored images, as '.png'; None for that of their source.
        trust_checkpoint: let the checkpoint execute code while it loads.
        max_pixels: the largest image that is decoded, in pixels.

    Raises ValueError for a config or checkpoint that cannot be used.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path | None = None,
        *,
        device: str = 'auto',
        amp: bool = False,
        compile: bool = False,
        tile: int | None = None,
        overlap: int | None = None,
        batch_size: int | None = 1,
        native: bool = False,
        augment: bool = False,
        probabilities: bool = False,
        score: float = 0.3,
        classes: Sequence[str] = (),
        suffix: str | None = None,
        trust_checkpoint: bool = False,
        max_pixels: int = MAX_PIXELS,
    ):
        self.device = torch.device(get_device() if device == 'auto' else device)
        self.settings = Settings(
            device=self.device, amp=amp, tile=tile, overlap=overlap, batch_size=batch_size, native=native,
            augment=augment, probabilities=probabilities, score=score, classes=classes, suffix=suffix,
            max_pixels=max_pixels,
        )  # fmt: skip
        self.model, self.config = load_model(config, checkpoint, trust=trust_checkpoint)
        if isinstance(self.model, ExportedModel):
            if compile or amp or self.device.type != 'cpu':
                raise ValueError(f"'{config}' is exported: it takes no amp or compile, and device 'cpu'.")
            if side := self.model.sizes.side:
                self.settings = replace(self.settings, tile=side, overlap=side // 4 if overlap is None else overlap)
        self.model.to(self.device).eval()
        if compile:
            part_of(self.model).compile()
        self.task = task_of(self.config, self.model, self.settings)

    def __call__(self, source: Source | Iterable[Source]) -> Iterator[Any]:
        """Predict on every image and frame of a source, one by one; the first bad image raises ValueError."""
        for item in find_items(source):
            for image in frames_of(item, self.settings.max_pixels) if item.is_video else [item]:
                prepared = self.task.prepare(image)
                if prepared.window is not None:
                    prepared.window.close()
                    raise ValueError(f"'{image.path}' is too large for a result in memory: predict it into a folder.")
                yield self.task.predict([prepared])[0]


def load_model(
    config: str | Path | Config, checkpoint: str | Path | None, *, trust: bool
) -> tuple[nn.Module, Config | None]:
    """The model that `Predictor` is given, on the CPU, and its config where there is one."""
    suffix = '' if isinstance(config, Config) else Path(config).suffix
    if suffix in (*WEIGHTS, *RUNNERS):
        if checkpoint is not None:
            raise ValueError(f"'{config}' holds a whole model; before the checkpoint a config is expected.")
        return load_exported(Path(config)) if suffix in RUNNERS else (from_checkpoint(config), None)
    config = config if isinstance(config, Config) else load_config(config)
    model = build_model(config)
    if checkpoint is not None:
        content = read_checkpoint(checkpoint, trust=trust)
        for warning in load_weights(model, content, str(checkpoint)):
            MMLogger.get_current_instance().warning(warning)
    return model, config


def part_of(model: nn.Module) -> nn.Module:
    """What of a model is compiled: a segmentor's or detector's backbone, a restoration network as a whole."""
    return getattr(model, 'backbone', None) or getattr(model, 'network', None) or model


def task_of(config: Config | None, model: nn.Module, settings: Settings) -> Task:
    """What adapts a model to pictures and results."""
    if any(cls.__name__ == 'BaseDetector' for cls in type(model).__mro__):
        from denseformer.inference.detection import DetectionTask

        return DetectionTask(config, model, settings)
    if settings.classes:
        raise ValueError('Only a detector finds some classes and leaves out others: leave out --classes.')
    if config is None or isinstance(model, Restorer):
        return RestorationTask(model.network if isinstance(model, Restorer) else model, settings)
    if hasattr(model, 'encode_decode'):
        return SegmentationTask(config, model, settings)
    raise ValueError(
        f'{type(model).__name__} cannot be predicted with: it is no segmentor with encode_decode, no detector of '
        'mmdetection, and no restoration network.'
    )


def build_model(config: Config) -> nn.Module:
    """The config's model with random weights; weights it starts training from are not looked for."""
    if config.get('custom_imports'):
        import_modules_from_strings(**config.custom_imports)
    init_default_scope(config.get('default_scope') or 'mmengine')
    settings = without_initial_weights(config.model)
    settings.pop('losses', None)  # of a restorer; they may bring networks of their own
    return MODELS.build(settings)


def without_initial_weights(node):
    """A model's config without the checkpoints its training starts from."""
    if isinstance(node, dict):
        kept = {key: value for key, value in node.items() if key not in INITIAL}
        return type(node)({key: without_initial_weights(value) for key, value in kept.items()})
    if isinstance(node, (list, tuple)):
        return type(node)(without_initial_weights(value) for value in node)
    return node

"""From a config and a checkpoint, or a checkpoint alone, to predictions."""

from collections.abc import Iterable, Iterator, Sequence
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
from denseformer.inference.results import Result
from denseformer.inference.segmentation import SegmentationTask
from denseformer.inference.sources import Item, Source, find_items
from denseformer.inference.task import Prepared, Settings, Task
from denseformer.restoration import from_checkpoint

WEIGHTS = ('.pth', '.pt', '.ckpt', '.safetensors')


class Predictor:
    """A trained model that predicts on images, as its config tests it, at each image's own size.

    `Predictor('CFSR_x2.pth')('photographs')` needs no config: a restoration network is recognised by its weights.

    Args:
        config: path of a config, one that `load_config` returned, or the path of a restoration network's weights.
        checkpoint: path of the weights; None leaves a config's model as it was initialised.
        device: 'auto' for a GPU where there is one, 'cpu', 'cuda', 'cuda:1' ...
        amp: predict under bfloat16 autocast.
        compile: let torch.compile make the network faster, which takes a while for each new image size.
        tile: side of the windows that larger images are cut into; None for what the free memory allows.
        overlap: of neighbouring windows in pixels; None for what the network needs.
        batch_size: how many images of one size, or windows of an image, go through the network together;
            None for what the free memory allows.
        native: predict at the image's own size, whatever the config resizes to.
        augment: average over copies: mirrored for segmentation, turned and mirrored (8) for restoration.
        probabilities: keep the probability of each class (segmentation).
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
        suffix: str | None = None,
        trust_checkpoint: bool = False,
        max_pixels: int = MAX_PIXELS,
    ):
        self.device = torch.device(get_device() if device == 'auto' else device)
        self.settings = Settings(
            device=self.device, amp=amp, tile=tile, overlap=overlap, batch_size=batch_size, native=native,
            augment=augment, probabilities=probabilities, suffix=suffix, max_pixels=max_pixels,
        )  # fmt: skip
        if not isinstance(config, Config) and Path(config).suffix in WEIGHTS:
            if checkpoint is not None:
                raise ValueError(f"'{config}' holds weights; before the checkpoint a config is expected.")
            self.model: nn.Module = from_checkpoint(config)
            self.config = None
        else:
            self.config = config if isinstance(config, Config) else load_config(config)
            self.model = build_model(self.config)
            if checkpoint is not None:
                content = read_checkpoint(checkpoint, trust=trust_checkpoint)
                for warning in load_weights(self.model, content, str(checkpoint)):
                    MMLogger.get_current_instance().warning(warning)
        self.model.to(self.device).eval()
        if compile:
            getattr(self.model, 'backbone', self.model).compile()
        self.task = task_of(self.config, self.model, self.settings)

    def __call__(self, source: Source | Iterable[Source]) -> Iterator[Any]:
        """Predict on every image of a source, one after the other; the first bad image raises ValueError."""
        for item in find_items(source):
            prepared = self.prepare(item)
            if prepared.window is not None:
                raise ValueError(f"'{item.path}' is too large for a result in memory: predict it into a folder.")
            yield self.predict([prepared])[0]

    def prepare(self, item: Item) -> Prepared:
        """Read an item for the network; raises ValueError naming a file that cannot be read."""
        return self.task.prepare(item)

    def predict(self, batch: Sequence[Prepared]) -> list[Result]:
        """Predict on prepared images of one group."""
        return self.task.predict(batch)


def task_of(config: Config | None, model: nn.Module, settings: Settings) -> Task:
    """What adapts a model to pictures and results."""
    if config is None:
        from denseformer.inference.restoration import RestorationTask

        return RestorationTask(model, settings)
    if hasattr(model, 'encode_decode'):
        return SegmentationTask(config, model, settings)
    raise ValueError(f'{type(model).__name__}: there is prediction for segmentation models and restoration networks.')


def build_model(config: Config) -> nn.Module:
    """The config's model with random weights; weights it starts training from are not looked for."""
    if config.get('custom_imports'):
        import_modules_from_strings(**config.custom_imports)
    init_default_scope(config.get('default_scope') or 'mmengine')
    return MODELS.build(without_initial_weights(config.model))


def without_initial_weights(node):
    """A model's config without the checkpoints its training starts from."""
    if isinstance(node, dict):
        kept = {key: value for key, value in node.items() if key not in ('init_cfg', 'pretrained')}
        return type(node)({key: without_initial_weights(value) for key, value in kept.items()})
    if isinstance(node, (list, tuple)):
        return type(node)(without_initial_weights(value) for value in node)
    return node

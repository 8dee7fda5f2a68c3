"""From a config and a checkpoint to predictions."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings

from denseformer.checkpoints import read_checkpoint
from denseformer.datasets.loading import LoadImage
from denseformer.engine import load_config
from denseformer.engine.audit import metainfo
from denseformer.engine.runner import load_weights
from denseformer.inference.results import SegmentationResult
from denseformer.inference.sources import Item, Source, find_items

LOADERS = ('LoadImage', 'LoadSegmentation', 'LoadAnnotations', 'LoadImageFromFile')


class Predictor:
    """A trained model that predicts on images, as its config tests it, at each image's own size.

    Args:
        config: path of a config, or one that `load_config` returned.
        checkpoint: path of the weights; None leaves them as they were initialised.
        device: 'auto' for a GPU where there is one, 'cpu', 'cuda', 'cuda:1' ...
        amp: predict under bfloat16 autocast.
        trust_checkpoint: let the checkpoint execute code while it loads.
        max_pixels: the largest image that is decoded, in pixels.

    Raises ValueError for a config or checkpoint that cannot be used.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path | None,
        *,
        device: str = 'auto',
        amp: bool = False,
        trust_checkpoint: bool = False,
        max_pixels: int = 178_956_970,
    ):
        self.config = config if isinstance(config, Config) else load_config(config)
        self.device = torch.device(get_device() if device == 'auto' else device)
        self.amp = amp
        self.classes, self.palette = class_names(self.config)
        self.load_image = LoadImage(max_pixels=max_pixels)
        self.model = build_model(self.config)
        self.pipeline = prediction_pipeline(self.config)
        if checkpoint is not None:
            content = read_checkpoint(checkpoint, trust=trust_checkpoint)
            for warning in load_weights(self.model, content, str(checkpoint)):
                MMLogger.get_current_instance().warning(warning)
        self.model.to(self.device).eval()

    def __call__(self, source: Source | Iterable[Source]) -> Iterator[SegmentationResult]:
        """Predict on every image of a source, one after the other; the first bad image raises ValueError."""
        for item in find_items(source):
            yield self.predict(item.name, self.read(item))

    def read(self, item: Item) -> np.ndarray:
        """The pixels of an item, (H, W, 3) uint8, B, G, R; raises ValueError naming a file that cannot be read."""
        if item.pixels is not None:
            return item.pixels
        return self.load_image({'img_path': str(item.path)})['img']

    @torch.inference_mode()
    def predict(self, name, pixels: np.ndarray) -> SegmentationResult:
        """Predict on pixels (H, W, 3), B, G, R."""
        size = pixels.shape[:2]
        sample = self.pipeline({'img': pixels, 'img_shape': size, 'ori_shape': size, 'img_path': str(name)})
        batch = {'inputs': [sample['inputs']], 'data_samples': [sample['data_samples']]}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            (predicted,) = self.model.test_step(batch)
        mask = predicted.pred_sem_seg.data[0].cpu().numpy()  # (H, W)
        dtype = np.uint8 if len(self.classes) <= 256 else np.uint16
        return SegmentationResult(name, pixels[..., ::-1], mask.astype(dtype), self.classes, self.palette)


def build_model(config: Config) -> torch.nn.Module:
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


def prediction_pipeline(config: Config) -> Compose:
    """The test pipeline without what reads images and labels."""
    steps = config.get('test_pipeline') or config.test_dataloader.dataset.pipeline
    init_default_scope(config.get('default_scope') or 'mmengine')
    return Compose([step for step in steps if step['type'].rpartition('.')[2] not in LOADERS])


def class_names(config: Config) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...]]:
    """The test data set's class names and colours; the colours are spread over the hues where it has none."""
    init_default_scope(config.get('default_scope') or 'mmengine')
    classes, palette = metainfo(config.test_dataloader.dataset)
    classes = tuple(classes or (f'class {i}' for i in range(config.num_classes)))
    return classes, tuple(tuple(int(c) for c in colour) for colour in palette or spread_colours(len(classes)))


def spread_colours(count: int) -> list[tuple[int, int, int]]:
    """Colours that differ from their neighbours in the list: hues a golden angle apart, in two brightnesses."""
    import colorsys

    hues = ((i * 0.61803 % 1, 0.65, 0.95 if i % 2 else 0.7) for i in range(count))
    return [tuple(int(255 * channel) for channel in colorsys.hsv_to_rgb(*hue)) for hue in hues]

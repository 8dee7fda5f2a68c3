"""From a config and a checkpoint, or a checkpoint alone, to predictions."""

import copy
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
from torch import nn

from denseformer.checkpoints import read_checkpoint
from denseformer.checkpoints.addresses import is_address
from denseformer.checkpoints.other_kinds import INDEX, SUFFIXES
from denseformer.checkpoints.recorded import for_prediction, predicted_model
from denseformer.checkpoints.sharing import CONFIG, save_model, saved_parts
from denseformer.deprecation import renamed_arguments
from denseformer.engine import load_config
from denseformer.engine.agreement import check_agreement
from denseformer.engine.devices import choose_device
from denseformer.engine.runner import load_weights
from denseformer.export.runtime import RUNNERS, ExportedDetector, ExportedModel, load_exported
from denseformer.images.formats import checked_suffix
from denseformer.images.volumes import read_volume
from denseformer.inference.published import published_checkpoint
from denseformer.inference.restoration import RestorationTask
from denseformer.inference.segmentation import SegmentationTask
from denseformer.inference.sources import Source, SourceItem, find_items, frames_of, slice_items
from denseformer.inference.task import Task
from denseformer.inspection.choices import config_of
from denseformer.inspection.fits import restores
from denseformer.inspection.identify import identify_content
from denseformer.options import PredictionOptions, takes_options
from denseformer.restoration.checkpoint import network_of
from denseformer.restoration.restorer import Restorer

CONFIGS = ('.py', '.yaml', '.yml', '.json')
"""How the names of configs end."""


class Predictor:
    """A trained model that predicts on images, as its config tests it, at each image's own size.

    `Predictor('CFSR_x2.pth')('photographs')` needs no config: a restoration network is recognised by its weights, a
    segmentor or detector too where they leave nothing open, and an exported file (.onnx, .pt2) says what it is.

    Raises ValueError for a config or checkpoint that cannot be used.
    """

    @renamed_arguments(augment='tta', suffix='format')
    @takes_options(PredictionOptions)
    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path | None = None,
        options: PredictionOptions = PredictionOptions(),  # noqa: B008 (frozen)
    ):
        """Build the model and read its weights.

        Args:
            config: path of a config, one that `load_config` returned, the name of a shipped one, a folder that
                `save_pretrained` wrote, or the path of a restoration network's weights or of an exported file.
            checkpoint: path or address of the weights; None takes the published ones for the name of a shipped config,
                and leaves the model of another config at its initial weights.
            options: how to predict; its fields are keyword arguments too.
        """
        device = choose_device(options.device)
        self.settings = replace(options, format=options.format and checked_suffix(options.format))
        self.model, self.config = load_model(config, checkpoint, trust=options.trust_checkpoint)
        if isinstance(self.model, ExportedModel) and (side := self.model.sizes.side):
            self.settings = replace(
                self.settings, tile=side, overlap=side // 4 if options.overlap is None else options.overlap
            )
        self.model.eval()
        self.to(device)

    def to(self, device: str | torch.device) -> 'Predictor':
        """Move the model to a device, as named by `PredictionOptions.device`; returns the predictor."""
        self.device = choose_device(str(device))
        self.settings = replace(self.settings, device=str(self.device))
        special = self.settings.compile or self.settings.amp or self.device.type != 'cpu'
        if special and isinstance(self.model, ExportedModel):
            raise ValueError("An exported model takes no amp or compile, and device 'cpu'.")
        self.model.to(self.device)
        if self.settings.compile:
            part_of(self.model).compile()
        self.task = task_of(self.config, self.model, self.settings)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Everything that another process needs, on the CPU."""
        model = self.model if self.device.type == 'cpu' else copy.deepcopy(self.model).cpu()
        return {'model': model, 'config': self.config, 'settings': self.settings}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.to('cpu')

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> 'Predictor':
        """The finished model of a folder that `save_pretrained` wrote, or the one published for a shipped config.

        name: the folder, or the config's name, or a checkpoint that tells what it is; options: as for the constructor.
        """
        whole = Path(name).is_dir() or holds_weights(name)
        return cls(name, None if whole else published_checkpoint(name), **options)

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        scores: Mapping[str, float] | None = None,
        license: str | None = None,
        command: str | None = None,
        notes: str = '',
        half: bool = False,
    ) -> Path:
        """Write weights, config, scores and a card into a folder, for `from_pretrained`; returns it.

        scores: of a validation, by metric; license: of the weights; command: by which the model was trained; notes:
        Markdown for the card, on what the model is for; half: store numbers at half precision. Heads that only training
        needs are not among what is saved.
        """
        if isinstance(self.model, ExportedModel):
            raise ValueError('an exported file is saved already: share the file itself.')
        return save_model(
            self.model,
            self.config,
            folder,
            scores=scores,
            license=license,
            command=command,
            notes=notes,
            half=half,
        )

    def __call__(self, source: Source | Iterable[Source]) -> Iterator[Any]:
        """Predict on every image and frame of a source, one by one; the first bad image raises ValueError."""
        for item in find_items(source):
            for image in self.images_of(item):
                prepared = self.task.prepare(image)
                if prepared.tiff is not None:
                    prepared.tiff.close()
                    raise ValueError(f"'{image.path}' is too large for a result in memory: predict it into a folder.")
                yield self.task.predict([prepared])[0]

    def images_of(self, item: SourceItem) -> Iterable[SourceItem]:
        """The images of an item: itself, the frames of a video, or the slices of a volume, seen through the config's
        `window`."""
        if item.is_video:
            return frames_of(item, self.settings.max_pixels)
        return slice_items(item, read_volume(item.file), self.window) if item.is_volume else [item]

    @property
    def window(self) -> Sequence[float] | None:
        """The values of volumes that become black and white, as the config says; None for the range of each volume."""
        return None if self.config is None else self.config.get('window')


def load_model(
    config: str | Path | Config, checkpoint: str | Path | None, *, trust: bool
) -> tuple[nn.Module, Config | None]:
    """The model that `Predictor` is given, on the CPU, and its config where there is one."""
    if checkpoint is None and not isinstance(config, Config) and Path(config).is_dir():
        saved, checkpoint = saved_parts(config)
        if saved is None:
            config, checkpoint = checkpoint, None
        elif 'model' not in saved:
            raise ValueError(
                f"'{config}' holds a backbone alone, which predicts nothing: start from it, pretrained=FOLDER."
            )
        else:
            config = for_prediction(saved, Path(config) / CONFIG)
    suffix = '' if isinstance(config, Config) else Path(config).suffix
    if suffix in RUNNERS or holds_weights(config):
        if checkpoint is not None:
            raise ValueError(f"'{config}' holds a whole model; before the checkpoint a config is expected.")
        if suffix in RUNNERS:
            return load_exported(Path(config))
        content = read_checkpoint(config, trust=trust)
        identity = identify_content(content, str(config))
        if identity.head is None:
            if identity.settings and not restores(identity.settings['type']):
                raise ValueError(
                    f"'{config}' holds a backbone alone, which predicts nothing: start from it, pretrained=FILE, or "
                    f'name the config of a whole model before it.\n{identity}'
                )
            return network_of(content, config), None
        config, checkpoint = config_of(identity, content), config
    if checkpoint is None and is_shipped_name(config):
        checkpoint = published_checkpoint(config)
    config = config if isinstance(config, Config) else load_config(config)
    if 'model' not in config:
        raise ValueError(f'{config.filename}: has no `model`; it is no config of one.')
    model = build_model(config)
    if checkpoint is not None:
        content = read_checkpoint(checkpoint, trust=trust)
        meta = content.get('meta')
        check_agreement(config, meta if isinstance(meta, Mapping) else None, checkpoint)
        for note in load_weights(model, content, str(checkpoint), whole=True):
            MMLogger.get_current_instance().warning(note)
    return model, config


def holds_weights(config: str | Path | Config) -> bool:
    """Whether what stands in a config's place is a checkpoint: an address, or a file with no name of a config."""
    if isinstance(config, Config) or (Path(config).suffix in CONFIGS and not str(config).endswith(INDEX)):
        return False
    return is_address(config) or Path(config).suffix in SUFFIXES or Path(config).is_file()


def is_shipped_name(config: str | Path | Config) -> bool:
    """Whether `config` is a name, and not the path of a file or a config in memory."""
    return not isinstance(config, Config) and Path(config).name == str(config) and not Path(config).is_file()


def part_of(model: nn.Module) -> nn.Module:
    """The part of a model that is compiled: a segmentor's or detector's backbone, a restoration network as a whole."""
    return getattr(model, 'backbone', None) or getattr(model, 'network', None) or model


def task_of(config: Config | None, model: nn.Module, settings: PredictionOptions) -> Task:
    """The task that adapts a model to pictures and results."""
    if isinstance(model, ExportedDetector) or any(cls.__name__ == 'BaseDetector' for cls in type(model).__mro__):
        from denseformer.inference.detection import DetectionTask

        return DetectionTask(config, model, settings)
    if settings.classes:
        raise ValueError('Only a detector finds some classes and leaves out others: leave out --classes.')
    if config is None or isinstance(model, Restorer):
        return RestorationTask(model.network if isinstance(model, Restorer) else model, settings)
    if any(cls.__name__ == 'VideoObjectSegmentor' for cls in type(model).__mro__):
        from denseformer.inference.video_objects import VideoObjectTask

        return VideoObjectTask(config, model, settings)
    if hasattr(model, 'encode_decode'):
        return SegmentationTask(config, model, settings)
    raise ValueError(
        f'{type(model).__name__} cannot be predicted with: it is no segmentor with encode_decode, no detector of '
        'mmdetection, and no restoration network.'
    )


def build_model(config: Config) -> nn.Module:
    """The config's model with random weights; weights it starts training from are not looked for, nor is it frozen."""
    if config.get('custom_imports'):
        import_modules_from_strings(**config.custom_imports)
    init_default_scope(config.get('default_scope') or 'mmengine')
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Default ``avg_non_ignore``')  # of the loss, which nobody asks for here
        return MODELS.build(predicted_model(config.model))

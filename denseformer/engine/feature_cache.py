"""The maps of a frozen backbone, computed once for each image that enters it and kept on disk.

What enters a backbone decides what leaves it, so maps are found by the content of the normalised, augmented image, and
lie in a folder of their backbone's weights and settings: nothing has to be invalidated, and runs with other heads share
them. Augmentation draws a fixed number of views of each image (`reproducibility.SeededDataset`), or no image would ever
come twice.
"""

import hashlib
import json
import os
import pickle
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from denseformer.config.errors import ConfigError
from denseformer.layers import DropPath
from denseformer.network import TRAINING_OPTIONS
from denseformer.version import __version__

ONLY_IN_TRAINING = (*TRAINING_OPTIONS, 'drop_path_rate', 'frozen_stages', 'norm_eval', 'with_cp')
FREEZE = 'Freeze it: --finetune head.'
READS_FROM_WHAT_LEARNS = (
    'Its maps depend on them, whatever is frozen. DINOv3Adapter has such a pyramid beside a transformer that reads the '
    'image alone, whose maps can be kept.'
)


class FeatureCache:
    """Stands for a backbone's `forward`: reads the maps that are there, computes and writes the others.

    backbone: a frozen one (`frozen_backbone`); folder: of all caches; settings: of the backbone.
    """

    def __init__(self, backbone: nn.Module, folder: str | Path, settings: Mapping[str, Any]):
        self.backbone = backbone
        self.folder = Path(folder) / fingerprint(backbone, settings)
        self.compute: Callable[[Tensor], Any] = backbone.forward
        self.read = self.written = 0
        """Numbers of images whose maps were read, and were computed and written."""
        self.bytes_per_image = 0
        backbone.forward = self

    def remove(self) -> None:
        """Give the backbone its own `forward` back."""
        del self.backbone.forward

    def __call__(self, image: Tensor) -> Any:
        """The backbone's maps of a batch: a tensor, or a sequence of tensors or of sequences of them."""
        paths = [self.path_of(each) for each in image]
        maps = [self.load(path, image.device) for path in paths]
        missing = [i for i, found in enumerate(maps) if found is None]
        if missing:
            computed = self.compute(image[missing])
            for number, i in enumerate(missing):
                maps[i] = part(computed, number)
                self.save(maps[i], paths[i])
        self.read += len(paths) - len(missing)
        self.written += len(missing)
        return together(maps)

    def path_of(self, image: Tensor) -> Path:
        """The file of the maps of one image, (C, H, W), in the precision that a network computes in now."""
        kind = image.device.type
        precision = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else image.dtype
        digest = hashlib.blake2b(f'{precision} {image.dtype} {tuple(image.shape)}'.encode(), digest_size=16)
        digest.update(bytes_of(image))
        name = digest.hexdigest()
        return self.folder / name[:2] / f'{name[2:]}.pt'

    @staticmethod
    def load(path: Path, device: torch.device) -> Any:
        """The maps of an image, or None where they are to be computed, as for a file that a crash left damaged."""
        if not path.is_file():
            return None
        try:
            maps = torch.load(path, map_location='cpu', weights_only=True)
        except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            MMLogger.get_current_instance().warning(f'{path} is damaged ({type(error).__name__}): computed again.')
            return None
        return moved(maps, device)

    def save(self, maps: Any, path: Path) -> None:
        """Write the maps of an image; the file is whole or not there."""
        partial = path.with_suffix(f'.{uuid.uuid4().hex[:8]}')
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(maps, partial)
            os.replace(partial, path)
        except (OSError, RuntimeError) as error:  # PyTorch's writer raises either
            if partial.is_file():
                partial.unlink()
            raise ConfigError(
                f'--cache-features: {path} cannot be written ({error}). A folder with more space, fewer '
                '--cached-views or smaller maps help.'
            ) from error
        self.bytes_per_image = path.stat().st_size


def part(maps: Any, number: int) -> Any:
    """The maps of one image of a batch."""
    return maps[number].clone() if isinstance(maps, Tensor) else tuple(part(each, number) for each in maps)


def moved(maps: Any, device: torch.device) -> Any:
    """Maps on a device."""
    return maps.to(device) if isinstance(maps, Tensor) else tuple(moved(each, device) for each in maps)


def together(maps: Sequence[Any]) -> Any:
    """Maps of single images as those of a batch."""
    if isinstance(maps[0], Tensor):
        return torch.stack(list(maps))
    return tuple(together(each) for each in zip(*maps, strict=True))


def bytes_of(x: Tensor) -> memoryview:
    """The content of a tensor of any type."""
    return memoryview(x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())


def fingerprint(backbone: nn.Module, settings: Mapping[str, Any]) -> str:
    """A name for a backbone's weights and settings, without those that say only how it was to be trained.

    It changes with the package's version, whose networks may compute other maps.
    """
    lasting = {name: value for name, value in settings.items() if name not in ONLY_IN_TRAINING}
    described = json.dumps([__version__, lasting], sort_keys=True, default=str)
    digest = hashlib.blake2b(described.encode(), digest_size=8)
    for name, value in backbone.state_dict().items():
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        digest.update(bytes_of(value))
    return f'{type(backbone).__name__}-{digest.hexdigest()}'


def frozen_backbone(model: nn.Module) -> nn.Module:
    """The backbone of a model, wrapped or not, or the part of it that reads the image alone (`MapNetwork.reader`).

    Raises ConfigError where there is none, or `require_frozen` does.
    """
    backbone = getattr(model.module if is_model_wrapper(model) else model, 'backbone', None)
    if backbone is None:
        raise ConfigError('--cache-features: the model has no backbone.')
    if getattr(backbone, 'adds_queries', False):
        raise ConfigError(
            f'--cache-features: the queries of {type(backbone).__name__} learn and pass through the blocks of its '
            'transformer, so that no map stays the same. Leave it out, or take a head that reads maps.'
        )
    reader = getattr(backbone, 'reader', backbone)
    require_frozen(reader, backbone)
    return reader


@torch.no_grad()
def require_frozen(backbone: nn.Module, whole: nn.Module | None = None) -> None:
    """Raise ConfigError unless the backbone learns nothing and has the same maps while it trains.

    A backbone in training mode may have BatchNorm, dropout, or paths that are drawn. whole: the network that it is a
    part of and that decides its mode, if any.
    """
    whole = backbone if whole is None else whole
    learned = [name for name, parameter in backbone.named_parameters() if parameter.requires_grad]
    if learned:
        remedy = READS_FROM_WHAT_LEARNS if getattr(whole, 'finetune', '') == 'head' else FREEZE
        raise ConfigError(f'--cache-features: {len(learned)} parameters of the backbone learn ({learned[0]}). {remedy}')
    modes = {module: module.training for module in whole.modules()}
    whole.train()
    active = [name for name, module in backbone.named_modules() if module.training and depends_on_training(module)]
    if not active:
        image = torch.randn(2, channels_of(backbone), 64, 64, device=next(backbone.parameters()).device)
        training = flat(backbone(image))
        same = all(torch.equal(a, b) for a, b in zip(training, flat(backbone.eval()(image)), strict=True))
        active = [] if same else [type(backbone).__name__]
    for module, mode in modes.items():
        module.training = mode
    if active:
        raise ConfigError(f'--cache-features: {active[0]} has other maps while the backbone trains. {FREEZE}')


def depends_on_training(module: nn.Module) -> bool:
    """Whether a module computes something else in training mode, of those that are known for it."""
    if isinstance(module, _DropoutNd):
        return module.p > 0
    return isinstance(module, _BatchNorm) or (isinstance(module, DropPath) and module.rate > 0)


def channels_of(backbone: nn.Module) -> int:
    """The channels of the images that a backbone takes, ours or another package's."""
    first = next((m.in_channels for m in backbone.modules() if isinstance(m, nn.Conv2d)), 3)
    return getattr(backbone, 'in_channels', first)


def flat(maps: Any) -> list[Tensor]:
    """All tensors of nested sequences."""
    return [maps] if isinstance(maps, Tensor) else [x for each in maps for x in flat(each)]

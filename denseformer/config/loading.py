"""Loading a config: mmengine's inheritance, command-line overrides, references between keys.

A base file holds one decision and refers to what another base decides: `num_classes='${num_classes}'` in a head stands
for the top-level `num_classes` that the dataset's base sets. A value that is such a string as a whole is replaced,
after all files and overrides are merged, by a copy of what it names, so a number stands in one place and an override
reaches all its users. Names that begin with an underscore belong to the file that sets them and are dropped. The
result, and what a run's folder keeps, is a plain mmengine config.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from denseformer.backbones.base import MapNetwork
from denseformer.config.errors import ConfigError
from denseformer.config.inheritance import apply_changes
from denseformer.config.overrides import apply_overrides, rename_keys
from denseformer.config.references import resolve
from denseformer.config.shipped import DATA_FILES, config_names, find_config
from denseformer.registry import MODELS
from denseformer.suggestions import did_you_mean

DATA_KEYS = frozenset(('path', 'train', 'val', 'names'))
"""Keys of which a data file has one, and no config."""


def load_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """The config at `path` with `overrides` ({'dotted.key': value}) applied and all references replaced.

    path: a file, or the name of a config that ships, with or without `.py`. Raises ConfigError when there is neither,
    when the file is no config but, say, a data file, or a reference names nothing.
    """
    file = find_config(path)
    if file is None:
        siblings = [other.name for other in Path(path).parent.glob('*.py')]
        near = did_you_mean(Path(path).name, [*siblings, *config_names()])
        raise ConfigError(f'{path}: no such config file, and none of that name ships.{near}')
    try:
        config = Config.fromfile(str(file))
        check_is_config(config, file)
    except (SyntaxError, NameError, TypeError, KeyError, FileNotFoundError) as error:
        raise ConfigError(f'{file}: {type(error).__name__}: {error}') from error
    values = {key: value for key, value in config.items() if not key.startswith('_')}
    apply_changes(values)
    apply_overrides(values, overrides or {})
    rename_keys(values)
    add_maps(values)
    resolved = {key: resolve(value, values, (key,)) for key, value in values.items()}
    if 'param_scheduler' in resolved:
        resolved['param_scheduler'] = without_empty_warmups(resolved['param_scheduler'])
    return Config(resolved, cfg_text=config.text, filename=config.filename)


def check_is_config(config: Config, file: Path) -> None:
    """Raise ConfigError for a data file in place of a config."""
    if file.suffix in DATA_FILES and 'model' not in config and DATA_KEYS & config.keys():
        raise ConfigError(
            f'{file}: describes data and is no config. `denseformer fit {file}` trains on it; a config takes it as the '
            f"base of its dataset, _base_ = [..., '{file.name}', ...], for train, test, doctor and browse alike."
        )


def add_maps(values: dict[str, Any]) -> None:
    """Set what follows from the maps of the backbone, finest first, unless a file did.

    `channels` and `strides` of the maps, as the backbone describes itself; `levels`, their indices; and where a head
    has a `pyramid`, how wide its levels are, `pyramid_channels`, as wide for each map. With a `neck`, which then stands
    before the head's own, the backbone's are `map_channels` and `map_strides`, and the others are the neck's.
    """
    if 'backbone' not in values:
        return
    if 'channels' not in values and isinstance(values['backbone'], Mapping):
        maps = described_maps(values['backbone'])
        if 'neck' in values:
            maps = {f'map_{name}': value for name, value in maps.items()}
        values |= {**maps, **values}
        if 'neck' in values:
            add_neck(values)
    if 'channels' in values:
        values.setdefault('levels', tuple(range(len(values['channels']))))
        if 'pyramid' in values:
            values.setdefault('pyramid_channels', [values['pyramid']] * len(values['channels']))


def add_neck(values: dict[str, Any]) -> None:
    """Put the top-level `neck` into the model, before a neck of the head's, and set `channels` to what it makes."""
    neck = resolve(values['neck'], values, ('neck',))
    made = [neck['out_channels']] * len(neck['out_strides']) if 'out_channels' in neck else neck['in_channels']
    values.setdefault('channels', tuple(made))
    model = values.get('model') or {}
    own = model.get('neck')
    values['model'] = {**model, 'neck': '${neck}' if own is None else ['${neck}', own]}


def without_empty_warmups(schedule: Any) -> Any:
    """A schedule without warm-ups of no iteration, and of one, which mmengine would never end."""
    if isinstance(schedule, Mapping) and 'type' not in schedule:
        return {name: without_empty_warmups(part) for name, part in schedule.items()}
    return [part for part in schedule if not is_empty_warmup(part)] if isinstance(schedule, (list, tuple)) else schedule


def is_empty_warmup(part: Any) -> bool:
    if not isinstance(part, Mapping) or not {'start_factor', 'factor'} & part.keys() or 'end' not in part:
        return False
    iterations = part['end'] - part.get('begin', 0)
    return iterations == 0 or (iterations == 1 and not part.get('by_epoch', True))


def described_maps(backbone: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """`channels` and `strides` of a backbone of this project that has an `arch`, else nothing.

    Raises ConfigError for a backbone in the scope `denseformer` that does not exist.
    """
    name = backbone.get('type')
    if name is None:
        return {}
    cls = MODELS.get(name)
    if cls is None and str(name).startswith('denseformer.'):
        hint = did_you_mean(name, (f'denseformer.{known}' for known in MODELS.module_dict), 0.6)
        raise ConfigError(f"backbone.type: no backbone is called '{name}'.{hint}")
    if not (isinstance(cls, type) and issubclass(cls, MapNetwork) and 'arch' in backbone):
        return {}
    changing = ('out_indices', 'neck', 'patch_size', 'return_stem', 'feat_downsample')
    options = {key: backbone[key] for key in changing if key in backbone}
    description = cls.describe(backbone['arch'], **options)
    return {'channels': description.channels, 'strides': description.strides}

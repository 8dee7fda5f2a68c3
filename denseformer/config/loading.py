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

from denseformer.backbones.base import Backbone
from denseformer.config.errors import ConfigError
from denseformer.config.overrides import apply_overrides, rename_keys
from denseformer.config.references import resolve
from denseformer.config.shipped import config_names, find_config
from denseformer.registry import MODELS
from denseformer.suggestions import did_you_mean


def load_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """The config at `path` with `overrides` ({'dotted.key': value}) applied and all references replaced.

    path: a file, or the name of a config that ships, with or without `.py`. Raises ConfigError when there is neither,
    when the file is no config, or a reference names nothing.
    """
    file = find_config(path)
    if file is None:
        siblings = [other.name for other in Path(path).parent.glob('*.py')]
        near = did_you_mean(Path(path).name, [*siblings, *config_names()])
        raise ConfigError(f'{path}: no such config file, and none of that name ships.{near}')
    try:
        config = Config.fromfile(str(file))
    except (SyntaxError, NameError, TypeError, KeyError, FileNotFoundError) as error:
        raise ConfigError(f'{file}: {type(error).__name__}: {error}') from error
    values = {key: value for key, value in config.items() if not key.startswith('_')}
    apply_overrides(values, overrides or {})
    rename_keys(values)
    if 'channels' not in values and isinstance(values.get('backbone'), Mapping):
        values |= described_channels(values['backbone'])
    resolved = {key: resolve(value, values, (key,)) for key, value in values.items()}
    return Config(resolved, cfg_text=config.text, filename=config.filename)


def described_channels(backbone: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """{'channels': widths of the maps} of a backbone of this project that has an `arch`, else nothing.

    Raises ConfigError for a backbone in the scope `denseformer` that does not exist.
    """
    name = backbone.get('type')
    if name is None:
        return {}
    cls = MODELS.get(name)
    if cls is None and str(name).startswith('denseformer.'):
        hint = did_you_mean(name, (f'denseformer.{known}' for known in MODELS.module_dict), 0.6)
        raise ConfigError(f"backbone.type: no backbone is called '{name}'.{hint}")
    if not (isinstance(cls, type) and issubclass(cls, Backbone) and 'arch' in backbone):
        return {}
    options = {key: backbone[key] for key in ('out_indices', 'neck') if key in backbone}
    return {'channels': cls.describe(backbone['arch'], **options).channels}

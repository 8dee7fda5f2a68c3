"""Loading a config: mmengine's inheritance, command-line overrides, references between keys.

A base file holds one decision and refers to what another base decides: `num_classes='${num_classes}'` in a head stands
for the top-level `num_classes` that the data set's base sets. A value that is such a string as a whole is replaced,
after all files and overrides are merged, by a copy of what it names, so a number stands in one place and an override
reaches all its users. Names that begin with an underscore belong to the file that sets them and are dropped. What comes
out, and what a run's folder keeps, is a plain mmengine config.
"""

import copy
import inspect
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from denseformer.backbones.base import Backbone
from denseformer.registry import MODELS

REFERENCE = re.compile(r'^\$\{([^${}]+)\}$')
STEP = re.compile(r'([A-Za-z_]\w*)|\[(-?\d+)\]|\.')
RUNNER_KEYS = {*inspect.signature(Runner.__init__).parameters} - {'self', 'cfg'}
RUN_KEYS = RUNNER_KEYS | {
    'custom_imports',
    'sync_bn',
    'compile',
    'fsdp',
    'tta_model',
    'tta_pipeline',
    'vis_backends',
    'find_unused_parameters',
    'model_wrapper_cfg',
}
"""Top-level keys that mmengine or this project reads."""
SHARED_KEYS = {'backbone', 'channels', 'num_classes', 'published'}
"""Top-level keys by which the bases of this project speak to one another."""


class ConfigError(ValueError):
    """A config that cannot be run as it stands; the message says where and what to do."""


def load_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """The config at `path` with `overrides` ({'dotted.key': value}) merged and all references replaced.

    Raises ConfigError when the file is missing, is no config, or a reference names nothing.
    """
    path = Path(path)
    if not path.is_file():
        near = did_you_mean(path.name, (other.name for other in path.parent.glob('*.py')))
        raise ConfigError(f'{path}: no such config file.{near}')
    try:
        config = Config.fromfile(str(path))
    except (SyntaxError, NameError, TypeError, KeyError, FileNotFoundError) as error:
        raise ConfigError(f'{path}: {type(error).__name__}: {error}') from error
    if overrides:
        config.merge_from_dict(dict(overrides))
    values = {key: value for key, value in config.items() if not key.startswith('_')}
    add_channels(values)
    resolved = {key: resolve(value, values, (key,)) for key, value in values.items()}
    return Config(resolved, cfg_text=config.text, filename=config.filename)


def did_you_mean(name: str, known: Iterable[str] | None) -> str:
    near = get_close_matches(name, list(known or ()), n=1, cutoff=0.7)
    return f" Did you mean '{near[0]}'?" if near else ''


def add_channels(values: dict[str, Any]) -> None:
    """Set `channels`, unless a file did, to the widths of the maps that the backbone describes itself with."""
    backbone = values.get('backbone')
    if 'channels' in values or not isinstance(backbone, Mapping) or 'type' not in backbone:
        return
    cls = MODELS.get(backbone['type'])
    if cls is None and str(backbone['type']).startswith('denseformer.'):
        near = get_close_matches(backbone['type'], [f'denseformer.{name}' for name in MODELS.module_dict], n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ''
        raise ConfigError(f"backbone.type: no backbone is called '{backbone['type']}'.{hint}")
    if isinstance(cls, type) and issubclass(cls, Backbone) and 'arch' in backbone:
        options = {key: backbone[key] for key in ('out_indices',) if key in backbone}
        values['channels'] = cls.describe(backbone['arch'], **options).channels


def resolve(node: Any, values: Mapping[str, Any], trail: tuple[str, ...]) -> Any:
    """`node` with every reference in it replaced; `trail` is the chain of keys that led here."""
    if isinstance(node, Mapping):
        return ConfigDict({key: resolve(value, values, trail) for key, value in node.items()})
    if isinstance(node, (list, tuple)):
        return type(node)(resolve(value, values, trail) for value in node)
    match = REFERENCE.match(node) if isinstance(node, str) else None
    if match is None:
        return copy.deepcopy(node)
    name = match[1].strip()
    if name in trail[1:]:
        raise ConfigError(f"The reference '${{{name}}}' leads back to itself: {' -> '.join((*trail, name))}.")
    return resolve(look_up(name, values, trail[0]), values, (*trail, name))


def look_up(name: str, values: Mapping[str, Any], where: str) -> Any:
    """What 'key.inner[2]' names in `values`."""
    if ''.join(match[0] for match in STEP.finditer(name)) != name:
        raise ConfigError(f"'{where}' refers to '${{{name}}}', which is no name like key.inner[2].")
    found: Any = values
    for match in STEP.finditer(name):
        try:
            if match[1]:
                found = found[match[1]]
            elif match[2]:
                found = found[int(match[2])]
        except (KeyError, IndexError, TypeError):
            near = get_close_matches(match[0], found, n=1) if isinstance(found, Mapping) else []
            hint = f" Did you mean '{near[0]}'?" if near else ''
            raise ConfigError(f"'{where}' refers to '${{{name}}}', but there is no '{match[0]}'.{hint}") from None
    return found

"""Values that the command line gives to keys of a config: `--cfg-options KEY=VALUE ...`.

A key is dotted from the top, with indices into lists (`param_scheduler.0.end`). Where the config has a reference on the
way, the key belongs to what is referred to: `model.backbone.arch` sets `backbone.arch` where `model.backbone` is
'${backbone}', so that all who read `backbone` agree. Any other referenced value is copied first, and the copy changed:
`test_dataloader.batch_size` does not touch the `val_dataloader` that it stands for.
"""

import ast
import copy
import re
from collections.abc import Mapping
from typing import Any

from denseformer.config.errors import ConfigError
from denseformer.config.references import look_up, referenced
from denseformer.deprecation import CONFIG_KEYS, warn_renamed

SHARED_KEYS = {
    *('backbone', 'neck', 'channels', 'strides', 'map_channels', 'map_strides', 'levels', 'pyramid_channels'),
    *('num_classes', 'published'),
}
"""Top-level keys by which the bases of this project speak to one another."""
WORDS = {'true': True, 'false': False}
LIST_OF_WORDS = re.compile(r'\[([^\[\](){}\'"]*)\]')
STEPS = re.compile(r'\.|\[(-?\d+)\]')


class _Remove:
    """The value `none`, which takes its key out of the config."""

    def __repr__(self) -> str:
        return 'REMOVE'

    def __reduce__(self) -> str:
        return 'REMOVE'  # the one object of this name, in another process too


REMOVE = _Remove()


def parse_override(text: str) -> tuple[str, Any]:
    """(dotted key, value) of 'KEY=VALUE'. Raises ValueError when there is no key."""
    key, equals, value = text.partition('=')
    if not equals or not key.strip():
        raise ValueError(f"'{text}' is not KEY=VALUE; put quotes around a value with blanks: 'data_root=/my data'.")
    return key.strip(), parse_value(value)


def parse_value(text: str) -> Any:
    """The Python literal that `text` is, else `text` itself with its blanks and commas.

    Besides: `true` and `false` are bool, `none` is REMOVE, and [tensorboard, wandb] is a list of words.
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    if text == 'none':
        return REMOVE
    words = LIST_OF_WORDS.fullmatch(text)
    if words:
        return [parse_value(word.strip()) for word in words[1].split(',') if word.strip()]
    return WORDS.get(text, text)


def apply_overrides(config: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Set each {'dotted.key': value} in `config`, which is changed in place.

    A dict is merged into the dict that stands there; with `_delete_=True` it replaces it. REMOVE takes the key out.
    Raises ConfigError for a key that leads through something that is neither dict nor list.
    """
    for key, value in overrides.items():
        set_key(config, key, value)


def rename_keys(config: dict[str, Any]) -> None:
    """Move what a config, changed in place, says under old keys to the new ones.

    An old key is written by a user, a new one may come from a base: the old one's value counts.
    """
    for old, new in CONFIG_KEYS.items():
        *parents, name = old.split('.')
        holder: Any = config
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, Mapping) else None
        if isinstance(holder, dict) and name in holder:
            warn_renamed(old, new)
            set_key(config, new, holder.pop(name))


def set_key(config: dict[str, Any], key: str, value: Any) -> None:
    """Set one dotted key; see `apply_overrides`."""
    holder: Any = config
    way = [step for step in STEPS.split(key) if step]
    while len(way) > 1:
        name = place_in(holder, way.pop(0), key)
        child = holder[name] if isinstance(holder, list) else holder.get(name, {})
        target = referenced(child)
        if target in SHARED_KEYS:
            holder, way = config, [target, *way]
            continue
        while target:
            child = look_up(target, config, key)
            target = referenced(child)
        child = list(child) if isinstance(child, tuple) else child
        holder[name] = copy.deepcopy(child)
        holder = holder[name]
    name = place_in(holder, way[0], key)
    if value is not REMOVE:
        merge_through(config, holder, name, value)
    elif isinstance(holder, list):
        del holder[name]
    else:
        holder.pop(name, None)


def place_in(holder: Any, step: str, key: str) -> Any:
    """`step` of the dotted `key` as the key or index that it is in `holder`."""
    if isinstance(holder, dict):
        return step
    if not isinstance(holder, list):
        raise ConfigError(f"{key}: '{step}' would be a key of {holder!r}, which has none.")
    if re.fullmatch(r'-?\d+', step) and -len(holder) <= int(step) < len(holder):
        return int(step)
    raise ConfigError(f"{key}: '{step}' is no place in a list of {len(holder)}; they are counted from 0.")


def merge_through(config: dict[str, Any], holder: Any, name: Any, value: Any) -> None:
    """Set `holder[name]`, inside `config`, to `value`.

    A dict is merged into the dict that stands there or is referred to, unless it says `_delete_=True`.
    """
    if not isinstance(value, Mapping):
        holder[name] = value
        return
    base = holder[name] if isinstance(holder, list) else holder.get(name)
    if value.get('_delete_'):
        base = None
    target = referenced(base)
    if target in SHARED_KEYS:
        merge_through(config, config, target, value)
        return
    while target:
        base = copy.deepcopy(look_up(target, config, str(name)))
        target = referenced(base)
    if not isinstance(base, dict):
        holder[name] = {key: inner for key, inner in value.items() if key != '_delete_'}
        return
    holder[name] = base
    for key, inner in value.items():
        merge_through(config, base, key, inner)

"""References between the keys of a config: '${num_classes}' stands for what the top-level key `num_classes` is."""

import copy
import re
from collections.abc import Mapping
from typing import Any

from denseformer.config.errors import ConfigError
from denseformer.deprecation import current_key
from denseformer.suggestions import did_you_mean

REFERENCE = re.compile(r'^\$\{([^${}]+)\}$')
STEP = re.compile(r'([A-Za-z_]\w*)|\[(-?\d+)\]|\.')


def referenced(node: Any) -> str | None:
    """The key that a value refers to, such as 'key.inner[2]'; None when it is no reference."""
    match = REFERENCE.match(node) if isinstance(node, str) else None
    return match[1].strip() if match else None


def resolve(node: Any, values: Mapping[str, Any], trail: tuple[str, ...]) -> Any:
    """`node` with every reference in it replaced by a copy of what it names in `values`.

    trail: the keys that led here, the first of which wrote `node`. Raises ConfigError for a reference to nothing or to
    itself.
    """
    if isinstance(node, Mapping):
        return {key: resolve(value, values, trail) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(resolve(value, values, trail) for value in node)
    name = referenced(node)
    if name is None:
        return copy.deepcopy(node)
    if name in trail[1:]:
        raise ConfigError(f"The reference '${{{name}}}' leads back to itself: {' -> '.join((*trail, name))}.")
    return resolve(look_up(name, values, trail[0]), values, (*trail, name))


def look_up(name: str, values: Mapping[str, Any], where: str) -> Any:
    """The value of 'key.inner[2]' in `values`; `where` is the key that refers to it."""
    if ''.join(match[0] for match in STEP.finditer(name)) != name:
        raise ConfigError(f"'{where}' refers to '${{{name}}}', which is no name like key.inner[2].")
    found: Any = values
    for match in STEP.finditer(current_key(name)):
        try:
            if match[1]:
                found = found[match[1]]
            elif match[2]:
                found = found[int(match[2])]
        except (KeyError, IndexError, TypeError):
            hint = did_you_mean(match[0], found, 0.6) if isinstance(found, Mapping) else ''
            raise ConfigError(f"'{where}' refers to '${{{name}}}', but there is no '{match[0]}'.{hint}") from None
    return found

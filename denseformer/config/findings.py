"""A finding of the audit, and the walk through a config by which they are made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard


@dataclass(frozen=True)
class Finding:
    """One thing wrong: the dotted key, the file and line that set it (if found), the problem and its remedy."""

    key: str
    problem: str
    origin: str = ''

    def __str__(self) -> str:
        return f'{self.key}{f" ({self.origin})" if self.origin else ""}: {self.problem}'


def walk(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every (dotted key, value) at and below `node`."""
    yield key, node
    if isinstance(node, Mapping):
        for name in node:
            yield from walk(node[name], f'{key}.{name}' if key else str(name))
    elif isinstance(node, (list, tuple)):
        for i, item in enumerate(node):
            yield from walk(item, f'{key}[{i}]')


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Whether a value of a config is a list or a tuple, and no text."""
    return isinstance(value, Sequence) and not isinstance(value, str)

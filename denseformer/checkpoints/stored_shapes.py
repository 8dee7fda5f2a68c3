"""Names and shapes of networks that are not built to recognize a file of them, because their packages import slowly.

`shapes.json` holds them: OpenMMLab's own networks, and those of this project that derive from them;
`python -m tools.docs.signatures` writes it. Networks that share names and shapes share one entry of its "tensors", in
which `bn1.*` stands for all five tensors of a batch norm.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name('shapes.json')
NORM = ('weight', 'bias', 'running_mean', 'running_var')
COUNT = 'num_batches_tracked'
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class StoredNetwork:
    """A network by its table.

    layout: whose names its tensors have; options: its arguments and their defaults; open: argument -> usual values, for
    those that no tensor tells; variants: (settings without the type, names and shapes), the most usual first.
    """

    layout: str
    options: Mapping[str, Any]
    open: Mapping[str, list[Any]]
    variants: Sequence[tuple[dict[str, Any], Shapes]]

    def shapes(self, settings: Mapping[str, Any]) -> Shapes:
        """The names and shapes of the variant with these settings, for any number of input channels.

        Raises LookupError for settings of no variant, and for channels of a network without that option.
        """
        free = ('type', 'in_channels') if 'in_channels' in self.options else ('type',)
        plain = {name: value for name, value in settings.items() if name not in free}
        shapes = next((shapes for known, shapes in self.variants if known == plain), None)
        if shapes is None:
            raise LookupError(f'no variant of the table has the settings {plain}')
        first, (outputs, channels, *kernel) = next((key, shape) for key, shape in shapes.items() if len(shape) == 4)
        return {**shapes, first: (outputs, settings.get('in_channels', channels), *kernel)}


@cache
def stored_networks() -> dict[str, StoredNetwork]:
    """The networks of the table by the names that configs give them."""
    table = json.loads(TABLE.read_text())
    tensors = {name: expanded(shapes) for name, shapes in table['tensors'].items()}
    return {
        name: StoredNetwork(
            entry['layout'],
            entry['options'],
            entry['open'],
            [(settings, tensors[shapes]) for settings, shapes in entry['variants']],
        )
        for name, entry in table['networks'].items()
    }


def folded(shapes: Shapes) -> dict[str, list[int]]:
    """Shapes as the table has them: one entry for the tensors of a batch norm."""
    norms = {key.removesuffix(COUNT) for key in shapes if key.endswith(COUNT)}
    found: dict[str, list[int]] = {}
    for key, shape in shapes.items():
        before, dot, _ = key.rpartition('.')
        found[f'{before}.*' if before + dot in norms else key] = list(shape) or found[f'{before}.*']
    return found


def expanded(shapes: Mapping[str, Sequence[int]]) -> Shapes:
    """The inverse of `folded`."""
    found: Shapes = {}
    for key, shape in shapes.items():
        if key.endswith('.*'):
            found |= {key.removesuffix('*') + part: tuple(shape) for part in NORM}
            found[key.removesuffix('*') + COUNT] = ()
        else:
            found[key] = tuple(shape)
    return found

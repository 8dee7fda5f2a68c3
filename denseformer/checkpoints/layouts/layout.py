"""A layout: how it is recognized, and the way from it to the authors'."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from denseformer.checkpoints.keys import StateDict


@dataclass(frozen=True)
class Layout:
    """mark: a pattern that some name of the layout matches (`re.match`), and none of the authors' or of ours does.

    convert: a pure function from its names to the authors'.
    """

    mark: str
    convert: Callable[[StateDict], StateDict]

    def matches(self, state_dict: StateDict) -> bool:
        return any(re.match(self.mark, key) for key in state_dict)


def counted_from_1(name: str) -> Callable[[re.Match], str]:
    """The replacement, for `rename`, of a part whose number, the first group, is counted from 0: `name` and from 1."""
    return lambda match: f'{name}{int(match[1]) + 1}.'

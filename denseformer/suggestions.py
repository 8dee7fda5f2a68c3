"""The nearest known name, for messages about a misspelt one."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[object] | None, cutoff: float = 0.7) -> str:
    """ " Did you mean 'tile'?" for 'tlie'; empty when nothing known is like `name`."""
    near = get_close_matches(name, map(str, known or ()), n=1, cutoff=cutoff)
    return f" Did you mean '{near[0]}'?" if near else ''

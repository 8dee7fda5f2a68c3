"""State-dict keys: from the authors' names to ours."""

import re
from collections.abc import Callable

from denseformer.network import StateDict

Rule = tuple[str, str | Callable[[re.Match], str]]


def rename(state_dict: StateDict, *rules: Rule) -> StateDict:
    """Apply to every key the (pattern, replacement) rules of `re.sub`, each to what the one before it left."""
    renamed = {}
    for key, value in state_dict.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed


def drop(state_dict: StateDict, *patterns: str) -> StateDict:
    """`state_dict` without the keys that match one of `patterns` (`re.search`): constants, or a classifier's."""
    compiled = [re.compile(pattern) for pattern in patterns]
    return {key: value for key, value in state_dict.items() if not any(pattern.search(key) for pattern in compiled)}


def strip_classifier(state_dict: StateDict, *, official: str, classifier: tuple[str, ...] = (r'^norm\.', r'^head\.')):
    """Drop the `classifier` keys of a dict in the authors' layout, which is one with a key matching `official`."""
    if any(re.search(official, key) for key in state_dict):
        return drop(state_dict, *classifier)
    return state_dict

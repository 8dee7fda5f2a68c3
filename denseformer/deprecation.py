"""Names that changed: the old ones work for one more release, and the log says once which name to use.

A renamed component stands in `COMPONENTS`, a renamed key of a config in `CONFIG_KEYS`, a renamed argument above the
function that takes it: `@renamed_arguments(old='new')`. Removing an old name is removing its entry.
"""

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

SCOPE = 'denseformer.'
COMPONENTS = {
    'Albumented': 'Albumentations',
    'InterruptionHook': 'PreemptionHook',
    'LoadPair': 'LoadImagePair',
    'NonFiniteGuard': 'NaNGuardHook',
    'PartsOptimWrapperConstructor': 'GANOptimWrapperConstructor',
    'RandomPatch': 'PairedRandomCrop',
    'RoleOptimWrapperConstructor': 'LayerDecayOptimWrapperConstructor',
    'ShrinkTarget': 'BicubicDownsample',
    'ShuffledDegradation': 'BSRGANDegradation',
}
"""Old to new name of registered components."""
CONFIG_KEYS = {
    'start_from': 'pretrained',
    'default_hooks.interruption': 'default_hooks.preemption',
    'model.start_from': 'model.pretrained',
    'default_hooks.nonfinite': 'default_hooks.nan_guard',
}
"""Old to new key of configs, dotted from the top; the last part alone changes."""

Function = TypeVar('Function', bound=Callable)


@functools.cache
def warn_renamed(old: str, new: str) -> None:
    """Say in the log, once per process, that `old` is now called `new`."""
    from mmengine.logging import print_log

    print_log(f"'{old}' is now called '{new}'; the old name works until the next release.", 'current', logging.WARNING)


def current_name(component: str) -> str:
    """The name that a component of the scope `denseformer` has now, with its scope where `component` has one."""
    prefix = SCOPE if component.startswith(SCOPE) else ''
    old = component.removeprefix(prefix)
    if old not in COMPONENTS:
        return component
    warn_renamed(old, COMPONENTS[old])
    return prefix + COMPONENTS[old]


def current_key(key: str) -> str:
    """The name that a config's key, dotted from the top, has now."""
    if key in CONFIG_KEYS:
        warn_renamed(key, CONFIG_KEYS[key])
    return CONFIG_KEYS.get(key, key)


def renamed_arguments(**new_names: str) -> Callable[[Function], Function]:
    """Let a function or constructor take keyword arguments by their old names too: `@renamed_arguments(old='new')`.

    Raises TypeError for a call that names both.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def renamed(*args: Any, **kwargs: Any) -> Any:
            for old in kwargs.keys() & new_names.keys():
                new = new_names[old]
                if new in kwargs:
                    raise TypeError(f"{function.__qualname__}: '{old}' is the old name of '{new}'; give one of them.")
                warn_renamed(old, new)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        renamed.renamed_arguments = dict(new_names)  # type: ignore[attr-defined]
        return renamed  # type: ignore[return-value]

    return decorate


def old_arguments(function: Any) -> frozenset[str]:
    """Old names of arguments that a function or constructor still takes."""
    return frozenset(getattr(function, 'renamed_arguments', ()))

"""Image restoration: networks behind one contract, the models that train and test them, their losses and scores.

`networks` is imported with this package. What `components` offers besides is imported when it is first asked for:
models of mmengine, which networks do without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from denseformer.restoration import networks

if TYPE_CHECKING:
    # A star, so that the list of names stands once, in `components.__all__`: `__getattr__` answers for the same ones.
    from denseformer.restoration.components import *  # noqa: F403

__all__ = ['networks']


def __getattr__(name: str) -> Any:
    """An attribute of `components`."""
    components = import_module('denseformer.restoration.components')
    if name not in components.__all__:
        raise AttributeError(f"module 'denseformer.restoration' has no attribute '{name}'")
    return getattr(components, name)

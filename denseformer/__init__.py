"""denseformer: attention backbones and restoration networks for dense prediction, on the OpenMMLab stack.

Importing this package makes the scope `denseformer` known to mmengine, as soon as mmengine is imported, answers for
mmcv's operators where they were not compiled, and does nothing more: PyTorch, components and operators are imported
when they are first asked for.
"""

from importlib import import_module
from typing import Any

from denseformer.importing import when_imported
from denseformer.ops import mmcv_import
from denseformer.version import __version__

__all__ = ['__version__', 'fit']

mmcv_import.install()
when_imported('mmengine.registry', lambda: import_module('denseformer.registry'))


def __getattr__(name: str) -> Any:
    """`denseformer.fit`, imported when it is first asked for."""
    if name == 'fit':
        return import_module('denseformer.fitting').fit
    raise AttributeError(f"module 'denseformer' has no attribute '{name}'")

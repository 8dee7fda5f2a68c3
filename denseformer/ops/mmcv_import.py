"""An import hook that provides `mmcv._ext`, mmcv's compiled operators.

The finder stands last in `sys.meta_path`: where mmcv was compiled its own file is found before. Installing it imports
neither torch nor mmcv; the operators are imported when mmcv asks for them.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

EXTENSION = 'mmcv._ext'


class ExtensionFinder(MetaPathFinder, Loader):
    """Finds `mmcv._ext` and fills it with the operators of `denseformer.ops.mmcv_ext`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(fullname, self, origin=__name__) if fullname == EXTENSION else None

    def exec_module(self, module: ModuleType) -> None:
        from denseformer.ops.mmcv_ext import operator

        module.__dict__['__getattr__'] = operator


def install() -> None:
    """Provide `mmcv._ext` where nothing else does; a second call changes nothing."""
    if not any(isinstance(finder, ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.append(ExtensionFinder())

"""The authors' networks as peers, read from clones of their repositories in the folder that the variable PEERS names.

A clone is called as its repository is. What the authors' files import from training frameworks that do not import
everywhere is stood in for; of it, a prediction uses next to nothing. Some of the files need the package einops.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from torch import nn

PEERS = os.environ.get('PEERS')


def is_cloned(file: str) -> bool:
    return bool(PEERS) and bool(file) and (Path(PEERS or '') / file).is_file()


def load(file: str, name: str) -> Callable[..., nn.Module]:
    """The class `name` of a `file` below PEERS, which may import its siblings and what its repository's root holds."""
    path, root = Path(PEERS or '') / file, Path(PEERS or '') / Path(file).parts[0]
    parent = ModuleType(path.parent.name)
    parent.__path__ = [str(path.parent)]
    sys.path.insert(0, str(root))
    try:
        with standing_in({path.parent.name: parent, **stand_ins()}):
            spec = importlib.util.spec_from_file_location(f'{path.parent.name}.{path.stem}', path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(root))
    return getattr(module, name)


def unchanged(x: Any) -> Any:
    return x


def stand_ins() -> dict[str, ModuleType]:
    """Stand-ins for what the authors' files import from BasicSR, timm, older OpenMMLab packages, fairscale and fvcore.

    Also SG-Former's `pos_embed.py`, which uses a type that NumPy has removed.
    """
    registry = type('Registry', (), {'register': lambda self: unchanged, 'register_module': lambda self: unchanged})()
    parts = {
        'to_2tuple': lambda x: x if isinstance(x, (tuple, list)) else (x, x),
        'trunc_normal_': nn.init.trunc_normal_,
        'DropPath': lambda *_, **__: nn.Identity(),
    }
    contents: dict[str, Mapping[str, Any]] = {
        'basicsr': {},
        'basicsr.archs': {},
        'basicsr.archs.arch_util': parts,
        'basicsr.utils': {},
        'basicsr.utils.registry': {'ARCH_REGISTRY': registry},
        'timm': {},
        'timm.models': {'register_model': unchanged},
        'timm.models.layers': parts,
        'timm.models.registry': {'register_model': unchanged},
        'timm.models.vision_transformer': {'_cfg': dict},
        'mmseg.models.builder': {'BACKBONES': registry},
        'mmseg.utils': {'get_root_logger': None},
        'mmcv.runner': {'load_checkpoint': None},
        'fairscale': {},
        'fairscale.nn': {},
        'fairscale.nn.checkpoint': {'checkpoint_wrapper': unchanged},
        'fvcore': {},
        'fvcore.nn': {'FlopCountAnalysis': None, 'flop_count_table': None},
        'scipy': {},
        'scipy.io': {},
        'pos_embed': {'get_2d_sincos_pos_embed': lambda width, side, cls_token: np.zeros((side * side, width))},
    }
    modules = {name: ModuleType(name) for name in contents}
    for name, members in contents.items():
        vars(modules[name]).update(members)
        if '.' in name:
            package, _, member = name.rpartition('.')
            vars(modules.get(package, ModuleType(package)))[member] = modules[name]
    return modules


@contextmanager
def standing_in(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """`modules` under their names; afterwards those that were there before, and nothing that was read from PEERS."""
    kept = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in list(sys.modules.items()):
            if str(getattr(module, '__file__', None)).startswith(str(PEERS)):
                del sys.modules[name]
        for name, previous in kept.items():
            if previous is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = previous

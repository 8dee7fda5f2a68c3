"""The authors' networks as peers, read from clones of their repositories in the folder that the variable PEERS names.

A clone is called as its repository is. What the authors' files import from training frameworks that do not import
everywhere is stood in for; of it, a prediction uses next to nothing. Some of the files need other packages: einops,
antialiased_cnns, PyWavelets, pytorch_wavelets.
"""

import collections.abc
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from torch import nn

from benchmarks.harness import AbsentError
from denseformer.layers import SqueezeExcite, squeezed

PEERS = os.environ.get('PEERS')


@dataclass(frozen=True)
class Authors:
    """The authors' network: what makes it in a file of their repository, with its options; and those of ours."""

    file: str
    name: str
    peer_options: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """Raises AbsentError where the file imports what is not installed."""
        try:
            return load(self.file, self.name)(**self.peer_options)
        except ImportError as error:
            raise AbsentError(f'{self.file}: {error}') from error


def is_cloned(file: str) -> bool:
    return bool(PEERS) and bool(file) and (Path(PEERS or '') / file).is_file()


def load(file: str, name: str) -> Callable[..., nn.Module]:
    """The member `name` of a `file` below PEERS, which may import what its folder and those around it hold."""
    path = Path(PEERS or '') / file
    packages, folders = around(path), [str(Path(PEERS or '') / folder) for folder in Path(file).parents[:-1]]
    sys.path[:0] = folders
    try:
        with standing_in({**packages, **stand_ins()}):
            spec = importlib.util.spec_from_file_location(f'{list(packages)[-1]}.{path.stem}', path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
    finally:
        del sys.path[: len(folders)]
    return getattr(module, name)


def around(path: Path) -> dict[str, ModuleType]:
    """Packages for the folder of a file and the folder around it, for relative imports; what they do is left undone."""
    names = path.parent.parent.name, f'{path.parent.parent.name}.{path.parent.name}'
    packages = {name: ModuleType(name) for name in names}
    for package, folder in zip(packages.values(), (path.parent.parent, path.parent), strict=True):
        package.__path__ = [str(folder)]
    return packages


def unchanged(x: Any) -> Any:
    return x


def random_rotation(side: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng().standard_normal((side, side)))[0]


def stand_ins() -> dict[str, ModuleType]:
    """Stand-ins for what the authors' files import from BasicSR, timm, older OpenMMLab packages, fairscale and fvcore.

    Also Mamba's kernels, which VSSD imports and does not call; EcoFormer's `params.py` and `logger.py`, which read a
    command line and write files; and SG-Former's `pos_embed.py`, which uses a type that NumPy has removed. Of timm's
    layers squeeze-and-excitation alone computes something: it is ours.
    """
    registry = type('Registry', (), {'register': lambda self: unchanged, 'register_module': lambda self: unchanged})()
    parts = {
        'to_2tuple': lambda x: x if isinstance(x, (tuple, list)) else (x, x),
        'trunc_normal_': nn.init.trunc_normal_,
        'DropPath': lambda *_, **__: nn.Identity(),
        'SqueezeExcite': lambda dim, ratio: SqueezeExcite(dim, squeezed(dim, ratio), act=nn.ReLU),
    }
    checkpoints = dict.fromkeys(('load_checkpoint', '_load_checkpoint', 'load_state_dict'))
    contents: dict[str, Mapping[str, Any]] = {
        'basicsr': {},
        'basicsr.archs': {},
        'basicsr.archs.arch_util': parts,
        'basicsr.utils': {},
        'basicsr.utils.registry': {'ARCH_REGISTRY': registry},
        'timm': {},
        'timm.models': {'register_model': unchanged},
        'timm.models.layers': parts,
        'timm.models.layers.helpers': parts,
        'timm.models.helpers': {'checkpoint_seq': None},
        'timm.models.registry': {'register_model': unchanged},
        'timm.models.vision_transformer': {'_cfg': dict, **parts},
        'timm.layers': parts,
        'timm.data': {'IMAGENET_DEFAULT_MEAN': (), 'IMAGENET_DEFAULT_STD': ()},
        'mmseg.models.builder': {'BACKBONES': registry},
        'mmseg.utils': {'get_root_logger': None},
        'mmdet.models.builder': {'BACKBONES': registry},
        'mmdet.utils': {'get_root_logger': None},
        'models.builder': {'BACKBONES': registry},
        'mmcv.runner': checkpoints,
        'mmcv_custom': checkpoints,
        'fairscale': {},
        'fairscale.nn': {},
        'fairscale.nn.checkpoint': {'checkpoint_wrapper': unchanged},
        'fvcore': {},
        'fvcore.nn': dict.fromkeys(
            ('FlopCountAnalysis', 'flop_count_table', 'flop_count_str', 'flop_count', 'parameter_count')
        ),
        'mamba_ssm.ops.triton.ssd_combined': dict.fromkeys(
            ('mamba_chunk_scan_combined', 'mamba_split_conv1d_scan_combined')
        ),
        'mamba_ssm.ops.triton.layernorm_gated': {'RMSNorm': None},
        'mamba_ssm.ops.triton.selective_state_update': {'selective_state_update': None},
        'logger': {'logger': None},
        'params': {'args': SimpleNamespace(attn_type='ecoformer', nbits=16, m=25, topk=10)},
        'torch._six': {'container_abcs': collections.abc},
        'scipy': {},
        'scipy.io': {},
        'scipy.stats': {'ortho_group': SimpleNamespace(rvs=random_rotation)},
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
    known = set(sys.modules)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in set(sys.modules) - known:
            if is_of_peers(sys.modules[name]):
                del sys.modules[name]
        for name, previous in kept.items():
            if previous is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = previous


def is_of_peers(module: ModuleType) -> bool:
    """Whether a module was read from PEERS, or is a folder there."""
    places = vars(module).get('__file__'), *vars(module).get('__path__', ())
    return any(str(place).startswith(str(PEERS)) for place in places)

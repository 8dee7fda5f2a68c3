"""Restoration networks in prediction: float32 beside the authors' code, and bfloat16.

The authors' network files are read from clones of their repositories in the folder that the variable PEERS names, a
clone being called as its repository is; they need the package einops. Without a clone a network is measured alone. The
outputs of both agree, as `tests/restoration/test_networks.py` shows. DLGSANet's own code runs on CUDA alone.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from benchmarks.harness import Comparison
from benchmarks.neighborhood import DEVICE, contend, inference
from denseformer.restoration import networks

PEERS = os.environ.get('PEERS')
WINDOWED = {'img_size': 64, 'window_size': 16, 'mlp_ratio': 2, 'upscale': 4, 'upsampler': 'pixelshuffle'}
SIX = [6] * 6


@dataclass(frozen=True)
class Subject:
    """A network of ours, `type` with `options`, on an image of `size`; file, name and options of the authors'."""

    title: str
    type: str
    options: Mapping[str, Any]
    size: tuple[int, int] = (64, 64)
    channels: int = 3
    file: str = ''
    name: str = ''
    peer_options: Mapping[str, Any] = field(default_factory=dict)


HAT = {**WINDOWED, 'depths': SIX, 'num_heads': SIX, 'overlap_ratio': 0.5}
SUBJECTS = (
    Subject(
        'SwinIR-light x4',
        'SwinIR',
        {'arch': 'light', 'scale': 4},
        file='SwinIR/models/network_swinir.py',
        name='SwinIR',
        peer_options={
            **WINDOWED,
            'window_size': 8,
            'depths': [6] * 4,
            'num_heads': [6] * 4,
            'embed_dim': 60,
            'upsampler': 'pixelshuffledirect',
        },
    ),
    Subject(
        'CFSR x4',
        'CFSR',
        {'scale': 4, 'merged': True},
        size=(128, 128),
        file='CFSR/basicsr/archs/cfsr_arch.py',
        name='CFSR',
        peer_options={
            'upscale': 4,
            'embed_dim': 48,
            'depths': [6, 6],
            'dw_size': 9,
            'mlp_ratio': 2,
            'upsampler': 'pixelshuffledirect',
        },
    ),
    Subject(
        'RGT-S x4',
        'RGT',
        {'arch': 'small', 'scale': 4},
        file='RGT/basicsr/archs/rgt_arch.py',
        name='RGT',
        peer_options={
            'upscale': 4,
            'depth': SIX,
            'num_heads': SIX,
            'embed_dim': 180,
            'mlp_ratio': 2,
            'split_size': [8, 32],
        },
    ),
    Subject(
        'HAT-S x4',
        'HAT',
        {'arch': 'small', 'scale': 4},
        file='HAT/hat/archs/hat_arch.py',
        name='HAT',
        peer_options={**HAT, 'embed_dim': 144, 'compress_ratio': 24, 'squeeze_factor': 24},
    ),
    Subject(
        'CATANet x4',
        'CATANet',
        {'scale': 4},
        size=(180, 320),
        file='CATANet/basicsr/archs/catanet_arch.py',
        name='CATANet',
        peer_options={'upscale': 4},
    ),
    Subject(
        'DRCT x4',
        'DRCT',
        {'arch': 'base', 'scale': 4},
        file='DRCT/drct/archs/DRCT_arch.py',
        name='DRCT',
        peer_options={**WINDOWED, 'depths': SIX, 'num_heads': SIX, 'embed_dim': 180},
    ),
    Subject(
        'HAT x4',
        'HAT',
        {'arch': 'base', 'scale': 4},
        file='HAT/hat/archs/hat_arch.py',
        name='HAT',
        peer_options={**HAT, 'embed_dim': 180, 'compress_ratio': 3, 'squeeze_factor': 30},
    ),
    Subject(
        'ESSAformer x4, 128 bands',
        'ESSAformer',
        {'scale': 4, 'in_channels': 128},
        size=(32, 32),
        channels=128,
        file='ESSAformer/ESSA.py',
        name='ESSA',
        peer_options={'inch': 128, 'dim': 256, 'upscale': 4},
    ),
    Subject(
        'DRSformer',
        'DRSformer',
        {},
        file='DRSformer/basicsr/models/archs/DRSformer_arch.py',
        name='DRSformer',
    ),
    Subject('DLGSANet-tiny x4', 'DLGSANet', {'arch': 'tiny', 'scale': 4}),
)


def comparisons() -> Iterator[Comparison]:
    for subject in SUBJECTS:
        image = torch.rand(1, subject.channels, *subject.size, device=DEVICE)
        title = f'{subject.title}, {subject.size[0]} x {subject.size[1]}'
        contenders = [contend('ours', partial(ours, subject), inference, image, torch.float32)]
        if PEERS and subject.file and (Path(PEERS) / subject.file).is_file():
            contenders.append(contend("the authors'", partial(theirs, subject), inference, image, torch.float32))
        contenders.append(contend('ours, bfloat16', partial(ours, subject), inference, image, torch.bfloat16))
        yield Comparison(title, tuple(contenders))


def ours(subject: Subject) -> nn.Module:
    return trained(getattr(networks, subject.type)(**subject.options).to(DEVICE))


def theirs(subject: Subject) -> nn.Module:
    file = Path(PEERS or '') / subject.file
    with standing_in():
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return trained(getattr(module, subject.name)(**subject.peer_options).to(DEVICE))


def trained(network: nn.Module) -> nn.Module:
    """The network as if it had seen training data: CATANet then reads its token centres instead of making them."""
    for name, buffer in network.named_buffers():
        if name.endswith('initted'):
            buffer.fill_(True)
    return network


@contextmanager
def standing_in() -> Iterator[None]:
    """What the authors' files import from BasicSR and timm, neither of which imports everywhere."""
    identity: Callable[..., nn.Module] = lambda *_, **__: nn.Identity()  # noqa: E731
    parts = {
        'to_2tuple': lambda x: x if isinstance(x, (tuple, list)) else (x, x),
        'trunc_normal_': nn.init.trunc_normal_,
        'DropPath': identity,
    }
    registry = type('Registry', (), {'register': lambda self: lambda cls: cls})()
    contents: dict[str, Mapping[str, Any]] = {
        'basicsr': {},
        'basicsr.archs': {},
        'basicsr.archs.arch_util': parts,
        'basicsr.utils': {},
        'basicsr.utils.registry': {'ARCH_REGISTRY': registry},
        'timm': {},
        'timm.models': {},
        'timm.models.layers': parts,
    }
    kept = {name: sys.modules.get(name) for name in contents}
    for name, members in contents.items():
        module = ModuleType(name)
        vars(module).update(members)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name, previous in kept.items():
            if previous is None:
                del sys.modules[name]
            else:
                sys.modules[name] = previous

"""Restoration networks in prediction: float32 beside the authors' code, and bfloat16.

Those that enlarge do so 4 times. Without a clone of the authors' repository (`authors.py`) a network is measured alone.
The outputs of both agree, as `tests/restoration/test_networks.py` shows. DLGSANet's own code runs on CUDA alone.
"""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.authors import is_cloned, load
from benchmarks.harness import Comparison
from benchmarks.neighborhood import DEVICE, contend, inference
from denseformer.restoration import networks
from denseformer.restoration.networks import RestorationNetwork
from denseformer.restoration.networks.trunk import UPSAMPLERS, SwinIRBase

THEIR_NAMES = {
    'dim': ('dim', 'embed_dim'),
    'window': ('window_size',),
    'mlp_ratio': ('mlp_ratio',),
    'compress': ('compress_ratio',),
    'squeeze': ('squeeze_factor',),
    'rectangle': ('split_size',),
    'kernel_size': ('dw_size',),
}
"""Names of the fields of an arch record in the authors' constructors."""


@dataclass(frozen=True)
class Subject:
    """A network of ours on an image of `size`; file of the authors', and the class's name where it is another."""

    type: str
    arch: str
    file: str = ''
    name: str = ''
    size: tuple[int, int] = (64, 64)
    options: Mapping[str, Any] = field(default_factory=dict)


SUBJECTS = (
    Subject('SwinIR', 'light', 'SwinIR/models/network_swinir.py'),
    Subject('CFSR', 'base', 'CFSR/basicsr/archs/cfsr_arch.py', size=(128, 128), options={'merged': True}),
    Subject('RGT', 'small', 'RGT/basicsr/archs/rgt_arch.py'),
    Subject('HAT', 'small', 'HAT/hat/archs/hat_arch.py'),
    Subject('HAT', 'base', 'HAT/hat/archs/hat_arch.py'),
    Subject('DRCT', 'base', 'DRCT/drct/archs/DRCT_arch.py'),
    Subject('CATANet', 'base', 'CATANet/basicsr/archs/catanet_arch.py', size=(180, 320)),
    Subject('DLGSANet', 'tiny'),
    Subject('ESSAformer', 'base', 'ESSAformer/ESSA.py', name='ESSA', size=(32, 32), options={'in_channels': 128}),
    Subject('DRSformer', 'base', 'DRSformer/basicsr/models/archs/DRSformer_arch.py'),
)


def comparisons() -> Iterator[Comparison]:
    for subject in SUBJECTS:
        image = torch.rand(1, subject.options.get('in_channels', 3), *subject.size, device=DEVICE)
        contenders = [contend('ours', partial(ours, subject), inference, image, torch.float32)]
        if is_cloned(subject.file):
            contenders.append(contend("the authors'", partial(theirs, subject), inference, image, torch.float32))
        contenders.append(contend('ours, bfloat16', partial(ours, subject), inference, image, torch.bfloat16))
        yield Comparison(f'{subject.type}-{subject.arch}, {" x ".join(map(str, image.shape[1:]))}', tuple(contenders))


def ours(subject: Subject) -> nn.Module:
    return trained(getattr(networks, subject.type)(arch=subject.arch, **subject.options).to(DEVICE))


def theirs(subject: Subject) -> nn.Module:
    make = load(subject.file, subject.name or subject.type)
    like = getattr(networks, subject.type).on_meta_device(arch=subject.arch, **subject.options)
    options = {name: value for name, value in their_options(like).items() if name in inspect.signature(make).parameters}
    return trained(make(**options).to(DEVICE))


def their_options(network: RestorationNetwork) -> dict[str, Any]:
    """Names of the options of a network like ours in the authors' constructors; each of them takes a part of these."""
    arch = network.arch
    options = {their: getattr(arch, our) for our, names in THEIR_NAMES.items() if hasattr(arch, our) for their in names}
    if isinstance(network, SwinIRBase):
        blocks, heads = ([getattr(arch, name, 1)] * arch.groups for name in ('blocks', 'heads'))  # of each group
        upsampler = next(name for name, kind in UPSAMPLERS.items() if isinstance(network.upsampler, kind))
        options |= {'depths': blocks, 'depth': blocks, 'num_heads': heads, 'upsampler': upsampler}
    return {**options, 'upscale': network.scale, 'inch': network.in_channels}


def trained(network: nn.Module) -> nn.Module:
    """The network as if it had seen training data: CATANet then reads its token centres instead of making them."""
    for name, buffer in network.named_buffers():
        if name.endswith('initted'):
            buffer.fill_(True)
    return network

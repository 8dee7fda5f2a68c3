"""Light, state-space and hybrid backbones as they are deployed: eager, with norms fused, and in ONNX Runtime.

The smallest and a middle variant of each family predict one image of 224 and of 512 pixels; MoH and STViT-R have two
sizes, of which the larger is left out. Beside ours run timm's networks of the families that it has, as they are built
and with what timm fuses; they return the same maps. timm and the packages of the extra `export` take part where they
are installed. A network whose export takes longer than `EXPORT_SECONDS` of CPU time has no row of ONNX Runtime.
"""

import importlib.util
import math
import resource
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import parent_process
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.harness import AbsentError, Comparison, Contender, fresh_process
from benchmarks.neighborhood import DEVICE, has_timm, inference
from denseformer.backbones import Backbone
from denseformer.export.runtime import Sizes, run_onnx
from denseformer.export.tracing import ExportError, Graph, trace, write
from denseformer.layers import fuse_conv_norm
from tools.docs.export import Maps
from tools.docs.zoo import registered_name

SIDES = (224, 512)
VARIANTS = {
    'SHViT': ('s1', 's3'),
    'EfficientViT': ('m0', 'm3'),
    'CASViT': ('xs', 'm'),
    'LSNet': ('tiny', 'small'),
    'LWGANet': ('l0', 'l1'),
    'CARE': ('s0', 's1'),
    'VSSD': ('micro', 'tiny'),
    'MobileMamba': ('t2', 's6'),
    'MambaOut': ('femto', 'tiny'),
    'A2Mamba': ('nano', 'tiny'),
    'VCMamba': ('small', 'medium'),
    'VOLO': ('d1', 'd2'),
    'CvT': ('13', '21'),
    'SpectFormer': ('small', 'base'),
    'SVT': ('small', 'base'),
    'MoH': ('small_80',),
    'EcoFormer': ('b0', 'b2'),
    'STViTR': ('swin_small',),
}
TIMM = {'SHViT': 'shvit_{}', 'EfficientViT': 'efficientvit_{}', 'MambaOut': 'mambaout_{}', 'VOLO': 'volo_{}_224'}
SIZED = ('EfficientViT', 'VOLO')
"""Those that timm makes for one image size."""
EXPORT_SECONDS = 40
EXPORTED = Path(tempfile.gettempdir()) / 'denseformer_light.onnx'
"""The file of the comparison at hand: processes that measure memory find it there."""


def comparisons() -> Iterator[Comparison]:
    families = {registered_name(cls): cls for cls in Backbone.families()}
    for name, archs in VARIANTS.items():
        for arch in archs:
            for side in SIDES:
                yield Comparison(title(name, arch, side), tuple(contenders(families[name], arch, side)))


def title(name: str, arch: str, side: int) -> str:
    return f'{name}-{arch} at {side} x {side}'


def contenders(cls: type[Backbone], arch: str, side: int) -> Iterator[Contender]:
    yield Contender('ours', lambda: predict(build(cls, arch), side))
    yield Contender('ours, fused', lambda: predict(fused(build(cls, arch), fuse_conv_norm), side), countable=False)
    if has_onnx():
        yield Contender('ours, ONNX Runtime', partial(predict_exported, cls, arch, side), countable=False)
    if registered_name(cls) in TIMM and has_timm():
        yield Contender("timm's", lambda: predict(build_timm(cls, arch, side), side), countable=False)
        yield Contender("timm's, fused", lambda: predict(fuse_timm(build_timm(cls, arch, side)), side), countable=False)


def has_onnx() -> bool:
    return all(importlib.util.find_spec(name) for name in ('onnx', 'onnxruntime', 'onnxscript'))


def predict(network: nn.Module, side: int) -> Callable[[], object]:
    return inference(network.requires_grad_(False), torch.randn(1, 3, side, side, device=DEVICE), torch.float32)


def build(cls: type[Backbone], arch: str) -> nn.Module:
    return cls(arch=arch).eval().to(DEVICE)


def fused(network: nn.Module, fuse: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """The network with fewer norms; raises AbsentError where `fuse` finds none."""
    before, network = norms(network), fuse(network)
    if norms(network) == before:
        raise AbsentError('there is nothing to fuse')
    return network


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in network.modules())


def predict_exported(cls: type[Backbone], arch: str, side: int) -> Callable[[], object]:
    """ONNX Runtime on the CPU, with as many threads as PyTorch; raises AbsentError where there is no file."""
    if parent_process() is None:
        export_apart(registered_name(cls), arch, side)
    run, _ = run_onnx(EXPORTED)
    image = torch.randn(1, 3, side, side)
    run(image)
    return partial(run, image)


def export_apart(name: str, arch: str, side: int) -> None:
    with ProcessPoolExecutor(1, mp_context=fresh_process(__name__)) as pool:
        try:
            pool.submit(export_here, name, arch, side).result()
        except ExportError as error:
            raise AbsentError(f'no export: {error}') from error
        except BrokenProcessPool as error:
            raise AbsentError(
                f'its export takes longer than {EXPORT_SECONDS} s of CPU time, or too much memory'
            ) from error


def export_here(name: str, arch: str, side: int) -> None:
    """Write the fused network for images of one size, and compare the file with it."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (EXPORT_SECONDS, hard))  # beyond, a signal ends the process
    torch.set_num_threads(1)
    cls = next(cls for cls in Backbone.families() if registered_name(cls) == name)
    graph, sizes = Graph(Maps(fuse_conv_norm(cls(arch=arch).eval())), 3).eval(), Sizes(side=side)
    write(graph, trace(graph, sizes), EXPORTED, sizes, {})


def build_timm(cls: type[Backbone], arch: str, side: int) -> nn.Module:
    import timm

    name = registered_name(cls)
    size = {'img_size': side} if name in SIZED else {}
    network = timm.create_model(TIMM[name].format(arch), features_only=True, **size).eval().to(DEVICE)
    check_maps(network, cls, arch, side)
    return network


def fuse_timm(network: nn.Module) -> nn.Module:
    from timm.utils.model import reparameterize_model

    return fused(network, partial(reparameterize_model, inplace=True))


@torch.inference_mode()
def check_maps(network: nn.Module, cls: type[Backbone], arch: str, side: int) -> None:
    """Raise an AssertionError unless the maps of a peer are of the sizes of ours."""
    about = cls.describe(arch)
    ours = {width * math.ceil(side / stride) ** 2 for width, stride in zip(about.channels, about.strides, strict=True)}
    found = {x.numel() for x in network(torch.zeros(1, 3, side, side, device=DEVICE))}
    assert found <= ours, f"timm's {registered_name(cls)}-{arch} has maps of {found} values, ours of {ours}"

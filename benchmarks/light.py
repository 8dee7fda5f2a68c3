"""Light, state-space and hybrid backbones as they are deployed: eager, with norms fused, and in ONNX Runtime.

The smallest and a middle variant of each family predict one image of 224 and of 512 pixels; MoH and STViT-R have two
sizes, of which the larger is left out. Beside ours run timm's networks of the families that it has, as they are built
and with what timm fuses; they return the same maps. timm and the packages of the extra `export` take part where they
are installed. A network whose export takes longer than `EXPORT_SECONDS` of CPU time has no row of ONNX Runtime.

The smallest variants also stand beside the authors' code where it is cloned (`authors.py`). Classifiers run without
their last layer. LSNet, MobileMamba, A2Mamba and VCMamba do not run without kernels that are compiled for GPUs.
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
from mmengine.config import ConfigDict
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.authors import PEERS, Authors, is_cloned
from benchmarks.harness import AbsentError, Comparison, Contender, fresh_process
from benchmarks.neighborhood import DEVICE, has_timm, inference
from denseformer.backbones import Backbone
from denseformer.export.runtime import Sizes, run_onnx
from denseformer.export.tracing import ExportError, Graph, trace, write
from denseformer.layers import fuse_conv_norm
from tools.docs.export import Maps

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
CVT = {
    'NUM_STAGES': 3,
    'PATCH_SIZE': [7, 3, 3],
    'PATCH_STRIDE': [4, 2, 2],
    'PATCH_PADDING': [2, 1, 1],
    'DIM_EMBED': [64, 192, 384],
    'NUM_HEADS': [1, 3, 6],
    'DEPTH': [1, 2, 10],
    'MLP_RATIO': [4.0] * 3,
    'ATTN_DROP_RATE': [0.0] * 3,
    'DROP_RATE': [0.0] * 3,
    'DROP_PATH_RATE': [0.0] * 3,
    'QKV_BIAS': [True] * 3,
    'CLS_TOKEN': [False, False, True],
    'POS_EMBED': [False] * 3,
    'QKV_PROJ_METHOD': ['dw_bn'] * 3,
    'KERNEL_QKV': [3] * 3,
    'PADDING_KV': [1] * 3,
    'STRIDE_KV': [2] * 3,
    'PADDING_Q': [1] * 3,
    'STRIDE_Q': [1] * 3,
}
AUTHORS = {
    'SHViT': Authors(
        'SHViT/downstream/shvit.py',
        'Partial_ViT_Exp',
        {'embed_dim': [128, 224, 320], 'depth': [2, 4, 5], 'partial_dim': [32, 48, 68], 'types': 'iss'},
    ),
    'EfficientViT': Authors('Cream/EfficientViT/downstream/efficientvit.py', 'EfficientViT'),
    'CASViT': Authors('CAS-ViT/segmentation/model/rcvit.py', 'rcvit_xs', {'fork_feat': True}),
    'LWGANet': Authors('LWGANet/classification/models/LWGANet.py', 'LWGANet', {'stem_dim': 32, 'fork_feat': True}),
    'CARE': Authors('CARE-Transformer/models/CARETrans.py', 'CARETrans_S0', {'num_classes': 0}),
    'VSSD': Authors(
        'VSSD/classification/models/mamba2.py',
        'Backbone_VMAMBA2',
        {
            'embed_dim': 48,
            'depths': [2, 2, 8, 4],
            'd_state': 48,
            'simple_downsample': False,
            'simple_patch_embed': False,
            'attn_types': ['mamba2', 'mamba2', 'mamba2', 'standard'],
            'bidirection': False,
            'ssd_positve_dA': True,
        },
    ),
    'MambaOut': Authors('MambaOut/models/mambaout.py', 'mambaout_femto', {'num_classes': 0}),
    'VOLO': Authors('volo/models/volo.py', 'volo_d1', {'num_classes': 0}),
    'CvT': Authors(
        'CvT/lib/models/cls_cvt.py',
        'get_cls_model',
        {'config': ConfigDict(MODEL={'SPEC': CVT, 'NUM_CLASSES': 1, 'INIT_WEIGHTS': False})},
    ),
    'SpectFormer': Authors(
        'SpectFormers/hierarchical_architecture/spectformer.py',
        'spectformer_s',
        {'num_classes': 0, 'token_label': False},
    ),
    'SVT': Authors('svt/svt.py', 'svt_s', {'num_classes': 0, 'token_label': False}),
    'MoH': Authors('MoH/MoH-ViT/transnext.py', 'moh_transnext_small_80', {'num_classes': 0, 'pretrain_size': 224}),
    'EcoFormer': Authors('EcoFormer/pvt/pvt_v2.py', 'pvt_v2_b0', {'num_classes': 0}),
    'STViTR': Authors(
        'STViT-R-Object-Detection/mmdet/models/backbones/swin_transformer.py',
        'SwinTransformer',
        {'depths': [2, 2, 18, 2]},
    ),
}
AUTHORS_SIDES = {
    'EfficientViT': (512,),
    **dict.fromkeys(('SHViT', 'CASViT', 'LWGANet', 'VSSD', 'STViTR'), SIDES),
}
"""The images that the authors' dense networks take; their classifiers know 224 pixels alone."""
EXPORT_SECONDS = 40
EXPORTED = Path(tempfile.gettempdir()) / 'denseformer_light.onnx'
"""The file of the comparison at hand: processes that measure memory find it there."""


def comparisons() -> Iterator[Comparison]:
    families = {cls.registered_name(): cls for cls in Backbone.families()}
    for name, archs in VARIANTS.items():
        for arch in archs:
            for side in SIDES:
                yield Comparison(title(name, arch, side), tuple(contenders(families[name], arch, side)))
    for name, authors in AUTHORS.items() if PEERS else ():
        if is_cloned(authors.file):
            yield from (beside_authors(families[name], side) for side in AUTHORS_SIDES.get(name, (224,)))
        elif parent_process() is None:
            print(f'{name} stands alone: {PEERS} has no {authors.file} of {families[name].source.code}', flush=True)


def title(name: str, arch: str, side: int) -> str:
    return f'{name}-{arch} at {side} x {side}'


def title_beside_authors(name: str, side: int) -> str:
    return f"{name}-{VARIANTS[name][0]} beside the authors' code at {side} x {side}"


def contenders(cls: type[Backbone], arch: str, side: int) -> Iterator[Contender]:
    yield Contender('ours', lambda: predict(build(cls, arch), side))
    yield Contender('ours, fused', lambda: predict(fused(build(cls, arch), fuse_conv_norm), side), countable=False)
    if has_onnx():
        yield Contender('ours, ONNX Runtime', partial(predict_exported, cls, arch, side), countable=False)
    if cls.registered_name() in TIMM and has_timm():
        yield Contender("timm's", lambda: predict(build_timm(cls, arch, side), side), countable=False)
        yield Contender("timm's, fused", lambda: predict(fuse_timm(build_timm(cls, arch, side)), side), countable=False)


def beside_authors(cls: type[Backbone], side: int) -> Comparison:
    name = cls.registered_name()
    ours = Contender('ours', lambda: predict(build(cls, VARIANTS[name][0]), side), countable=False)
    theirs = Contender("the authors'", lambda: predict(build_authors(cls), side), countable=False)
    return Comparison(title_beside_authors(name, side), (ours, theirs))


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
        export_apart(cls.registered_name(), arch, side)
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
    cls = next(cls for cls in Backbone.families() if cls.registered_name() == name)
    graph, sizes = Graph(Maps(fuse_conv_norm(cls(arch=arch).eval())), 3).eval(), Sizes(side=side)
    write(graph, trace(graph, sizes), EXPORTED, sizes, {})


def build_timm(cls: type[Backbone], arch: str, side: int) -> nn.Module:
    import timm

    name = cls.registered_name()
    size = {'img_size': side} if name in SIZED else {}
    network = timm.create_model(TIMM[name].format(arch), features_only=True, **size).eval().to(DEVICE)
    check_maps(network, cls, arch, side)
    return network


def build_authors(cls: type[Backbone]) -> nn.Module:
    """The authors' network, whose weights are known to ours by their names."""
    name = cls.registered_name()
    network = AUTHORS[name].build().to(DEVICE)
    for module in network.modules():
        if hasattr(module, 'is_trained'):  # hash functions of EcoFormer, which a first image would train
            module.is_trained = True
    unset = build(cls, VARIANTS[name][0]).load_state_dict(network.state_dict(), strict=False).missing_keys
    assert all('norm' in key for key in unset), f"the authors' {name} does not set {unset[:5]} of ours"
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
    assert found <= ours, f"timm's {cls.registered_name()}-{arch} has maps of {found} values, ours of {ours}"

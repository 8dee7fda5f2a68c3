"""Every family's smallest variant on a 512 x 512 image, beside mmsegmentation's and timm's where they have it.

timm is no dependency of the project: its networks take part where it is installed together with torchvision.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness import Comparison
from benchmarks.neighborhood import DEVICE, contend, has_timm, inference, mmseg_swin, training_step
from denseformer.backbones import Backbone
from denseformer.zoo import families, registered_name

SIDE = 512
TASKS = {
    'inference': (inference, torch.float32),
    'inference, bfloat16': (inference, torch.bfloat16),
    'training step': (training_step, torch.float32),
    'training step, bfloat16': (training_step, torch.bfloat16),
}
TIMM = {
    'ConvNeXt': 'convnext_tiny',
    'DaViT': 'davit_tiny',
    'FocalNet': 'focalnet_tiny_srf',
    'GCViT': 'gcvit_xxtiny',
    'HaloNet': 'halonet26t',
    'MaxViT': 'maxvit_tiny_tf_512',
    'PoolFormer': 'poolformer_s12',
    'Swin': 'swin_tiny_patch4_window7_224',
    'SwinV2': 'swinv2_tiny_window8_256',
}
SIZED = ('Swin', 'SwinV2', 'GCViT')
"""Those whose windows or tables timm makes for one image size."""
WINDOWS = {'GCViT': (16, 16, 32, 16), 'MaxViT': 16}
"""The windows that timm's give an image of this size, where ours keep those of the published detectors."""


def comparisons() -> Iterator[Comparison]:
    image = torch.randn(1, 3, SIDE, SIDE, device=DEVICE)
    for cls in families():
        name = registered_name(cls)
        ours = f'{name}-{next(iter(cls.archs))}'
        if name in WINDOWS:
            yield from compare(name, image, {ours: partial(build, cls)})
            wide = {f'{ours}, wide windows': partial(build, cls, window_size=WINDOWS[name])}
            yield from compare(f'{name} with wide windows', image, {**wide, **peers(name)})
        else:
            yield from compare(name, image, {ours: partial(build, cls), **peers(name)})


def compare(name: str, image: Tensor, networks: Mapping[str, Callable[[], nn.Module]]) -> Iterator[Comparison]:
    for title, (task, dtype) in TASKS.items():
        contenders = (contend(label, make, task, image, dtype) for label, make in networks.items())
        yield Comparison(f'{name}, {title}', tuple(contenders))


def build(cls: type[Backbone], **options: Any) -> nn.Module:
    """The smallest variant."""
    return cls(arch=next(iter(cls.archs)), **options).to(DEVICE)


def peers(name: str) -> dict[str, Callable[[], nn.Module]]:
    found: dict[str, Callable[[], nn.Module]] = {}
    if name == 'Swin':
        found["mmseg's"] = mmseg_swin
    if name in TIMM and has_timm():
        found["timm's"] = partial(build_timm, name)
    return found


def build_timm(name: str) -> nn.Module:
    import timm

    size = {'img_size': SIDE} if name in SIZED else {}
    return timm.create_model(TIMM[name], features_only=True, **size).to(DEVICE)

"""Every family's smallest variant on a 512 x 512 image: float32, bfloat16, and a peer where one installs."""

from collections.abc import Callable, Iterator

import torch
from torch import nn

from benchmarks.harness import Comparison
from benchmarks.neighborhood import DEVICE, contend, inference, mmseg_swin, training_step
from denseformer.backbones import Backbone
from denseformer.zoo import families, registered_name

PEERS: dict[str, Callable[[], nn.Module]] = {'Swin': mmseg_swin}


def comparisons() -> Iterator[Comparison]:
    image = torch.randn(1, 3, 512, 512, device=DEVICE)
    for cls in families():
        name = registered_name(cls)
        arch = next(iter(cls.archs))
        ours = f'{name}-{arch}'
        for title, task in (('inference', inference), ('training step', training_step)):
            contenders = [contend(label(ours, title), build(cls, arch), task, image, torch.float32)]
            contenders.append(contend(f'{label(ours, title)}, bfloat16', build(cls, arch), task, image, torch.bfloat16))
            if name in PEERS:
                contenders.append(contend(f'{name} of mmseg, {title}', PEERS[name], task, image, torch.float32))
            yield Comparison(f'{name}, {title}', tuple(contenders))


def label(name: str, title: str) -> str:
    return name if title == 'inference' else f'{name}, {title}'


def build(cls: type[Backbone], arch: str) -> Callable[[], nn.Module]:
    return lambda: cls(arch=arch).to(DEVICE)

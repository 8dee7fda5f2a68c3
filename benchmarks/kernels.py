"""Every network with the kernels and by its definitions: what `denseformer.kernels` saves in time and memory."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks.harness import Comparison, Contender
from benchmarks.neighborhood import DEVICE, Function, inference, training_step
from denseformer import kernels
from denseformer.backbones import Backbone
from denseformer.network import Network
from denseformer.restoration.networks import RestorationNetwork

Task = Callable[[nn.Module, Tensor, torch.dtype], Function]

SIDES = {Backbone: 512, RestorationNetwork: 128}
TASKS = {
    'inference': (inference, torch.float32),
    'inference, bfloat16': (inference, torch.bfloat16),
    'training step': (training_step, torch.float32),
    'training step, bfloat16': (training_step, torch.bfloat16),
}


def comparisons() -> Iterator[Comparison]:
    for kind, side in SIDES.items():
        for cls in kind.families():
            for title, (task, dtype) in TASKS.items():
                ours, plain = (contender(cls, task, side, dtype, on) for on in (True, False))
                yield Comparison(f'{cls.__name__}, {title} at {side} x {side}', (ours, plain))


def contender(
    cls: type[Network],
    task: Callable[[nn.Module, Tensor, torch.dtype], Function],
    side: int,
    dtype: torch.dtype,
    on: bool,
) -> Contender:
    def make() -> Function:
        network = cls(arch=next(iter(cls.archs))).to(DEVICE)
        image = torch.rand(1, network.in_channels, side, side, device=DEVICE)
        if on:
            return task(network, image, dtype)
        with kernels.disabled():
            run = task(network, image, dtype)
        return by_definitions(run)

    return Contender('kernels' if on else 'definitions', make, dtype)


def by_definitions(run: Function) -> Function:
    def plain() -> None:
        with kernels.disabled():
            run()

    return plain

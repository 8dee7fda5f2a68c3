"""Every kernel alone: a network that uses it, with the kernel and by the kernel's definition, all others being on."""

import importlib
from collections.abc import Callable, Iterator, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from benchmarks.harness import Comparison, Contender
from benchmarks.neighborhood import DEVICE, Function, inference, training_step
from denseformer import kernels
from denseformer.registry import MODELS

Task = Callable[[nn.Module, Tensor, torch.dtype], Function]

TASKS: dict[str, tuple[Task, torch.dtype]] = {
    'inference': (inference, torch.float32),
    'inference, bfloat16': (inference, torch.bfloat16),
    'training step': (training_step, torch.float32),
    'training step, bfloat16': (training_step, torch.bfloat16),
}


@dataclass(frozen=True)
class Use:
    """A network that uses a kernel and the side of its image.

    switch: the function that decides about the kernel; dtypes: in which it may compute on this CPU.
    """

    switch: str
    network: dict[str, Any]
    side: int = 512
    dtypes: Set[torch.dtype] = frozenset({torch.float32, torch.bfloat16})


USES = (
    Use('linear.applies', {'type': 'Swin', 'arch': 'tiny'}, dtypes={torch.bfloat16, *kernels.linear.ONEDNN_DTYPES}),
    Use('mlp.applies', {'type': 'Swin', 'arch': 'tiny'}),
    Use('mlp.applies', {'type': 'ConvNeXt', 'arch': 'tiny'}),
    Use('attention.applies', {'type': 'Swin', 'arch': 'tiny'}),
    Use('padded_heads.applies', {'type': 'SHViT', 'arch': 's4'}),
    Use('padded_heads.applies', {'type': 'CATANet', 'arch': 'base'}, side=128),
    Use('rest.applies', {'type': 'TransNeXt', 'arch': 'tiny'}),
    Use('dynamic_conv.applies', {'type': 'DLGSANet', 'arch': 'light'}, side=128),
    Use('depthwise.applies', {'type': 'ConvNeXt', 'arch': 'tiny'}, dtypes={torch.bfloat16}),
    Use('depthwise.applies', {'type': 'FocalNet', 'arch': 'tiny_lrf'}, dtypes={torch.bfloat16}),
)
"""Where a kernel has several ways to pay, one network for each."""


def comparisons() -> Iterator[Comparison]:
    for use in USES:
        for title, (task, dtype) in TASKS.items():
            if dtype not in use.dtypes:
                continue
            kernel, network = use.switch.split('.')[0], use.network['type']
            contenders = (contender(use, task, dtype, kernel_on) for kernel_on in (True, False))
            yield Comparison(f'{kernel} in {network}, {title} at {use.side} x {use.side}', tuple(contenders))
    for title, (task, dtype) in TASKS.items():
        swin = Use('', {'type': 'Swin', 'arch': 'tiny'})
        both = (contender(swin, task, dtype, on, kernels.disabled) for on in (True, False))
        yield Comparison(f'all kernels in Swin, {title} at 512 x 512', tuple(both))


def contender(
    use: Use,
    task: Task,
    dtype: torch.dtype,
    on: bool,
    switched_off: Callable[[], AbstractContextManager] | None = None,
) -> Contender:
    off = switched_off or partial(without, use.switch)

    def make() -> Function:
        network = MODELS.build({**use.network, 'type': f'denseformer.{use.network["type"]}'}).to(DEVICE)
        image = torch.rand(1, network.in_channels, use.side, use.side, device=DEVICE)
        with nullcontext() if on else off():
            run = task(network, image, dtype)
        return run if on else inside(off, run)

    return Contender('with' if on else 'without', make, dtype)


def without(switch: str) -> AbstractContextManager:
    module, name = switch.split('.')
    return mock.patch.object(importlib.import_module(f'denseformer.kernels.{module}'), name, return_value=False)


def inside(context: Callable[[], AbstractContextManager], run: Function) -> Function:
    def within() -> None:
        with context():
            run()

    return within

"""Recurrences over the positions of a map: ours beside a loop over them, and beside mambapy's and transformers' where
these are installed.

Sizes are those of networks: 384 channels of 16 states, as in Vision Mamba's tiny variant, and 448 channels of one state
in two groups, as in MobileMamba's; 6 heads of 64 channels and 64 states, as Mamba-2 has. Maps are those at stride 16 of
images from 256 to 2048 pixels.
"""

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.harness import Comparison, Contender
from denseformer.attention.selective_scan import selective_scan
from denseformer.attention.state_space_duality import state_space_duality

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
STRIDE = 16
SIDES = (512, 256, 1024, 2048)
"""Sides of images in pixels; the first is the one that the others are compared with."""
HEAD_WIDTH = 64
HEADS = '6 heads of 64 channels, 64 states'
Inputs = tuple[Tensor, ...]
Scan = Callable[..., Tensor]


def comparisons() -> Iterator[Comparison]:
    shapes = {'384 channels, 16 states': (384, 1, 16), '448 channels, 1 state': (448, 2, 1)}
    for name, shape in shapes.items():
        for backward in (False, True):
            task = 'and backward' if backward else 'forward'
            contenders = [
                contend(label, scan, shape, SIDES[0], backward)
                for label, scan in {'ours': selective_scan, 'loop': loop, **peers(shape[1])}.items()
            ]
            yield Comparison(f'selective scan, 32 x 32 map, {name}, {task}', tuple(contenders))
        contenders = [contend(f'{side} x {side} image', selective_scan, shape, side, False) for side in SIDES]
        yield Comparison(f'selective scan, size of the image, {name}', tuple(contenders))
    shape = 384, 1, 64
    for backward in (False, True):
        contenders = [
            contend(name, scan, shape, SIDES[0], backward) for name, scan in (('ours', duality), ('loop', duality_loop))
        ]
        task = 'and backward' if backward else 'forward'
        yield Comparison(f'state-space duality, 32 x 32 map, {HEADS}, {task}', tuple(contenders))
    contenders = [contend(f'{side} x {side} image', duality, shape, side, False) for side in SIDES]
    yield Comparison(f'state-space duality, size of the image, {HEADS}', tuple(contenders))


def peers(groups: int) -> dict[str, Scan]:
    """The scans of other packages; transformers' has one group of channels."""
    found: dict[str, Scan] = {}
    if importlib.util.find_spec('mambapy'):
        found["mambapy's"] = parallel_scan
    if groups == 1 and importlib.util.find_spec('transformers'):
        found["transformers'"] = transformers_scan
    return found


def contend(name: str, scan: Scan, shape: tuple[int, int, int], side: int, backward: bool) -> Contender:
    """shape: channels, groups of them that share B and C, states of a channel; side: of the image, in pixels."""
    length = (side // STRIDE) ** 2
    return Contender(name, partial(step, scan, length, shape, backward), units=length, countable=False)


def step(scan: Scan, length: int, shape: tuple[int, int, int], backward: bool) -> Callable[[], object]:
    inputs = random_inputs(length, *shape)
    for x in inputs:
        x.requires_grad_(backward)

    def run() -> None:
        with torch.set_grad_enabled(backward):
            y = scan(*inputs)
        if backward:
            torch.autograd.grad(y.sum(), inputs)

    run()
    return run


def random_inputs(length: int, channels: int, groups: int, states: int) -> Inputs:
    """u, delta, A, B, C and D of one sequence."""
    sequence, shared = (1, length, channels), (1, length, groups, states)
    u, delta, entry, readout = (torch.randn(shape, device=DEVICE) for shape in (sequence, sequence, shared, shared))
    return u, delta, -torch.rand(channels, states, device=DEVICE), entry, readout, torch.randn(channels, device=DEVICE)


def duality(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    x, dt, A, D = in_heads(u, delta, A, D)
    return state_space_duality(x, dt, A, B, C, D)


def duality_loop(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    x, dt, A, D = in_heads(u, delta, A, D)
    decay, entry = (dt * A).exp()[..., None, None], (dt[..., None] * x)[..., None]  # (1, L, h, 1, 1), (1, L, h, d, 1)
    state, read = torch.zeros((), device=u.device), []
    for t in range(u.shape[1]):
        state = decay[:, t] * state + entry[:, t] * B[:, t, :, None]  # (1, h, d, N)
        read.append((state * C[:, t, :, None]).sum(-1))
    return torch.stack(read, 1) + x * D[:, None]


def in_heads(u: Tensor, delta: Tensor, A: Tensor, D: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A scan's inputs in heads, which decay as the first channels' first states: (1, L, h, d), (1, L, h), h and h."""
    heads = u.shape[2] // HEAD_WIDTH
    dt = torch.nn.functional.softplus(delta[..., :heads])
    return u.unflatten(2, (heads, HEAD_WIDTH)), dt, A[:heads, 0], D[:heads]


def spread(u: Tensor, delta: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """The decay of each state at each position, and its entry, both (1, L, D, N)."""
    dt = torch.nn.functional.softplus(delta)
    B = B.repeat_interleave(u.shape[2] // B.shape[2], 2)
    return (dt[..., None] * A).exp(), (dt * u)[..., None] * B


def read(states: Tensor, u: Tensor, C: Tensor, D: Tensor) -> Tensor:
    C = C.repeat_interleave(u.shape[2] // C.shape[2], 2)
    return (states * C).sum(-1) + u * D


def loop(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    decay, entry = spread(u, delta, A, B)
    state, states = torch.zeros_like(entry[:, 0]), []
    for left, new in zip(decay.unbind(1), entry.unbind(1), strict=True):
        state = torch.addcmul(new, left, state)
        states.append(state)
    return read(torch.stack(states, 1), u, C, D)


def parallel_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    from mambapy.pscan import pscan

    return read(pscan(*spread(u, delta, A, B)), u, C, D)


def transformers_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The scan of transformers' Mamba without the kernels of mamba-ssm, which takes positions last."""
    from transformers.models.mamba.modeling_mamba import mamba_selective_scan

    x, dt, entry, readout = (part.transpose(1, 2) for part in (u, delta, B[:, :, 0], C[:, :, 0]))
    return mamba_selective_scan(x, dt, A, entry, readout, D, delta_softplus=True).transpose(1, 2)

"""Selective scan, the recurrence of Mamba.

Paper: "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", https://arxiv.org/abs/2312.00752.

Every channel carries N states along the sequence; how fast they decay and what enters them depends on the token:

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t,    y_t = C_t h_t + D u_t,    dt_t = softplus(delta_t + delta_bias)

The sequence is worked through in segments whose states fit into the cache, so that time per token and memory per token
do not grow with its length; the backward pass computes the states of a segment again from the one it started with.
Where few channels leave a step too small to be worth its dispatch, a segment is cut into chunks that advance side by
side: first each from zero, then, once it is known what enters every chunk, from there.

Legend: B batch, L tokens, D channels, G groups of channels, d channels of a group, N states of a channel; a segment has
K chunks of T tokens, and its maps are laid out (T, B, K, G, ..).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer import kernels
from denseformer.dynamic_shapes import ceil_div
from denseformer.kernels.mamba_ssm import mamba_kernel

SEGMENT_NUMBERS = {'cpu': 1 << 18, 'cuda': 1 << 26}
"""States of a segment: on CPU as many as fit into the L2 cache with what they are made from."""
STEP_NUMBERS = {'cpu': 1 << 13, 'cuda': 1 << 20}
"""States that advance in one step: fewer would take no less time."""

DOUBLINGS = 16
"""Rounds of the scan in exported graphs, which reach 2 to the power of them tokens back."""


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    delta_bias: Tensor | None = None,
) -> Tensor:
    """The scan of a batch of sequences, from the first token to the last; flip the sequences for the other direction.

    States are computed in float32 at least. On CUDA the compiled kernel of `mamba_ssm` runs where it is installed.

    Args:
        u, delta: (B, L, D), input and step size before softplus.
        A: (D, N), negative.
        B, C: (B, L, G, N), shared by each of G groups of D / G successive channels.
        D: (D,), gain of the input; none by default.
        delta_bias: (D,), added to delta.

    Returns:
        (B, L, D), in the dtype of u, differentiable once in all tensors.

    Raises:
        ValueError: where shapes do not fit each other.
    """
    check_shapes(u, delta, A, B, C)
    kernel = mamba_kernel('selective_scan_interface', 'selective_scan_fn', u.device.type)
    if kernel is not None and u.dtype is not torch.float64:
        return compiled_scan(kernel, u, delta, A, B, C, D, delta_bias)
    wide = torch.promote_types(u.dtype, torch.float32)
    dt = F.softplus(delta.to(wide) if delta_bias is None else delta.to(wide) + delta_bias.to(wide))
    inputs = u.to(wide)
    run = scan if kernels.enabled() else doubling_scan
    y, _ = run(inputs, dt, *(x.to(wide) for x in (A, B, C)))
    if D is not None:
        y = torch.addcmul(y, inputs, D.to(wide))
    return y.to(u.dtype)


def check_shapes(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> None:
    if u.ndim != 3 or delta.shape != u.shape:
        raise ValueError(f'u and delta must have one shape (B, L, D), got {tuple(u.shape)} and {tuple(delta.shape)}.')
    channels, states = u.shape[2], A.shape[-1]
    if A.shape != (channels, states):
        raise ValueError(f'A must be (D, N) with D = {channels} channels, got {tuple(A.shape)}.')
    if B.ndim != 4 or B.shape != C.shape or B.shape[:2] != u.shape[:2] or B.shape[3] != states or channels % B.shape[2]:
        raise ValueError(
            f'B and C must be (B, L, G, N) = {tuple(u.shape[:2])} + (a divisor of {channels}, {states}), '
            f'got {tuple(B.shape)} and {tuple(C.shape)}.'
        )


def compiled_scan(
    kernel: Callable[..., Tensor],
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
) -> Tensor:
    """`selective_scan` by the kernel of `mamba_ssm`, whose sequences run along the last axis."""
    B, C = (x.to(u.dtype).permute(0, 2, 3, 1) for x in (B, C))  # (B, G, N, L)
    gain, bias = (None if x is None else x.float() for x in (D, delta_bias))
    return kernel(u.mT, delta.to(u.dtype).mT, A.float(), B, C, gain, delta_bias=bias, delta_softplus=True).mT


@torch.library.custom_op('denseformer::selective_scan', mutates_args=())
def scan(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """`selective_scan` of positive step sizes, without D, in one dtype; and the states before and behind each segment.

    One operator to tracing and `torch.compile`, which need not look inside. Returns (B, L, D) and
    (segments + 1, B, G, N, d).
    """
    with torch.autocast(u.device.type, enabled=False):
        rates = group_rates(A, B.shape[2])
        y, between = u.new_empty(u.shape), [u.new_zeros(u.shape[0], *rates.shape)]
        for tokens in segments(u, A):
            segment = Segment(u[:, tokens], dt[:, tokens], rates, B[:, tokens])
            states, _ = segment.states(between[-1])
            between.append(states[-1, :, -1].clone())
            y[:, tokens] = segment.output(states, C[:, tokens])
        return y, torch.stack(between)


@scan.register_fake
def _(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    G, L = B.shape[2], u.shape[1]
    count = ceil_div(L, segment_length(u, A))
    return u.new_empty(u.shape), u.new_empty(count + 1, u.shape[0], G, A.shape[1], A.shape[0] // G)


@torch.library.custom_op('denseformer::selective_scan_backward', mutates_args=())
def scan_backward(
    grad: Tensor, u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, between: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of u, dt, A, B and C."""
    with torch.autocast(u.device.type, enabled=False):
        rates = group_rates(A, B.shape[2])
        grad_rates = torch.zeros_like(rates)
        grads = [x.new_empty(x.shape) for x in (u, dt, B, C)]
        carry = torch.zeros_like(between[0])
        for tokens, start in reversed(list(zip(segments(u, A), between[:-1], strict=True))):
            segment = Segment(u[:, tokens], dt[:, tokens], rates, B[:, tokens])
            *parts, part_rates, carry = segment.backward(start, grad[:, tokens], C[:, tokens], carry)
            grad_rates += part_rates
            for whole, part in zip(grads, parts, strict=True):
                whole[:, tokens] = part.reshape(whole[:, tokens].shape)
        grad_u, grad_dt, grad_b, grad_c = grads
        return grad_u, grad_dt, grad_rates.mT.reshape(A.shape), grad_b, grad_c


@scan_backward.register_fake
def _(grad: Tensor, u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, between: Tensor) -> tuple[Tensor, ...]:
    return tuple(x.new_empty(x.shape) for x in (u, dt, A, B, C))


def save_inputs(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[1])


def differentiate(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, ...]:
    return scan_backward(grad, *ctx.saved_tensors)


scan.register_autograd(differentiate, setup_context=save_inputs)


def group_rates(A: Tensor, groups: int) -> Tensor:
    """A with the channels innermost: (D, N) -> (G, N, d)."""
    return A.unflatten(0, (groups, -1)).mT.contiguous()


def segment_length(u: Tensor, A: Tensor) -> int:
    """Tokens whose states fit into the cache, of all sequences together."""
    return torch.sym_max(1, SEGMENT_NUMBERS.get(u.device.type, SEGMENT_NUMBERS['cuda']) // (u.shape[0] * A.numel()))


def segments(u: Tensor, A: Tensor) -> Iterator[slice]:
    length = segment_length(u, A)
    for first in range(0, u.shape[1], length):
        yield slice(first, min(first + length, u.shape[1]))


class Segment:
    """Successive tokens of all sequences, with the decay of the states at each.

    u, dt: (B, l, D); rates: A as (G, N, d); B: (B, l, G, N). Of the chunks' tokens, those behind the end are zeros: the
    states pass through them unchanged.
    """

    def __init__(self, u: Tensor, dt: Tensor, rates: Tensor, B: Tensor):
        batch, self.length = u.shape[:2]
        most = max(1, STEP_NUMBERS.get(u.device.type, STEP_NUMBERS['cuda']) // (batch * rates.numel()))
        self.chunks = min(most, math.isqrt(2 * self.length))
        self.steps = ceil_div(self.length, self.chunks)
        groups = len(rates)
        self.rates, self.B = rates, self.fold(B)
        self.u, self.dt = (self.fold(x.unflatten(2, (groups, -1))) for x in (u, dt))  # (T, B, K, G, d)
        self.decay = (self.dt[..., None, :] * rates).exp_()  # (T, B, K, G, N, d)

    def fold(self, x: Tensor) -> Tensor:
        """(B, l, ..) -> (T, B, K, ..)."""
        missing = self.steps * self.chunks - self.length
        x = F.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x
        return x.unflatten(1, (self.chunks, self.steps)).movedim(2, 0).contiguous()

    def unfold(self, x: Tensor) -> Tensor:
        """(T, B, K, ..) -> (B, l, ..)."""
        return x.movedim(0, 2).flatten(1, 2)[:, : self.length]

    def states(self, start: Tensor) -> tuple[Tensor, Tensor]:
        """The states behind each token, (T, B, K, G, N, d), and those each chunk starts from, (B, K, G, N, d).

        start: where the segment starts from, (B, G, N, d).
        """
        decay, states = self.decay, (self.dt * self.u)[..., None, :] * self.B[..., None]
        starts = start[:, None]
        if self.chunks > 1:
            ends = states[0]
            for t in range(1, self.steps):
                ends = torch.addcmul(states[t], decay[t], ends)
            starts = torch.stack(chain(start, ends.unbind(1), self.chunk_decay().unbind(1))[:-1], 1)
        states[0].addcmul_(decay[0], starts)
        for t in range(1, self.steps):
            states[t].addcmul_(decay[t], states[t - 1])
        return states, starts

    def output(self, states: Tensor, C: Tensor) -> Tensor:
        """C h of each token, (B, l, D)."""
        return self.unfold(over_states(self.fold(C), states)).flatten(2)

    def chunk_decay(self) -> Tensor:
        """Decay of the states across each chunk, (B, K, G, N, d)."""
        return (self.dt.sum(0)[..., None, :] * self.rates).exp_()

    def backward(self, start: Tensor, grad: Tensor, C: Tensor, carry: Tensor) -> tuple[Tensor, ...]:
        """Gradients of u, dt, B, C and rates, and of the states the segment starts from.

        grad: of the output, (B, l, D); carry: of the states behind the segment, (B, G, N, d).
        """
        states, starts = self.states(start)
        grad = self.fold(grad.unflatten(2, (len(self.rates), -1)))  # (T, B, K, G, d)
        grad_c = over_channels(states, grad)
        grad_states = self.fold(C)[..., None] * grad[..., None, :]
        carry = self.accumulate_backward(grad_states, carry)
        grad_b = over_channels(grad_states, self.dt * self.u)
        grad_entry = over_states(self.B, grad_states)  # of dt * u, (T, B, K, G, d)
        grad_exponent = grad_states.mul_(self.decay)  # of dt * A, once multiplied by the states before each token
        grad_exponent[0].mul_(starts)
        grad_exponent[1:].mul_(states[:-1])
        grad_rates = (grad_exponent * self.dt[..., None, :]).sum((0, 1, 2))
        grad_dt = grad_entry * self.u + grad_exponent.mul_(self.rates).sum(-2)
        parts = (self.unfold(x) for x in (grad_entry * self.dt, grad_dt, grad_b, grad_c))
        return *parts, grad_rates, carry

    def accumulate_backward(self, grads: Tensor, carry: Tensor) -> Tensor:
        """Adds to the gradient of each token's states, in place, what comes through the states behind it.

        Returns the gradient of the states the segment starts from, (B, G, N, d).
        """
        decay, carries = self.decay, carry[:, None]
        if self.chunks > 1:
            ends = grads[-1]
            for t in range(self.steps - 2, -1, -1):
                ends = torch.addcmul(grads[t], decay[t + 1], ends)
            ends = ends * decay[0]
            reverse = chain(carry, ends.unbind(1)[::-1], self.chunk_decay().unbind(1)[::-1])
            carries = torch.stack(reverse[-2::-1], 1)
        grads[-1].add_(carries)
        for t in range(self.steps - 2, -1, -1):
            grads[t].addcmul_(decay[t + 1], grads[t + 1])
        return grads[0, :, 0] * decay[0, :, 0]


def over_states(weights: Tensor, states: Tensor) -> Tensor:
    """Weighted sum over the states of each channel: (.., N), (.., N, d) -> (.., d)."""
    if weights.shape[-1] == 1:  # many products of matrices this small would cost more than they compute
        return weights * states[..., 0, :]
    return (weights[..., None, :] @ states)[..., 0, :]


def over_channels(states: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum over the channels of each state: (.., N, d), (.., d) -> (.., N)."""
    if states.shape[-2] == 1:
        return (states[..., 0, :] * weights).sum(-1, keepdim=True)
    return (states @ weights[..., None])[..., 0]


def doubling_scan(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """The outcome of `scan` in operators that every exchange format has, for sequences of any length below 2 ** 16.

    Each round joins every token's states to those of as many tokens before it as have been joined so far. The second
    value only stands in the place of the states between segments, which nothing reads in a graph without gradients.
    """
    channels, groups = u.shape[2], B.shape[2]
    B, C = (x.repeat_interleave(channels // groups, 2) for x in (B, C))  # (B, L, D, N)
    decay, states = (dt[..., None] * A).exp(), (dt * u)[..., None] * B
    position = torch.arange(u.shape[1], device=u.device)
    for distance in (2**i for i in range(DOUBLINGS)):
        earlier, there = (position - distance).clamp(min=0), (position >= distance)[:, None, None]
        states = states + decay * states.index_select(1, earlier) * there
        decay = decay * decay.index_select(1, earlier) * there
    return (states * C).sum(-1), states[:1]


def chain(start: Tensor, ends: Sequence[Tensor], decays: Sequence[Tensor]) -> list[Tensor]:
    """States that enter each chunk and leave the last, from the ends that chunks reach from zero and their decays."""
    carries = [start]
    for end, decay in zip(ends, decays, strict=True):
        carries.append(torch.addcmul(end, decay, carries[-1]))
    return carries

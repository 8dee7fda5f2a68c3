"""Neighborhood attention as one operator of PyTorch, which `torch.compile` need not look into, and its gradient."""

import logging
from collections.abc import Collection, Sequence
from functools import lru_cache, partial
from types import ModuleType
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from denseformer.attention.neighborhood.plain import gathered_attention
from denseformer.attention.neighborhood.tiles import tiled_attention, tiled_attention_backward
from denseformer.kernels.double_backward import gradients_of
from denseformer.kernels.products import for_products
from denseformer.kernels.switch import VARIABLE


@torch.library.custom_op('denseformer::neighborhood_attention', mutates_args=())
def attention_op(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: Sequence[int], scale: float
) -> Tensor:
    """`unchecked_attention` by kernels: a fused one in Triton on CUDA where it is installed, tiles everywhere else."""
    with torch.autocast(q.device.type, enabled=False):
        maps = for_products(q), for_products(k), for_products(v)
        return tiled_attention(*maps, bias, kernel_size, dilation, scale).to(q.dtype)


@attention_op.register_kernel('cuda')
def _(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: Sequence[int], scale: float
) -> Tensor:
    kernels = triton_kernels()
    with torch.cuda.device_of(q), torch.autocast('cuda', enabled=False):
        run = kernels.fused_attention if kernels and kernels.supports(q, dilation) else tiled_attention
        return run(q, k, v, bias, kernel_size, dilation, scale)


@attention_op.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: Sequence[int], scale: float
) -> Tensor:
    return torch.empty_like(q, memory_format=torch.contiguous_format)


@torch.library.custom_op('denseformer::neighborhood_attention_backward', mutates_args=())
def attention_op_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None,
    kernel_size: int,
    dilation: Sequence[int],
    scale: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of q, k, v and bias (zeros of one head without a bias)."""
    with torch.autocast(q.device.type, enabled=False):
        maps = (for_products(grad), for_products(q), for_products(k), for_products(v))
        *grads, grad_bias = tiled_attention_backward(*maps, bias, kernel_size, dilation, scale)
    return *(x.to(q.dtype) for x in grads), grad_bias if bias is None else grad_bias.to(bias.dtype)


@attention_op_backward.register_kernel('cuda')
def _(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None,
    kernel_size: int,
    dilation: Sequence[int],
    scale: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    kernels = triton_kernels()
    with torch.cuda.device_of(q), torch.autocast('cuda', enabled=False):
        run = (
            kernels.fused_attention_backward if kernels and kernels.supports(q, dilation) else tiled_attention_backward
        )
        *grads, grad_bias = run(grad, q, k, v, bias, kernel_size, dilation, scale)
    return *grads, grad_bias if bias is None else grad_bias.to(bias.dtype)


@lru_cache(maxsize=1)
def triton_kernels() -> ModuleType | None:
    """The module of Triton kernels; None where Triton is not installed."""
    try:
        from denseformer.attention.neighborhood import triton_kernels
    except ImportError:
        return None
    warn_unless_run_on(torch.cuda.get_device_name(), triton_kernels.RUN_ON)
    return triton_kernels


def warn_unless_run_on(device: str, known: Collection[str]) -> None:
    """Say in the log that the Triton kernels have not been run on `device`, unless it is `known`."""
    if device not in known:
        print_log(
            f'Neighborhood attention is computed by Triton kernels that have not been run on {device} yet. '
            f'{VARIABLE}=off computes it by its definition.',
            logger='current',
            level=logging.WARNING,
        )


@attention_op_backward.register_fake
def _(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None,
    kernel_size: int,
    dilation: Sequence[int],
    scale: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    side = 2 * kernel_size - 1
    grad_bias = q.new_empty(1, side, side, dtype=torch.float32) if bias is None else torch.empty_like(bias)
    grads = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
    return *grads, grad_bias


def save_inputs(ctx: Any, inputs: tuple, output: Tensor) -> None:
    q, k, v, bias, ctx.kernel_size, ctx.dilation, ctx.scale = inputs
    ctx.save_for_backward(q, k, v, bias)


def differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    q, k, v, bias = ctx.saved_tensors
    if torch.is_grad_enabled():  # this gradient will be differentiated itself
        plain = partial(gathered_attention, kernel_size=ctx.kernel_size, dilation=ctx.dilation, scale=ctx.scale)
        return *gradients_of(plain, (q, k, v, bias), grad), None, None, None
    *grads, grad_bias = attention_op_backward(grad, q, k, v, bias, ctx.kernel_size, ctx.dilation, ctx.scale)
    return *grads, None if bias is None else grad_bias, None, None, None


attention_op.register_autograd(differentiate, setup_context=save_inputs)

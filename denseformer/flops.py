"""Counting arithmetic: the operators that PyTorch's counter does not know, and multiply-adds of a whole network."""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula, sdpa_flop_count

import denseformer.attention.neighborhood  # noqa: F401  defines the operators counted below


@register_flop_formula(torch.ops.denseformer.neighborhood_attention)
def neighborhood_forward(q_shape, k_shape, v_shape, bias_shape, kernel_size, *args, out_shape=None, **kwargs) -> int:
    """Of the definition: two products with kernel_size ** 2 keys; what tiles add to that is not counted."""
    return 4 * torch.Size(q_shape).numel() * kernel_size**2


@register_flop_formula(torch.ops.denseformer.neighborhood_attention_backward)
def neighborhood_backward(
    grad_shape, q_shape, k_shape, v_shape, bias_shape, kernel_size, *args, out_shape=None, **kwargs
) -> int:
    return 10 * torch.Size(q_shape).numel() * kernel_size**2


@register_flop_formula(torch.ops.aten._scaled_dot_product_flash_attention_for_cpu)
def fused_attention(q_shape, k_shape, v_shape, *args, out_shape=None, **kwargs) -> int:
    return sdpa_flop_count(q_shape, k_shape, v_shape)


if hasattr(torch.ops.mkldnn, '_linear_pointwise'):  # the linear layers of our predictions on a processor

    @register_flop_formula(torch.ops.mkldnn._linear_pointwise)
    def fused_linear(x_shape, weight_shape, *args, out_shape=None, **kwargs) -> int:
        return 2 * torch.Size(x_shape).numel() * weight_shape[0]


def multiply_adds(function: Callable[[], object]) -> float:
    """Multiply-adds of one call, in billions: half of what is commonly called FLOPs, as papers on vision count."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops() / 2e9

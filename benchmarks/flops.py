"""Counting arithmetic: the operators that PyTorch's counter does not know, and multiply-adds of a whole network."""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula, sdpa_flop_count

import denseformer.attention.neighborhood  # noqa: F401  defines the operators counted below


@register_flop_formula(torch.ops.denseformer.neighborhood_attention)
def neighborhood_forward(q_shape, k_shape, v_shape, bias_shape, kernel_size, *args, out_shape=None, **kwargs) -> int:
    """FLOPs of the definition: two products with kernel_size ** 2 keys; what tiles add to that is not counted."""
    return 4 * torch.Size(q_shape).numel() * kernel_size**2


@register_flop_formula(torch.ops.denseformer.neighborhood_attention_backward)
def neighborhood_backward(
    grad_shape, q_shape, k_shape, v_shape, bias_shape, kernel_size, *args, out_shape=None, **kwargs
) -> int:
    return 10 * torch.Size(q_shape).numel() * kernel_size**2


@register_flop_formula(torch.ops.aten._scaled_dot_product_flash_attention_for_cpu)
def fused_attention(q_shape, k_shape, v_shape, *args, out_shape=None, **kwargs) -> int:
    return sdpa_flop_count(q_shape, k_shape, v_shape)


if hasattr(torch.ops.mkldnn, '_linear_pointwise'):  # the linear layers of our predictions on CPU

    @register_flop_formula(torch.ops.mkldnn._linear_pointwise)
    def fused_linear(x_shape, weight_shape, *args, out_shape=None, **kwargs) -> int:
        return 2 * torch.Size(x_shape).numel() * weight_shape[0]


def convolution_backward(
    grad_shape,
    x_shape,
    w_shape,
    _bias,
    _stride,
    _padding,
    _dilation,
    transposed: bool,
    _output_padding,
    _groups,
    output_mask,
    out_shape=None,
    **kwargs,
) -> int:
    """Each gradient costs what the convolution did; PyTorch's formula takes the weight's as if there were no groups."""
    steps = torch.Size(x_shape if transposed else grad_shape).numel()
    return 2 * steps * torch.Size(w_shape[1:]).numel() * (output_mask[0] + output_mask[1])


def multiply_adds(function: Callable[[], object]) -> float:
    """Multiply-adds of one call, in billions: half of what is commonly called FLOPs, as papers on vision count."""
    mended = {torch.ops.aten.convolution_backward: convolution_backward}
    with FlopCounterMode(display=False, custom_mapping=mended) as counter:
        function()
    return counter.get_total_flops() / 2e9

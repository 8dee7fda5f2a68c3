"""The operators under the names and with the arguments by which mmcv calls its compiled `_ext`.

mmcv passes the tensors that results are written into, and calls a separate function for the gradient of each operator;
such a call computes the operator again and differentiates it. Options are always passed by keyword.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor

from denseformer.ops import dispatch, focal_loss
from denseformer.ops.deform_attention import multi_scale_deformable_attention
from denseformer.ops.nms import nms_match, soft_nms
from denseformer.ops.roi_align import roi_align_backward_max

SOFT_METHODS = ('naive', 'linear', 'gaussian')
PLAIN = {'stride': ('dH', 'dW'), 'padding': ('padH', 'padW'), 'dilation': ('dilationH', 'dilationW')}
MODULATED = {
    'stride': ('stride_h', 'stride_w'),
    'padding': ('pad_h', 'pad_w'),
    'dilation': ('dilation_h', 'dilation_w'),
}


def operator(name: str) -> Callable[..., Any]:
    """The operator that mmcv calls `name`, or one that raises NotImplementedError when it is called."""
    if name.startswith('__'):
        raise AttributeError(name)
    return OPERATORS.get(name) or missing_operator(name)


def missing_operator(name: str) -> Callable[..., NoReturn]:
    def call(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f"mmcv's operator '{name}' is compiled, and mmcv was installed without a compiler; neither torchvision nor "
            "denseformer has it. `make install-ops` compiles mmcv's operators."
        )

    return call


def gradients(function: Callable[..., Tensor], inputs: tuple[Tensor, ...], grad: Tensor) -> tuple[Tensor, ...]:
    """The gradients of `function`'s output, weighted by `grad`, for each of its inputs."""
    with torch.enable_grad():
        leaves = tuple(tensor.detach().requires_grad_() for tensor in inputs)
        return torch.autograd.grad(function(*leaves), leaves, grad)


def copy_into(targets: tuple[Tensor, ...], values: tuple[Tensor, ...]) -> None:
    for target, value in zip(targets, values, strict=True):
        target.copy_(value)


def softnms(boxes: Tensor, scores: Tensor, dets: Tensor, *, method: int, **options: Any) -> Tensor:
    found, inds = soft_nms(boxes, scores, method=SOFT_METHODS[method], **options)
    dets[: len(found)] = found
    return inds


def roi_align_forward(
    feature: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    size, mode = (aligned_height, aligned_width), 'avg' if pool_mode else 'max'
    places = not pool_mode and feature.requires_grad  # only the gradient needs the places of the maxima
    targets = (output, argmax_y, argmax_x) if places else (output,)
    copy_into(targets, dispatch.roi_pool(feature, rois, size, spatial_scale, sampling_ratio, mode, aligned, places))


def roi_align_backward(
    grad: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    shape = tuple(grad_input.shape)
    if pool_mode:
        found = dispatch.roi_align_backward(grad, rois, shape, spatial_scale, sampling_ratio, aligned)
    else:
        found = roi_align_backward_max(grad, rois, argmax_y, argmax_x, shape)
    grad_input.copy_(found)


def deform_conv_forward(
    x: Tensor, weight: Tensor, offset: Tensor, output: Tensor, columns: Tensor, ones: Tensor, **geometry: int
) -> None:
    output.copy_(convolution(PLAIN, geometry)(x, offset, weight))


def deform_conv_backward_input(
    x: Tensor,
    offset: Tensor,
    grad: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **geometry: int,
) -> None:
    convolve = convolution(PLAIN, geometry)
    copy_into((grad_input, grad_offset), gradients(lambda x, offset: convolve(x, offset, weight), (x, offset), grad))


def deform_conv_backward_parameters(
    x: Tensor,
    offset: Tensor,
    grad: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    *,
    scale: float,
    **geometry: int,
) -> None:
    convolve = convolution(PLAIN, geometry)
    at = (torch.zeros_like(grad_weight),)  # the output is linear in it
    (found,) = gradients(lambda weight: convolve(x, offset, weight), at, grad)
    grad_weight.add_(found, alpha=scale)


def convolution(words: dict[str, tuple[str, str]], geometry: dict[str, int]) -> Callable[..., Tensor]:
    """The deformable convolution of this geometry, in which `words` names what is down and what across."""
    pairs = {name: (geometry[down], geometry[across]) for name, (down, across) in words.items()}
    groups, deform_groups = geometry['group'], geometry['deformable_group']
    return partial(dispatch.deform_conv2d, groups=groups, deform_groups=deform_groups, **pairs)


def modulated_deform_conv_forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    *,
    with_bias: bool,
    **geometry: int,
) -> None:
    output.copy_(convolution(MODULATED, geometry)(x, offset, weight, bias if with_bias else None, mask))


def modulated_deform_conv_backward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad: Tensor,
    *,
    with_bias: bool,
    **geometry: int,
) -> None:
    convolve = convolution(MODULATED, geometry)
    inputs = (x, offset, weight, mask)
    targets = (grad_input, grad_offset, grad_weight, grad_mask)
    copy_into(targets, gradients(lambda x, offset, weight, mask: convolve(x, offset, weight, None, mask), inputs, grad))
    if with_bias:
        grad_bias.copy_(grad.sum((0, 2, 3)))


def ms_deform_attn_forward(
    value: Tensor, shapes: Tensor, level_starts: Tensor, locations: Tensor, weights: Tensor, *, im2col_step: int
) -> Tensor:
    return multi_scale_deformable_attention(value, shapes.tolist(), locations, weights)


def ms_deform_attn_backward(
    value: Tensor,
    shapes: Tensor,
    level_starts: Tensor,
    locations: Tensor,
    weights: Tensor,
    grad: Tensor,
    grad_value: Tensor,
    grad_locations: Tensor,
    grad_weights: Tensor,
    *,
    im2col_step: int,
) -> None:
    sizes = shapes.tolist()
    inputs, targets = (value, locations, weights), (grad_value, grad_locations, grad_weights)
    copy_into(targets, gradients(lambda v, at, w: multi_scale_deformable_attention(v, sizes, at, w), inputs, grad))


def sigmoid_focal_loss_forward(
    logits: Tensor, target: Tensor, weight: Tensor, output: Tensor, *, gamma: float, alpha: float
) -> None:
    output.copy_(focal_loss.sigmoid_focal_loss(logits, target, optional_weight(weight), gamma, alpha))


def sigmoid_focal_loss_backward(
    logits: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, *, gamma: float, alpha: float
) -> None:
    grad_input.copy_(focal_loss.sigmoid_focal_grad(logits, target, optional_weight(weight), gamma, alpha))


def softmax_focal_loss_forward(
    probabilities: Tensor, target: Tensor, weight: Tensor, output: Tensor, *, gamma: float, alpha: float
) -> None:
    output.copy_(focal_loss.softmax_focal_loss(probabilities, target, optional_weight(weight), gamma, alpha))


def softmax_focal_loss_backward(
    probabilities: Tensor,
    target: Tensor,
    weight: Tensor,
    buffer: Tensor,
    grad_input: Tensor,
    *,
    gamma: float,
    alpha: float,
) -> None:
    grad_input.copy_(focal_loss.softmax_focal_grad(probabilities, target, optional_weight(weight), gamma, alpha))


def optional_weight(weight: Tensor) -> Tensor | None:
    """The weight of a loss, or None for the empty tensor by which mmcv means no weight."""
    return weight if weight.numel() else None


def get_compiler_version() -> str:
    return 'none: mmcv was installed without its compiled operators'


def get_compiling_cuda_version() -> str:
    return 'not available'


OPERATORS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        *(dispatch.nms, softnms, nms_match, roi_align_forward, roi_align_backward),
        *(deform_conv_forward, deform_conv_backward_input, deform_conv_backward_parameters),
        *(modulated_deform_conv_forward, modulated_deform_conv_backward),
        *(ms_deform_attn_forward, ms_deform_attn_backward),
        *(sigmoid_focal_loss_forward, sigmoid_focal_loss_backward),
        *(softmax_focal_loss_forward, softmax_focal_loss_backward),
        *(get_compiler_version, get_compiling_cuda_version),
    )
}

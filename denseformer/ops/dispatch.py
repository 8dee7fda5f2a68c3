"""Dispatch of operators: mmcv's compiled ones where they are installed, else torchvision's kernels, else ours.

Compiled operators of mmcv are found before anything here runs. The functions below take the arguments of ours and
call torchvision where its kernels can do the same.
"""

import importlib.util
from functools import cache, wraps
from types import ModuleType

import torch
from torch import Tensor

from denseformer.ops import nms as ours_nms
from denseformer.ops.deform_attention import multi_scale_deformable_attention
from denseformer.ops.deform_conv import Pair
from denseformer.ops.deform_conv import deform_conv2d as ours_deform_conv2d
from denseformer.ops.mmcv_import import EXTENSION, ExtensionFinder
from denseformer.ops.roi_align import pool
from denseformer.ops.roi_align import roi_align_backward as ours_roi_align_backward

BY_TORCHVISION = ('deform_conv2d', 'nms', 'roi_align')
OURS_ONLY = ('multi_scale_deformable_attention', 'nms_match', 'sigmoid_focal_loss', 'soft_nms', 'softmax_focal_loss')


@cache
def torchvision_ops() -> ModuleType | None:
    """torchvision.ops; None where it is not installed, or was built for another PyTorch."""
    try:
        import torchvision.ops
    except (ImportError, OSError, RuntimeError):
        return None
    return torchvision.ops


def mmcv_is_compiled() -> bool:
    spec = importlib.util.find_spec(EXTENSION) if importlib.util.find_spec('mmcv') else None
    return spec is not None and not isinstance(spec.loader, ExtensionFinder)


def providers() -> dict[str, str]:
    """Operator -> 'mmcv', 'torchvision' or 'denseformer'."""
    names = sorted((*BY_TORCHVISION, *OURS_ONLY))
    if mmcv_is_compiled():
        return dict.fromkeys(names, 'mmcv')
    fast = BY_TORCHVISION if torchvision_ops() else ()
    return {name: 'torchvision' if name in fast else 'denseformer' for name in names}


def describe() -> str:
    """One line for the log of a run."""
    by: dict[str, list[str]] = {}
    for name, provider in providers().items():
        by.setdefault(provider, []).append(name)
    return 'Operators: ' + '; '.join(f'{", ".join(names)} by {provider}' for provider, names in by.items())


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """See `denseformer.ops.nms.nms`; torchvision's takes no offset."""
    torchvision = torchvision_ops()
    if torchvision is None or offset:
        return ours_nms.nms(boxes, scores, iou_threshold, offset)
    return torchvision.nms(boxes.float(), scores.float(), iou_threshold)


def roi_pool(
    feature: Tensor,
    rois: Tensor,
    output_size: Pair,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: str,
    aligned: bool,
    places: bool = False,
) -> tuple[Tensor, ...]:
    """See `denseformer.ops.roi_align.pool`; torchvision's has only the mean."""
    torchvision = torchvision_ops()
    if torchvision is None or pool_mode != 'avg':
        return pool(feature, rois, output_size, spatial_scale, sampling_ratio, pool_mode, aligned, places)
    dtype = torch.promote_types(feature.dtype, torch.float32)  # its kernels have no bfloat16
    feature, rois, narrow = feature.to(dtype), rois.to(dtype), feature.dtype
    pooled = torchvision.roi_align(feature, rois, output_size, spatial_scale, sampling_ratio or -1, aligned)
    return (pooled.to(narrow),)


def roi_align_backward(
    grad: Tensor, rois: Tensor, shape: tuple[int, ...], spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Tensor:
    """See `denseformer.ops.roi_align.roi_align_backward`; the mean is linear: any map does for torchvision."""
    if torchvision_ops() is None:
        return ours_roi_align_backward(grad, rois, shape, spatial_scale, sampling_ratio, aligned)
    with torch.enable_grad():
        feature = grad.new_zeros(shape).requires_grad_()
        (pooled,) = roi_pool(feature, rois, tuple(grad.shape[2:]), spatial_scale, sampling_ratio, 'avg', aligned)
        return torch.autograd.grad(pooled, feature, grad)[0]


def patch_mmcv_deform_attention() -> None:
    """Replace mmcv's PyTorch fallback of deformable attention, which every CPU takes, by ours.

    The fallback takes three times as long; `inspect.unwrap` gives it back. Compiled operators are used as before.
    """
    from mmcv.ops import multi_scale_deform_attn

    @wraps(multi_scale_deform_attn.multi_scale_deformable_attn_pytorch)
    def attend(value: Tensor, shapes: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
        return multi_scale_deformable_attention(value, shapes.tolist(), locations, weights)

    multi_scale_deform_attn.multi_scale_deformable_attn_pytorch = attend


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
    deform_groups: int = 1,
) -> Tensor:
    """See `denseformer.ops.deform_conv.deform_conv2d`; torchvision reads both kinds of groups off the shapes."""
    torchvision = torchvision_ops()
    if torchvision is None:
        return ours_deform_conv2d(
            *(x, offset, weight, bias, mask),
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            deform_groups=deform_groups,
        )
    return torchvision.deform_conv2d(x, offset, weight, bias, stride, padding, dilation, mask)

"""Deformable convolution, https://arxiv.org/abs/1703.06211, and its modulated form, https://arxiv.org/abs/1811.11168.

Every weight of the kernel reads the map at a position of its own: the regular one plus a learned offset. The samples of
all of them are gathered by bilinear interpolation; the rest is a matrix product.

Legend: B batch, C channels, H W map, K weights of the kernel, d deformation groups, g groups, L output positions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, int]


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
    """x: (B, C, H, W) -> (B, C_out, height, width), with the size of an ordinary convolution's output.

    Args:
        offset: (B, d * K * 2, height, width), for each deformation group and kernel weight, down and to the right.
        weight: (C_out, C / groups, k_h, k_w).
        bias: (C_out,).
        mask: (B, d * K, height, width), a factor for each sample: the modulated form.
        deform_groups: groups of channels with offsets of their own.

    Samples outside the map are zero.
    """
    (B, C, _, _), (out_channels, _, k_h, k_w), K = x.shape, weight.shape, weight.shape[2] * weight.shape[3]
    height, width = offset.shape[-2:]
    offset = offset.to(
        torch.promote_types(offset.dtype, torch.float32)
    )  # half precision cannot represent positions of large maps
    positions = offset.view(B, deform_groups, K, 2, height, width) + regular_positions(
        (k_h, k_w), (height, width), stride, padding, dilation, offset
    )
    samples = sample(x.to(offset.dtype), positions).to(x.dtype)  # (B, d, C / d, K, L)
    if mask is not None:
        samples = samples * mask.reshape(B, deform_groups, 1, K, height * width)
    columns = samples.reshape(B, groups, C // groups * K, height * width)
    kernel = weight.reshape(groups, out_channels // groups, C // groups * K)
    out = torch.matmul(kernel, columns).view(B, out_channels, height, width)
    return out if bias is None else out + bias[:, None, None]


def regular_positions(kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair, like: Tensor) -> Tensor:
    """Positions that an ordinary convolution reads: (K, 2, height, width), rows and columns of the map."""

    def along(axis: int) -> Tensor:
        starts = torch.arange(out[axis], device=like.device, dtype=like.dtype) * stride[axis] - padding[axis]
        return torch.arange(kernel[axis], device=like.device, dtype=like.dtype)[:, None] * dilation[axis] + starts

    rows = along(0)[:, None, :, None].expand(-1, kernel[1], -1, out[1])  # (k_h, k_w, height, width)
    columns = along(1)[None, :, None].expand(kernel[0], -1, out[0], -1)
    return torch.stack([rows, columns], 2).flatten(0, 1)


def sample(x: Tensor, positions: Tensor) -> Tensor:
    """x: (B, C, H, W) at positions, (B, d, K, 2, height, width) rows and columns -> (B, d, C / d, K, L)."""
    (B, C, H, W), (_, d, K, _, height, width) = x.shape, positions.shape
    rows, columns = positions.flatten(-2).unbind(3)  # (B, d, K, L) each
    grid = torch.stack([(columns * 2 + 1) / W - 1, (rows * 2 + 1) / H - 1], -1)  # cells' centres in -1 .. 1
    samples = F.grid_sample(
        x.reshape(B * d, C // d, H, W),
        grid.view(B * d, K, height * width, 2),
        padding_mode='zeros',
        align_corners=False,
    )
    return samples.view(B, d, C // d, K, height * width)

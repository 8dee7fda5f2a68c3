# ruff: noqa: N803  (compile-time constants are upper case, as is usual in Triton)
"""Neighborhood attention in fused Triton kernels, forward and backward, with bias and dilation.

A program holds a square tile of one group's queries (or keys, for their gradients) and walks over the rectangle of keys
(queries) that any of them meets, as in FlashAttention: nothing of the size of the attention matrix reaches memory.
The backward pass runs the forward kernel once more for the statistics of the softmax rather than storing them.

Legend: B batch, H W map, h heads, d head width, k kernel, member: position within a group of equal remainders.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE, BLOCK = 8, 64
"""Side of a program's tile; keys (queries) per step."""
BIAS_COPIES = 64
"""Accumulators of the bias gradient, so that programs rarely wait for each other."""
WIDEST_HEAD = 128
RUN_ON: tuple[str, ...] = ()
"""Devices on which the kernels have been run against the definition, by their names in CUDA."""


def supports(q: Tensor, dilation: Sequence[int]) -> bool:
    known = q.dtype in (torch.float16, torch.bfloat16, torch.float32) and q.shape[-1] <= WIDEST_HEAD
    return known and dilation[0] == dilation[1]


def fused_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: Sequence[int], scale: float
) -> Tensor:
    """q: (B, H, W, h, d); k, v: (B, H', W', h, d), H' >= H, W' >= W; bias: (h, 2k-1, 2k-1) -> (B, H, W, h, d).

    dilation: of rows and of columns, which must be the same.
    """
    k, v = (_completed(x, kernel_size * dilation[0]) for x in (k, v))
    return _forward(q, k, v, bias, kernel_size, dilation[0], scale)[0]


def fused_attention_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None,
    kernel_size: int,
    dilations: Sequence[int],
    scale: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of q, k, v and of the bias (zeros of one head without one)."""
    sides, dilation = k.shape[1:3], dilations[0]
    k, v = (_completed(x, kernel_size * dilation) for x in (k, v))
    q, k, v, grad = (_dense_heads(x) for x in (q, k, v, grad))
    out, normalizer = _forward(q, k, v, bias, kernel_size, dilation, scale)
    delta = (out.float() * grad.float()).sum(-1)  # (B, H, W, h)
    grad_q, grad_k, grad_v = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
    heads, side = 1 if bias is None else q.shape[3], 2 * kernel_size - 1
    grad_bias = q.new_zeros(BIAS_COPIES, heads, side, side, dtype=torch.float32)
    shared = (q, k, v, q if bias is None else bias.contiguous(), grad, normalizer, delta)
    strides = [stride for x in (q, k, v, grad) for stride in x.stride()[:4]]
    sizes = (*q.shape[1:3], *k.shape[1:3], q.shape[3], q.shape[4], dilation, scale)
    options = _options(q, bias, kernel_size)
    _grad_query_kernel[_grid(q, q, dilation)](
        *shared, grad_q, grad_bias, *strides, *sizes, **options, COPIES=BIAS_COPIES
    )
    _grad_key_kernel[_grid(k, q, dilation)](*shared, grad_k, grad_v, *strides, *sizes, **options)
    grad_k, grad_v = (_collected(x, sides) for x in (grad_k, grad_v))
    return grad_q, grad_k, grad_v, grad_bias.sum(0)


def _completed(x: Tensor, need: int) -> Tensor:
    """A map (B, H', W', h, d) whose last row and column are repeated up to `need`."""
    for axis in (1, 2):
        missing = need - x.shape[axis]
        if missing > 0:
            last = x.narrow(axis, x.shape[axis] - 1, 1)
            x = torch.cat((x, last.repeat_interleave(missing, axis)), axis)
    return x


def _collected(grad: Tensor, sides: tuple[int, int]) -> Tensor:
    """The gradient of a map of such `sides` from that of the completed one."""
    for axis, side in zip((1, 2), sides, strict=True):
        if grad.shape[axis] > side:
            own, repeated = grad.split((side - 1, grad.shape[axis] - side + 1), axis)
            grad = torch.cat((own, repeated.sum(axis, keepdim=True)), axis)
    return grad


def _forward(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: int, scale: float
) -> tuple[Tensor, Tensor]:
    """The output, and the logarithm of each row's sum of exponentials (B, H, W, h)."""
    q, k, v = (_dense_heads(x) for x in (q, k, v))
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    normalizer = q.new_empty(q.shape[:4], dtype=torch.float32)
    strides = [stride for x in (q, k, v) for stride in x.stride()[:4]]
    sizes = (*q.shape[1:3], *k.shape[1:3], q.shape[3], q.shape[4], dilation, scale)
    table = q if bias is None else bias.contiguous()
    _forward_kernel[_grid(q, q, dilation)](
        q, k, v, table, out, normalizer, *strides, *sizes, **_options(q, bias, kernel_size)
    )
    return out, normalizer


def _dense_heads(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _grid(tiled: Tensor, q: Tensor, dilation: int) -> tuple[int, int]:
    """One program per tile of every group, image and head."""
    rows, columns = (triton.cdiv(triton.cdiv(side, dilation), TILE) * dilation for side in tiled.shape[1:3])
    return rows * columns, q.shape[0] * q.shape[3]


def _options(q: Tensor, bias: Tensor | None, kernel_size: int) -> dict:
    return {
        'K': kernel_size,
        'HAS_BIAS': bias is not None,
        'WIDTH': max(16, triton.next_power_of_2(q.shape[4])),
        'TILE': TILE,
        'BLOCK': BLOCK,
    }


@triton.jit
def _tile(height, width, dilation, TILE: tl.constexpr):
    """This program's group (row, column) and the first members (row, column) of its tile."""
    row_tiles = tl.cdiv(tl.cdiv(height, dilation), TILE)
    column_tiles = tl.cdiv(tl.cdiv(width, dilation), TILE)
    program = tl.program_id(0)
    column = program % (column_tiles * dilation)
    row = program // (column_tiles * dilation)
    return row // row_tiles, column // column_tiles, row % row_tiles * TILE, column % column_tiles * TILE


@triton.jit
def _window(member, members, K: tl.constexpr):
    """The first key of a query's neighborhood along one axis."""
    return tl.minimum(tl.maximum(member - K // 2, 0), members - K)


@triton.jit
def _first_query(member, K: tl.constexpr):
    """The first query that meets a key; those near the border meet keys further away."""
    return tl.where(member < K, 0, member - K // 2)


@triton.jit
def _last_query(member, members, queries, K: tl.constexpr):
    return tl.minimum(tl.where(member >= members - K, members - 1, member + K // 2), queries - 1)


@triton.jit
def _load(base, row, column, row_stride, column_stride, inside, width, WIDTH: tl.constexpr):
    channel = tl.arange(0, WIDTH)
    at = row[:, None] * row_stride + column[:, None] * column_stride + channel[None, :]
    return tl.load(base + at, mask=inside[:, None] & (channel[None, :] < width), other=0.0)


@triton.jit
def _store(base, row, column, row_stride, column_stride, inside, width, value, WIDTH: tl.constexpr):
    channel = tl.arange(0, WIDTH)
    at = row[:, None] * row_stride + column[:, None] * column_stride + channel[None, :]
    tl.store(base + at, value.to(base.dtype.element_ty), mask=inside[:, None] & (channel[None, :] < width))


@triton.jit
def _pairs(query_row, query_column, key_row, key_column, row_members, column_members, inside, K: tl.constexpr):
    """The pairs that attend, and their places in the bias table; queries and keys are shaped to broadcast."""
    first_row, first_column = _window(query_row, row_members, K), _window(query_column, column_members, K)
    inside = inside & (key_row >= first_row) & (key_row < first_row + K)
    inside = inside & (key_column >= first_column) & (key_column < first_column + K)
    place = (key_row - query_row + K - 1) * (2 * K - 1) + key_column - query_column + K - 1
    return inside, place


@triton.jit
def _forward_kernel(
    q, k, v, bias, out, normalizer,
    q_batch, q_row, q_column, q_head, k_batch, k_row, k_column, k_head, v_batch, v_row, v_column, v_head,
    height, width, key_height, key_width, heads, head_width, dilation, scale,
    K: tl.constexpr, HAS_BIAS: tl.constexpr, WIDTH: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    group_row, group_column, tile_row, tile_column = _tile(height, width, dilation, TILE)
    image, head = (tl.program_id(1) // heads).to(tl.int64), tl.program_id(1) % heads
    row_members = tl.cdiv(key_height - group_row, dilation)
    column_members = tl.cdiv(key_width - group_column, dilation)
    within = tl.arange(0, TILE * TILE)
    row, column = tile_row + within // TILE, tile_column + within % TILE
    map_row, map_column = row * dilation + group_row, column * dilation + group_column
    mine = (map_row < height) & (map_column < width)
    queries = _load(q + image * q_batch + head * q_head, map_row, map_column, q_row, q_column, mine, head_width, WIDTH)

    top, bottom = _window(tile_row, row_members, K), _window(tile_row + TILE - 1, row_members, K) + K
    left, right = _window(tile_column, column_members, K), _window(tile_column + TILE - 1, column_members, K) + K
    span = right - left
    total = (bottom - top) * span
    largest = tl.full([TILE * TILE], -1e30, tl.float32)
    exponentials = tl.zeros([TILE * TILE], tl.float32)
    result = tl.zeros([TILE * TILE, WIDTH], tl.float32)
    for start in range(0, total, BLOCK):
        at = start + tl.arange(0, BLOCK)
        key_row, key_column = top + at // span, left + at % span
        there = at < total
        key_map_row, key_map_column = key_row * dilation + group_row, key_column * dilation + group_column
        keys = _load(
            k + image * k_batch + head * k_head, key_map_row, key_map_column, k_row, k_column, there, head_width, WIDTH
        )
        values = _load(
            v + image * v_batch + head * v_head, key_map_row, key_map_column, v_row, v_column, there, head_width, WIDTH
        )
        logits = tl.dot(queries, tl.trans(keys), input_precision='ieee') * scale
        inside, place = _pairs(
            row[:, None], column[:, None], key_row[None, :], key_column[None, :], row_members, column_members,
            there[None, :], K,
        )  # fmt: skip
        if HAS_BIAS:
            logits += tl.load(bias + head * (2 * K - 1) * (2 * K - 1) + place, mask=inside, other=0.0)
        logits = tl.where(inside, logits, float('-inf'))
        new_largest = tl.maximum(largest, tl.max(logits, 1))
        weights = tl.exp(logits - new_largest[:, None])
        shrink = tl.exp(largest - new_largest)
        exponentials = exponentials * shrink + tl.sum(weights, 1)
        result = result * shrink[:, None] + tl.dot(weights.to(values.dtype), values, input_precision='ieee')
        largest = new_largest
    exponentials = tl.where(mine, exponentials, 1.0)
    pixel = ((image * height + map_row) * width + map_column) * heads + head
    tl.store(normalizer + pixel, largest + tl.log(exponentials), mask=mine)
    _store(
        out + (image * height * width * heads + head) * head_width, map_row, map_column, width * heads * head_width,
        heads * head_width, mine, head_width, result / exponentials[:, None], WIDTH,
    )  # fmt: skip


@triton.jit
def _grad_query_kernel(
    q, k, v, bias, grad, normalizer, delta, grad_q, grad_bias,
    q_batch, q_row, q_column, q_head, k_batch, k_row, k_column, k_head, v_batch, v_row, v_column, v_head,
    g_batch, g_row, g_column, g_head,
    height, width, key_height, key_width, heads, head_width, dilation, scale,
    K: tl.constexpr, HAS_BIAS: tl.constexpr, WIDTH: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
    COPIES: tl.constexpr,
):  # fmt: skip
    group_row, group_column, tile_row, tile_column = _tile(height, width, dilation, TILE)
    image, head = (tl.program_id(1) // heads).to(tl.int64), tl.program_id(1) % heads
    row_members = tl.cdiv(key_height - group_row, dilation)
    column_members = tl.cdiv(key_width - group_column, dilation)
    within = tl.arange(0, TILE * TILE)
    row, column = tile_row + within // TILE, tile_column + within % TILE
    map_row, map_column = row * dilation + group_row, column * dilation + group_column
    mine = (map_row < height) & (map_column < width)
    queries = _load(q + image * q_batch + head * q_head, map_row, map_column, q_row, q_column, mine, head_width, WIDTH)
    grads = _load(grad + image * g_batch + head * g_head, map_row, map_column, g_row, g_column, mine, head_width, WIDTH)
    pixel = ((image * height + map_row) * width + map_column) * heads + head
    logarithm = tl.load(normalizer + pixel, mask=mine, other=0.0)
    mean = tl.load(delta + pixel, mask=mine, other=0.0)

    top, bottom = _window(tile_row, row_members, K), _window(tile_row + TILE - 1, row_members, K) + K
    left, right = _window(tile_column, column_members, K), _window(tile_column + TILE - 1, column_members, K) + K
    span = right - left
    total = (bottom - top) * span
    side = 2 * K - 1
    accumulator = grad_bias + ((tl.program_id(0) % COPIES) * heads + head) * side * side
    result = tl.zeros([TILE * TILE, WIDTH], tl.float32)
    for start in range(0, total, BLOCK):
        at = start + tl.arange(0, BLOCK)
        key_row, key_column = top + at // span, left + at % span
        there = at < total
        key_map_row, key_map_column = key_row * dilation + group_row, key_column * dilation + group_column
        keys = _load(
            k + image * k_batch + head * k_head, key_map_row, key_map_column, k_row, k_column, there, head_width, WIDTH
        )
        values = _load(
            v + image * v_batch + head * v_head, key_map_row, key_map_column, v_row, v_column, there, head_width, WIDTH
        )
        logits = tl.dot(queries, tl.trans(keys), input_precision='ieee') * scale
        inside, place = _pairs(
            row[:, None], column[:, None], key_row[None, :], key_column[None, :], row_members, column_members,
            there[None, :] & mine[:, None], K,
        )  # fmt: skip
        if HAS_BIAS:
            logits += tl.load(bias + head * side * side + place, mask=inside, other=0.0)
        weights = tl.where(inside, tl.exp(logits - logarithm[:, None]), 0.0)
        grad_weights = tl.dot(grads, tl.trans(values), input_precision='ieee')
        grad_logits = weights * (grad_weights - mean[:, None])
        if HAS_BIAS:
            tl.atomic_add(accumulator + place, grad_logits, mask=inside)
        result += tl.dot(grad_logits.to(keys.dtype), keys, input_precision='ieee')
    _store(
        grad_q + (image * height * width * heads + head) * head_width, map_row, map_column,
        width * heads * head_width, heads * head_width, mine, head_width, result * scale, WIDTH,
    )  # fmt: skip


@triton.jit
def _grad_key_kernel(
    q, k, v, bias, grad, normalizer, delta, grad_k, grad_v,
    q_batch, q_row, q_column, q_head, k_batch, k_row, k_column, k_head, v_batch, v_row, v_column, v_head,
    g_batch, g_row, g_column, g_head,
    height, width, key_height, key_width, heads, head_width, dilation, scale,
    K: tl.constexpr, HAS_BIAS: tl.constexpr, WIDTH: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    group_row, group_column, tile_row, tile_column = _tile(key_height, key_width, dilation, TILE)
    image, head = (tl.program_id(1) // heads).to(tl.int64), tl.program_id(1) % heads
    row_members = tl.cdiv(key_height - group_row, dilation)
    column_members = tl.cdiv(key_width - group_column, dilation)
    within = tl.arange(0, TILE * TILE)
    row, column = tile_row + within // TILE, tile_column + within % TILE
    map_row, map_column = row * dilation + group_row, column * dilation + group_column
    mine = (map_row < key_height) & (map_column < key_width)
    keys = _load(k + image * k_batch + head * k_head, map_row, map_column, k_row, k_column, mine, head_width, WIDTH)
    values = _load(v + image * v_batch + head * v_head, map_row, map_column, v_row, v_column, mine, head_width, WIDTH)

    last_row = tl.minimum(tile_row + TILE, row_members) - 1
    last_column = tl.minimum(tile_column + TILE, column_members) - 1
    top, left = _first_query(tile_row, K), _first_query(tile_column, K)
    bottom = _last_query(last_row, row_members, tl.cdiv(height - group_row, dilation), K)
    right = _last_query(last_column, column_members, tl.cdiv(width - group_column, dilation), K)
    span = tl.maximum(right - left + 1, 0)
    total = tl.maximum(bottom - top + 1, 0) * span
    span = tl.maximum(span, 1)
    side = 2 * K - 1
    result_k = tl.zeros([TILE * TILE, WIDTH], tl.float32)
    result_v = tl.zeros([TILE * TILE, WIDTH], tl.float32)
    for start in range(0, total, BLOCK):
        at = start + tl.arange(0, BLOCK)
        query_row, query_column = top + at // span, left + at % span
        there = at < total
        query_map_row, query_map_column = query_row * dilation + group_row, query_column * dilation + group_column
        queries = _load(
            q + image * q_batch + head * q_head, query_map_row, query_map_column, q_row, q_column, there, head_width,
            WIDTH,
        )  # fmt: skip
        grads = _load(
            grad + image * g_batch + head * g_head, query_map_row, query_map_column, g_row, g_column, there,
            head_width, WIDTH,
        )  # fmt: skip
        pixel = ((image * height + query_map_row) * width + query_map_column) * heads + head
        logarithm = tl.load(normalizer + pixel, mask=there, other=0.0)
        mean = tl.load(delta + pixel, mask=there, other=0.0)
        logits = tl.dot(keys, tl.trans(queries), input_precision='ieee') * scale  # keys x queries
        inside, place = _pairs(
            query_row[None, :], query_column[None, :], row[:, None], column[:, None], row_members, column_members,
            there[None, :] & mine[:, None], K,
        )  # fmt: skip
        if HAS_BIAS:
            logits += tl.load(bias + head * side * side + place, mask=inside, other=0.0)
        weights = tl.where(inside, tl.exp(logits - logarithm[None, :]), 0.0)
        result_v += tl.dot(weights.to(grads.dtype), grads, input_precision='ieee')
        grad_weights = tl.dot(values, tl.trans(grads), input_precision='ieee')
        grad_logits = weights * (grad_weights - mean[None, :])
        result_k += tl.dot(grad_logits.to(queries.dtype), queries, input_precision='ieee')
    start_of_map = (image * key_height * key_width * heads + head) * head_width
    row_stride, column_stride = key_width * heads * head_width, heads * head_width
    result_k *= scale
    _store(grad_k + start_of_map, map_row, map_column, row_stride, column_stride, mine, head_width, result_k, WIDTH)
    _store(grad_v + start_of_map, map_row, map_column, row_stride, column_stride, mine, head_width, result_v, WIDTH)

"""Neighborhood attention against its definition, one query at a time in float64."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import refkit
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.attention.neighborhood import geometry as neighborhood_geometry
from denseformer.attention.neighborhood import neighborhood_attention, unchecked_attention
from denseformer.attention.neighborhood.operator import attention_op
from denseformer.layers import NeighborhoodAttention

HEADS, WIDTH = 2, 3


def neighbors(position: int, length: int, kernel_size: int, dilation: int) -> tuple[list[int], list[int]]:
    """The keys of a query along one axis, and their indices into the bias table."""
    group, member = position % dilation, position // dilation
    members = len(range(group, length, dilation))
    start = min(max(member - kernel_size // 2, 0), members - kernel_size)
    keys = range(start, start + kernel_size)
    return [key * dilation + group for key in keys], [key - member + kernel_size - 1 for key in keys]


Dilation = int | tuple[int, int]


def attend_one(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, at: tuple[int, int], kernel_size: int, dilation: Dilation
) -> Tensor:
    """The definition: (B, h, d), the output at one position."""
    down, across = (dilation, dilation) if isinstance(dilation, int) else dilation
    rows, row_offsets = neighbors(at[0], k.shape[1], kernel_size, down)
    columns, column_offsets = neighbors(at[1], k.shape[2], kernel_size, across)
    logits = torch.einsum('bhd,brchd->bhrc', q[:, at[0], at[1]], k[:, rows][:, :, columns]) / q.shape[-1] ** 0.5
    if bias is not None:
        logits = logits + bias[:, row_offsets][:, :, column_offsets]
    weights = logits.flatten(2).softmax(-1).view_as(logits)
    return torch.einsum('bhrc,brchd->bhd', weights, v[:, rows][:, :, columns])


def attend_everywhere(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: Dilation
) -> Tensor:
    rows = [
        torch.stack([attend_one(q, k, v, bias, (i, j), kernel_size, dilation) for j in range(q.shape[2])], 1)
        for i in range(q.shape[1])
    ]
    return torch.stack(rows, 1)


def random_inputs(H: int, W: int, kernel_size: int, *, batch: int = 1, seed: int = 0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(3, batch, H, W, HEADS, WIDTH, generator=generator, dtype=torch.float64)
    side = 2 * kernel_size - 1
    return *maps, torch.randn(HEADS, side, side, generator=generator, dtype=torch.float64)


def sampled_positions(H: int, W: int) -> list[tuple[int, int]]:
    corners = [(i, j) for i in (0, 1, H // 2, H - 2, H - 1) for j in (0, W // 2, W - 1)]
    some = torch.randint(0, H * W, (40,), generator=torch.Generator().manual_seed(1)).tolist()
    return corners + [divmod(position, W) for position in some]


@pytest.mark.parametrize('spare', [(0, 0), (1, 5), (9, 2)], ids=['exact', 'uneven', 'uneven2'])
@pytest.mark.parametrize(
    ('kernel_size', 'dilation'),
    [
        *[(3, 1), (3, 2), (3, 20), (5, 3), (5, 16), (7, 1), (7, 2), (7, 3), (7, 4), (7, 5), (7, 7), (7, 8)],
        *[(9, 1), (9, 10), (11, 1), (11, 2), (11, 7), (13, 1), (13, 5)],
    ],
)
def test_is_the_definition(kernel_size, dilation, spare):
    H, W = (kernel_size * dilation + extra for extra in spare)
    q, k, v, bias = random_inputs(H, W, kernel_size)
    out = neighborhood_attention(q, k, v, kernel_size=kernel_size, dilation=dilation, bias=bias)
    for i, j in sampled_positions(H, W):
        expected = attend_one(q, k, v, bias, (i, j), kernel_size, dilation)
        torch.testing.assert_close(out[:, i, j], expected, rtol=0, atol=1e-12)


def test_largest_neighborhood():
    q, k, v, bias = random_inputs(263, 260, 13)
    out = neighborhood_attention(q, k, v, kernel_size=13, dilation=20, bias=bias)
    for i, j in sampled_positions(263, 260):
        torch.testing.assert_close(out[:, i, j], attend_one(q, k, v, bias, (i, j), 13, 20), rtol=0, atol=1e-12)


@pytest.mark.parametrize('size', [(30, 41), (16, 16), (33, 64)])
def test_many_tiles_and_images(size, monkeypatch):
    monkeypatch.setattr(neighborhood_geometry, 'CACHED_BYTES', 1 << 15)
    q, k, v, bias = random_inputs(*size, 7, batch=3)
    out = neighborhood_attention(q, k, v, kernel_size=7, bias=bias)
    for i, j in sampled_positions(*size):
        torch.testing.assert_close(out[:, i, j], attend_one(q, k, v, bias, (i, j), 7, 1), rtol=0, atol=1e-12)


def test_without_bias_with_scale_and_strides():
    q, k, v, _ = random_inputs(12, 15, 5)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    expected = attend_everywhere(q * 0.3 * WIDTH**0.5, k, v, None, 5, 2)
    torch.testing.assert_close(neighborhood_attention(q, k, v, kernel_size=5, dilation=2, scale=0.3), expected)


def test_rows_and_columns_may_be_dilated_differently():
    inputs = [x.requires_grad_() for x in random_inputs(11, 13, 5)]
    out = neighborhood_attention(*inputs[:3], kernel_size=5, dilation=(2, 1), bias=inputs[3])
    expected = attend_everywhere(*inputs, 5, (2, 1))
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    weights = torch.randn_like(out)
    grads, goals = (torch.autograd.grad(y, inputs, weights) for y in (out, expected))
    for grad, goal in zip(grads, goals, strict=True):
        torch.testing.assert_close(grad, goal, rtol=0, atol=1e-11)


def test_views_of_a_joint_projection_and_mixed_strides():
    q, k, v, bias = random_inputs(11, 12, 3, batch=2)
    expected = neighborhood_attention(q, k, v, kernel_size=3, dilation=2, bias=bias)
    joint = torch.stack((q, k, v), 3).unbind(3)
    odd = F.pad(q, (0, 1))[..., :WIDTH]  # no whole number of heads between positions
    for views in (joint, (q, joint[1], v), (odd, k, v), (q, k, v.transpose(1, 2).contiguous().transpose(1, 2))):
        out = neighborhood_attention(*views, kernel_size=3, dilation=2, bias=bias)
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('size', [(5, 9), (2, 30), (20, 4), (10, 11), (1, 1)])
def test_queries_of_a_smaller_map(size):
    H, W = size
    q, k, v, bias = random_inputs(max(H, 21), max(W, 21), 7)
    expected = attend_everywhere(q[:, :H, :W], k, v, bias, 7, 3)
    torch.testing.assert_close(
        unchecked_attention(q[:, :H, :W], k, v, bias, 7, 3, WIDTH**-0.5), expected, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize(
    ('size', 'sides'), [((5, 9), (6, 10)), ((4, 30), (5, 30)), ((1, 1), (2, 2)), ((22, 8), (22, 9))]
)
def test_the_last_row_and_column_stand_for_missing_ones(size, sides):
    q, k, v, bias = random_inputs(max(*sides, 21), max(*sides, 21), 7)
    rows, columns = (torch.arange(max(side, 21)).clamp(max=side - 1) for side in sides)
    inputs = [q[:, : size[0], : size[1]], *(x[:, : sides[0], : sides[1]] for x in (k, v)), bias]
    inputs = [x.clone().requires_grad_() for x in inputs]
    whole_k, whole_v = (x[:, rows][:, :, columns] for x in inputs[1:3])
    outs = (
        unchecked_attention(*inputs, 7, 3, WIDTH**-0.5),
        attend_everywhere(inputs[0], whole_k, whole_v, bias=inputs[3], kernel_size=7, dilation=3),
    )
    torch.testing.assert_close(*outs, rtol=0, atol=1e-12)
    grad = torch.randn_like(outs[0])
    for ours, theirs in zip(*(torch.autograd.grad(out, inputs, grad) for out in outs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize('name', ['k3_d1', 'k5_d3', 'k7_d1', 'k7_d2', 'k11_d2'])
def test_agrees_with_the_published_operator(name):
    options = refkit.load_reference(f'na2d/{name}')['kwargs']
    dim, heads = options.pop('dim'), options.pop('num_heads')
    assert refkit.check(NeighborhoodAttention(dim, heads, **options), f'na2d/{name}') < 1e-4


@pytest.mark.parametrize(
    ('size', 'kernel_size', 'dilation'),
    [((9, 11), 3, 1), ((9, 8), 3, 2), ((12, 11), 5, 2), ((3, 9), 3, 2), ((2, 2), 3, 3)],
)
def test_gradients_and_their_gradients(size, kernel_size, dilation):
    """Through the module, so on maps that need padding too."""
    torch.manual_seed(0)
    module = NeighborhoodAttention(4, 2, kernel_size=kernel_size, dilation=dilation).double()
    names = [name for name, _ in module.named_parameters()]

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), x)

    x = torch.randn(2, *size, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (x, *module.parameters()), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (x, *module.parameters()), fast_mode=True)


@pytest.mark.parametrize('dilation', [1, 3])
def test_gradients_in_chunks_match_the_definition(dilation, monkeypatch):
    monkeypatch.setattr(neighborhood_geometry, 'CACHED_BYTES', 1 << 13)
    inputs = [x.requires_grad_() for x in random_inputs(16, 17, 5, batch=2)]
    expected = attend_everywhere(*inputs, 5, dilation)
    out = neighborhood_attention(*inputs[:3], kernel_size=5, dilation=dilation, bias=inputs[3])
    grad = torch.randn_like(out)
    for ours, theirs in zip(*(torch.autograd.grad(o, inputs, grad) for o in (out, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float32, 1e-5), (torch.bfloat16, 0.1), (torch.float16, 0.02)])
def test_precisions(dtype, tolerance):
    exact = [x.requires_grad_() for x in random_inputs(17, 20, 7)]
    rounded = [x.detach().to(dtype).requires_grad_() for x in exact[:3]]
    bias = exact[3].detach().float().requires_grad_()
    out = neighborhood_attention(*rounded, kernel_size=7, bias=bias)
    expected = neighborhood_attention(*exact[:3], kernel_size=7, bias=exact[3])
    assert out.dtype is dtype
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=tolerance)
    ours = torch.autograd.grad(out.float().square().sum(), [*rounded, bias])
    theirs = torch.autograd.grad(expected.square().sum(), exact)
    assert [grad.dtype for grad in ours] == [dtype] * 3 + [torch.float32]
    for grad, reference in zip(ours, theirs, strict=True):
        assert (grad.double() - reference).abs().max() < 3 * tolerance * reference.abs().max()


def test_large_logits_in_bfloat16():
    """Exponentials that would overflow or vanish without subtracting each row's maximum."""
    q, k, v, _ = random_inputs(14, 14, 7)
    for shift in (-200.0, 200.0):
        bias = torch.full((HEADS, 13, 13), shift, dtype=torch.float64)
        out = neighborhood_attention(*(x.bfloat16() for x in (q, k, v)), kernel_size=7, bias=bias)
        expected = neighborhood_attention(q, k, v, kernel_size=7)
        torch.testing.assert_close(out.double(), expected, rtol=0, atol=0.1)


@pytest.mark.parametrize('length', [8, 45, 121, 125, 128])
def test_tiles_compute_at_most_two_and_a_half_products_per_neighbor(length):
    """Whatever the length of a group: no kind of size is much dearer than another."""
    tile = neighborhood_geometry.tile_axis(length, length, 7, 1)
    assert (tile.count * tile.tile * tile.span / length) ** 2 < 2.5 * 7**2


def test_the_input_decides_precision_under_autocast():
    q, k, v, bias = (x.float() for x in random_inputs(9, 9, 3))
    expected = neighborhood_attention(q, k, v, kernel_size=3, bias=bias)
    module = NeighborhoodAttention(8, 2, kernel_size=3)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = neighborhood_attention(q, k, v, kernel_size=3, bias=bias)
        assert module(torch.randn(1, 9, 9, 8)).dtype is torch.bfloat16
    torch.testing.assert_close(out, expected, rtol=0, atol=0)


def test_nothing_remembered_is_ever_wrong():
    """Sizes, kernels and precisions in turn, from several threads, first without and then with gradients."""
    cases = [
        (H, W, kernel_size, dilation)
        for H, W in [(15, 15), (16, 15), (21, 30)]
        for kernel_size, dilation in [(3, 1), (7, 2), (3, 5)]
    ]
    cases = [case for case in cases if min(case[:2]) >= case[2] * case[3]] * 3

    def error(case: tuple[int, int, int, int], dtype: torch.dtype) -> float:
        H, W, kernel_size, dilation = case
        q, k, v, bias = (x.to(dtype) for x in random_inputs(H, W, kernel_size))
        out = neighborhood_attention(q, k, v, kernel_size=kernel_size, dilation=dilation, bias=bias)
        at = (H - 1, W // 2)
        return (out[:, at[0], at[1]] - attend_one(q, k, v, bias, at, kernel_size, dilation)).abs().max().item()

    neighborhood_geometry.tile_axis.cache_clear()
    with torch.inference_mode():
        assert max(error(case, torch.float32) for case in cases) < 1e-5
    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(partial(error, dtype=torch.float64), cases)) < 1e-12
        assert max(pool.map(partial(error, dtype=torch.float32), cases)) < 1e-5
    inputs = [x.float().requires_grad_() for x in random_inputs(15, 15, 3)]
    neighborhood_attention(*inputs[:3], kernel_size=3, bias=inputs[3]).sum().backward()
    assert neighborhood_geometry.tile_axis.cache_info().maxsize is not None


def test_compiles_to_one_graph():
    torch.manual_seed(0)
    network = nn.Sequential(NeighborhoodAttention(8, 2, kernel_size=3, dilation=2), nn.LayerNorm(8)).double()
    compiled = torch.compile(network, fullgraph=True, backend='aot_eager')
    for size in [(7, 9), (4, 8)]:
        x = torch.randn(1, *size, 8, dtype=torch.float64)
        grads = [torch.autograd.grad(run(x).square().sum(), network.parameters()) for run in (network, compiled)]
        for ours, theirs in zip(*grads, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_operator_is_registered_correctly():
    q, k, v, bias = (x.float().requires_grad_() for x in random_inputs(9, 9, 3))
    for table in (bias, None):
        assert set(torch.library.opcheck(attention_op, (q, k, v, table, 3, (2, 2), 0.5)).values()) == {'SUCCESS'}


def test_parameters_do_not_depend_on_the_dilation():
    near, far = (NeighborhoodAttention(8, 2, kernel_size=5, dilation=dilation) for dilation in (1, 4))
    assert not any(far.load_state_dict(near.state_dict()))
    assert set(near.state_dict()) == {'qkv.weight', 'qkv.bias', 'rpb', 'proj.weight', 'proj.bias'}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'kernel_size': 4}, 'kernel_size must be odd and positive, got 4'),
        ({'kernel_size': -1}, 'got -1'),
        ({'dilation': 0}, 'dilation must be at least 1, got 0'),
        ({'dilation': 4}, '9 x 11 map is smaller than .* 3 \\* 4 = 12'),
        ({'k': torch.zeros(1, 9, 10, 2, 4)}, 'one shape .* \\(1, 9, 10, 2, 4\\)'),
        ({'v': torch.zeros(1, 9, 11, 2, 4, dtype=torch.float64)}, 'one dtype, got .*float32.*float64'),
        ({'bias': torch.zeros(2, 3, 3)}, 'bias must be .* \\(2, 5, 5\\), got \\(2, 3, 3\\)'),
    ],
)
def test_bad_input_names_the_values(changes, message):
    maps = {name: torch.zeros(1, 9, 11, 2, 4) for name in 'qkv'}
    with pytest.raises(ValueError, match=message):
        neighborhood_attention(**{**maps, 'kernel_size': 3, **changes})


def test_bad_modules():
    with pytest.raises(ValueError, match='kernel_size must be odd'):
        NeighborhoodAttention(8, 2, kernel_size=2)
    with pytest.raises(ValueError, match='dim 8 must be a multiple of heads 3'):
        NeighborhoodAttention(8, 3)

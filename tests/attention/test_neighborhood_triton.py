"""The Triton kernels against the computation in tiles: in Triton's interpreter, and on a GPU where there is one."""

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from denseformer.attention.neighborhood import neighborhood_attention, operator
from denseformer.attention.neighborhood.tiles import tiled_attention, tiled_attention_backward

CASES = [
    # kernel, dilation, map, map of the queries, with a bias
    (3, 1, (9, 11), (9, 11), True),
    (7, 2, (15, 14), (15, 14), False),
    (5, 3, (15, 16), (4, 16), True),
    (3, 4, (6, 13), (5, 13), True),
]


def largest_errors(
    kernel_size: int, dilation: int, size: tuple[int, int], query_size: tuple[int, int], with_bias: bool
) -> list[float]:
    """Errors of the output and of the gradients of q, k, v and bias, in float32."""
    from denseformer.attention.neighborhood.triton_kernels import fused_attention, fused_attention_backward

    generator = torch.Generator().manual_seed(0)
    k, v = torch.randn(2, 2, *size, 2, 12, generator=generator)
    q, grad = torch.randn(2, 2, *query_size, 2, 12, generator=generator)
    side = 2 * kernel_size - 1
    bias = torch.randn(2, side, side, generator=generator) if with_bias else None
    options = (kernel_size, (dilation, dilation), 0.3)

    def difference(ours: Tensor, theirs: Tensor) -> float:
        return (ours - theirs).abs().max().item()

    out = difference(fused_attention(q, k, v, bias, *options), tiled_attention(q, k, v, bias, *options))
    ours = fused_attention_backward(grad, q, k, v, bias, *options)
    theirs = tiled_attention_backward(grad, q, k, v, bias, *options)
    return [out, *(difference(*pair) for pair in zip(ours, theirs, strict=True))]


@pytest.mark.parametrize('case', range(len(CASES)))
def test_interpreted(case):
    pytest.importorskip('triton', reason='Triton is not installed')
    environment = {**os.environ, 'TRITON_INTERPRET': '1', 'PYTHONPATH': os.pathsep.join(sys.path)}
    script = f'import {__name__} as test; print(max(test.largest_errors(*test.CASES[{case}])))'
    folder = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, '-c', script], env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 2e-5


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float32, 1e-4), (torch.bfloat16, 0.05)])
def test_on_a_gpu(dtype, tolerance):
    inputs = [x.requires_grad_() for x in torch.randn(3, 2, 33, 35, 2, 32, dtype=torch.float64)]
    bias = torch.randn(2, 13, 13, dtype=torch.float64, requires_grad=True)
    on_gpu = [x.detach().to('cuda', dtype).requires_grad_() for x in inputs]
    bias_on_gpu = bias.detach().float().cuda().requires_grad_()
    expected = neighborhood_attention(*inputs, kernel_size=7, dilation=3, bias=bias)
    out = neighborhood_attention(*on_gpu, kernel_size=7, dilation=3, bias=bias_on_gpu)
    torch.testing.assert_close(out.double().cpu(), expected, rtol=0, atol=tolerance)
    expected.square().sum().backward()
    out.float().square().sum().backward()
    for ours, theirs in zip([*on_gpu, bias_on_gpu], [*inputs, bias], strict=True):
        assert (ours.grad.double().cpu() - theirs.grad).abs().max() < 5 * tolerance * theirs.grad.abs().max()


def test_kernels_say_so_where_they_have_not_been_run(monkeypatch):
    said = []
    monkeypatch.setattr(operator, 'print_log', lambda message, **options: said.append(message))
    operator.warn_unless_run_on('Some GPU', ('Some GPU',))
    assert said == []
    operator.warn_unless_run_on('Another GPU', ('Some GPU',))
    assert 'not been run on Another GPU yet. DENSEFORMER_KERNELS=off' in said[0]

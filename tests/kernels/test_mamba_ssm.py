"""The choice of mamba_ssm's kernels, and that they are called with the layouts they take.

Stand-ins compute by definition in the layouts of mamba_ssm's functions; the kernels themselves need a GPU.
"""

import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.attention import selective_scan as scan_module
from denseformer.attention import state_space_duality as duality_module
from denseformer.kernels import mamba_ssm


@pytest.fixture
def log(monkeypatch) -> list[str]:
    mamba_ssm.load_kernel.cache_clear()
    lines: list[str] = []
    monkeypatch.setattr(mamba_ssm, 'print_log', lambda line, logger: lines.append(line))
    yield lines
    mamba_ssm.load_kernel.cache_clear()


def test_plain_pytorch_is_chosen_without_the_package_and_said_once(log):
    for _ in range(2):
        assert mamba_ssm.mamba_kernel('selective_scan_interface', 'selective_scan_fn', 'cuda') is None
    assert log == ['selective_scan_fn on cuda: plain PyTorch']


def test_the_compiled_kernel_is_chosen_on_cuda_alone(log, monkeypatch):
    interface = ModuleType('mamba_ssm.ops.selective_scan_interface')
    interface.selective_scan_fn = torch.add
    monkeypatch.setitem(sys.modules, 'mamba_ssm', ModuleType('mamba_ssm'))
    monkeypatch.setitem(sys.modules, 'mamba_ssm.ops', ModuleType('mamba_ssm.ops'))
    monkeypatch.setitem(sys.modules, 'mamba_ssm.ops.selective_scan_interface', interface)
    assert mamba_ssm.mamba_kernel('selective_scan_interface', 'selective_scan_fn', 'cuda') is torch.add
    assert mamba_ssm.mamba_kernel('selective_scan_interface', 'selective_scan_fn', 'cpu') is None
    assert log == [
        'selective_scan_fn on cuda: the compiled kernel of mamba_ssm',
        'selective_scan_fn on cpu: plain PyTorch',
    ]


def selective_scan_fn(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False) -> Tensor:
    """u, delta: (B, D, L); A: (D, N); B, C: (B, G, N, L) -> (B, D, L)."""
    assert z is None
    assert delta_softplus
    dt = F.softplus(delta + delta_bias[:, None])
    B, C = (x.repeat_interleave(u.shape[1] // x.shape[1], 1) for x in (B, C))  # (B, D, N, L)
    state, outs = u.new_zeros(*u.shape[:2], A.shape[1]), []
    for t in range(u.shape[2]):
        state = (dt[..., t, None] * A).exp() * state + (dt * u)[..., t, None] * B[..., t]
        outs.append((state * C[..., t]).sum(-1))
    return torch.stack(outs, -1) + u * D[:, None]


def mamba_chunk_scan_combined(x, dt, A, B, C, chunk_size, D=None) -> Tensor:
    """x: (B, L, h, d); dt: (B, L, h); A, D: (h,); B, C: (B, L, G, N) -> (B, L, h, d)."""
    assert chunk_size & (chunk_size - 1) == 0
    B, C = (part.repeat_interleave(x.shape[2] // part.shape[2], 2) for part in (B, C))
    state, outs = 0.0, []
    for t in range(x.shape[1]):
        entry = torch.einsum('bh,bhn,bhd->bhnd', dt[:, t], B[:, t], x[:, t])
        state = (dt[:, t] * A).exp()[..., None, None] * state + entry
        outs.append(torch.einsum('bhn,bhnd->bhd', C[:, t], state) + D[:, None] * x[:, t])
    return torch.stack(outs, 1)


def test_the_scan_is_called_in_its_layout(monkeypatch):
    torch.manual_seed(0)
    u, delta, A = torch.randn(2, 7, 6), torch.randn(2, 7, 6), -torch.rand(6, 3)
    B, C, D, bias = torch.randn(2, 7, 2, 3), torch.randn(2, 7, 2, 3), torch.randn(6), torch.randn(6)
    expected = scan_module.selective_scan(u, delta, A, B, C, D, delta_bias=bias)
    monkeypatch.setattr(scan_module, 'mamba_kernel', lambda *_: selective_scan_fn)
    torch.testing.assert_close(scan_module.selective_scan(u, delta, A, B, C, D, delta_bias=bias), expected)


def test_the_duality_is_called_in_its_layout(monkeypatch):
    torch.manual_seed(0)
    x, dt, A = torch.randn(2, 7, 4, 3), torch.rand(2, 7, 4), -torch.rand(4)
    B, C, D = torch.randn(2, 7, 2, 5), torch.randn(2, 7, 2, 5), torch.randn(4)
    expected = duality_module.state_space_duality(x, dt, A, B, C, D)
    monkeypatch.setattr(duality_module, 'mamba_kernel', lambda *_: mamba_chunk_scan_combined)
    torch.testing.assert_close(duality_module.state_space_duality(x, dt, A, B, C, D), expected)

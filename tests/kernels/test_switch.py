"""Every network computes the same by its kernels as by its definitions; a new family costs no line here."""

import pytest
import torch
from torch import nn

from denseformer import kernels
from denseformer.backbones import Backbone
from denseformer.kernels import switch
from denseformer.network import Network
from denseformer.restoration.networks import RestorationNetwork

FAMILIES = [*Backbone.families(), *RestorationNetwork.families()]


@pytest.fixture(params=FAMILIES, ids=lambda cls: cls.__name__)
def family(request) -> type[Network]:
    return request.param


def build(cls: type[Network]) -> tuple[Network, torch.Tensor]:
    torch.manual_seed(0)
    network = cls(arch=cls.truncated_arch())
    size = (32, 48) if issubclass(cls, Backbone) else (12, 20)
    return network.eval(), torch.rand(1, network.in_channels, *size)


def outputs(network: Network, image: torch.Tensor) -> list[torch.Tensor]:
    out = network(image)
    return [part.float() for part in (out if isinstance(out, tuple) else (out,))]


def assert_near(ours: torch.Tensor, exact: torch.Tensor, tolerance: float) -> None:
    assert (ours - exact).abs().max() <= tolerance * exact.abs().max().clamp_min(1e-3)


@pytest.mark.no_cover
def test_kernels_predict_and_train_as_the_definitions_do(family):
    network, image = build(family)
    ours = predicted(network, image), gradients_of(network, image)
    with kernels.disabled():
        exact = predicted(network, image), gradients_of(network, image)
    for out, expected in zip(ours[0], exact[0], strict=True):
        assert_near(out, expected, 1e-3)
    for grad, expected in zip(ours[1], exact[1], strict=True):
        assert (grad is None) == (expected is None)
        if expected is not None:
            assert_near(grad, expected, 2e-3)


@torch.no_grad()
def predicted(network: Network, image: torch.Tensor) -> list[torch.Tensor]:
    return outputs(network, image)


def gradients_of(network: nn.Module, image: torch.Tensor) -> list[torch.Tensor | None]:
    image = image.clone().requires_grad_()
    loss = sum(out.square().mean() for out in outputs(network, image))
    return list(torch.autograd.grad(loss, [image, *network.parameters()], allow_unused=True))


def test_disabled_reaches_every_kernel_and_ends_with_its_block():
    x = torch.randn(3, 4)
    assert kernels.use(x)
    with kernels.disabled():
        assert not kernels.enabled()
        assert not kernels.use(x)
        with kernels.disabled():
            pass
        assert not kernels.enabled()
    assert kernels.use(x)


@pytest.mark.parametrize(('value', 'on'), [('off', False), ('OFF', False), ('0', False), ('on', True), ('', True)])
def test_the_environment_switches_them(value, on, monkeypatch):
    monkeypatch.setenv(switch.VARIABLE, value)
    assert switch.from_environment() is on


def test_a_value_that_means_neither_is_refused(monkeypatch):
    monkeypatch.setenv(switch.VARIABLE, 'maybe')
    with pytest.raises(ValueError, match="'maybe'; set it to 'on' or 'off'"):
        switch.from_environment()


def test_tracers_see_the_definitions():
    seen = []
    torch.func.vmap(lambda x: seen.append(kernels.is_tracing()) or x)(torch.randn(2, 3))
    assert seen == [True]

"""Every restoration network in the registry keeps the contract; a new family costs no line here."""

import json

import pytest
import refkit
import torch
from narrow import narrow_arch
from tuning import check_finetuning

from denseformer.registry import MODELS
from denseformer.restoration.networks import RestorationNetwork

FAMILIES = RestorationNetwork.families()
REFERENCES = json.loads((refkit.REFERENCES / 'index.json').read_text())
VARIANTS = [(cls, arch) for cls in FAMILIES for arch in cls.archs]
IDS = [f'{cls.__name__}-{arch}' for cls, arch in VARIANTS]
SIZES = [(1, 1), (7, 300), (17, 29)]


def published(name: str) -> dict | None:
    """How the network of a reference is built, if there is such a reference and it is a restoration network's."""
    if not (refkit.REFERENCES / f'{name}.json').exists():
        return None
    kind = MODELS.get('denseformer.' + REFERENCES[name]['type'])
    return REFERENCES[name] if kind is not None and issubclass(kind, RestorationNetwork) else None


def small(cls: type[RestorationNetwork], **options) -> RestorationNetwork:
    """The family's smallest variant with a few of its blocks and channels, its initial weights made by the seed 0."""
    torch.manual_seed(0)
    return cls(arch=narrow_arch(cls), **options)


def image_for(network: RestorationNetwork, size: tuple[int, int], batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, network.in_channels, *size, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=FAMILIES, ids=lambda cls: cls.__name__)
def family(request) -> type[RestorationNetwork]:
    return request.param


@pytest.mark.no_cover
@pytest.mark.parametrize(('cls', 'arch'), VARIANTS, ids=IDS)
def test_every_variant_describes_itself_without_allocating(cls, arch):
    description = cls.describe(arch)
    assert description.parameters > 1e5
    assert description.source.license


@pytest.mark.parametrize('name', [name for name in REFERENCES if published(name)])
def test_agrees_with_the_authors_code(name):
    assert (
        refkit.check(MODELS.build({**REFERENCES[name], 'type': f'denseformer.{REFERENCES[name]["type"]}'}), name) < 1e-4
    )


@pytest.mark.parametrize('size', SIZES, ids=lambda size: f'{size[0]}x{size[1]}')
def test_takes_any_size(family, size):
    network = small(family).eval()
    with torch.no_grad():
        out = network(image_for(network, size))
    assert out.shape == (1, network.in_channels, size[0] * network.scale, size[1] * network.scale)
    assert torch.isfinite(out).all()


@pytest.mark.no_cover
@pytest.mark.parametrize('channels', [1, 4])
def test_takes_other_channels_and_batches(family, channels):
    network = small(family, in_channels=channels).eval()
    image = image_for(network, (20, 24), batch=2)
    with torch.no_grad():
        both, alone = network(image), network(image[1:])
    assert both.shape[:2] == (2, channels)
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-4)


def test_one_training_step_reaches_every_parameter(family):
    network = small(family, with_cp=True).train()
    with torch.autocast('cpu', torch.bfloat16):
        loss = network(image_for(network, (12, 16), batch=2)).float().square().mean()
    loss.backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not silent


@pytest.mark.no_cover
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
def test_predicts_in_half_precision(family, dtype):
    network = small(family).eval()
    image = image_for(network, (16, 24))
    with torch.no_grad():
        exact = network(image)
        with torch.autocast('cpu', dtype):
            out = network(image)
    assert torch.isfinite(out).all()
    assert (out.float() - exact).std() < 0.1 * exact.std()


@pytest.mark.no_cover
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-4), (torch.bfloat16, 0.1)], ids=str)
def test_predicts_in_other_precisions(family, dtype, tolerance):
    network = small(family).eval()
    image = image_for(network, (16, 24))
    with torch.no_grad():
        exact, out = network(image), network.to(dtype)(image.to(dtype))
    assert out.dtype is dtype
    assert (out - exact).std() < tolerance * exact.std()


@pytest.mark.no_cover
def test_checkpointing_changes_neither_gradients_nor_buffers(family):
    plain, sparing = small(family).train(), small(family, with_cp=True).train()
    image = image_for(plain, (16, 16), batch=2)
    for network in (plain, sparing):
        torch.manual_seed(1)
        network(image).square().mean().backward()
    for (name, one), other in zip(plain.named_buffers(), sparing.buffers(), strict=True):
        assert torch.equal(one, other), name
    for (name, one), other in zip(plain.named_parameters(), sparing.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)


@pytest.mark.no_cover
def test_updates_learn_and_are_merged_where_they_are_saved(family):
    check_finetuning(small(family).eval())


@pytest.mark.no_cover
def test_prediction_does_not_depend_on_earlier_inputs(family):
    network = small(family).eval()
    image = image_for(network, (24, 40))
    with torch.no_grad():
        before = network(image)
        network(image_for(network, (33, 17)))
        after = network(image)
    torch.testing.assert_close(before, after, rtol=0, atol=0)


def test_prediction_follows_the_weights(family):
    network = small(family).eval()
    image = image_for(network, (24, 24))
    with torch.no_grad():
        before = network(image)
        for parameter in network.parameters():
            parameter.data.mul_(1.1)
        network.eval()
        changed = network(image)
        for parameter in network.parameters():
            parameter.data.div_(1.1)
        network.eval()
        restored = network(image)
    assert not torch.allclose(before, changed)
    torch.testing.assert_close(before, restored, rtol=1e-3, atol=1e-4)


@pytest.mark.no_cover
def test_own_keys_survive_saving_and_loading(family):
    network, other = small(family), small(family)
    for parameter in other.parameters():
        parameter.data.fill_(7)
    left = other.load_state_dict(network.state_dict())
    assert not left.missing_keys
    for (name, a), (_, b) in zip(network.state_dict().items(), other.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.no_cover
@pytest.mark.parametrize(('cls', 'arch'), VARIANTS, ids=IDS)
def test_options_are_inferred_from_a_bare_state_dict(cls, arch):
    network = cls.on_meta_device(arch=arch)
    state_dict = network.state_dict()
    options = {other.__name__: other.infer_options(state_dict) for other in FAMILIES}
    assert [name for name, found in options.items() if found is not None] == [cls.__name__]
    again = cls.on_meta_device(**options[cls.__name__])
    assert again.scale == network.scale
    assert {key: value.shape for key, value in again.state_dict().items()} == {
        key: value.shape for key, value in state_dict.items()
    }


@pytest.mark.parametrize('name', [name for name in REFERENCES if published(name)])
def test_options_are_inferred_from_the_authors_keys(name):
    shapes = refkit.load_reference(name)['shapes']
    options = {'type': f'denseformer.{REFERENCES[name]["type"]}', **REFERENCES[name]}
    cls = MODELS.get('denseformer.' + options.pop('type').removeprefix('denseformer.'))
    state_dict = {key: torch.empty(shape, device='meta') for key, shape in shapes.items()}
    inferred = cls.infer_options(state_dict)
    assert inferred is not None
    built, wanted = cls.on_meta_device(**inferred), cls.on_meta_device(**options)
    assert built.scale == wanted.scale
    assert {key: value.shape for key, value in built.state_dict().items()} == {
        key: value.shape for key, value in wanted.state_dict().items()
    }


def test_wrong_arguments_say_what_is_legal(family):
    with pytest.raises(ValueError, match=next(iter(family.archs))):
        family(arch='enormous')
    with pytest.raises(ValueError, match='scale'):
        small(family, scale=17)
    network = small(family)
    with pytest.raises(ValueError, match='in_channels'):
        network(torch.rand(1, network.in_channels + 1, 32, 32))

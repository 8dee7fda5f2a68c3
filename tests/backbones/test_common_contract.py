"""What holds for every backbone, of stages or plain; a new family costs no line here."""

import pytest
import torch
from narrow import narrow_arch
from tuning import check_finetuning

from denseformer.backbones import Backbone

pytestmark = pytest.mark.usefixtures('short_hash_learning')

FAMILIES = Backbone.families()


@pytest.fixture(params=FAMILIES, ids=lambda cls: cls.__name__)
def family(request) -> type[Backbone]:
    return request.param


@pytest.fixture(scope='module', params=FAMILIES, ids=lambda cls: cls.__name__)
def network(request) -> Backbone:
    """One of each family, shared by the tests that only predict with it."""
    return request.param(arch=narrow_arch(request.param)).eval()


@pytest.mark.no_cover
def test_prediction_does_not_depend_on_earlier_inputs(network):
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        before = network(image)
        network(torch.randn(2, 3, 96, 33))
        after = network(image)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.no_cover
def test_own_keys_survive_saving_and_loading(network):
    saved = network.state_dict()
    other = type(network).on_meta_device(arch=narrow_arch(type(network)))
    left = other.load_state_dict(saved, assign=True)
    assert not left.missing_keys
    for name, loaded in other.state_dict().items():
        assert torch.equal(loaded, saved[name]), name


def test_one_training_step_reaches_every_parameter(family):
    network = family(arch=narrow_arch(family), drop_path_rate=0.1, with_cp=True).train()
    with torch.autocast('cpu', torch.bfloat16):
        maps = network(torch.randn(2, 3, 32, 64))
        loss = sum(m.float().square().mean() for m in maps)
    loss.backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not silent


@pytest.mark.no_cover
def test_updates_learn_and_are_merged_where_they_are_saved(network):
    check_finetuning(network)


def test_unknown_arch_names_the_known_ones(family):
    with pytest.raises(ValueError, match=family.smallest()):
        family(arch='enormous')

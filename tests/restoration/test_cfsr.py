"""CFSR: its training form and the merged one, and the size of the published networks."""

import pytest
import torch

from denseformer.restoration.networks import CFSR

PARAMETERS = {2: 291_324, 3: 297_819, 4: 306_912}


def trained(**options) -> CFSR:
    """A network whose every part leaves a trace in the output."""
    torch.manual_seed(0)
    network = CFSR(scale=2, **options).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize('scale', PARAMETERS)
def test_parameters_of_the_merged_form(scale):
    assert CFSR.describe('base', scale=scale, merged=True).parameters == PARAMETERS[scale]


def test_merging_keeps_the_output():
    network = trained()
    image = torch.rand(1, 3, 11, 14)
    with torch.no_grad():
        before = network(image)
        assert network.merge() is network
        after = network(image)
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-4)
    assert set(network.state_dict()) == set(CFSR(scale=2, merged=True).state_dict())
    assert CFSR.infer_options(network.state_dict())['merged']


def test_merging_makes_a_difference_to_the_kernel():
    network = trained()
    conv = network.groups[0].blocks[0].mlp.dwconv
    before = conv.weight.clone()
    network.merge()
    assert not torch.allclose(conv.weight, before)


def test_the_authors_training_form_loads():
    network = trained()
    official = {}
    for key, value in network.state_dict().items():
        for ours, theirs in (
            ('.norm1.', '.attn.norm.'),
            ('.attn.gate.', '.attn.a.0.'),
            ('.attn.dwconv.', '.attn.a.2.lkb_reparam.'),
            ('.attn.value.', '.attn.v.'),
            ('.norm2.', '.mlp.norm.'),
            ('.gamma', '.layer_scale_'),
            ('groups.', 'layers.'),
            ('upsampler.convs.0.', 'upsample.0.'),
        ):
            key = key.replace(ours, theirs)
        if '.branches.' in key:
            stem, _, branch = key.partition('dwconv.branches.')
            edge, kind = branch.split('.')
            key = f'{stem}scale_{edge}' if kind == 'scale' else f'{stem}{edge}_bias'
            official[f'{stem}mask_{edge}'] = torch.zeros(96, 1, 3, 3)
        key = key.replace('.mlp.dwconv.', '.mlp.pos.')
        pointwise = value.ndim == 2 and key.endswith('weight')
        official[key] = value[:, :, None, None] if pointwise else value
    options = CFSR.infer_options(official)
    assert options == {'arch': 'base', 'scale': 2, 'in_channels': 3, 'merged': False}
    other = CFSR(**options).eval()
    other.load_state_dict(official)
    image = torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        assert torch.equal(other(image), network(image))

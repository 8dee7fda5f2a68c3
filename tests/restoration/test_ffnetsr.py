"""FFNetSR: the sizes of the published networks, what they add to, and their checkpoints."""

import pytest
import torch

from denseformer.restoration.networks import FFNetSR


@pytest.mark.parametrize(('arch', 'parameters'), [('light', 1_789_452), ('base', 2_381_580)])
def test_has_the_published_number_of_parameters(arch, parameters):
    assert FFNetSR.describe(arch).parameters == parameters


@pytest.mark.parametrize('scale', [2, 3])
def test_adds_to_the_image_with_its_pixels_repeated(scale):
    network = FFNetSR(arch={'blocks': 1, 'dim': 8}, scale=scale).eval()
    torch.nn.init.zeros_(network.conv_last.weight)
    torch.nn.init.zeros_(network.conv_last.bias)
    image = torch.rand(2, 3, 5, 7)
    with torch.no_grad():
        expected = image.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
        torch.testing.assert_close(network(image), expected)


def test_options_follow_from_a_bare_checkpoint_of_the_authors():
    network = FFNetSR(arch={'blocks': 2, 'dim': 8, 'expansion': 3}, scale=3, in_channels=1).eval()
    official = {}
    for key, value in network.state_dict().items():
        for ours, theirs in (
            ('conv_first.', 'proj.'),
            ('conv_last.', 'conv_bef_up.'),
            ('blocks.', 'body.'),
            ('attn.proj.', 'token_mixer.0.'),
            ('attn.fc1.', 'token_mixer.1.'),
            ('attn.fc2.', 'token_mixer.3.'),
            ('mlp.conv.', 'channel_mixer.0.'),
            ('mlp.fc1.', 'channel_mixer.1.'),
            ('mlp.fc2.', 'channel_mixer.3.'),
        ):
            key = key.replace(ours, theirs)
        official[key] = value[:, :, None, None] if value.ndim == 2 else value
    options = FFNetSR.infer_options(official)
    assert options == {'arch': {'blocks': 2, 'dim': 8, 'expansion': 3}, 'scale': 3, 'in_channels': 1}
    other = FFNetSR(**options).eval()
    other.load_state_dict(official)
    image = torch.rand(1, 1, 6, 5)
    with torch.no_grad():
        assert torch.equal(other(image), network(image))
    assert FFNetSR.infer_options({'proj.weight': torch.zeros(8, 3, 3, 3)}) is None

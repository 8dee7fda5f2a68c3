import pytest
import torch

from denseformer.backbones import Swin


@pytest.mark.parametrize(('arch', 'millions'), [('tiny', 27.52), ('small', 48.84), ('base', 86.75), ('large', 195.20)])
def test_variants_have_the_published_number_of_parameters(arch, millions):
    assert Swin.describe(arch).parameters / 1e6 == pytest.approx(millions, abs=0.01)


def official(state_dict):
    """The keys of the authors' ImageNet checkpoints, constants and classifier included."""
    renamed = {}
    for key, value in state_dict.items():
        if key.startswith('out_norms'):
            continue
        stage = int(key.split('.')[1]) if key.startswith('stages') else 0
        key = key.replace(f'stages.{stage}.downsample', f'layers.{stage - 1}.downsample').replace('stages', 'layers')
        renamed[key.replace('bias.table', 'relative_position_bias_table')] = value
    constants = {'layers.0.blocks.0.attn.relative_position_index': torch.zeros(49, 49, dtype=torch.long)}
    constants['layers.0.blocks.1.attn_mask'] = torch.zeros(64, 49, 49)
    head = {'norm.weight': torch.ones(768), 'head.weight': torch.ones(1000, 768), 'head.bias': torch.ones(1000)}
    return {**renamed, **constants, **head}


def test_imagenet_checkpoint_loads_without_its_classifier_and_constants():
    source, network = Swin(arch='tiny'), Swin(arch='tiny')
    left = network.load_state_dict(official(source.state_dict()), strict=False)
    assert not left.unexpected_keys
    assert {key.split('.')[0] for key in left.missing_keys} == {'out_norms'}
    for key, value in network.stages.state_dict().items():
        assert torch.equal(value, source.stages.state_dict()[key]), key


def test_position_tables_of_another_window_are_resized():
    source, network = Swin(arch='tiny', window_size=7), Swin(arch='tiny', window_size=12)
    for name, parameter in source.named_parameters():
        if 'bias.table' in name:
            with torch.no_grad():
                parameter.copy_(torch.arange(13.0).repeat(13)[:, None])  # grows along the columns
    network.load_state_dict(source.state_dict())
    table = network.stages[0].blocks[0].attn.bias.table.view(23, 23, -1)
    assert torch.allclose(table[:1], table, atol=1e-5)
    assert (table[0].diff(dim=0) > 0).all()
    assert table[0, 11, 0].item() == pytest.approx(6)

import pytest
import refkit
import torch

from denseformer.backbones import MaxViT

MILLIONS = {'tiny': 30.9, 'small': 68.9, 'base': 119.5, 'large': 211.8}  # with timm's classifier


@pytest.mark.parametrize('arch', MILLIONS)
def test_has_the_published_number_of_parameters(arch):
    description = MaxViT.describe(arch)
    C = description.channels[-1]
    classifier = 2 * C + (C + 1) * C + (C + 1) * 1000
    assert (description.parameters + classifier) / 1e6 == pytest.approx(MILLIONS[arch], abs=0.05)


def test_timms_classifier_loads_into_wider_windows():
    shapes = refkit.load_reference('maxvit/maxvit_tiny_tf_224')['shapes']
    classifier = {key.replace('stages_', 'stages.'): shape for key, shape in shapes.items()}
    classifier.update({'head.norm.weight': [512], 'head.pre_logits.fc.weight': [512, 512], 'head.fc.bias': [1000]})
    network = MaxViT(window_size=12)
    left = network.load_state_dict(refkit.fill_state_dict(classifier), strict=False)
    assert not left.unexpected_keys
    assert all(key.endswith('num_batches_tracked') for key in left.missing_keys)
    table = network.stages[0].blocks[0].grid.attn.relative_position_bias_table
    key = 'stages.0.blocks.0.attn_grid.attn.rel_pos.relative_position_bias_table'
    grid = torch.from_numpy(refkit.fill_weight(key, classifier[key])).flip(1, 2)[None]  # (1, h, 13, 13)
    resized = torch.nn.functional.interpolate(grid, (23, 23), mode='bilinear')  # tf.image.resize, the authors' rule
    torch.testing.assert_close(table.data, resized[0].flatten(1).T)


def test_a_grid_joins_tokens_from_all_over_the_map():
    network = MaxViT(out_indices=(0,)).eval()
    attention = network.stages[0].blocks[0].grid.attn
    x = torch.randn(1, 20, 30, 64)
    changed = x.clone()
    changed[:, 0, 0] += 1
    with torch.no_grad():
        rows, columns = (attention(x) != attention(changed)).any(-1)[0].nonzero().T
    assert set(rows.tolist()) == set(range(0, 20, 3))
    assert set(columns.tolist()) == set(range(0, 30, 5))

import pytest
import refkit
import torch

from denseformer.backbones import GCViT

IMAGENET_WINDOWS = (7, 7, 14, 7)
MILLIONS = {'xxtiny': 11.48, 'tiny': 27.71, 'small': 50.32, 'base': 89.30}


@pytest.mark.parametrize('arch', MILLIONS)
def test_has_the_published_number_of_parameters(arch):
    parameters = GCViT.describe(arch, window_size=IMAGENET_WINDOWS).parameters
    assert parameters / 1e6 == pytest.approx(MILLIONS[arch], abs=0.005)


def test_an_imagenet_checkpoint_lacks_only_the_output_norms_and_its_tables_grow_to_the_dense_windows():
    shapes = refkit.load_reference('gcvit/gcvit_xxtiny_w7')['shapes']
    backbone = {key: shape for key, shape in shapes.items() if not key.startswith('norm')}
    weights = refkit.fill_state_dict({**backbone, 'norm.weight': [512], 'head.weight': [1000, 512]})
    network = GCViT(arch='xxtiny')
    left = network.load_state_dict(weights, strict=False)
    assert not left.unexpected_keys
    assert all(key.startswith('out_norms.') for key in left.missing_keys)
    table = network.stages[2].blocks[0].attn.relative_position_bias_table
    assert table.shape == (47 * 47, 8)
    source = weights['levels.2.blocks.0.attn.relative_position_bias_table']
    assert table.mean().item() == pytest.approx(source.mean().item(), abs=0.02)


def test_global_queries_carry_context_between_windows():
    network = GCViT(arch='xxtiny', window_size=7, out_indices=(0,)).eval()
    image = torch.randn(1, 3, 112, 112)
    changed = image.clone()
    changed[..., 90:, 90:] += 1
    with torch.no_grad():
        difference = (network(image)[0] - network(changed)[0])[0, :, :7, :7].abs().amax()
    assert difference > 1e-4


@pytest.mark.parametrize(
    ('windows', 'halved'), [(24, True), ((7, 7, 14, 7), False), ((12, 12, 24, 12), False), ((24, 24, 14, 24), False)]
)
def test_the_third_stage_halves_its_map_unless_its_window_is_the_whole_map_of_pre_training(windows, halved):
    network = GCViT.on_meta_device(arch='xxtiny', window_size=windows)
    assert [isinstance(stage.query.pool, torch.nn.MaxPool2d) for stage in network.stages] == [True, True, halved, False]


def test_a_list_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match='one per stage'):
        GCViT(arch='xxtiny', window_size=(7, 7))

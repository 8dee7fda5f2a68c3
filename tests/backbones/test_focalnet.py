"""FocalNet: the large variants' design, and checkpoints with smaller kernels and fewer levels."""

import pytest
import refkit
import torch

from denseformer.backbones import FocalNet

MILLIONS = {
    'tiny_srf': 28.40,
    'tiny_lrf': 29.15,
    'small_srf': 50.64,
    'small_lrf': 52.17,
    'base_srf': 89.15,
    'base_lrf': 91.19,
    'large_fl3': 205.57,
    'large_fl4': 205.75,
    'xlarge_fl3': 364.04,
    'xlarge_fl4': 364.28,
    'huge_fl3': 683.75,
    'huge_fl4': 686.47,
}
NARROW = {'width': 32, 'depths': (1, 1, 2, 1), 'overlapping_patches': True, 'layer_scale': 1e-4}
LARGE = {**NARROW, 'levels': 4, 'window': 3, 'post_norm': True}
PROBES = {
    'probe_convembed_layerscale': {**NARROW, 'levels': 3, 'window': 5, 'stem_padding': 3},
    'probe_large_fl4': {**LARGE, 'average_contexts': True},
    'probe_huge_fl4': {**LARGE, 'norm_modulated': True},
}


@pytest.mark.parametrize('arch', FocalNet.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(FocalNet.describe(arch).parameters / 1e6, 2) == MILLIONS[arch]


@pytest.mark.parametrize('probe', PROBES)
def test_the_design_of_the_large_variants_agrees_with_the_authors_code(probe):
    assert refkit.check(FocalNet(arch=PROBES[probe]), f'focalnet/{probe}') < 1e-4


@pytest.fixture
def imagenet_checkpoint() -> dict[str, torch.Tensor]:
    """Part of a checkpoint with kernels of 3 and 5, for stages of 8, 16, 32 and 64 channels."""
    rows = torch.arange(19.0)
    return {
        'layers.0.blocks.0.modulation.focal_layers.0.0.weight': torch.ones(8, 1, 3, 3),
        'layers.0.blocks.0.modulation.focal_layers.1.0.weight': torch.ones(8, 1, 5, 5),
        'layers.0.blocks.0.modulation.f.weight': rows[:, None].repeat(1, 8),
        'layers.0.blocks.0.modulation.f.bias': rows,
        'layers.0.downsample.proj.bias': torch.full((16,), 2.0),
        'norm.weight': torch.ones(64),
        'head.weight': torch.ones(1000, 64),
    }


def load(checkpoint: dict[str, torch.Tensor], levels: int, window: int) -> FocalNet:
    network = FocalNet(arch={'width': 8, 'depths': (1, 1, 1, 1), 'levels': levels, 'window': window})
    assert not network.load_state_dict(checkpoint, strict=False).unexpected_keys
    return network


def test_smaller_kernels_are_padded_with_zeros_around(imagenet_checkpoint):
    contexts = load(imagenet_checkpoint, levels=2, window=9).stages[0].blocks[0].attn.contexts
    for context, size, inner in ((contexts[0], 9, 3), (contexts[1], 11, 5)):
        border = (size - inner) // 2
        assert context.weight.shape[2:] == (size, size)
        assert (context.weight[:, :, border:-border, border:-border] == 1).all()
        assert context.weight.sum() == 8 * inner**2


def test_larger_kernels_are_cropped(imagenet_checkpoint):
    contexts = load(imagenet_checkpoint, levels=2, window=1).stages[0].blocks[0].attn.contexts
    assert [context.weight.sum() for context in contexts] == [8, 8 * 9]


def test_gates_of_levels_the_checkpoint_lacks_are_zero_and_the_global_gate_stays_last(imagenet_checkpoint):
    proj = load(imagenet_checkpoint, levels=4, window=3).stages[0].blocks[0].attn.proj_in
    expected = torch.tensor([*range(18), 0, 0, 18.0])
    assert torch.equal(proj.bias, expected)
    assert torch.equal(proj.weight, expected[:, None].expand(-1, 8))


def test_downsampling_opens_the_stage_it_leads_into(imagenet_checkpoint):
    assert (load(imagenet_checkpoint, levels=2, window=3).stages[1].downsample.proj.bias == 2).all()


def test_stages_may_have_kernels_of_their_own(imagenet_checkpoint):
    arch = {'width': 8, 'depths': (1, 1, 1, 1), 'levels': 2, 'window': 9}
    network = FocalNet(arch=arch, windows=(11, 9, 9, 7))
    assert not network.load_state_dict(imagenet_checkpoint, strict=False).unexpected_keys
    kernels = [[conv.kernel_size[0] for conv in stage.blocks[0].attn.contexts] for stage in network.stages]
    assert kernels == [[11, 13], [9, 11], [9, 11], [7, 9]]
    assert network.stages[0].blocks[0].attn.contexts[0].weight.sum() == 8 * 9  # the loaded 3 x 3, zeros around


@pytest.mark.parametrize('windows', [(9, 9, 9), (9, 9, 9, 8)])
def test_windows_that_fit_no_stage_are_an_error(windows):
    with pytest.raises(ValueError, match='windows must be 4 odd numbers'):
        FocalNet(windows=windows)

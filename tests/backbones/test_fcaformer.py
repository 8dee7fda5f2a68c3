import pytest
import refkit
import torch

from denseformer.backbones import FcaFormer
from denseformer.backbones.global_attention.fcaformer import cut, uncut

MILLIONS = {'l1': 6.2, 'l2': 16.3, 'l3': 27.9, 'l4': 65.6}  # as classifiers of 1000 classes


@pytest.mark.parametrize('arch', MILLIONS)
def test_has_the_published_number_of_parameters(arch):
    description = FcaFormer.describe(arch)
    dims = FcaFormer.archs[arch].dims
    projections = sum((dim + 2) * width for dim, width in zip(dims, description.channels, strict=True))
    classifier = 2 * dims[-1] + (dims[-1] + 1) * 1000
    assert (description.parameters - projections + classifier) / 1e6 == pytest.approx(MILLIONS[arch], abs=0.06)


def test_an_imagenet_checkpoint_lacks_only_the_output_projections():
    shapes = refkit.load_reference('fcaformer/l2')['shapes']
    backbone = {key: shape for key, shape in shapes.items() if not key.startswith(('norm', 'head'))}
    weights = refkit.fill_state_dict({**backbone, 'norm_head.weight': [480], 'head.weight': [1000, 480]})
    left = FcaFormer().load_state_dict(weights, strict=False)
    assert not left.unexpected_keys
    assert all(key.startswith('out_norms.') or key.endswith('num_batches_tracked') for key in left.missing_keys)


@pytest.mark.parametrize('before', [True, False])
def test_cutting_into_windows_loses_nothing(before):
    x = torch.randn(2, 9, 15, 3)
    windows = cut(x, (7, 7), before=before)
    assert windows.shape == (2 * 2 * 3, 49, 3)
    assert torch.equal(uncut(windows, (7, 7), (9, 15), before=before), x)
    assert bool(windows[0, 0].any()) is not before

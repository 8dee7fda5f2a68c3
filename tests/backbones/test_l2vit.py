import pytest
import refkit
import torch

from denseformer.attention.linear import linear_attention
from denseformer.backbones import L2ViT

MILLIONS = {'tiny': 27.83, 'small': 49.43, 'base': 87.55}


@pytest.mark.parametrize('arch', MILLIONS)
def test_has_the_published_number_of_parameters(arch):
    assert L2ViT.describe(arch).parameters / 1e6 == pytest.approx(MILLIONS[arch], abs=0.005)


def test_an_imagenet_checkpoint_lacks_only_the_output_norms():
    shapes = refkit.load_reference('l2vit/tiny')['shapes']
    backbone = {key: shape for key, shape in shapes.items() if not key.startswith('norm')}
    weights = refkit.fill_state_dict({**backbone, 'norm.weight': [768], 'head.weight': [1000, 768]})
    left = L2ViT().load_state_dict(weights, strict=False)
    assert not left.unexpected_keys
    assert all(key.startswith('out_norms.') or key.endswith('num_batches_tracked') for key in left.missing_keys)


def test_linear_attention_weighs_values_by_similarity():
    q, k, v = (torch.rand(2, 3, 5, 4) for _ in range(3))
    similarity = q @ k.transpose(-2, -1)
    torch.testing.assert_close(linear_attention(q, k, v, floor=0.0), similarity / similarity.sum(-1, keepdim=True) @ v)
    torch.testing.assert_close(linear_attention(q, k, v, floor=100.0), similarity / 100 @ v)

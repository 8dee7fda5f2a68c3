"""SOFT: kernels, inverses, the class token."""

import pytest
import torch

from denseformer.attention.softmax_free import (
    damped_inverse,
    gaussian_kernel,
    normalized_inverse,
    softmax_free_attention,
)
from denseformer.backbones import SOFT

PARAMETERS = {
    'tiny': 12_556_056,
    'small': 38_345_462,
    'medium': 45_299_707,
    'large': 64_187_646,
    'huge': 86_595_273,
}  # without the classifier's 513,000


@pytest.mark.parametrize('arch', PARAMETERS)
def test_variants_have_the_parameters_of_the_authors_code(arch):
    assert SOFT.describe(arch).parameters == PARAMETERS[arch]


def test_the_kernel_is_gaussian():
    a, b = torch.randn(3, 5, 4), torch.randn(3, 6, 4)
    torch.testing.assert_close(gaussian_kernel(a, b), (-torch.cdist(a, b).square() / 2).exp())


def test_with_every_token_a_landmark_attention_is_the_kernel_itself():
    q, v = 3 * torch.randn(1, 2, 12, 8), torch.randn(1, 2, 12, 8)
    torch.testing.assert_close(softmax_free_attention(q, v, q, torch.linalg.inv), gaussian_kernel(q, q) @ v)


def test_inverses_are_inverses_where_newton_converges():
    core = gaussian_kernel(*2 * [torch.randn(1, 2, 6, 8)])
    torch.testing.assert_close(damped_inverse(core), torch.linalg.inv(core + 0.01 * torch.eye(6)), rtol=1e-4, atol=1e-4)
    root = core.sum(-1).rsqrt()
    expected = root[..., None] * torch.linalg.inv(core) * root[..., None, :]
    torch.testing.assert_close(normalized_inverse(core), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('inverse', [damped_inverse, normalized_inverse])
def test_an_inverse_does_not_depend_on_the_rest_of_the_batch(inverse):
    core = gaussian_kernel(*2 * [torch.randn(2, 2, 6, 8) * torch.tensor([0.1, 3.0]).view(2, 1, 1, 1)])
    torch.testing.assert_close(inverse(core)[:1], inverse(core[:1]))


def test_the_gradient_of_an_inverse_is_exact():
    core = gaussian_kernel(*2 * [3 * torch.randn(1, 1, 4, 8)]).double().requires_grad_()
    weights = torch.randn(1, 1, 4, 4).double()
    (damped_inverse(core) * weights).sum().backward()
    exact = core.detach().clone().requires_grad_()
    (torch.linalg.inv(exact + 0.01 * torch.eye(4)) * weights).sum().backward()
    torch.testing.assert_close(core.grad, exact.grad)


def test_normalizing_changes_the_result_and_not_the_parameters():
    plain, normalized = SOFT().eval(), SOFT(normalize=True).eval()
    normalized.load_state_dict(plain.state_dict())
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert not torch.equal(plain(image)[0], normalized(image)[0])


def test_an_imagenet_checkpoint_loads_its_position_tables_and_class_token():
    network = SOFT()
    official = {
        'block1.0.att.norm1.weight': torch.ones(64),
        'pos_embed1': torch.full((1, 3136, 64), 2.0),
        'pos_embed4': torch.cat([torch.full((1, 1, 512), 3.0), torch.full((1, 49, 512), 4.0)], 1),
        'cls_token': torch.full((1, 1, 512), 5.0),
        'norm.weight': torch.full((512,), 6.0),
        'head.weight': torch.zeros(1000, 512),
    }
    assert not network.load_state_dict(official, strict=False).unexpected_keys
    last = network.stages[3]
    tensors = (
        network.stages[0].pos_embed,
        last.cls_position,
        last.pos_embed,
        last.cls_token,
        network.out_norms[3].weight,
    )
    for value, tensor in enumerate(tensors, start=2):
        assert (tensor == value).all()

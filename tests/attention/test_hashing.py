import torch
import torch.nn.functional as F

from denseformer.attention.hashing import (
    Sign,
    alike_tokens,
    anchor_features,
    hash_codes,
    hashed_attention,
    learn_projection,
    misfit,
    project,
)


def unit_tokens(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.double), dim=-1)


def test_anchor_features_are_kernels_of_distances():
    x, anchors = unit_tokens(2, 3, 7, 4), unit_tokens(3, 5, 4)
    squares = (x[:, :, :, None] - anchors[:, None]).square().sum(-1)
    width = squares.mean((2, 3), keepdim=True)
    torch.testing.assert_close(anchor_features(x, anchors), (-squares / (2 * width)).exp())


def test_a_sign_passes_gradients_of_numbers_between_minus_one_and_one():
    x = torch.tensor([-2.0, -0.5, 0.25, 3.0], requires_grad=True)
    Sign.apply(x).backward(torch.full((4,), 2.0))
    torch.testing.assert_close(x.grad, torch.tensor([0.0, 2.0, 2.0, 0.0]))


def test_hashed_attention_is_linear_in_the_products_of_codes():
    codes = torch.randn(2, 3, 6, 16).sign().double()
    v = torch.randn(2, 3, 6, 4, dtype=torch.double)
    products = codes @ codes.mT
    expected = (products @ v + 17 * v) / (products + 17).sum(-1, keepdim=True)
    torch.testing.assert_close(hashed_attention(codes, v), expected)


def test_tokens_are_like_the_nearest_and_unlike_the_farthest():
    x = unit_tokens(1, 1, 40, 3)
    alike = alike_tokens(x)
    assert ((alike == 1).sum(-1) == 10).all()
    assert ((alike == -1).sum(-1) == 10).all()
    assert (alike.diagonal(dim1=-2, dim2=-1) == 1).all()


def test_a_learned_projection_fits_no_worse_than_the_one_it_started_from():
    torch.manual_seed(0)
    x = unit_tokens(2, 2, 30, 8)
    features = anchor_features(x, x[0, :, :25])
    features = features - features.mean((0, 2))[:, None]
    start = torch.randn(2, 4, 25, dtype=torch.double)
    alike = alike_tokens(x)
    learned = learn_projection(features, alike, start)
    assert learned.shape == start.shape
    rest = alike * 4
    first = [project(features, table[:, 0]).sign() for table in (learned, start)]
    assert misfit(first[0], rest, 4) <= misfit(first[1], rest, 4)
    assert set(hash_codes(x, x[0, :, :25], features.mean((0, 2))[:, None], learned).unique().tolist()) == {-1.0, 1.0}

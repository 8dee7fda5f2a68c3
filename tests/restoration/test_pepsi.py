"""PEPSI: a mask beside the image, contextual attention, its discriminator."""

import pytest
import refkit
import torch
import torch.nn.functional as F

from denseformer.attention.contextual import contextual_attention
from denseformer.restoration.networks import PEPSI, RegionDiscriminator


def central_hole(image: torch.Tensor) -> torch.Tensor:
    H, W = image.shape[2:]
    mask = torch.ones_like(image[:, :1])
    mask[..., H // 4 : 3 * H // 4, W // 4 : 3 * W // 4] = 0
    return mask


def test_every_stage_agrees_with_the_authors_graph():
    def stages(network, image):
        mask = central_hole(image)
        composite = network(image, mask)
        return [*network.generate(image, mask), 2 * composite - 1]

    assert refkit.check(PEPSI(), 'pepsi/pepsi', stages) < 1e-4


def test_the_authors_keys_are_recognised():
    shapes = refkit.load_reference('pepsi/pepsi')['shapes']
    weights = {key: torch.empty(shape, device='meta') for key, shape in shapes.items()}
    assert PEPSI.infer_options(weights) == {'arch': 'base', 'in_channels': 3}
    assert PEPSI.describe('base').parameters == 3_656_947


@pytest.mark.parametrize('size', [(1, 1), (20, 70), (61, 45)])
def test_what_is_known_stays_and_what_lies_in_a_hole_does_not_matter(size):
    torch.manual_seed(0)
    network = PEPSI(arch={'width': 8}).eval()
    image, other = torch.rand(2, 2, 3, *size)
    mask = central_hole(image)
    with torch.no_grad():
        out = network(image, mask)
        again = network(torch.where(mask > 0.5, image, other), mask)
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out, again, rtol=0, atol=0)
    torch.testing.assert_close(out * mask, image * mask, rtol=0, atol=0)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match='mask must be'):
        PEPSI(arch={'width': 8})(torch.rand(1, 3, 32, 32), torch.ones(1, 1, 16, 16))


def test_training_reaches_every_parameter_through_holes():
    network = PEPSI(arch={'width': 8}, with_cp=True).train()
    image = torch.rand(2, 3, 48, 40)
    generated = network.generate(image, central_hole(image))
    (generated.coarse - image).abs().mean().add((generated.refined - image).abs().mean()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def attention_by_patches(x, known):
    """One image, patch by patch."""
    H, W = x.shape[1:]
    kept = x * known
    keys = F.unfold(kept[None], 3)[0]  # (9C, M)
    queries = F.unfold(x[None], 3, padding=1)[0]  # (9C, N)
    distance = torch.cdist(queries.T.double(), keys.T.double()).square()
    distance = (distance - distance.mean(1, keepdim=True)) / distance.std(1, correction=0, keepdim=True)
    weights = (-50 * distance.tanh()).softmax(1).float()  # (N, M)
    filled = F.fold((weights @ keys.T).T[None], (H, W), 3, padding=1)[0] / 9
    return kept + filled * (1 - known)


def test_contextual_attention_averages_the_nearest_patches():
    x = torch.randn(2, 4, 7, 6)
    known = (torch.rand(2, 1, 7, 6) > 0.3).float()
    expected = torch.stack([attention_by_patches(*pair) for pair in zip(x, known, strict=True)])
    torch.testing.assert_close(contextual_attention(x, known), expected, rtol=1e-3, atol=1e-4)


def test_contextual_attention_of_a_flat_map_is_finite():
    known = torch.ones(1, 1, 6, 6)
    known[..., 2:4, 2:4] = 0
    assert torch.isfinite(contextual_attention(torch.zeros(1, 4, 6, 6), known)).all()


def test_the_discriminator_judges_every_region():
    network = RegionDiscriminator(size=(128, 192), width=4)
    verdict = network(torch.rand(2, 3, 128, 192))
    assert verdict.shape == (2, 2, 3)
    verdict.mean().backward()
    assert all(p.grad is not None for p in network.parameters())
    with pytest.raises(ValueError, match='128, 192'):
        network(torch.rand(1, 3, 64, 64))

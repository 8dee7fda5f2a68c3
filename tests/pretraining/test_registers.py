"""PH-Reg: views and their aggregation as the authors', offsets, and what is trained."""

import pytest
import refkit
import torch

from denseformer.pretraining import RegisterDistillation, registers
from denseformer.pretraining.registers import aggregate, distance, shift, spread_offsets, view_of

OFFSETS, FLIPS = [(0, 0), (1, -2), (-2, 1), (2, 2)], [False, True, False, True]
DINOV2 = dict(type='denseformer.DINOv2', arch=dict(width=24, blocks=2, heads=2), registers=4, image_size=56)


def made(seed: int, *shape: int) -> torch.Tensor:
    return refkit.make_input(dict(input=shape, seed=seed, kind='normal'))


def test_views_are_aggregated_as_in_the_authors_code():
    expected = refkit.load_reference('ph_reg/aggregate')['runs'][0]['outputs']
    mean, count = aggregate(made(0, 4, 8, 8, 6).permute(0, 3, 1, 2), OFFSETS, FLIPS)
    mean = mean.permute(1, 2, 0)
    moved = shift(made(1, 3, 16, 16), (3, -5), -100.0)
    losses = torch.stack(distance(mean.reshape(1, 64, 6), made(2, 1, 64, 6)))
    assert refkit.deviation([mean, count, moved, losses], expected) < 1e-4


def test_aggregating_views_of_one_map_gives_it_back():
    x = torch.randn(3, 8, 8)
    views = torch.stack([view_of(x, offset, flipped) for offset, flipped in zip(OFFSETS, FLIPS, strict=True)])
    mean, count = aggregate(views, OFFSETS, FLIPS)
    torch.testing.assert_close(mean, x)
    assert (count.min(), count.max()) == (1, 4)


def test_offsets_begin_with_none_and_lie_far_apart():
    offsets = spread_offsets(5, (2, 3))
    assert offsets[0] == (0, 0)
    assert set(offsets[1:]) == {(-2, -3), (-2, 3), (2, -3), (2, 3)}


def test_the_first_view_is_the_image_itself_and_shifts_are_rounded_to_whole_patches(monkeypatch):
    limits = []

    def recorded(count: int, limit: tuple[int, int]) -> list[tuple[int, int]]:
        limits.append(limit)
        return spread_offsets(count, limit)

    monkeypatch.setattr(registers, 'spread_offsets', recorded)
    model = RegisterDistillation(backbone=DINOV2, views=1)
    image = torch.randn(1, 3, 56, 140)
    for seed in range(4):
        torch.manual_seed(seed)
        torch.testing.assert_close(model.target(image), model.teacher(image)[0])
    assert limits[0] == (round(0.15 * 4), round(0.15 * 10)) == (1, 2)


def test_trains_registers_positions_embedding_and_the_last_block():
    model = RegisterDistillation(backbone=DINOV2, views=3)
    model.init_weights()
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], value), name
    sum(model.train()(torch.randn(2, 3, 56, 70), mode='loss').values()).backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert {name.rsplit('.', 2)[0] for name in trained if 'blocks' not in name} == {
        'backbone.patch_embed',
        'backbone.patch_embed.patches',
        'backbone',
    }
    assert all(name.startswith('backbone.blocks.1.') for name in trained if 'blocks' in name)
    assert not model.teacher.training
    assert model(torch.randn(1, 3, 56, 56)).shape == (1, 24, 4, 4)


def test_what_does_not_fill_a_patch_takes_no_part():
    model = RegisterDistillation(backbone=DINOV2, views=1)
    model.init_weights()
    image = torch.randn(1, 3, 60, 80)
    losses = []
    for x in (image, image[..., :56, :70]):
        torch.manual_seed(0)
        losses.append(model(x, mode='loss'))
    assert losses[0] == losses[1]


def test_a_backbone_without_registers_or_of_other_channels_is_refused():
    with pytest.raises(ValueError, match='three channels'):
        RegisterDistillation(backbone={**DINOV2, 'in_channels': 4})
    with pytest.raises(ValueError, match='with `registers`'):
        RegisterDistillation(backbone=dict(type='denseformer.DINOv2', arch='small'))

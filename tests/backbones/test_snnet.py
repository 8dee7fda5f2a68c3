"""SN-Net: the authors' routes, speeds that choose one, stitches that are fitted, training on drawn routes."""

from itertools import pairwise

import pytest
import refkit
import torch

from denseformer.backbones import SNNet, ViT
from denseformer.backbones.plain.snnet import LARGE, SMALL, LeastSquares, routes_of
from denseformer.config.loading import described_maps

TINY = dict(widths=(12, 24), depths=(4, 8), heads=(2, 4), rank=2, out_indices=(1, 3, 5, 7))


def test_agrees_with_the_authors_code_on_several_routes():
    name = 'snnet/probe_12_12_64x96'
    reference = refkit.load_reference(name)
    arch = dict(widths=(48, 96), depths=(12, 12), heads=(2, 4), rank=4, out_indices=(4, 7, 9, 11))

    def forward(network: SNNet, image: torch.Tensor) -> list[torch.Tensor]:
        outs = []
        for number in reference['stitch_ids']:
            network.route = number
            outs.append(torch.cat(network(image), 1))
        return outs

    assert refkit.check(SNNet(arch=arch, image_size=(64, 96)), name, forward) < 1e-4


def test_stitches_are_fitted_as_the_authors_fit_them():
    reference = refkit.load_reference('snnet/stitch_init')
    x, slope, bias, noise = (
        refkit.make_input(dict(input=shape, seed=seed, kind='normal'))
        for seed, shape in enumerate([(4, 17, 24), (32, 24), (32,), (4, 17, 32)])
    )
    fit = LeastSquares()
    for image, target in zip(x, x @ (slope / 5).T + 0.1 * bias + 0.05 * noise, strict=True):
        fit.add(image, target)
    assert refkit.deviation(fit.solve(), reference['runs'][0]['outputs']) < 1e-4


def test_a_fit_part_by_part_leaves_out_the_singular_values_that_a_pseudo_inverse_does():
    x = torch.randn(40, 6) @ torch.diag(torch.tensor([1.0, 1.0, 1.0, 1.0, 1e-3, 1e-7]))
    y = torch.randn(40, 3)
    fit = LeastSquares()
    fit.add(x[:15], y[:15])
    fit.add(x[15:], y[15:])
    weight, bias = fit.solve()
    expected = torch.linalg.pinv(torch.cat([x, torch.ones(40, 1)], 1)) @ y
    torch.testing.assert_close(torch.cat([weight.T, bias[None]]), expected, atol=1e-3, rtol=1e-3)
    with pytest.raises(ValueError, match='no image'):
        SNNet(arch=TINY, image_size=32).fit_stitches([])


def test_there_are_the_published_routes():
    routes = routes_of(12, 24)
    assert len(routes) == 135
    assert [len(r.anchors) for r in (routes[0], routes[2], routes[24], routes[25], routes[134])] == [1, 2, 2, 3, 3]
    assert (routes[3].anchors, routes[3].spans, routes[3].stitches) == ((SMALL, LARGE), ((0, 1), (4, 23)), (1,))


def test_a_speed_chooses_the_costliest_route_that_is_fast_enough():
    network = SNNet.on_meta_device(arch='small_large')
    assert network.route == 1
    for speed in (1.5, 3, 11):
        network.speed = speed
        assert speed <= network.speed < speed + 2
    assert network.route == 0
    assert network.speeds[0] == 1
    with pytest.raises(ValueError, match=r'at most 11\.5'):
        SNNet.on_meta_device(speed=20)
    with pytest.raises(ValueError, match='above 0'):
        SNNet.on_meta_device(speed=0)
    with pytest.raises(ValueError, match=r'route must be 0\.\.134'):
        SNNet.on_meta_device(route=135)


def test_routes_are_drawn_from_the_published_groups_of_similar_cost():
    network = SNNet.on_meta_device(arch='small_large')
    assert [len(group) for group in network.groups()] == [1, *[12] * 11, 1]
    network = SNNet.on_meta_device(arch='small_base')
    costs = [[network.cost(network.routes[i]) for i in group] for group in network.groups()]
    assert all(group[-1] - group[0] <= 10e9 for group in costs)
    assert all(after[0] - before[0] > 10e9 for before, after in pairwise(costs))


def test_every_route_returns_maps_of_the_large_width_at_any_size():
    network = SNNet(arch=TINY, image_size=32).eval()
    with torch.no_grad():
        for number in range(len(network.routes)):
            network.route = number
            assert [tuple(m.shape) for m in network(torch.randn(1, 3, 48, 33))] == [(1, 24, 3, 3)] * 4


def test_fitted_stitches_begin_where_the_other_anchor_would_be():
    network = SNNet(arch=TINY, image_size=32).eval()
    network.anchors[LARGE].load_state_dict(network.anchors[LARGE].state_dict())
    images = torch.randn(8, 3, 32, 32)
    start, end = (network.tokens_of(anchor, images) for anchor in network.anchors)
    before = (network.stitches[SMALL][1](start[1]) - end[3]).square().mean()
    network.fit_stitches(images)
    after = (network.stitches[SMALL][1](start[1]) - end[3]).square().mean()
    assert after < before
    assert not network.stitches[SMALL][1].linear.weight.requires_grad
    assert network.stitches[SMALL][1].linear.bias.requires_grad


def test_anchors_start_from_files_of_deit3(tmp_path):
    files = []
    for width, blocks in ((12, 4), (24, 8)):
        vit = ViT(arch=dict(width=width, blocks=blocks, heads=2, layer_scale=1e-6), image_size=64)
        weights = {key: torch.full_like(value, blocks) for key, value in vit.state_dict().items()}
        weights['pos_embed'] = weights.pop('patch_embed.positions.table')[:, 1:]
        weights['cls_token'] = weights.pop('patch_embed.cls_token')
        files.append(str(tmp_path / f'{blocks}.pth'))
        torch.save({'model': weights | {'head.weight': torch.ones(5, width)}}, files[-1])
    network = SNNet(arch=TINY, image_size=32, anchors_pretrained=files)
    network.init_weights()
    for anchor, blocks in zip(network.anchors, (4, 8), strict=True):
        assert (anchor.blocks[-1].mlp.fc1.weight == blocks).all()
        torch.testing.assert_close(
            anchor.patch_embed.positions.table, torch.full((1, 4, anchor.arch.width), float(blocks))
        )
        assert (anchor.patch_embed.register_tokens == blocks).all()
        assert not anchor.blocks[0].attn.bias.table.any()
    with pytest.raises(ValueError, match='each of two anchors'):
        SNNet.on_meta_device(arch=TINY, anchors_pretrained=files[:1])


def test_training_draws_routes_and_reaches_everything_but_fitted_layers():
    torch.manual_seed(0)
    network = SNNet(arch=TINY, image_size=32, with_cp=True, drop_path_rate=0.1).train()
    drawn = {network.draw() for _ in range(300)}
    assert {0, 1} <= drawn
    assert drawn <= set(network.drawn)
    for number in (0, 1, 6, 12):
        network.draw = lambda number=number: number
        sum(m.square().mean() for m in network(torch.randn(1, 3, 32, 32))).backward()
    silent = [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert not [name for name in silent if name.startswith('anchors.')]


def test_configs_know_its_maps():
    maps = described_maps(dict(type='denseformer.SNNet', arch='base_large'))
    assert maps == dict(channels=(1024,) * 4, strides=(16,) * 4)

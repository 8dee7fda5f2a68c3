"""UniFormer: how far its third stage attends, and the pruning of its light variants."""

import pytest
import torch

from denseformer.backbones import UniFormer

MILLIONS = {'small': 21.03, 'base': 49.26, 'light_xxs': 9.32, 'light_xs': 15.48}
SMALL = {'widths': (8, 16, 32, 64), 'depths': (1, 1, 4, 1), 'head_dim': 8}
LIGHT = {**SMALL, 'depths': (1, 1, 2, 2), 'light': True}


@pytest.mark.parametrize('arch', UniFormer.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(UniFormer.describe(arch).parameters / 1e6, 2) == MILLIONS[arch]


def attends_globally(network: UniFormer) -> list[bool]:
    """For each block of the third stage, whether the far corner of a 20 x 20 map hears of a change in the near one."""
    heard = []
    for block in network.eval().stages[2].blocks:
        x = torch.randn(1, 20, 20, 32)
        changed = x.clone()
        changed[0, 0, 0] += torch.randn(32)
        with torch.no_grad():
            heard.append(not torch.equal(block(x)[0, -1, -1], block(changed)[0, -1, -1]))
    return heard


@pytest.mark.parametrize(
    ('windows', 'expected'),
    [
        ('global', [True, True, True, True]),
        ('window14', [False, False, False, False]),
        ('hybrid14', [False, False, False, True]),
        ('hybrid20', [True, True, True, True]),
    ],
)
def test_windows_bound_how_far_the_third_stage_attends(windows, expected):
    assert attends_globally(UniFormer(arch=SMALL, windows=windows)) == expected


def test_all_windows_load_the_same_checkpoint():
    weights = UniFormer(arch=SMALL).state_dict()
    left = UniFormer(arch=SMALL, windows='hybrid14').load_state_dict(weights)
    assert not left.missing_keys
    assert not left.unexpected_keys


@pytest.mark.parametrize('windows', ['windows', 'hybrid', 'window0', '14'])
def test_unknown_windows_are_refused_with_an_example(windows):
    with pytest.raises(ValueError, match='hybrid14'):
        UniFormer(arch=SMALL, windows=windows)


def test_light_variants_have_no_windows():
    with pytest.raises(ValueError, match='light'):
        UniFormer(arch='light_xxs', windows='window14')


def test_pruning_updates_the_left_out_tokens_all_by_the_same_amount():
    block = UniFormer(arch=LIGHT).eval().stages[2].blocks[1]
    block.pos_embed.weight.data.zero_()
    block.pos_embed.bias.data.zero_()
    x, summary = torch.randn(1, 4, 4, 32), torch.randn(1, 1, 32)
    scores = torch.arange(16.0).view(1, 4, 4) + 1
    with torch.no_grad():
        out, _, _ = block(x, summary, scores)
    update = (out - x).flatten(1, 2)[0]
    torch.testing.assert_close(update[:8], update[:1].expand(8, -1))
    assert not torch.allclose(update[8:9], update[15:16])


def test_pruned_stages_of_one_network_do_not_disturb_those_of_another():
    a, b = (UniFormer(arch=LIGHT).eval() for _ in range(2))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        alone = a(image)[3]
        hooked = []
        a.stages[2].register_forward_hook(lambda *_: hooked.append(b(image * 2)))
        together = a(image)[3]
    assert hooked
    assert torch.equal(alone, together)


def test_an_imagenet_checkpoint_loads_and_its_classifiers_are_dropped():
    network = UniFormer(arch=LIGHT)
    checkpoint = {
        'patch_embed3.norm.bias': torch.full((32,), 2.0),
        'blocks1.0.attn.bias': torch.full((8,), 3.0),
        'blocks2.0.conv2.bias': torch.full((16,), 4.0),
        'blocks3.0.attn.qkv.bias': torch.full((96,), 5.0),
        'cls_token': torch.full((1, 1, 32), 6.0),
        'cls_upsample.bias': torch.full((64,), 7.0),
        'norm.running_mean': torch.ones(64),
        'norm_cls.weight': torch.ones(64),
        'head.weight': torch.ones(1000, 64),
        'head_cls.weight': torch.ones(1000, 64),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.stages[2].downsample.norm.bias == 2).all()
    assert (network.stages[0].blocks[0].attn.conv.bias == 3).all()
    assert (network.stages[1].blocks[0].attn.proj_out.bias == 4).all()
    assert (network.stages[2].blocks[0].attn.qkv.bias == 5).all()
    assert (network.stages[2].summary == 6).all()
    assert (network.stages[3].widen.bias == 7).all()

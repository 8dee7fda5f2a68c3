"""EoMT: its losses, masked attention and its annealing, the authors' names, and what it refuses."""

import math
import re

import pytest
import refkit
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData

from denseformer.backbones import DINOv3
from denseformer.checkpoints import CheckpointError
from denseformer.checkpoints.fitting import as_loaded, fit
from denseformer.checkpoints.keys import rename
from denseformer.detection import eomt
from denseformer.detection.eomt import EoMT, EoMTHead, EoMTSegmentor, EoMTSemanticHead, even_windows, unturned
from denseformer.detection.mask2former import model as mask2former
from denseformer.detection.mask2former.model import OfficialNames
from denseformer.engine.hooks import MaskAnnealingHook

SMALL = dict(width=24, blocks=3, heads=2)
VIT = dict(type='denseformer.ViT', arch=SMALL, image_size=64)
DINOV3 = dict(type='denseformer.DINOv3', arch=SMALL)


def build(backbone=VIT, **options) -> EoMT:
    torch.manual_seed(0)
    return EoMT(**{**dict(backbone=backbone, num_classes=5, num_queries=6, query_blocks=2), **options}).eval()


def test_losses_agree_with_the_authors_code(monkeypatch):
    """With every pixel's center in place of random points."""
    reference = refkit.load_reference('eomt/criterion')
    rows, columns = torch.meshgrid((torch.arange(8) + 0.5) / 8, (torch.arange(12) + 0.5) / 12, indexing='ij')
    centers = torch.stack([columns, rows], -1).flatten(0, 1)
    monkeypatch.setattr(mask2former, 'sample_uncertain_points', lambda masks, count: centers.expand(len(masks), -1, -1))
    monkeypatch.setattr(mask2former.torch, 'rand', lambda *size, device: centers)
    scores, masks = (
        refkit.make_input(dict(input=shape, seed=seed, kind='normal'))
        for seed, shape in ((10, (1, 10, 6)), (11, (1, 10, 8, 12)))
    )
    targets = torch.zeros(3, 8, 12)
    targets[0, :4, :6] = targets[1, :4, 6:] = targets[2, 4:, :10] = 1
    truth = InstanceData(labels=torch.tensor([0, 2, 4]), masks=targets)
    head = EoMTHead(num_classes=5, num_points=len(centers))
    cls, mask, dice = head._loss_by_feat_single(scores, 2 * masks, [truth], [{}])
    found = torch.stack([mask / 5, dice / 5, cls / 2, cls + mask + dice])
    assert refkit.deviation([found], reference['runs'][0]['outputs']) < 1e-4


@pytest.mark.parametrize('kind', [EoMTHead, EoMTSemanticHead])
def test_a_head_has_no_parameters_and_none_to_draw(kind):
    head = kind(num_classes=5)
    head.init_weights()
    assert not list(head.parameters())


def test_has_the_authors_number_of_parameters_and_takes_their_names():
    backbone = dict(type='denseformer.DINOv2', arch='small', registers=4, patch_size=16, image_size=64)
    with torch.device('meta'):
        network = EoMT(backbone=backbone, num_classes=133, num_queries=200, query_blocks=3)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(23.368, abs=1e-3)
    network = build(dict(type='denseformer.DINOv2', arch=SMALL, registers=4, patch_size=16, image_size=64))
    names = (
        ('backbone.patch_embed.patches.proj', 'encoder.backbone.patch_embed.proj'),
        ('backbone.patch_embed.cls_token', 'encoder.backbone.cls_token'),
        ('backbone.patch_embed.register_tokens', 'encoder.backbone.reg_token'),
        ('backbone.patch_embed.positions.table', 'encoder.backbone.pos_embed'),
        ('backbone.blocks.', 'encoder.backbone.blocks.'),
        ('backbone.norm.', 'encoder.backbone.norm.'),
    )
    state = network.state_dict()
    for ours, theirs in names:
        state = {key.replace(ours, theirs) if key.startswith(ours) else key: value for key, value in state.items()}
    state['encoder.backbone.pos_embed'] = state['encoder.backbone.pos_embed'][:, 1:]
    state |= {'attn_mask_probs': torch.ones(2), 'encoder.pixel_mean': torch.zeros(1, 3, 1, 1)}
    left = network.load_state_dict({f'network.{key}': value for key, value in state.items()})
    assert not left.missing_keys
    assert not left.unexpected_keys


def test_the_authors_table_of_an_oblong_image_has_no_row_for_the_class_token():
    network = build(dict(type='denseformer.DINOv2', arch=SMALL, registers=4, patch_size=16, image_size=(64, 96)))
    table = torch.randn(1, 24, 24)
    network.load_state_dict({'encoder.backbone.pos_embed': table}, strict=False)
    assert torch.equal(network.backbone.patch_embed.positions.table[:, 1:], table)


OF_TRANSFORMERS = (
    (r'^backbone\.patch_embed\.patches\.proj', 'embeddings.patch_embeddings.projection'),
    (r'^backbone\.patch_embed\.positions\.table$', 'embeddings.position_embeddings.weight'),
    (r'^backbone\.patch_embed\.', 'embeddings.'),
    (r'^backbone\.norm\.', 'layernorm.'),
    (r'^backbone\.blocks\.', 'layers.'),
    (r'\.gamma([12])$', r'.layer_scale\1.lambda1'),
    (r'\.attn\.proj\.', '.attention.out_proj.'),
    (r'^q\.', 'query.'),
    (r'^class_head\.', 'class_predictor.'),
    (r'^mask_head\.(\d)\.', lambda match: f'mask_head.fc{int(match[1]) // 2 + 1}.'),
    (r'^upscale\.(\d)\.norm\.', r'upscale_block.block.\1.layernorm2d.'),
    (r'^upscale\.', 'upscale_block.block.'),
)


def test_a_whole_network_of_transformers_loads():
    network = build(dict(type='denseformer.DINOv2', arch=SMALL, registers=4, patch_size=16, image_size=64))
    theirs = {'attn_mask_probs': torch.zeros(2), 'criterion.empty_weight': torch.ones(6)}
    for key, value in rename(network.state_dict(), *OF_TRANSFORMERS).items():
        if '.attn.qkv.' in key:
            for name, part in zip('qkv', value.chunk(3), strict=True):
                theirs[key.replace('.attn.qkv.', f'.attention.{name}_proj.')] = part
        else:
            theirs[key] = value[0, 1:] if key.endswith('position_embeddings.weight') else value
    other = build(dict(type='denseformer.DINOv2', arch=SMALL, registers=4, patch_size=16, image_size=64))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    left = other.load_state_dict(theirs)
    assert not left.missing_keys
    assert not left.unexpected_keys
    changed = {name for name, value in other.state_dict().items() if not torch.equal(value, network.state_dict()[name])}
    assert changed == {'backbone.patch_embed.positions.table'}  # the row of the class token


class Model(OfficialNames, torch.nn.Module):
    """The names by which a model around EoMT loads it."""

    head_name = 'panoptic_head'

    def __init__(self, num_classes: int, num_stuff: int):
        super().__init__()
        self.backbone = build(num_classes=num_classes)
        self.panoptic_head = EoMTHead(num_classes=num_classes, num_stuff=num_stuff)


@pytest.mark.parametrize('name', ['network.class_head.weight', 'class_predictor.weight'])
def test_the_authors_classes_of_ade20k_are_put_in_order(name):
    mark = {'network.encoder.backbone.norm.weight': torch.ones(24)} if 'network' in name else {'query.weight': None}
    named = Model(150, 50).own_names({name: torch.arange(151.0)[:, None], **mark})
    order = named[f'backbone.{name}'][:, 0].tolist()
    assert order[:3] == [7, 8, 10]  # bed, window, cabinet: the first things
    assert order[100:103] == [0, 1, 2]  # wall, building, sky: the first stuff
    assert order[150] == 150


def test_files_without_a_classifier_have_no_order_to_ask_for():
    named = Model(8, 3).own_names({'network.encoder.backbone.norm.weight': torch.ones(24)})
    assert list(named) == ['backbone.network.encoder.backbone.norm.weight']


def test_weights_of_other_classes_leave_out_those_of_the_classes():
    theirs = {f'network.{key}': value for key, value in build(num_classes=9).state_dict().items()}
    theirs = {key.replace('network.backbone.', 'network.encoder.backbone.'): theirs[key] for key in theirs}
    model = Model(5, 2)
    weights, notes = fit(model, theirs)
    assert notes == [
        f'backbone.class_head.{kind}: left out, it has 10 outputs instead of 6' for kind in ('weight', 'bias')
    ]
    left = model.load_state_dict(weights, strict=False)
    assert left.missing_keys == ['backbone.class_head.weight', 'backbone.class_head.bias']
    assert not left.unexpected_keys


@pytest.mark.parametrize('backbone', [VIT, DINOV3], ids=['vit', 'dinov3'])
def test_predicts_once_and_trains_before_every_query_block(backbone):
    network = build(backbone)
    image = torch.randn(2, 3, 64, 80)
    with torch.no_grad():
        scores, masks = network(image)
    assert [tuple(x.shape) for x in (*scores, *masks)] == [(2, 6, 6), (2, 6, 16, 20)]
    scores, masks = network.train()(image)
    assert len(scores) == len(masks) == 3
    sum(x.square().mean() for x in (*scores, *masks)).backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None]
    assert len(build(backbone, masked_attention=False).train()(image)[0]) == 1


def test_a_query_sees_only_the_patches_inside_its_mask():
    network = build()
    x = torch.zeros(1, 6 + 1 + 12, 24)
    masks = torch.full((1, 6, 12, 16), -1.0)
    masks[0, 2, :4] = 1.0
    bias = network.mask_bias(masks, (3, 4), x, 1.0)[0, 0]
    assert (bias[2, 7:11] == 0).all()
    assert (bias[2, 11:] == -math.inf).all()
    assert (bias[0, 7:] == -math.inf).all()
    assert (bias[:, :7] == 0).all()
    assert (bias[6:] == 0).all()
    lifted = network.mask_bias(masks, (3, 4), x, 1e-9)
    assert (lifted == 0).all()


def test_masks_change_predictions_until_they_are_phased_out():
    network = build()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        free = network(image)[0][-1]
        network.mask_shares = [1.0, 1.0]
        masked = network(image)[0]
    assert len(masked) == 3
    assert not torch.allclose(masked[-1], free)


def test_shares_fall_from_block_to_block():
    hook = MaskAnnealingHook(starts=[10, 20], ends=[20, 30])
    assert hook.shares(0) == hook.shares(10) == [1, 1]
    assert hook.shares(15) == [0.5**0.9, 1]
    assert hook.shares(20) == [0, 1]
    assert hook.shares(99) == [0, 0]
    with pytest.raises(ValueError, match='a later end'):
        MaskAnnealingHook(starts=[10], ends=[10])


def test_queries_are_not_turned():
    sin, cos = unturned((torch.ones(3, 1, 2), torch.zeros(3, 1, 2)), 2)
    assert sin.shape == cos.shape == (5, 1, 2)
    assert (sin[:2] == 0).all()
    assert (cos[:2] == 1).all()


def test_other_backbones_are_refused():
    with pytest.raises(ValueError, match='is none'):
        build(dict(type='denseformer.Swin', arch='tiny'))
    with pytest.raises(ValueError, match='queries have none'):
        build(dict(type='denseformer.BinaryAttention', arch=SMALL))(torch.randn(1, 3, 32, 32))
    with pytest.raises(ValueError, match='SAM has none: take ViT'):
        build(dict(type='denseformer.SAM', arch='base'))
    with pytest.raises(ValueError, match='query_blocks must be'):
        build(query_blocks=4)


def of_transformers(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The names that the authors' files on DINOv3 have, which has three layers where ours has one."""
    named = {}
    for key, value in state.items():
        key = key.replace('backbone.patch_embed.patches.proj', 'backbone.patch_embed.patch_embeddings')
        key = re.sub(r'\.gamma([12])$', r'.layer_scale\1.lambda1', key)
        key = key.replace('.attn.proj.', '.attention.o_proj.')
        key = key.replace('.mlp.fc1.', '.mlp.up_proj.').replace('.mlp.fc2.', '.mlp.down_proj.')
        if key.endswith('.attn.qkv.weight'):
            for name, part in zip('qkv', value.chunk(3), strict=True):
                named[key.replace('.attn.qkv.', f'.attention.{name}_proj.')] = part
        elif key.endswith(('q_bias', 'v_bias')):
            named[re.sub(r'\.attn\.qkv\.([qv])_bias$', r'.attention.\1_proj.bias', key)] = value
        else:
            named[key] = value
    return {f'network.encoder.{key}' if key.startswith('backbone.') else f'network.{key}': named[key] for key in named}


def test_differences_are_added_to_the_weights_they_belong_to(tmp_path, caplog):
    base = DINOv3(arch=SMALL, norm_outputs=True, out_indices=(2,))
    torch.save(base.state_dict(), tmp_path / 'base.pth')
    wanted = build(DINOV3)
    with torch.no_grad():
        for parameter in wanted.parameters():
            parameter.add_(torch.randn_like(parameter))
    differences = {
        key: value - base.state_dict()[key.removeprefix('backbone.')] if key.startswith('backbone.') else value
        for key, value in wanted.state_dict().items()
    }
    network = build(DINOV3, deltas_to=str(tmp_path / 'base.pth'))
    with caplog.at_level('INFO', logger='mmengine'):
        MMLogger.get_current_instance().addHandler(caplog.handler)
        left = network.load_state_dict({k.removeprefix('network.'): v for k, v in of_transformers(differences).items()})
    assert not left.missing_keys
    assert not left.unexpected_keys
    assert 'differences of the file, added' in caplog.text
    for key, value in wanted.state_dict().items():
        torch.testing.assert_close(network.state_dict()[key], value, msg=key)
    again = build(DINOV3, deltas_to=str(tmp_path / 'base.pth'))
    again.load_state_dict(as_loaded(again, of_transformers(differences)))  # renamed in advance, as --load-from does
    torch.testing.assert_close(again.state_dict(), wanted.state_dict())
    again.load_state_dict(wanted.state_dict())  # our own files hold weights
    torch.testing.assert_close(again.state_dict(), wanted.state_dict())
    plain = build(DINOV3)
    plain.load_state_dict(of_transformers(wanted.state_dict()))
    torch.testing.assert_close(plain.state_dict(), wanted.state_dict())


def test_differences_to_other_weights_are_refused(tmp_path, monkeypatch):
    torch.save(DINOv3(arch={**SMALL, 'blocks': 2}, out_indices=(1,)).state_dict(), tmp_path / 'base.pth')
    network = build(DINOV3, deltas_to=str(tmp_path / 'base.pth'))
    theirs = of_transformers(network.state_dict())
    with pytest.raises(CheckpointError, match='belong to other weights'):
        network.load_state_dict(theirs)
    network.base = 'weights:DINOv3/small/lvd1689m'
    monkeypatch.setattr(eomt, 'local_file', lambda address: tmp_path / 'base.pth')
    with pytest.raises(CheckpointError, match='its authors say 08c60483'):
        network.load_state_dict(theirs)


def test_a_transformer_with_words_inside_its_patches_is_refused():
    arch = dict(width=24, blocks=2, heads=2, word_width=8)
    with pytest.raises(ValueError, match='TNT has others inside its patches: take ViT'):
        build(dict(type='denseformer.TNT', arch=arch))


@pytest.mark.parametrize(
    ('length', 'starts'), [(512, [0]), (300, [0]), (1024, [0, 512]), (800, [0, 288]), (1101, [0, 294, 589])]
)
def test_windows_lie_at_even_distances(length, starts):
    windows = list(even_windows(length, 512, 512))
    assert [window.start for window in windows] == starts
    assert all(window.stop - window.start == 512 for window in windows)


@pytest.mark.parametrize('stride', [0, 513])
def test_strides_that_leave_pixels_in_no_window_are_refused(stride):
    with pytest.raises(ValueError, match=f'stride is {stride}: set it to 1 .. 512'):
        list(even_windows(1300, 512, stride))


def test_scores_of_windows_are_averaged_where_they_overlap():
    encoder = dict(type='denseformer.EoMT', backbone=VIT, num_classes=5, num_queries=6, query_blocks=2)
    test_cfg = ConfigDict(mode='slide', crop_size=(32, 32), stride=(32, 32))
    head = dict(type='denseformer.EoMTSemanticHead', num_classes=5)
    torch.manual_seed(0)
    model = EoMTSegmentor(encoder, head, test_cfg=test_cfg).eval()
    image = torch.randn(2, 3, 32, 70)
    metas = [dict(img_shape=(32, 70), ori_shape=(32, 70), pad_shape=(32, 70)) for _ in image]
    with torch.no_grad():
        found = model.inference(image, metas)
        parts = [
            model.encode_decode(image[..., start : start + 32], [dict(img_shape=torch.Size((32, 32)))] * 2)
            for start in (0, 19, 38)
        ]
    expected, count = torch.zeros(2, 5, 32, 70), torch.zeros(70)
    for start, part in zip((0, 19, 38), parts, strict=True):
        expected[..., start : start + 32] += part
        count[start : start + 32] += 1
    torch.testing.assert_close(found, expected / count)
    assert metas[0]['img_shape'] == (32, 70)

"""State dicts under the names that the authors of backbones and heads published them with, loaded into whole models."""

import json
import re
from types import SimpleNamespace

import pytest
import refkit
import torch
from mmdet.datasets import CocoPanopticDataset
from mmengine.registry import MODELS, init_default_scope
from mmseg.datasets import ADE20KDataset, CityscapesDataset
from torch import nn

from denseformer.backbones.base import Backbone
from denseformer.config.loading import load_config
from denseformer.detection.mask2former.keys import remap_official_keys
from denseformer.network import on_meta
from denseformer.registry import DATASETS
from denseformer.registry import MODELS as OWN_MODELS

KINDS = json.loads((refkit.REFERENCES / 'index.json').read_text())
BACKBONES = [name for name, spec in KINDS.items() if issubclass(OWN_MODELS.get(spec['type']), Backbone)]
SWIN = refkit.load_reference('swin/swin_tiny')['shapes']
NARROW = refkit.load_reference('mask2former/head')


def build(config: str, **overrides) -> nn.Module:
    loaded = load_config(f'configs/{config}.py', overrides)
    init_default_scope(loaded.default_scope)
    return MODELS.build(loaded.model)


def meta_tensors(shapes: dict) -> dict:
    return {key: torch.empty(shape, device='meta') for key, shape in shapes.items()}


def left_over(model: nn.Module, shapes: dict) -> tuple[set[str], list[str]]:
    """Parameters that a state dict does not set, and keys of it that the model does not know."""
    left = model.load_state_dict(meta_tensors(shapes), strict=False, assign=True)
    return {name for name, _ in model.named_parameters()} & set(left.missing_keys), left.unexpected_keys


def below(prefix: str, shapes: dict) -> dict:
    return {f'{prefix}.{key}': shape for key, shape in shapes.items()}


@pytest.mark.parametrize('name', BACKBONES)
def test_a_backbone_inside_a_model_takes_its_authors_names(name):
    backbone = {**KINDS[name], 'type': f'denseformer.{KINDS[name]["type"]}'}
    init_default_scope('mmseg')
    decode_head = dict(type='FCNHead', in_channels=1, channels=1, num_convs=0, concat_input=False, num_classes=3)
    with on_meta():
        model = MODELS.build(dict(type='EncoderDecoder', backbone=backbone, decode_head=decode_head))
    shapes = refkit.load_reference(name)['shapes']
    missing, unexpected = left_over(model, below('backbone', shapes))
    assert unexpected == []
    assert missing == {'decode_head.conv_seg.weight', 'decode_head.conv_seg.bias'}


def biased(name: str, *shape: int) -> dict:
    return {f'{name}.weight': shape, f'{name}.bias': shape[:1]}


def normed(name: str, *shape: int) -> dict:
    statistics = {f'{name}.bn.{key}': shape[:1] for key in ('weight', 'bias', 'running_mean', 'running_var')}
    return {f'{name}.conv.weight': shape, **statistics, f'{name}.bn.num_batches_tracked': ()}


def joined(*parts: dict) -> dict:
    return {key: shape for part in parts for key, shape in part.items()}


def pyramid(*widths: int, extra: tuple[int, ...] = ()) -> dict:
    return joined(
        *(biased(f'neck.lateral_convs.{i}.conv', 256, width, 1, 1) for i, width in enumerate(widths)),
        *(biased(f'neck.fpn_convs.{i}.conv', 256, n, 3, 3) for i, n in enumerate((*(256 for _ in widths), *extra))),
    )


def mask_head(name: str) -> dict:
    return joined(
        *(biased(f'{name}.convs.{i}.conv', 256, 256, 3, 3) for i in range(4)),
        biased(f'{name}.upsample', 256, 256, 2, 2),
        biased(f'{name}.conv_logits', 80, 256, 1, 1),
    )


RPN = joined(
    biased('rpn_head.rpn_conv', 256, 256, 3, 3),
    biased('rpn_head.rpn_cls', 3, 256, 1, 1),
    biased('rpn_head.rpn_reg', 12, 256, 1, 1),
)
PUBLISHED = {
    'upernet_swin_ade20k': joined(
        biased('decode_head.conv_seg', 150, 512, 1, 1),
        *(normed(f'decode_head.psp_modules.{i}.1', 512, 768, 1, 1) for i in range(4)),
        normed('decode_head.bottleneck', 512, 768 + 4 * 512, 3, 3),
        *(normed(f'decode_head.lateral_convs.{i}', 512, 96 * 2**i, 1, 1) for i in range(3)),
        *(normed(f'decode_head.fpn_convs.{i}', 512, 512, 3, 3) for i in range(3)),
        normed('decode_head.fpn_bottleneck', 512, 4 * 512, 3, 3),
        normed('auxiliary_head.convs.0', 256, 384, 3, 3),
        biased('auxiliary_head.conv_seg', 150, 256, 1, 1),
    ),
    'mask_rcnn_swin_coco': joined(
        pyramid(96, 192, 384, 768),
        RPN,
        biased('roi_head.bbox_head.shared_fcs.0', 1024, 256 * 49),
        biased('roi_head.bbox_head.shared_fcs.1', 1024, 1024),
        biased('roi_head.bbox_head.fc_cls', 81, 1024),
        biased('roi_head.bbox_head.fc_reg', 320, 1024),
        mask_head('roi_head.mask_head'),
    ),
    'cascade_mask_rcnn_swin_coco': joined(
        pyramid(96, 192, 384, 768),
        RPN,
        *(normed(f'roi_head.bbox_head.{i}.shared_convs.{j}', 256, 256, 3, 3) for i in range(3) for j in range(4)),
        *(biased(f'roi_head.bbox_head.{i}.shared_fcs.0', 1024, 256 * 49) for i in range(3)),
        *(biased(f'roi_head.bbox_head.{i}.fc_cls', 81, 1024) for i in range(3)),
        *(biased(f'roi_head.bbox_head.{i}.fc_reg', 320, 1024) for i in range(3)),
        *(mask_head(f'roi_head.mask_head.{i}') for i in range(3)),
    ),
    'retinanet_swin_voc': joined(
        pyramid(192, 384, 768, extra=(768, 256)),
        *(biased(f'bbox_head.{kind}_convs.{i}.conv', 256, 256, 3, 3) for kind in ('cls', 'reg') for i in range(4)),
        biased('bbox_head.retina_cls', 9 * 20, 256, 3, 3),
        biased('bbox_head.retina_reg', 36, 256, 3, 3),
    ),
}
"""Names of heads' weights in mmsegmentation 0.x and mmdetection 2.x, with which backbones were published."""


@pytest.mark.parametrize('config', PUBLISHED)
def test_a_model_takes_the_names_of_published_checkpoints(config):
    with on_meta():
        model = build(config)
    assert left_over(model, below('backbone', SWIN) | PUBLISHED[config]) == (set(), [])


def narrow_model(config: str) -> nn.Module:
    arch = dict(_delete_=True, width=8, depths=(1, 1, 1, 1), heads=(1, 1, 1, 1))
    options = {key: value for key, value in NARROW['kwargs'].items() if key not in ('in_channels', 'num_classes')}
    classes = NARROW['kwargs']['num_classes']
    return build(
        config, **{'backbone.arch': arch, 'backbone.pretrained': None, 'head': options, 'num_classes': classes}
    )


def last_layer(model: nn.Module, image: torch.Tensor):
    """Classes and masks of maps of 8, 16, 32 and 64 channels, which are picked out of the image."""
    maps = [image[:, :channels, ::step, ::step] for channels, step in ((8, 1), (16, 2), (32, 4), (64, 8))]
    return [outputs[-1] for outputs in getattr(model, model.head_name)(maps, [])]


@pytest.mark.parametrize('config', ['mask2former_swin_instance_coco', 'mask2former_swin_semantic_ade20k'])
def test_mask2former_takes_its_authors_weights_and_finds_what_their_code_finds(config):
    model = narrow_model(config)
    model.backbone = nn.Identity()  # the reference is of the head
    assert refkit.check(model, 'mask2former/head', last_layer) < 1e-4


def head(num_classes: int, num_stuff: int) -> SimpleNamespace:
    """The attributes that the remapping looks at."""
    return SimpleNamespace(num_classes=num_classes, num_stuff=num_stuff)


def class_rows(num_classes: int) -> dict:
    rows = torch.arange(num_classes + 1.0)
    return {'predictor.class_embed.weight': rows[:, None].expand(-1, 2), 'predictor.class_embed.bias': rows}


def first_words(names) -> list[str]:
    return [name.split(',')[0].strip() for name in names]


@pytest.mark.parametrize(
    ('kind', 'stuff', 'theirs', 'shared'),
    [
        ('CityscapesPanopticDataset', 11, CityscapesDataset.METAINFO['classes'], 19),
        ('ADE20KPanopticDataset', 50, ADE20KDataset.METAINFO['classes'], 100),
        ('CocoPanopticDataset', 53, CocoPanopticDataset.METAINFO['classes'], 133),
    ],
)
def test_scores_of_things_and_stuff_are_brought_into_our_order(kind, stuff, theirs, shared):
    theirs, ours = first_words(theirs), first_words(DATASETS.get(kind).METAINFO['classes'])
    found = remap_official_keys(class_rows(len(ours)), head(len(ours), stuff))
    order = found['cls_embed.bias'].long().tolist()
    assert sorted(order) == list(range(len(ours) + 1))
    assert order[-1] == len(ours)
    assert torch.equal(found['cls_embed.weight'][:, 0], found['cls_embed.bias'])
    both = {name for name in ours if theirs.count(name) == ours.count(name) == 1}
    assert len(both) >= shared
    assert all(theirs[row] == name for row, name in zip(order, ours, strict=False) if name in both)


def test_without_stuff_the_order_stays():
    rows = class_rows(19)
    assert torch.equal(remap_official_keys(rows, head(19, 0))['cls_embed.bias'], rows['predictor.class_embed.bias'])


def test_an_unknown_mixture_of_things_and_stuff_is_an_error_and_never_a_guess():
    with pytest.raises(ValueError, match=r'5 classes of things and 3 of stuff.*ADE20K \(100 and 50\)'):
        remap_official_keys(class_rows(8), head(8, 3))


def test_a_file_without_a_classifier_has_no_order_to_ask_for():
    rows = {'predictor.query_embed.weight': torch.ones(4, 2)}
    assert list(remap_official_keys(rows, head(8, 3))) == ['query_embed.weight']


HEAD = {key.removeprefix('sem_seg_head.'): shape for key, shape in NARROW['shapes'].items() if 'criterion' not in key}
DINOV3 = (
    ('pixel_decoder.transformer.encoder.', 'pixel_decoder.encoder.encoder.'),
    ('pixel_decoder.transformer.level_embed', 'pixel_decoder.encoder.level_encoding'),
    ('pixel_decoder.input_proj.', 'pixel_decoder.input_convs.'),
    ('pixel_decoder.adapter_1', 'pixel_decoder.lateral_convs.0'),
    ('pixel_decoder.layer_1', 'pixel_decoder.output_convs.0'),
    ('pixel_decoder.mask_features', 'pixel_decoder.mask_feature'),
    ('predictor.decoder_norm', 'predictor.post_norm'),
)
"""Names of Detectron2 and those that DINOv3's segmentor has in their place."""


def test_dinov3s_segmentor_loads_under_its_names_and_leaves_the_backbone_to_other_files():
    arch = dict(_delete_=True, encoder=dict(type='denseformer.DINOv3', arch=dict(width=8, blocks=4, heads=1)))
    options = {key: value for key, value in NARROW['kwargs'].items() if key not in ('in_channels', 'num_classes')}
    classes = NARROW['kwargs']['num_classes']
    overrides = {'backbone.arch': {**arch, 'deform_heads': 2}, 'backbone.pretrained': None, 'num_classes': classes}
    with on_meta():
        model = build('mask2former_dinov3_large_semantic_ade20k', **overrides, head=options)
    adapter = {name: value.shape for name, value in model.backbone.state_dict().items() if 'encoder.' not in name}
    for ours, theirs in (('spm.level_embed', 'level_embed'), *((f'out_norms.{i}.', f'norm{i + 1}.') for i in range(4))):
        adapter = {name.replace(ours, theirs): shape for name, shape in adapter.items()}
    shapes = {key: shape for key, shape in HEAD.items() if 'input_proj' not in key and 'adapter_1.weight' not in key}
    for ours, theirs in DINOV3:
        shapes = {key.replace(ours, theirs): shape for key, shape in shapes.items()}
    parts = below('segmentation_model.0', adapter) | below('segmentation_model.1', shapes)
    missing, unexpected = left_over(model, parts)
    assert unexpected == []
    inputs = {key for key in missing if 'input_convs' in key or 'lateral_convs' in key}  # of other widths
    assert {key for key in missing - inputs if not key.startswith('backbone.encoder.')} == set()


def test_names_of_mmdetection_2_are_todays_with_numbers_in_place_of_words():
    narrow = head(NARROW['kwargs']['num_classes'], 0)
    ours = remap_official_keys(HEAD, narrow)
    older = {key.replace('.ffn.', '.ffns.0.').replace('.cross_attn.', '.attentions.0.'): key for key in ours}
    older = {
        re.sub(r'(transformer_decoder.*)\.self_attn\.', r'\1.attentions.1.', key): value for key, value in older.items()
    }
    older = {key.replace('.self_attn.', '.attentions.0.'): ours[value] for key, value in older.items()}
    assert len(older) == len(ours)
    assert remap_official_keys(older, narrow) == ours


def test_older_files_say_less_in_their_names():
    older = {
        key.removeprefix('pixel_decoder.').replace('query_feat', 'static_query'): shape for key, shape in HEAD.items()
    }
    narrow = head(NARROW['kwargs']['num_classes'], 0)
    assert remap_official_keys(older, narrow) == remap_official_keys(HEAD, narrow)


def test_weights_for_another_number_of_classes_are_left_to_the_loader_to_refuse():
    rows = class_rows(133)
    assert torch.equal(remap_official_keys(rows, head(8, 3))['cls_embed.bias'], rows['predictor.class_embed.bias'])


def test_our_own_names_stay():
    own = {'cls_embed.weight': torch.arange(20.0)[:, None], 'pixel_decoder.mask_feature.bias': torch.zeros(2)}
    assert remap_official_keys(own, head(19, 11)) is own

"""Weights under the names of timm, transformers and OpenMMLab load into our networks."""

import json
import math
from pathlib import Path

import pytest
import torch
from mmdet.models.task_modules import AnchorGenerator

from denseformer import backbones
from denseformer.checkpoints.fitting import as_loaded, below
from denseformer.checkpoints.layouts import as_authors, as_openmmlab, foreign_layout
from denseformer.checkpoints.layouts.openmmlab import pixels_first
from denseformer.checkpoints.signatures import without_numbers
from denseformer.config.loading import load_config
from denseformer.inference.predictor import build_model
from denseformer.necks import DeconvPyramid, SimpleFeaturePyramid
from denseformer.network import on_meta
from denseformer.registry import MODELS

NETWORKS = [
    network
    for path in sorted((Path(__file__).parents[1] / 'references' / 'layouts').glob('*.json'))
    for network in json.loads(path.read_text())['networks']
]
NORM = ('weight', 'bias', 'running_mean', 'running_var')
IDS = [f'{network["layout"]} {network["network"]}' for network in NETWORKS]


@pytest.mark.parametrize('network', NETWORKS, ids=IDS)
def test_every_tensor_of_another_package_finds_its_place(network):
    ours = getattr(backbones, network['network']).on_meta_device(arch=network['arch'])
    theirs = {key: torch.empty(shape, device='meta') for key, shape in network['shapes'].items()}
    given = dict(theirs)
    renamed = ours.own_names(theirs)
    own = ours.state_dict()
    assert set(renamed) <= set(own)
    assert {key: value.shape for key, value in renamed.items()} == {key: own[key].shape for key in renamed}
    norms = [key for key in own if key not in renamed]  # a classifier has none of the maps' norms
    assert all(key.startswith('out_norms.') for key in norms)
    assert theirs.keys() == given.keys()


def test_the_bias_of_the_keys_that_torchvision_does_not_use_is_left_out():
    named = as_authors('SwinV2', {'features.1.0.attn.qkv.bias': torch.arange(9.0)})
    assert {key: value.tolist() for key, value in named.items()} == {
        'layers.0.blocks.0.attn.q_bias': [0, 1, 2],
        'layers.0.blocks.0.attn.v_bias': [6, 7, 8],
    }


def test_the_authors_and_our_own_names_are_no_foreign_layout():
    for family in sorted({network['network'] for network in NETWORKS}):
        cls = getattr(backbones, family)
        assert foreign_layout(family, cls.on_meta_device(arch=cls.smallest()).state_dict()) is None


def test_a_whole_mask2former_of_transformers_gets_the_names_of_its_authors():
    folder = Path(__file__).parents[1] / 'references' / 'mask2former'
    (theirs,) = json.loads((folder / 'transformers.json').read_text())['networks']
    named = as_openmmlab({key: torch.empty(shape, device='meta') for key, shape in theirs['shapes'].items()})
    head = [key for key in named if not key.startswith('backbone.')]
    assert without_numbers(head) == without_numbers(json.loads((folder / 'head.json').read_text())['shapes'])
    swin = backbones.Swin.on_meta_device(arch='tiny')
    assert set(swin.own_names(below(named, 'backbone.'))) == set(swin.state_dict())


def detectron2_names(cascade: bool) -> list[str]:
    """Of the heads of a Mask R-CNN on a feature pyramid, after the names of layers that its repository defines."""
    boxes = [f'{i}.' for i in range(3)] if cascade else ['']
    layers = [f'backbone.fpn_{kind}{level}' for kind in ('lateral', 'output') for level in (2, 3, 4, 5)]
    layers += [f'proposal_generator.rpn_head.{name}' for name in ('conv', 'objectness_logits', 'anchor_deltas')]
    layers += [f'roi_heads.box_head.{stage}fc{i}' for stage in boxes for i in (1, 2)]
    layers += [f'roi_heads.box_predictor.{stage}{name}' for stage in boxes for name in ('cls_score', 'bbox_pred')]
    layers += [
        f'roi_heads.mask_head.{name}' for name in (*(f'mask_fcn{i}' for i in (1, 2, 3, 4)), 'deconv', 'predictor')
    ]
    return [f'{layer}.{kind}' for layer in layers for kind in ('weight', 'bias')]


def test_the_heads_of_a_detector_of_detectron2_get_the_names_of_ours():
    with on_meta():
        model = build_model(load_config('mask_rcnn_swin_1x_coco'))
    ours = [key for key in model.state_dict() if not key.startswith('backbone.')]
    assert sorted(as_openmmlab(dict.fromkeys(detectron2_names(cascade=False)))) == sorted(ours)


def test_the_one_mask_head_of_a_cascade_of_detectron2_becomes_that_of_each_stage():
    named = as_openmmlab(dict.fromkeys(detectron2_names(cascade=True)))
    for stage in '012':
        assert f'roi_head.bbox_head.{stage}.shared_fcs.1.weight' in named
        assert f'roi_head.bbox_head.{stage}.fc_cls.bias' in named
        assert f'roi_head.mask_head.{stage}.convs.3.conv.weight' in named
    assert not [key for key in named if key.startswith('roi_heads.')]


@pytest.mark.parametrize(
    ('config', 'stages'),
    [('mask_rcnn_vitdet_base_coco', ['']), ('cascade_mask_rcnn_vitdet_base_coco', ['0.', '1.', '2.'])],
)
def test_a_vitdet_of_detectron2_gets_the_names_of_ours(config, stages):
    with on_meta():
        model = build_model(load_config(config, {'backbone': {'pretrained': None}}))
    net = [f'backbone.net.blocks.0.{name}' for name in ('norm1.weight', 'mlp.fc1.bias')]
    pyramid = [f'backbone.{name.removeprefix("neck.")}' for name in model.state_dict() if name.startswith('neck.')]
    layers = [
        f'proposal_generator.rpn_head.{name}'
        for name in ('conv.conv0', 'conv.conv1', 'objectness_logits', 'anchor_deltas')
    ]
    layers += [
        f'roi_heads.box_{part}'
        for s in stages
        for part in (f'head.{s}fc1', f'predictor.{s}cls_score', f'predictor.{s}bbox_pred')
    ]
    layers += ['roi_heads.mask_head.deconv', 'roi_heads.mask_head.predictor']
    normed = [f'roi_heads.box_head.{stage}conv{i}' for stage in stages for i in (1, 2, 3, 4)]
    normed += [f'roi_heads.mask_head.mask_fcn{i}' for i in (1, 2, 3, 4)]
    theirs = [f'{layer}.{kind}' for layer in layers for kind in ('weight', 'bias')]
    theirs += [f'{layer}.{kind}' for layer in normed for kind in ('weight', 'norm.weight', 'norm.bias')]
    named = as_openmmlab(dict.fromkeys([*net, *pyramid, *theirs]))
    heads = {key for key in named if not key.startswith('backbone.')}
    assert heads == {key for key in model.state_dict() if not key.startswith('backbone.')}
    loaded = as_loaded(model, {key: torch.empty(1, device='meta') for key in named})
    assert {
        'backbone.blocks.0.norm1.weight',
        'backbone.blocks.0.mlp.fc1.bias',
    } <= loaded.keys() & model.state_dict().keys()


def test_the_pyramid_and_the_norms_of_a_vitdet_of_mmdetection_get_the_names_of_ours():
    neck = SimpleFeaturePyramid(in_channels=(8,), in_strides=(16,), out_channels=4, out_strides=(4, 8, 16, 32, 64))
    theirs = [f'fpn{i}.{part}.{kind}' for i, part in ((1, 0), (1, 1), (1, 3), (2, 0)) for kind in ('weight', 'bias')]
    theirs += [
        f'{conv}_convs.{i}.{part}'
        for conv in ('lateral', 'fpn')
        for i in range(4)
        for part in ('conv.weight', 'norm_layer.weight', 'norm_layer.bias')
    ]
    assert neck.own_names(dict.fromkeys(theirs)).keys() == neck.state_dict().keys()
    heads = {'roi_head.bbox_head.shared_convs.0.norm_layer.weight', 'roi_head.mask_head.convs.0.norm_layer.weight'}
    assert as_openmmlab(dict.fromkeys(heads)).keys() == {key.replace('norm_layer', 'ln') for key in heads}


def test_a_whole_segformer_of_transformers_gets_the_names_of_ours():
    names = ['segformer.encoder.patch_embeddings.0.proj.weight', 'decode_head.linear_c.0.proj.weight']
    assert list(as_openmmlab(dict.fromkeys(names))) == [f'backbone.{names[0]}', names[1]]


def detectron2_retinanet() -> dict[str, torch.Tensor]:
    """Tensors of its pyramid and head for 2 classes, after the names of layers that its repository defines."""
    anchors, classes, width = 9, 2, 4
    layers = {f'backbone.fpn_{kind}{level}': width for kind in ('lateral', 'output') for level in (3, 4, 5)}
    layers |= {f'backbone.top_block.p{level}': width for level in (6, 7)}
    layers |= {f'head.{kind}_subnet.{2 * i}': width for kind in ('cls', 'bbox') for i in range(4)}
    layers |= {'head.cls_score': anchors * classes, 'head.bbox_pred': anchors * 4}
    tensors = {'backbone.bottom_up.stem.conv1.weight': torch.zeros(1)}
    for name, outputs in layers.items():
        tensors |= {f'{name}.weight': torch.rand(outputs, width, 3, 3), f'{name}.bias': torch.arange(float(outputs))}
    return tensors


def test_a_retinanet_of_detectron2_gets_the_names_of_ours():
    with on_meta():
        model = build_model(load_config('retinanet_agent_pvt_1x_coco'))
    ours = [key for key in model.state_dict() if not key.startswith('backbone.')]
    named = as_openmmlab(detectron2_retinanet())
    assert sorted(key for key in named if not key.startswith('backbone.')) == sorted(ours)


def test_the_outputs_of_detectron2s_anchors_are_those_of_the_same_anchors():
    ratios = [0.5, 1.0, 2.0]
    theirs = []  # a box of area size**2 and height / width = ratio, size by size
    for size in (32 * 2 ** (i / 3) for i in range(3)):
        for ratio in ratios:
            width = math.sqrt(size**2 / ratio)
            theirs.append((-width / 2, -ratio * width / 2, width / 2, ratio * width / 2))
    generator = AnchorGenerator(octave_base_scale=4, scales_per_octave=3, ratios=ratios, strides=[8])
    named = as_openmmlab(detectron2_retinanet())
    for key, outputs in (('bbox_head.retina_cls.bias', 2), ('bbox_head.retina_reg.bias', 4)):
        order = (named[key].view(9, outputs)[:, 0] / outputs).long()
        torch.testing.assert_close(torch.tensor(theirs)[order], generator.base_anchors[0], rtol=1e-5, atol=1e-4)


def test_a_retinanet_of_other_anchors_is_refused():
    with pytest.raises(ValueError, match='3 x 3 anchors'):
        as_openmmlab({'backbone.bottom_up.a': torch.zeros(1), 'head.cls_score.bias': torch.zeros(4)})


def test_a_resnet_of_detectron2_gets_the_names_of_mmdetections():
    with on_meta():
        ours = MODELS.build({'type': 'mmdet.ResNet', 'depth': 50}).state_dict()
    theirs = ['stem.conv1.weight', *(f'stem.conv1.norm.{part}' for part in NORM)]
    for stage, depth in enumerate((3, 4, 6, 3), 2):
        for block in range(depth):
            layers = ['conv1', 'conv2', 'conv3', *(['shortcut'] if block == 0 else [])]
            for layer in (f'res{stage}.{block}.{layer}' for layer in layers):
                theirs += [f'{layer}.weight', *(f'{layer}.norm.{part}' for part in NORM)]
    named = as_openmmlab(dict.fromkeys(f'backbone.bottom_up.{key}' for key in theirs))
    assert {key.removeprefix('backbone.') for key in named} == {
        k for k in ours if not k.endswith('num_batches_tracked')
    }


def test_merged_pixels_are_ordered_as_the_authors_order_them():
    patch = torch.arange(2 * 2 * 3).view(2, 2, 3)  # row, column, channel
    unfolded = torch.nn.functional.unfold(patch.permute(2, 0, 1)[None].float(), 2)[0, :, 0]
    authors = torch.cat([patch[0, 0], patch[1, 0], patch[0, 1], patch[1, 1]]).float()
    assert pixels_first(unfolded).equal(authors)


def test_queries_keys_and_values_become_one_layer_in_that_order():
    parts = {
        f'encoder.layers.0.blocks.0.attention.self.{name}.weight': torch.full((2, 2), i)
        for i, name in enumerate(('query', 'key', 'value'))
    }
    joined = as_authors('Swin', {'embeddings.norm.weight': torch.ones(2), **parts})
    assert joined['layers.0.blocks.0.attn.qkv.weight'][:, 0].tolist() == [0, 0, 1, 1, 2, 2]


def test_the_neck_of_a_beit_comes_out_of_its_authors_backbone_and_has_our_names_from_mmsegmentation():
    neck = DeconvPyramid(in_channels=(8,) * 4, in_strides=(16,) * 4, out_strides=(4, 8, 16, 32))
    ours = {f'neck.{name}' for name in neck.state_dict()}
    authors = {f'backbone.{name}': None for name in neck.state_dict()} | {'backbone.blocks.0.attn.q_bias': None}
    mmseg = {name.replace('fpn1.', 'upsample_4x.').replace('fpn2.', 'upsample_2x.') for name in ours}
    assert as_openmmlab(authors).keys() - ours == {'backbone.blocks.0.attn.q_bias'}
    assert as_openmmlab(dict.fromkeys(mmseg)).keys() == ours


def test_offsets_of_a_beit_of_transformers_have_their_authors_names_from_files_and_from_memory():
    table = 'relative_position_bias_table'
    names = {
        f'encoder.layer.1.attention.attention.relative_position_bias.{table}': f'blocks.1.attn.{table}',
        f'layers.1.relative_position_bias.{table}': f'blocks.1.attn.{table}',
        f'encoder.relative_position_bias.{table}': f'rel_pos_bias.{table}',
        f'shared_position_bias.{table}': f'rel_pos_bias.{table}',
    }
    for theirs, authors in names.items():
        assert as_authors('ViT', {'embeddings.cls_token': None, theirs: None}).keys() == {'cls_token', authors}


def test_what_hiera_is_pre_trained_with_is_left_out():
    heads = {'decoder.decoder_norm.weight': None, 'multiscale_fusion.multi_scale_fusion_heads.0.weight': None}
    assert as_authors('Hiera', {'hiera.embeddings.position_embeddings': None, **heads}).keys() == {'pos_embed'}


def test_a_vision_transformer_of_flax_has_its_kernels_turned_and_its_heads_joined():
    network = backbones.ViT(arch=dict(width=12, blocks=1, heads=3), image_size=32, norm_outputs=True)
    own = {name: torch.randn_like(value) for name, value in network.state_dict().items()}
    block, flax = 'Transformer/encoderblock_0', {'head/kernel': torch.zeros(12, 5), 'cls': own['patch_embed.cls_token']}
    flax['embedding/kernel'] = own['patch_embed.patches.proj.weight'].permute(2, 3, 1, 0)
    flax['embedding/bias'] = own['patch_embed.patches.proj.bias']
    flax['Transformer/posembed_input/pos_embedding'] = own['patch_embed.positions.table']
    attention = f'{block}/MultiHeadDotProductAttention_1'
    for i, name in enumerate(('query', 'key', 'value')):
        flax[f'{attention}/{name}/kernel'] = own['blocks.0.attn.qkv.weight'].chunk(3)[i].T.unflatten(1, (3, 4))
        flax[f'{attention}/{name}/bias'] = own['blocks.0.attn.qkv.bias'].chunk(3)[i].unflatten(0, (3, 4))
    flax[f'{attention}/out/kernel'] = own['blocks.0.attn.proj.weight'].T.unflatten(0, (3, 4))
    flax[f'{attention}/out/bias'] = own['blocks.0.attn.proj.bias']
    for i, name in enumerate(('fc1', 'fc2')):
        flax[f'{block}/MlpBlock_3/Dense_{i}/kernel'] = own[f'blocks.0.mlp.{name}.weight'].T
        flax[f'{block}/MlpBlock_3/Dense_{i}/bias'] = own[f'blocks.0.mlp.{name}.bias']
    norms = {f'{block}/LayerNorm_0': 'blocks.0.norm1', f'{block}/LayerNorm_2': 'blocks.0.norm2'}
    for theirs, ours in {**norms, 'Transformer/encoder_norm': 'norm'}.items():
        flax |= {f'{theirs}/scale': own[f'{ours}.weight'], f'{theirs}/bias': own[f'{ours}.bias']}
    network.load_state_dict(flax)
    assert all(torch.equal(value, own[name]) for name, value in network.state_dict().items())

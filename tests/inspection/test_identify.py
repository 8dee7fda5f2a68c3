"""A checkpoint says which network, head and layout it is, what its training left in it, and which config fits."""

import json
import pickle
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest
import torch

from denseformer.backbones import Swin
from denseformer.checkpoints import CheckpointError, read_checkpoint
from denseformer.checkpoints.keys import rename
from denseformer.checkpoints.onnx_file import read_onnx
from denseformer.checkpoints.signatures import head_of, resemblances, table, training_state
from denseformer.checkpoints.stored_shapes import expanded, folded, stored_networks
from denseformer.config.loading import load_config
from denseformer.config.shipped import config_names
from denseformer.inference.predictor import build_model
from denseformer.inspection.choices import config_of
from denseformer.inspection.fits import shapes_of, trials
from denseformer.inspection.identify import identify, identify_weights, weights_like
from denseformer.network import SkipInit, on_meta, without_weights
from denseformer.registry import MODELS
from denseformer.restoration import from_checkpoint
from denseformer.restoration.networks import CFSR

CONFIGS = table()['configs']
REFERENCES = Path(__file__).parents[1] / 'references'


def kind(name):
    return CONFIGS[name]['network']['type']


FIRST_OF_EACH = [next(iter(names)) for _, names in groupby(sorted(CONFIGS, key=kind), key=kind)]
HEADS = [
    *('upernet_swin_ade20k', 'semantic_fpn_van_ade20k', 'retinanet_dinat_nano_bccd', 'mask_rcnn_swin_1x_coco'),
    *('cascade_mask_rcnn_swin_1x_coco', 'mask2former_swin_panoptic_coco', 'mask2former_swin_semantic_ade20k'),
    *('mask2former_swin_instance_cityscapes', 'swinir_x2_df2k', 'essaformer_x4_chikusei'),
    *('deformable_detr_swin_coco', 'rtmdet_ins_convnext_coco'),
]
SYSTEMS = [  # with heads that they alone have
    *(
        'bevanet_small_sample',
        'kmax_dinat_nano_sample',
        'linear_dinov2_small_camvid',
        'fashionformer_dinat_nano_sample',
    ),
    *('mamba_yolo_sample', 'git_sample', 'isomer_mit_b0_davis', 'facexformer_dinat_nano_sample'),
]


def model_weights(name):
    """Tensors like those of a shipped config's model."""
    with on_meta():
        model = build_model(load_config(name))
    return weights_like({key: tuple(value.shape) for key, value in model.state_dict().items()})


@pytest.mark.no_cover
@pytest.mark.parametrize('name', FIRST_OF_EACH)
def test_a_network_is_identified_as_the_one_that_its_config_builds(name):
    settings = CONFIGS[name]['network']
    found = identify_weights(weights_like({f'backbone.{key}': shape for key, shape in shapes_of(settings).items()}))
    types = found.open.get('type', [found.settings['type']])
    assert settings['type'] in types
    for option, value in settings.items():
        if option not in ('type', 'layer_scale'):
            assert value in found.open.get(option, [found.settings.get(option)])
    assert (found.missing, found.other, found.unknown) == ((), (), ())


@pytest.mark.parametrize('name', HEADS)
def test_a_whole_model_is_identified_as_its_config(name):
    found = identify_weights(model_weights(name))
    assert name in found.configs
    described = {(CONFIGS[one].get('head'), CONFIGS[one].get('classes')) for one in found.configs}
    assert described == {(CONFIGS[name].get('head'), CONFIGS[name].get('classes'))}


@pytest.mark.parametrize('name', SYSTEMS)
def test_a_system_with_a_head_of_its_own_is_identified_as_its_config(name):
    found = identify_weights(model_weights(name))
    assert name in found.configs
    assert {CONFIGS[one]['network']['type'] for one in found.configs} == {kind(name)}


def test_facexformers_own_file_tells_its_backbone_and_classes():
    swin = shapes_of({'type': 'denseformer.UNetSwin', 'arch': 'base'})
    rules = [  # from our names to torchvision's
        (r'^swin\.patch_embed\.proj\.', 'backbone.0.0.0.'),
        (r'^swin\.patch_embed\.norm\.', 'backbone.0.0.2.'),
        (r'^swin\.stages\.(\d)\.blocks\.', lambda match: f'backbone.0.{2 * int(match[1]) + 1}.'),
        (r'^swin\.stages\.(\d)\.downsample\.', lambda match: f'backbone.0.{2 * int(match[1])}.'),
        (r'\.mlp\.fc1\.', '.mlp.0.'),
        (r'\.mlp\.fc2\.', '.mlp.3.'),
        (r'\.bias\.table$', '.relative_position_bias_table'),
    ]
    decoder = json.loads((REFERENCES / 'facexformer' / 'decoder.json').read_text())['shapes']
    found = identify_weights(weights_like(rename(swin, *rules) | {'backbone.1.weight': (1024,)} | decoder))
    assert found.settings == {'type': 'denseformer.UNetSwin', 'arch': 'base'}
    assert (found.head.name, found.head.classes, found.unknown) == ('FaceXFormer', 11, ())
    assert 'facexformer_swin_base_celebamaskhq' in found.configs


def test_a_backbone_alone_is_of_no_config():
    found = identify_weights(weights_like(shapes_of({'type': 'denseformer.ViT', 'arch': 'base'})))
    assert found.configs == ()
    assert 'the file holds a network alone' in str(found)


LAYOUTS = [
    network
    for path in sorted((REFERENCES / 'layouts').glob('*.json'))
    for network in json.loads(path.read_text())['networks']
    if isinstance(network['arch'], str)
]


def test_the_names_of_another_package_resemble_its_network_most():
    for theirs in LAYOUTS:
        found = resemblances(theirs['shapes'])
        best = [(one.network, one.layout) for one in found if one.share == found[0].share]
        assert (f'denseformer.{theirs["network"]}', theirs['layout']) in best


@pytest.mark.parametrize('theirs', LAYOUTS[::4], ids=lambda theirs: f'{theirs["layout"]}-{theirs["network"]}')
def test_a_network_in_the_names_of_another_package_is_identified(theirs):
    found = identify_weights(weights_like(theirs['shapes']))
    assert f'denseformer.{theirs["network"]}' in found.open.get('type', [found.settings['type']])
    assert theirs['arch'] in found.open.get('arch', [found.settings.get('arch')])
    assert found.layout == theirs['layout']


@pytest.mark.parametrize(
    ('path', 'name', 'arch'), [('stvit/small', 'STViT', 'small'), ('vitamin/vitamin_s_64', 'ViTamin', 'small')]
)
def test_variants_that_cannot_take_the_tables_of_a_file_are_passed_over(path, name, arch):
    shapes = json.loads((REFERENCES / f'{path}.json').read_text())['shapes']
    found = identify_weights(weights_like(shapes))
    assert (found.settings['type'], found.settings['arch']) == (f'denseformer.{name}', arch)


def test_a_whole_mask2former_of_transformers_is_identified():
    (theirs,) = json.loads((REFERENCES / 'mask2former' / 'transformers.json').read_text())['networks']
    found = identify_weights({key: torch.empty(shape, device='meta') for key, shape in theirs['shapes'].items()})
    assert found.settings == {'type': 'denseformer.Swin', 'arch': 'tiny'}
    assert (found.head.name, found.head.classes, found.head.queries) == ('Mask2Former', 2, 100)


def test_every_shipped_config_is_in_the_table():
    assert sorted(CONFIGS) == config_names()


def test_dilations_are_named_as_open_with_the_values_that_ship():
    settings = {'type': 'denseformer.DiNAT', 'arch': 'tiny', 'dilations': 'coco'}
    found = identify_weights(without_weights(settings).state_dict())
    assert {'coco', 'ade20k'} <= set(found.open['dilations'])
    assert 'dilations' not in found.settings
    assert 'which no tensor tells' in str(found)


def test_a_window_of_the_tables_is_read_from_them():
    own = without_weights({'type': 'denseformer.Swin', 'arch': 'tiny', 'window_size': 9}).state_dict()
    found = identify_weights(weights_like({key: tuple(value.shape) for key, value in own.items()}))
    assert found.settings == {'type': 'denseformer.Swin', 'arch': 'tiny', 'window_size': 9}


def test_input_channels_are_read_from_the_first_convolution():
    found = identify_weights(
        without_weights({'type': 'denseformer.Swin', 'arch': 'tiny', 'in_channels': 6}).state_dict()
    )
    assert found.in_channels == 6


def foreign_weights():
    """CFSR's names with another large-kernel branch."""
    weights = CFSR(arch='base', scale=2).state_dict()
    return {key.replace('.dwconv.', '.lska.0.'): value for key, value in weights.items()}


def test_a_foreign_network_whose_names_resemble_a_known_one_is_named_foreign(tmp_path):
    torch.save(foreign_weights(), tmp_path / 'other.pth')
    found = identify(tmp_path / 'other.pth')
    assert found.settings is None
    assert 'none that is known here; the nearest is CFSR' in str(found)
    with pytest.raises(ValueError, match='no known restoration network'):
        from_checkpoint(tmp_path / 'other.pth')


def test_the_command_imports_no_model_package_and_no_compiler(tmp_path):
    torch.save(CFSR(arch='base', scale=2).state_dict(), tmp_path / 'cfsr.pth')
    resnet = shapes_of({'type': 'mmdet.ResNet', 'depth': 50, 'in_channels': 4})
    torch.save(
        {'state_dict': {f'backbone.{key}': torch.zeros(()).expand(resnet[key]) for key in resnet}}, tmp_path / 'r50'
    )
    heavy = ('mmengine.model', 'mmcv', 'mmdet', 'mmseg', 'torch._dynamo')
    drawn = ['ConViT', 'DINOv3Adapter', 'MobileMamba', 'SGFormer', 'VSSD', 'ViTAdapter']  # by arithmetic
    code = (
        'import sys; from denseformer.cli import main; from denseformer.network import without_weights\n'
        f"for name in ('cfsr.pth', 'r50'): main(['identify', {str(tmp_path)!r} + '/' + name])\n"
        'from denseformer.inspection.fits import trials\n'
        f'for name in {drawn}: without_weights(trials("denseformer." + name)[-1])\n'
        f'print([name for name in {heavy} if name in sys.modules])'
    )
    said = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert "CFSR(arch='base', scale=2" in said
    assert 'mmdet.ResNet or mmseg.ResNet or KMaXResNet(depth=50, in_channels=4)' in said
    assert said.splitlines()[-1] == '[]'


def test_stored_shapes_are_those_of_the_networks():
    of_configs = [CONFIGS[name]['network'] for name in FIRST_OF_EACH]
    usual = [
        {'type': 'mmdet.CSPNeXt', 'deepen_factor': 0.33, 'widen_factor': 0.5},
        {'type': 'mmseg.ResNet', 'depth': 18},
    ]
    for settings in [*usual, *(one for one in of_configs if one['type'] in stored_networks())]:
        with SkipInit():
            built = {key: tuple(value.shape) for key, value in MODELS.build({**settings}).state_dict().items()}
        assert shapes_of(settings) == built
        assert expanded(folded(built)) == built


def test_stored_variants_are_those_that_configs_build():
    for name in CONFIGS:
        assert kind(name) not in stored_networks() or CONFIGS[name]['network'] in trials(kind(name))


def test_a_network_of_openmmlab_is_identified_with_its_open_options():
    found = identify_weights(weights_like(shapes_of({'type': 'mmseg.ResNetV1c', 'depth': 101})))
    assert found.settings == {'type': 'mmseg.ResNetV1c', 'depth': 101}
    assert found.open['dilations'] == [[1, 1, 1, 1], [1, 1, 2, 4]]


def test_a_plain_hrnet_is_identified_by_its_width():
    shapes = shapes_of({'type': 'denseformer.HRNet', 'width': 32})
    found = identify_weights(weights_like({f'backbone.{key}': shape for key, shape in shapes.items()}))
    assert (found.settings, found.layout) == ({'type': 'denseformer.HRNet', 'width': 32}, 'OpenMMLab')


def test_a_saved_folder_tells_a_network_of_its_own_arch(tmp_path):
    arch = {'width': 12, 'depths': [1, 1, 1, 1], 'heads': [1, 1, 2, 2]}
    Swin(arch=arch, window_size=5, pretrained=None).save_pretrained(tmp_path)
    found = identify(tmp_path)
    assert found.settings == {'type': 'denseformer.Swin', 'arch': arch, 'window_size': 5}
    assert (found.open, found.unknown, found.missing) == ({}, (), ())
    (tmp_path / 'config.py').write_text(f"backbone = dict(type='denseformer.Swin', arch={arch | {'width': 16}})")
    assert identify(tmp_path).settings is None  # what the weights tell counts


def test_input_channels_are_left_to_networks_that_have_the_option():
    settings = {'type': 'mmdet.CSPDarknet', 'deepen_factor': 1, 'widen_factor': 1}
    first, (outputs, channels, *kernel) = next((key, shape) for key, shape in shapes_of(settings).items() if shape[2:])
    assert channels == 12  # its stem reads four pixels of three channels at a time
    found = identify_weights(weights_like({**shapes_of(settings), first: (outputs, 24, *kernel)}))
    assert (found.in_channels, found.other) == (3, (first,))


def test_the_content_of_a_file_decides_how_it_is_read(tmp_path):
    torch.save({'a.weight': torch.ones(2)}, tmp_path / 'archive.pkl')
    assert read_checkpoint(tmp_path / 'archive.pkl')['a.weight'].tolist() == [1, 1]
    (tmp_path / 'data.pkl').write_bytes(pickle.dumps({'a': 1}))
    assert read_checkpoint(tmp_path / 'data.pkl') == {'a': 1}


def test_the_training_state_of_a_run_is_told():
    meta = {'epoch': 3, 'iter': 700, 'mmengine_version': '0.10', 'dataset_meta': {'classes': ('cell', 'dust')}}
    state = training_state({'state_dict': {}, 'optimizer': {}, 'param_schedulers': [], 'meta': meta}, [])
    assert state['holds'] == ['optimizer', 'schedulers', 'meta data']
    assert (state['epoch'], state['iter'], state['classes']) == (3, 700, ['cell', 'dust'])


def test_low_rank_updates_are_told_and_refused_without_the_weights_that_they_change(tmp_path):
    weights = CFSR(arch='base', scale=2).state_dict()
    factors = {'groups.0.q.lora_down': torch.ones(2, 8), 'base_model.v.lora_B.weight': torch.ones(8, 2)}
    torch.save(weights | factors, tmp_path / 'whole.pth')
    assert 'low-rank updates (LoRA)' in str(identify(tmp_path / 'whole.pth'))
    torch.save(factors, tmp_path / 'adapter.pth')
    with pytest.raises(CheckpointError, match=r'adapter\.pth: low-rank updates \(LoRA\) alone'):
        identify(tmp_path / 'adapter.pth')


@pytest.mark.parametrize(
    ('shapes', 'name', 'classes'),
    [
        ({'decode_head.psp_modules.0.1.conv.weight': (8, 8), 'decode_head.conv_seg.weight': (19, 8)}, 'UPerNet', 19),
        ({'bbox_head.retina_cls.weight': (720, 8), 'bbox_head.retina_reg.weight': (36, 8)}, 'RetinaNet', 80),
        ({'roi_head.bbox_head.0.fc_cls.weight': (81, 8), 'roi_head.mask_head.0.w': (1,)}, 'Cascade Mask R-CNN', 80),
        ({'roi_head.bbox_head.fc_cls.weight': (21, 8)}, 'Faster R-CNN', 20),
        ({'face_decoder.mask_tokens.weight': (11, 8)}, 'FaceXFormer', 11),
        ({'decode_head.class_tokens': (8, 8), 'decode_head.fuse.weight': (8,)}, 'FaceXFormer', 8),
        ({'bbox_head.multi_level_conv_cls.0.weight': (80, 8, 1, 1)}, 'YOLOX', 80),
        (
            {'roi_head.bbox_head.0.inst_interactive_conv.x': (1,), 'roi_head.bbox_head.0.fc_cls.weight': (80, 8)},
            'Sparse R-CNN',
            80,
        ),
        ({'roi_head.bbox_head.0.fc_cls.weight': (81, 8), 'roi_head.semantic_head.x': (1,)}, 'HTC', 80),
        ({'roi_heads.box_predictor.cls_score.weight': (81, 8), 'roi_heads.mask_head.w': (1,)}, 'Mask R-CNN', 80),
        ({'sem_seg_head.predictor.class_embed.weight': (151, 8)}, 'Mask2Former', 150),
    ],
)
def test_heads_of_other_packages_are_known_by_their_names(shapes, name, classes):
    head = head_of({key: torch.empty(shape) for key, shape in shapes.items()})
    assert (head.name, head.classes) == (name, classes)


def field(number, value):
    """One field of a protocol buffer, shorter than 128 bytes or a small number."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def test_weights_and_maps_of_an_onnx_file_are_read_without_its_package(tmp_path):
    sides = field(1, field(1, 1)) + field(1, field(2, b'H'))
    info = field(1, b'image') + field(2, field(1, field(1, 1) + field(2, sides)))
    weight = field(1, 4) + field(1, 3) + field(2, 1) + field(8, b'conv.weight')
    graph = field(1, field(4, b'Conv')) + field(5, weight) + field(11, info)
    (tmp_path / 'a.onnx').write_bytes(field(2, b'me') + field(7, graph))
    found = read_onnx(tmp_path / 'a.onnx')
    assert found.shapes == {'conv.weight': (4, 3)}
    assert found.inputs == {'image': (1, 'H')}
    assert (found.producer, found.operators) == ('me', {'Conv': 1})
    assert '(1, H)' in str(identify(tmp_path / 'a.onnx'))
    assert not found.quantized
    (tmp_path / 'int8.onnx').write_bytes(
        field(2, b'me') + field(7, field(1, field(4, b'QLinearConv')) + field(5, weight))
    )
    assert 'written by me, quantized' in str(identify(tmp_path / 'int8.onnx'))


def test_a_truncated_onnx_file_is_refused_by_name(tmp_path):
    (tmp_path / 'a.onnx').write_bytes(field(7, b'graph')[:-2])
    with pytest.raises(CheckpointError, match=r'a\.onnx: not a complete ONNX model'):
        identify(tmp_path / 'a.onnx')


def test_nothing_open_finds_the_config_and_something_open_asks_for_it():
    swin = identify_weights(model_weights('upernet_swin_ade20k'))
    assert config_of(swin, {}).model.decode_head.num_classes == 150
    dinat = identify_weights(model_weights('upernet_dinat_ade20k'))
    with pytest.raises(ValueError, match=r'no tensor tells .*dilations.*upernet_dinat_ade20k'):
        config_of(dinat, {})


@pytest.mark.parametrize('name', ['upernet_vit_adapter_beit_large_ade20k', 'htc_vit_adapter_beitv2_large_coco'])
def test_the_map_that_an_adapter_adds_follows_from_the_head(name):
    settings = CONFIGS[name]['network']
    bare = identify_weights(weights_like({f'backbone.{key}': shape for key, shape in shapes_of(settings).items()}))
    assert bare.open['last_map'] == [False, True]
    whole = identify_weights(model_weights(name))
    assert name in whole.configs
    assert 'last_map' not in whole.open

"""The scope `denseformer`: cheap to import, found lazily, usable from configs of other scopes."""

import subprocess
import sys

import torch
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope

from denseformer.registry import MODELS


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_the_package_imports_no_head_package():
    code = "import sys, denseformer; print([m for m in ('mmseg', 'mmdet', 'mmcv', 'cv2') if m in sys.modules])"
    assert run(code).strip() == '[]'


def test_a_network_needs_no_head_package():
    code = (
        'import sys; from denseformer.registry import MODELS\n'
        "MODELS.build(dict(type='denseformer.DiNAT', arch='mini'))\n"
        "print([m for m in ('mmseg', 'mmdet', 'mmcv') if m in sys.modules])"
    )
    assert run(code).strip() == '[]'


def test_a_component_is_found_by_its_prefix_from_another_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        network = ROOT_MODELS.build(dict(type='denseformer.Swin', arch='tiny'))
    assert network.out_channels == (96, 192, 384, 768)


def test_a_plain_mmsegmentation_config_takes_our_backbone(tmp_path):
    """As a user of mmsegmentation would write it, without any of our bases and without our loader."""
    (tmp_path / 'config.py').write_text("""
custom_imports = dict(imports='denseformer')
default_scope = 'mmseg'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    backbone=dict(type='denseformer.NAT', arch='mini'),
    decode_head=dict(
        type='FCNHead', in_channels=512, in_index=3, channels=16, num_classes=4, norm_cfg=norm_cfg, num_convs=1))
""")
    code = (
        'from mmengine.config import Config\nfrom mmengine.registry import init_default_scope\n'
        f"config = Config.fromfile(r'{tmp_path / 'config.py'}')\n"
        'import torch, mmseg.models\nfrom mmseg.registry import MODELS\n'
        "init_default_scope('mmseg')\nmodel = MODELS.build(config.model).eval()\n"
        'print(tuple(model(torch.zeros(1, 3, 64, 96)).shape))'
    )
    assert run(code).splitlines()[-1] == '(1, 4, 2, 3)'


def test_building_by_name_does_not_depend_on_the_default_scope():
    for scope in ('mmengine', 'mmseg', 'denseformer'):
        with DefaultScope.overwrite_default_scope(scope), torch.device('meta'):
            assert MODELS.build(dict(type='denseformer.VAN', arch='b0')).out_channels == (32, 64, 160, 256)

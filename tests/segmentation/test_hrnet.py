"""HRNet with polarized self-attention in its blocks, before the head that its authors use."""

import pytest
import torch
from learning import learn
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from denseformer.registry import MODELS

PLUGIN = dict(type='denseformer.PolarizedSelfAttention', mode='sequential')
MAPS = dict(
    in_channels=[8, 16, 32, 64],
    in_index=[0, 1, 2, 3],
    input_transform='resize_concat',
    num_classes=2,
    dropout_ratio=0.0,
    norm_cfg=dict(type='BN'),
)


@pytest.fixture(scope='module')
def plain() -> torch.nn.Module:
    return MODELS.build(dict(type='denseformer.HRNet', width=8))


@pytest.fixture(scope='module')
def network() -> torch.nn.Module:
    return MODELS.build(dict(type='denseformer.HRNet', width=8, plugin=PLUGIN))


def test_takes_weights_without_a_plugin_and_the_names_of_the_authors(plain, network):
    official = plain.state_dict()
    left = network.load_state_dict(dict(official), strict=False)
    assert not left.unexpected_keys
    assert {key.split('.conv2.0.')[0] + '.conv2.0' for key in left.missing_keys} == {
        name for name, module in network.named_modules() if type(module).__name__ == 'PolarizedSelfAttention'
    }
    block = 'stage3.2.branches.1.3.'
    assert torch.equal(network.get_submodule(block + 'conv2')[1].weight, official[block + 'conv2.weight'])
    value = torch.randn(1, 16, 1, 1)
    network.load_state_dict({block + 'deattn.conv_q_right.weight': value}, strict=False)
    assert torch.equal(network.get_submodule(block + 'conv2')[0].channel.query.weight, value)
    assert not any(network.load_state_dict(network.state_dict()))


def test_learns_with_the_head_of_object_contexts(network):
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(
        ConfigDict(
            type='CascadeEncoderDecoder',
            num_stages=2,
            data_preprocessor=dict(type='SegDataPreProcessor'),
            backbone=dict(type='denseformer.HRNet', width=8, plugin=PLUGIN),
            decode_head=[
                dict(MAPS, type='FCNHead', channels=16, kernel_size=1, num_convs=1, concat_input=False),
                dict(MAPS, type='OCRHead', channels=16, ocr_channels=8),
            ],
            test_cfg=dict(mode='whole'),
        )
    )
    labels = torch.zeros(1, 64, 64, dtype=torch.long)
    labels[:, 16:48, 16:48] = 1
    images = 2.0 * labels.expand(2, 3, 64, 64) - 1
    samples = [SegDataSample(gt_sem_seg=PixelData(data=labels)) for _ in range(2)]
    totals = learn(model, dict(inputs=images, data_samples=samples), steps=16, rate=3e-3)
    assert min(totals[-2:]) < 0.8 * totals[0]
    wanted = SegDataSample(metainfo=dict(img_shape=(70, 90), ori_shape=(70, 90)))
    with torch.no_grad():
        (found,) = model.eval()(torch.randn(1, 3, 70, 90), [wanted], mode='predict')
    assert found.pred_sem_seg.data.shape == (1, 70, 90)

"""The values of optimizers, warm-up and starting weights that the authors of each family train with.

Each line states what the source has; `source` is the repository and file in which it was read.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from denseformer.config.loading import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'


class Recipe(NamedTuple):
    config: str
    expected: dict
    source: str


def decay(rate: float, by: str, layers: int, **more) -> dict:
    return {'layer_decay': rate, 'decay_by': by, 'layers': layers, 'vector_decay': False, **more}


EXCEPT_VECTORS = {'vector_decay': False, 'decay_everything': True}
PARAMWISE = [
    Recipe('upernet_convnext_ade20k', decay(0.9, 'stage', 6), 'ConvNeXt: upernet_convnext_tiny_512_160k_ade20k_ss.py'),
    Recipe('upernet_convnext_small_ade20k', decay(0.9, 'stage', 12), 'ConvNeXt: upernet_convnext_small_512_...'),
    Recipe('upernet_convnext_xlarge_ade20k', decay(0.9, 'stage', 12), 'ConvNeXt: upernet_convnext_xlarge_640_...'),
    Recipe('cascade_mask_rcnn_convnext_coco', decay(0.7, 'group', 6), 'ConvNeXt: cascade_..._tiny_..._in1k.py'),
    Recipe('cascade_mask_rcnn_convnext_base_coco', decay(0.8, 'group', 12), 'ConvNeXt: cascade_..._base_..._in1k.py'),
    Recipe('mask_rcnn_convnext_coco', decay(0.95, 'group', 6), 'ConvNeXt: mask_rcnn_convnext_tiny_..._in1k.py'),
    Recipe('upernet_hornet_ade20k', decay(0.9, 'stage', 6), 'HorNet: upernet_hornet_tiny_7x7_512_160k_ade20k.py'),
    Recipe('upernet_hornet_large_ade20k', decay(0.8, 'stage', 12), 'HorNet: upernet_hornet_large_7x7_640_...'),
    Recipe(
        'cascade_mask_rcnn_hornet_base_coco',
        decay(0.8, 'group', 12, blocks_per_layer=2),
        'HorNet: cascade_mask_rcnn_hornet_base_7x7_3x_coco_in1k.py',
    ),
    Recipe('upernet_fcaformer_ade20k', decay(0.9, 'stage', 6), 'FcaFormer: upernet_fcaformer_l2_160k_ade20k_ms.py'),
    Recipe('mask_rcnn_fcaformer_coco', decay(0.95, 'group', 6), 'FcaFormer: mask_rcnn_fcaformer_l2_set1_..._in1k.py'),
    Recipe('upernet_ffnet_3_ade20k', decay(0.9, 'group', 12), 'FFNet: upernet_ffnet_3_512_160k_ade20k.py'),
    Recipe('cascade_mask_rcnn_ffnet_coco', decay(0.8, 'group', 12), 'FFNet: casc_mask_rcnn_ffnet_2_fpn_3x_coco.py'),
    Recipe('mask2former_transnext_semantic_ade20k', {'vector_decay': False}, 'TransNeXt: mask2former_transnext_...'),
    Recipe('upernet_vit_adapter_beit_large_ade20k', EXCEPT_VECTORS | {'layer_decay': 0.9}, 'ViT-Adapter: upernet_...'),
    Recipe(
        'mask2former_vit_adapter_beit_large_semantic_ade20k',
        EXCEPT_VECTORS | {'layer_decay': 0.9, 'head_stem_rate': ('mask_embed', 'cls_embed', 'level_embed', 'query_')},
        'ViT-Adapter: segmentation/mmcv_custom/layer_decay_optimizer_constructor.py',
    ),
    Recipe(
        'upernet_vim_ade20k',
        EXCEPT_VECTORS | {'layer_decay': 0.92, 'full_rate_blocks': 24},
        'Vim: seg/mmcv_custom/layer_decay_optimizer_constructor.py, whose blocks are called layers',
    ),
    Recipe(
        'upernet_vim_small_ade20k',
        EXCEPT_VECTORS | {'layer_decay': 0.95, 'full_rate_blocks': 24},
        'Vim: seg/scripts/ft_vim_small_upernet.sh',
    ),
    Recipe(
        'mask_rcnn_vitdet_huge_coco',
        {'layer_decay': 0.9, 'decay_everything': True},
        'detectron2: projects/ViTDet, mask_rcnn_vitdet_h_75ep.py',
    ),
]  # fmt: skip

TOP_LEVEL = [
    Recipe('mask_rcnn_gcvit_coco', {'warmup_iters': 2500}, 'GCVit: detection/configs/_base_/schedules/schedule_3x.py'),
    Recipe('mask2former_swin_semantic_ade20k', {'cat_max_ratio': 1.0}, 'Mask2Former: Base-ADE20K-...yaml'),
    Recipe('mask2former_transnext_semantic_ade20k', {'cat_max_ratio': 0.75}, 'TransNeXt: mmsegmentation pipelines'),
    Recipe('semantic_fpn_poolformer_ade20k', {'test_multiple': 32}, 'poolformer: segmentation, ade20k.py'),
    Recipe('upernet_swin_ade20k', {'test_multiple': 1}, 'Swin-Transformer-Semantic-Segmentation: ade20k.py'),
    Recipe('swinir_x4_df2k', {'betas': (0.9, 0.999)}, 'KAIR: utils/utils_option.py'),
    Recipe('hat_x4_df2k', {'betas': (0.9, 0.99)}, 'HAT: options/train/train_HAT_SRx4_from_scratch.yml'),
    Recipe('hat_real_x4_dfo', {'rotate': False}, 'HAT: train_Real_HAT_SRx4_mse_model.yml'),
    Recipe('swinir_denoise_color50_dfwb', {'max_iters': 800_000}, 'KAIR: docs/README_SwinIR.md'),
    Recipe('mask_rcnn_vitdet_base_coco', {'warmup_iters': 250, 'steps': [89, 96]}, 'detectron2: ..._b_100ep.py'),
    Recipe('mask_rcnn_vitdet_huge_coco', {'warmup_iters': 250, 'steps': [67, 72]}, 'detectron2: ..._h_75ep.py'),
    Recipe('eomt_dinov2_large_ade20k', {'max_iters': 31 * 1262}, 'eomt: mask_ends are five sixths of all steps'),
    Recipe('eomt_dinov3_large_ade20k', {'max_iters': 16 * 1262}, 'eomt: dinov3/ade20k/semantic/eomt_large_512.yaml'),
    Recipe('eomt_dinov2_large_instance_coco', {'redraw_empty': True}, 'eomt: datasets/transforms.py'),
    Recipe('eomt_dinov2_large_panoptic_coco', {'redraw_empty': False}, 'eomt: stuff counts'),
]  # fmt: skip

RATES = [
    Recipe('swinir_x3_df2k', {'lr': 1e-4}, 'KAIR: docs/README_SwinIR.md'),
    Recipe('swinir_jpeg_color10_dfwb', {'lr': 1e-4}, 'KAIR: docs/README_SwinIR.md'),
    Recipe('swinir_x2_df2k', {'lr': 2e-4}, 'KAIR: train_swinir_sr_classical.json'),
    Recipe('catanet_x3_div2k', {'lr': 2e-4}, 'CATANet: options/train'),
    Recipe('upernet_vim_ade20k', {'lr': 2e-4}, 'Vim: seg/scripts/ft_vim_tiny_upernet.sh'),
    Recipe('upernet_vim_small_ade20k', {'lr': 1e-4}, 'Vim: seg/scripts/ft_vim_small_upernet.sh'),
]


def name_of(recipe: Recipe) -> str:
    return recipe.config


@pytest.mark.parametrize('recipe', PARAMWISE, ids=name_of)
def test_decays_rates_and_weights_as_the_authors_do(recipe):
    config = load_config(CONFIGS / f'{recipe.config}.py')
    assert recipe.expected.items() <= dict(config.optim_wrapper.paramwise_cfg).items(), recipe.source


@pytest.mark.parametrize('recipe', TOP_LEVEL, ids=name_of)
def test_has_the_authors_schedule_and_augmentation(recipe):
    config = load_config(CONFIGS / f'{recipe.config}.py')
    assert {key: config[key] for key in recipe.expected} == recipe.expected, recipe.source


@pytest.mark.parametrize('recipe', RATES, ids=name_of)
def test_learns_at_the_authors_rate(recipe):
    config = load_config(CONFIGS / f'{recipe.config}.py')
    assert config.optim_wrapper.optimizer.lr == recipe.expected['lr'], recipe.source


@pytest.mark.parametrize(
    'name', ['mask_rcnn_crossformer_coco', 'retinanet_biformer_1x_coco', 'retinanet_rmt_small_1x_coco']
)
def test_decays_everything_where_the_authors_exempt_nothing(name):
    config = load_config(CONFIGS / f'{name}.py')
    assert config.optim_wrapper.constructor == 'DefaultOptimWrapperConstructor'
    assert 'paramwise_cfg' not in config.optim_wrapper


@pytest.mark.parametrize(
    'name',
    ['mask_rcnn_vitdet_base_coco', 'cascade_mask_rcnn_vitdet_huge_coco', 'cascade_mask_rcnn_vim_coco'],
)
def test_vitdet_sees_squares_in_training_and_in_testing(name):
    config = load_config(CONFIGS / f'{name}.py')
    side = config.model.data_preprocessor.pad_size_divisor
    assert (side, side) == config.image_scale == config.crop_size == (1024, 1024)


@pytest.mark.parametrize(
    ('name', 'side'),
    [
        ('eomt_dinov2_large_instance_coco', 640),
        ('eomt_dinov3_large_1280_panoptic_coco', 1280),
        ('eomt_dinov2_giant_panoptic_ade20k', 640),
    ],
)
def test_eomt_is_tested_on_the_squares_that_it_is_trained_on(name, side):
    config = load_config(CONFIGS / f'{name}.py')
    resize, pad = config.test_dataloader.dataset.pipeline[1:3]
    assert resize['scale'] == pad['size'] == config.crop_size == (side, side)
    assert pad['type'] == 'denseformer.PadImage'


@pytest.mark.parametrize('name', ['linear_dinov2_small_ade20k', 'linear_dinov3_small_ade20k'])
def test_linear_heads_are_tested_in_windows(name):
    test = load_config(CONFIGS / f'{name}.py').model.test_cfg
    assert dict(test) == {'mode': 'slide', 'crop_size': (512, 512), 'stride': (341, 341)}

"""The systems that `fit --model` takes: the config of each trains and predicts on a folder of its task."""

import dataclasses
import math

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope

import denseformer
from denseformer.cli import main
from denseformer.config.loading import load_config
from denseformer.config.shipped import config_folder
from denseformer.engine.hooks.validation_loss import validation_loss
from denseformer.engine.validation import load_labels
from denseformer.fitting.fitting import config_text, facts_of
from denseformer.fitting.rules import Facts, choose
from denseformer.fitting.systems import SYSTEMS
from denseformer.folders import understand, write_dataset
from tests.support import formats

FOLDERS = {
    'segmentation': formats.index_masks,
    'detection': formats.yolo,
    'instances': formats.labelme,
    'panoptic': formats.coco_panoptic,
    'video': formats.videos,
}
OTHERS = [key for key in SYSTEMS if key[0] not in ('upernet', 'retinanet', 'mask_rcnn')]
"""All but those that the rules choose by themselves, which other tests train."""
PHOTOS = Facts('detection', train=400, val=100, long=640, short=480, device='cuda', memory=24)


@pytest.fixture(scope='module')
def datasets(tmp_path_factory):
    """The folder of each task, recognised, with the dataset's base of it."""
    made = {}
    for task, write in FOLDERS.items():
        root = tmp_path_factory.mktemp(task)
        found, listing = understand(str(write(root / 'data')), task)
        made[task] = (found, listing, write_dataset(found, listing, root / 'run/dataset').parent)
    return made


def fitted(datasets, name: str, task: str) -> Config:
    found, listing, folder = datasets[task]
    recipe = choose(facts_of(found, listing, 'cpu', name))
    (folder / 'config.py').write_text(config_text(recipe))
    return load_config(folder / 'config.py')


@pytest.mark.parametrize(('name', 'task'), OTHERS)
def test_every_system_trains_and_predicts_on_a_folder_of_its_task(name, task, datasets):
    config = fitted(datasets, name, task)
    init_default_scope(config.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    if hasattr(model, 'level_embed'):  # a parameter of DETRs that has no value before
        model.init_weights()
    train, val = (DATASETS.build(loader.dataset) for loader in (config.train_dataloader, config.val_dataloader))
    batch = model.data_preprocessor(pseudo_collate([train[0], train[1]]), training=True)
    total, _ = model.parse_losses(model(**batch, mode='loss'))
    total.backward()
    assert torch.isfinite(total)
    assert config.get('find_unused_parameters') or all(
        parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad
    )
    load_labels(val, train)
    batch = pseudo_collate([val[0]])
    with torch.no_grad():
        (found,) = model.eval().val_step(batch)
        assert math.isfinite(validation_loss(model, batch))
    assert not any(part.training for part in model.modules())
    assert {'pred_sem_seg', 'pred_instances', 'pred_panoptic_seg'} & set(found.keys())


@pytest.mark.parametrize(
    ('name', 'task', 'short'),
    [
        ('rtdetr', 'detection', {'steps': [], 'num_queries': 8, 'decoder_layers': 1}),
        ('eomt', 'instances', {'encoder.num_queries': 8, 'head.num_points': 64, 'crop_size': (32, 32)}),
    ],
)
def test_fit_trains_a_system(name, task, short, tmp_path):
    root = FOLDERS[task](tmp_path / 'data')
    options = {'epochs': 1, 'warmup_iters': 0, 'val_interval': 1, **short}
    denseformer.fit(str(root), model=name, out=str(tmp_path / 'run'), seed=0, device='cpu', cfg_options=options)
    assert list((tmp_path / 'run').glob('best_*.pth'))


def test_fit_trains_isomer_on_videos(tmp_path):
    narrow = {'backbone.arch': {'widths': (8, 8, 16, 16), 'depths': (1, 1, 1, 1), 'heads': (1, 1, 1, 1)}}
    options = {'max_iters': 1, 'val_interval': 1, 'warmup_iters': 0, 'crop_size': (32, 32), **narrow}
    root = formats.videos(tmp_path / 'data')
    denseformer.fit(str(root), task='video', out=str(tmp_path / 'run'), seed=0, device='cpu', cfg_options=options)
    assert list((tmp_path / 'run').glob('best_*.pth'))
    names = [(tmp_path / f'run/dataset/{split}.txt').read_text().split() for split in ('train', 'val')]
    assert sorted(map(len, names)) == [1, 2]


def test_explain_names_the_system(tmp_path, capsys):
    root = formats.yolo(tmp_path / 'data')
    assert main(['fit', str(root), '--model', 'rtdetr', '--device', 'cpu', '--explain']) == 0
    printed = capsys.readouterr().out
    assert 'as asked for' in printed
    assert "'denseformer::_base_/heads/rtdetr.py'" in printed


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_the_bases_of_every_system_ship(device):
    for name, task in SYSTEMS:
        recipe = choose(dataclasses.replace(PHOTOS, task=task, device=device, model=name))
        missing = [base for base in recipe.bases if not (config_folder() / f'_base_/{base}.py').is_file()]
        assert not missing, (name, task)


def test_a_system_of_other_tasks_is_refused_with_those_that_serve():
    with pytest.raises(
        ValueError, match=r"'rtdetr' is for detection, not for segmentation.*Systems: .*bevanet"
    ) as raised:
        choose(dataclasses.replace(PHOTOS, task='segmentation', model='rtdetr'))
    assert 'mamba_yolo' not in str(raised.value).partition('Backbones')[0]
    with pytest.raises(ValueError, match=r'not for restoration\. Networks: .*swinir'):
        choose(dataclasses.replace(PHOTOS, task='restoration', model='rtdetr'))


def test_a_name_of_a_system_and_a_backbone_is_the_system_where_it_serves_the_task():
    detector = choose(dataclasses.replace(PHOTOS, model='mamba_yolo'))
    segmentor = choose(dataclasses.replace(PHOTOS, task='segmentation', model='mamba_yolo'))
    assert detector.bases[:2] == ('backbones/mamba_yolo', 'systems/mamba_yolo')
    assert segmentor.bases[:2] == ('backbones/mamba_yolo', 'heads/upernet')


def test_a_system_with_a_backbone_of_its_own_gets_no_other():
    recipe = choose(dataclasses.replace(PHOTOS, task='segmentation', model='bevanet'))
    assert recipe.bases[0] == 'systems/bevanet'
    assert recipe.keys['backbone'] == {'pretrained': 'imagenet1k'}


def test_crops_are_multiples_of_what_the_system_asks_for():
    facts = dataclasses.replace(PHOTOS, task='segmentation', model='git')
    sides = [choose(dataclasses.replace(facts, device=device)).keys['crop_size'][0] for device in ('cpu', 'cuda')]
    assert sides == [240, 448]


def test_one_logit_is_for_upernet_alone():
    facts = dataclasses.replace(PHOTOS, task='segmentation', classes=2, device='cpu')
    heads = [choose(dataclasses.replace(facts, model=name)).bases[1] for name in (None, 'p2at')]
    assert heads == ['heads/parts/upernet_one_logit', 'systems/p2at']


def test_hooks_of_a_schedule_stay_beside_the_average():
    keys = choose(dataclasses.replace(PHOTOS, task='panoptic', model='eomt')).keys
    assert [hook['type'] for hook in keys['custom_hooks']] == ['denseformer.MaskAnnealingHook', 'EMAHook']
    assert keys['mask_starts'] == sorted(keys['mask_starts'])
    assert all(
        start < end < keys['max_iters'] for start, end in zip(keys['mask_starts'], keys['mask_ends'], strict=True)
    )


@pytest.mark.parametrize(('device', 'side'), [('cpu', 256), ('cuda', 640)])
def test_eomts_images_are_tested_on_the_squares_that_it_is_trained_on(device, side, datasets):
    facts = dataclasses.replace(PHOTOS, task='instances', model='eomt', device=device)
    assert choose(facts).keys['crop_size'] == (side, side)
    (tested,) = [step for step in fitted(datasets, 'eomt', 'instances').test_pipeline if step.type.endswith('PadImage')]
    assert tested['size'] == fitted(datasets, 'eomt', 'instances').crop_size


@pytest.mark.parametrize(('name', 'read'), [(None, {'steps'}), ('kmax', {'steps'}), ('eomt', {'max_iters', 'warmups'})])
def test_keys_that_the_schedule_does_not_read_are_left_out(name, read):
    keys = choose(dataclasses.replace(PHOTOS, task='panoptic', model=name)).keys
    assert {'steps', 'max_iters', 'warmups', 'warmup_iters'} & keys.keys() == read


def test_images_with_fewer_places_than_a_detector_has_queries_are_enlarged():
    facts = dataclasses.replace(PHOTOS, long=100, short=40)
    sizes = [choose(dataclasses.replace(facts, model=name)).keys['image_scale'] for name in ('retinanet', 'dino')]
    assert sizes == [(100, 40), (256, 256)]

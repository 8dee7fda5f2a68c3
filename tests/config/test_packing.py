"""Samples in tar files are those of the files they were made of: same samples, same order, same scores."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from denseformer import checkpoints
from denseformer.cli import main
from denseformer.config.packing import pack_config, write_shards
from denseformer.datasets.building import build_dataset
from denseformer.datasets.tar_shards import TarShards, decoded, encoded
from denseformer.engine import Runner, launch
from denseformer.engine.reproducibility import reproducible
from denseformer.inference.sources import find_items
from denseformer.options import EvaluationOptions
from denseformer.seeding import seeded

SEGMENTOR = 'upernet_dinat_pico_sample'
SET = dict(train=7, val=5, size=64)
FLIP = dict(type='RandomFlip', prob=0.5)
NAMES = dict(instances='SampleInstances', panoptic='SamplePanoptic', semantic='SampleDataset')


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    """A folder for a small sample set, and six pairs of images."""
    root = tmp_path_factory.mktemp('data')
    rng = np.random.default_rng(0)
    for folder, side in (('HR', 16), ('LR', 8)):
        (root / folder).mkdir()
        for i in range(6):
            Image.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8)).save(root / folder / f'{i}.png')
    return root


def dataset_of(task: str, root: Path) -> dict:
    """The config of a dataset with a pipeline that draws at random."""
    load = dict(type='denseformer.LoadImage')
    kind, sample_set = f'denseformer.{NAMES.get(task)}', dict(data_root=str(root / 'sample'), **SET)
    if task == 'semantic':
        steps = [load, dict(type='denseformer.LoadSegmentation', num_classes=8), FLIP, dict(type='PackSegInputs')]
        return dict(type=kind, pipeline=steps, **sample_set)
    if task == 'instances':
        steps = [load, dict(type='denseformer.LoadInstances', with_mask=True), FLIP]
        return dict(type=kind, pipeline=[*steps, dict(type='PackDetInputs')], **sample_set)
    if task == 'panoptic':
        steps = [load, dict(type='denseformer.LoadPanoptic'), FLIP, dict(type='PackDetInputs')]
        files = dict(
            ann_file='panoptic_training.json', data_prefix=dict(img='images/training', seg='panoptic_training')
        )
        return dict(type=kind, pipeline=steps, **files, **sample_set)
    names = ('LoadImagePair', 'PairedRandomCrop', 'RandomOrientation', 'PackRestoration')
    options: list[dict] = [dict(scale=2), dict(scale=2, size=8), {}, {}]
    steps = [dict(type=f'denseformer.{name}', **extra) for name, extra in zip(names, options, strict=True)]
    return dict(
        type='denseformer.RestorationImages',
        data_root=str(root),
        data_prefix=dict(gt_path='HR', img_path='LR'),
        scale=2,
        pipeline=steps,
    )


def config_of(task: str, root: Path) -> Config:
    scope = {'semantic': 'mmseg', 'restoration': 'mmengine'}.get(task, 'mmdet')
    loader = dict(batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True))
    return Config(dict(default_scope=scope, train_dataloader=dict(**loader, dataset=dataset_of(task, root))))


def flat(value):
    """The arrays, numbers and file names in a sample."""
    if hasattr(value, 'all_items'):
        value = dict(value.all_items())
    if isinstance(value, dict):
        return {
            (name, *key): os.path.basename(item) if name.endswith('_path') and item else item
            for name, part in value.items()
            for key, item in flat(part).items()
        }
    if isinstance(value, (list, tuple)):
        return {(i, *key): item for i, part in enumerate(value) for key, item in flat(part).items()}
    for name in ('tensor', 'masks'):
        value = getattr(value, name, value)
    return {(): value.tolist() if isinstance(value, (np.ndarray, torch.Tensor)) else value}


@pytest.mark.parametrize('task', [*NAMES, 'restoration'])
def test_samples_are_those_of_the_files(task, drawn, tmp_path):
    config = config_of(task, drawn)
    packed = list(pack_config(config, tmp_path / 'out', 3))
    files = build_dataset(config.train_dataloader.dataset)
    shards = build_dataset(Config.fromfile(tmp_path / 'out/config.py').train_dataloader.dataset)
    assert isinstance(shards, TarShards)
    assert [part.samples for part in packed] == [len(files)] == [len(shards)]
    assert len(list((tmp_path / 'out/train').glob('*.tar'))) == -(-len(files) // 3)
    assert shards.metainfo == files.metainfo
    for number in range(len(files)):
        assert flat(shards.get_data_info(number)) == flat(files.get_data_info(number))
        with seeded(number):
            expected = flat(files[number])
        with seeded(number):
            assert flat(shards[number]) == expected
    if task in ('instances', 'panoptic'):
        assert shards.get_cat_ids(0) == files.get_cat_ids(0)


def loader_of(dataset: dict, sampler: str):
    loader = dict(batch_size=2, num_workers=2, sampler=dict(type=sampler, shuffle=True), dataset=dataset)
    return Runner.build_dataloader(reproducible(loader, 5), seed=5)


def batches(loader, count: int) -> list:
    return [[sample.tolist() for sample in batch['inputs']] for batch in itertools.islice(loader, count)]


@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
def test_an_epoch_is_that_of_the_files_and_goes_on_in_its_middle(sampler, drawn, tmp_path):
    config = config_of('restoration', drawn)
    list(pack_config(config, tmp_path, 4))
    shards = Config.fromfile(tmp_path / 'config.py').train_dataloader.dataset
    expected = batches(loader_of(config.train_dataloader.dataset, sampler), 3)
    assert batches(loader_of(shards, sampler), 3) == expected
    resumed = loader_of(shards, sampler)
    (resumed.sampler.skip if sampler == 'InfiniteSampler' else resumed.sampler.begin_at)(2)
    assert batches(resumed, 2) == expected[1:]


def test_scores_are_those_of_the_files(drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    smaller = {
        f'{split}_dataloader.dataset.{key}': value for split in ('train', 'val', 'test') for key, value in SET.items()
    }
    changes = {'data_root': str(drawn / 'sample'), **smaller}
    options = [f'{key}={value}' for key, value in changes.items()]
    assert main(['prepare', 'shards', SEGMENTOR, 'out', '--per-shard', '2', '--cfg-options', *options]) == 0
    weights = str(Path(checkpoints.__file__).parent / 'bundled' / SEGMENTOR / 'model.safetensors')
    scores = [
        launch.evaluate(config, weights, EvaluationOptions(work_dir='run', device='cpu', cfg_options=overrides))
        for config, overrides in ((SEGMENTOR, changes), ('out/config.py', {}))
    ]
    assert scores[0]['metrics'] == scores[1]['metrics']
    assert scores[0]['per_class'] == scores[1]['per_class']


def test_the_tar_files_are_sources_of_prediction(drawn, tmp_path):
    list(pack_config(config_of('semantic', drawn), tmp_path, 100))
    names = [str(item.name) for item in find_items(tmp_path / 'train/000000.tar')]
    assert names == [f'000000/{i:09d}.jpg' for i in range(SET['train'])]


def test_wrapped_datasets_are_packed_once(drawn, tmp_path):
    config = config_of('restoration', drawn)
    part = config.train_dataloader.dataset
    config.val_dataloader = dict(dataset=part)
    config.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[part, dict(type='RepeatDataset', times=2, dataset={**part, 'indices': 2})]
    )
    assert [packed.folder.name for packed in pack_config(config, tmp_path, 4)] == ['train0', 'train1']
    changed = Config.fromfile(tmp_path / 'config.py')
    assert changed.val_dataloader.dataset.folder == str(tmp_path / 'train0')
    assert len(build_dataset(changed.train_dataloader.dataset)) == 6 + 2 * 2


def test_what_a_broken_attempt_left_is_replaced_and_what_is_complete_is_kept(drawn, tmp_path, monkeypatch):
    dataset = build_dataset({**dataset_of('restoration', drawn), 'pipeline': []})
    write_shards(dataset, tmp_path / 'whole', 2)
    monkeypatch.setattr('denseformer.config.packing.np.save', lambda *_: (_ for _ in ()).throw(OSError('disk full')))
    with pytest.raises(OSError, match='disk full'):
        write_shards(dataset, tmp_path / 'shards', 2)
    with pytest.raises(ValueError, match='not written to its end'):
        TarShards(folder=tmp_path / 'shards')
    monkeypatch.undo()
    write_shards(dataset, tmp_path / 'shards', 2)
    whole = {path.name: path.read_bytes() for path in (tmp_path / 'whole').iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / 'shards').iterdir()} == whole
    with pytest.raises(ValueError, match='holds shards; remove it first'):
        write_shards(dataset, tmp_path / 'shards', 2)


def test_a_tar_file_that_was_cut_is_named(drawn, tmp_path):
    write_shards(build_dataset({**dataset_of('restoration', drawn), 'pipeline': []}), tmp_path / 'shards', 2)
    os.truncate(tmp_path / 'shards/000001.tar', 2000)
    with pytest.raises(ValueError, match=r'000001\.tar.*ends before byte'):
        TarShards(folder=tmp_path / 'shards').get_data_info(3)


def test_what_json_does_not_know_comes_back():
    info = {
        'label_map': {0: 1, 255: 0},
        'colors': [(1, 2, 3)],
        'class_masks': [(0, 'a/m.png'), (1, 'b/m.png')],
        'n': None,
    }
    files: dict[str, str] = {}
    text = json.dumps(encoded({**info, 'seg_map_path': 'a/m.png', 'img_path': 'i.json'}, files))
    assert files == {'a/m.png': 'class_masks.png', 'b/m.png': 'class_masks1.png', 'i.json': '1.json'}
    found = decoded(text, 'tar://f/0')
    masks = found.pop('class_masks')
    assert [(label, path.rpartition('/')[2]) for label, path in masks] == [(0, 'm.png'), (1, 'm.png')]
    assert found.pop('seg_map_path') == masks[0][1]
    assert found.pop('img_path').startswith('tar://f/0/')
    assert found == {key: value for key, value in info.items() if key != 'class_masks'}
    with pytest.raises(TypeError, match='mask: ndarray'):
        encoded({'mask': np.zeros(2)}, {})

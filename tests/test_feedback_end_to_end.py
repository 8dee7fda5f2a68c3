"""Validation of small models of each task: batches change nothing, a loss is logged, and the run shows how it goes."""

import base64
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, TRANSFORMS

from denseformer.engine import launch
from denseformer.explain.page import explain
from denseformer.options import LaunchOptions, TrainOptions

ROOT = Path(__file__).parents[1]
SMALL = {
    'num_workers': 0,
    'batch_size': 1,
    'train_dataloader.persistent_workers': False,
    'log_interval': 1,
    'val_interval': 1,
    'custom_hooks': [dict(type='KeepFound')],
}
SAMPLE = {
    **SMALL,
    'val_dataloader.persistent_workers': False,
    'warmup_iters': 0,
    **{f'{split}_dataloader.dataset.{part}': 3 for split in ('train', 'val') for part in ('train', 'val')},
    **{f'{split}_dataloader.dataset.size': 64 for split in ('train', 'val')},
}
TASKS = {
    'segmentation': (
        'upernet_dinat_nano_sample.py',
        {**SAMPLE, 'batch_size': 2, 'max_iters': 1, 'crop_size': (64, 64)},
    ),
    'detection': ('mask_rcnn_dinat_nano_sample.py', {**SAMPLE, 'epochs': 1, 'steps': [1], 'image_scale': (64, 64)}),
    'panoptic': ('mask2former_dinat_nano_panoptic_sample.py', {**SAMPLE, 'epochs': 1, 'crop_size': (64, 64)}),
    'restoration': (
        'cfsr_small_x2_photographs.py',
        {**SMALL, 'max_iters': 1, 'warmup_iters': 0, 'patch_size': 16, 'network.arch.dim': 8},
    ),
}


@TRANSFORMS.register_module(force=True)
class CropByName(BaseTransform):
    """Cut images to widths that depend on their numbers, before labels are read or after."""

    def transform(self, results: dict) -> dict:
        width = 64 - 16 * (int(Path(results['img_path']).stem[-1]) % 2)
        image = cv2.resize(results['img'], (width, 64))
        return {**results, 'img': image, 'img_shape': image.shape[:2], 'scale_factor': (width / 64, 1.0)}


@HOOKS.register_module(force=True)
class KeepFound(Hook):
    """Keep what was found in each validation image."""

    def __init__(self):
        self.found, self.sizes = {}, set()

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.sizes |= {tuple(image.shape) for image in data_batch['inputs']}
        for sample in outputs:
            name = Path(sample.get('img_path') or sample.gt_path).stem
            kind = next(
                key for key in ('seg_logits', 'pred_panoptic_seg', 'pred_instances', 'pred_img') if key in sample
            )
            value = sample.get(kind)
            self.found[name] = getattr(value, 'data', getattr(value, 'bboxes', getattr(value, 'sem_seg', value)))


@pytest.fixture(scope='module')
def train(tmp_path_factory):
    root, done = tmp_path_factory.mktemp('validation'), {}
    (root / 'targets').mkdir()
    for number, size in enumerate([(48, 64), (64, 48), (48, 64)]):
        noise = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        cv2.imwrite(str(root / f'targets/{number}.png'), cv2.resize(noise, size))

    def start(task: str, batch: int):
        if (task, batch) not in done:
            name, options = TASKS[task]
            places = {'test_root': str(root), 'test_files.gt_path': 'targets', 'train_images.data_root': str(root)}
            places |= {'train_images.data_prefix.gt_path': 'targets', 'crop_border': 0, 'protocol': 'rgb'}
            places |= {'test_images.only': list('012'), 'train_images.without': []}
            options = {**options, **(places if task == 'restoration' else {'data_root': str(root / 'sample')})}
            if task in ('segmentation', 'detection'):
                config = launch.load_config(str(ROOT / 'configs' / name), options)
                steps = list(config.val_dataloader.dataset.pipeline)
                steps.insert(len(steps) - 1, dict(type='CropByName'))
                options['val_dataloader.dataset.pipeline'] = [dict(step) for step in steps]
            if task == 'detection':
                options |= {'model.test_cfg.rcnn.score_thr': 0.0, 'model.test_cfg.rcnn.max_per_img': 5}
            place = str(root / f'{task}_{batch}')
            chosen = TrainOptions(work_dir=place, device='cpu', seed=0, val_batch_size=batch, cfg_options=options)
            done[task, batch] = launch.train(str(ROOT / 'configs' / name), chosen)
        return done[task, batch]

    return start


def scores(runner) -> dict:
    (file,) = Path(runner.work_dir).glob('*/vis_data/scalars.json')
    last = json.loads(file.read_text().splitlines()[-1])
    return {key: value for key, value in last.items() if not key.endswith('time') and key != 'step'}


def kept(runner) -> KeepFound:
    return next(hook for hook in runner.hooks if isinstance(hook, KeepFound))


@pytest.mark.parametrize('task', ['segmentation', 'detection', 'restoration'])
def test_images_of_several_sizes_score_the_same_in_batches_as_one_by_one(train, task):
    single, batched = train(task, 1), train(task, 3)
    assert kept(single).found.keys() == kept(batched).found.keys()
    assert len(kept(batched).sizes) == 2
    for name, value in kept(single).found.items():
        assert len(value)
        torch.testing.assert_close(kept(batched).found[name], value, rtol=1e-4, atol=1e-3)
    first, second = scores(single), scores(batched)
    losses = first.pop('val_loss'), second.pop('val_loss')
    assert second == pytest.approx(first, abs=1e-3)
    if task != 'detection':  # whose losses are divided by the objects of a batch
        assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize('task', TASKS)
def test_a_run_of_any_task_logs_its_validation_loss_and_writes_its_page(train, task):
    runner = train(task, 3)
    assert 0 < scores(runner)['val_loss'] < 1000
    page = (Path(runner.work_dir) / 'progress.html').read_text()
    assert f'{task}_3: finished' in page
    assert 'val_loss' in page
    assert 'learning rate' in page
    assert 'seconds per iteration' in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) == 9  # input, truth and prediction of three images
    shapes = {cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), 1).shape for text in pictures}
    assert max(max(shape) for shape in shapes) == 192
    if task != 'restoration':
        assert 'star' in page


def test_the_restoration_loss_is_that_of_whole_images(train):
    runner = train('restoration', 1)
    errors = []
    for name, restored in kept(runner).found.items():
        target = cv2.imread(str(Path(runner.work_dir).parent / f'targets/{name}.png'))[..., ::-1] / 255
        errors.append(np.abs(restored.numpy() - target.transpose(2, 0, 1)).mean())
    assert scores(runner)['val_loss'] == pytest.approx(np.mean(errors), rel=1e-3)


def test_the_log_ends_with_the_best_score_and_its_checkpoint(train):
    runner = train('segmentation', 1)
    (log,) = Path(runner.work_dir).glob('*/*.log')
    last = log.read_text().splitlines()[-1]
    best = Path(runner.work_dir) / 'best.pth'
    assert f'Best mIoU so far: {scores(runner)["mIoU"]:.4f}, {best} (best_mIoU_iter_1.pth)' in last
    assert best.resolve().name == 'best_mIoU_iter_1.pth'


@pytest.mark.parametrize('task', TASKS)
def test_a_run_of_any_task_is_explained_and_compared(train, task, tmp_path):
    run = Path(train(task, 3).work_dir)
    other = Path(train(task, 1).work_dir) if task != 'panoptic' else run
    path = explain(run, other, out=tmp_path / 'page.html', options=LaunchOptions(device='cpu'))
    page, numbers = path.read_text(), json.loads(path.with_suffix('.json').read_text())
    key = {'mAP': 'segm_mAP'}.get(numbers['score']['name'], numbers['score']['name'])
    factor = 1 if task in ('segmentation', 'restoration') else 100
    assert numbers['score']['value'] == pytest.approx(factor * numbers['metrics'][key], abs=0.011)
    assert numbers['metrics'][key] == pytest.approx(scores(train(task, 3))[key], abs=1e-3)
    assert len(numbers['images']) == 3
    assert f'{numbers["score"]["name"]}, 95 % interval' in page
    assert len(re.findall(r'<img', page)) >= 9
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    kept = (run / 'explain/records.npz').stat().st_mtime_ns
    explain(run, options=LaunchOptions(device='cpu'))
    assert (run / 'explain/records.npz').stat().st_mtime_ns == kept

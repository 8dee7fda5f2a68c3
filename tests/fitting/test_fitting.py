"""`fit` from a folder to a checkpoint, one run of an iteration or two for each task."""

import pytest

import denseformer
from denseformer.cli import main
from denseformer.engine.launch import evaluate, prepare
from denseformer.folders import understand, write_dataset
from denseformer.options import EvaluationOptions, LaunchOptions
from tests.support import formats

SHORT = {
    'segmentation': {'max_iters': 2, 'warmup_iters': 0, 'val_interval': 2, 'crop_size': (32, 32), 'log_interval': 1},
    'detection': {'epochs': 1, 'warmup_iters': 0, 'val_interval': 1, 'steps': [], 'batch_size': 4},
    'instances': {'epochs': 1, 'warmup_iters': 0, 'val_interval': 1, 'steps': [], 'batch_size': 4},
    'panoptic': {
        **{'epochs': 1, 'warmup_iters': 0, 'val_interval': 1, 'head.num_queries': 8, 'head.num_points': 64},
        **{'head.width': 32, 'head.num_heads': 2, 'head.decoder_layers': 1},
    },
    'restoration': {'max_iters': 2, 'warmup_iters': 0, 'val_interval': 2, 'patch_size': 16},
    'super-resolution': {'max_iters': 2, 'warmup_iters': 0, 'val_interval': 2, 'patch_size': 16},
}
NARROW = {'backbone.arch.width': 8, 'backbone.arch.heads': (1, 1, 1, 1)}
SETS = {
    'segmentation': formats.binary_masks,
    'detection': formats.yolo,
    'instances': formats.labelme,
    'panoptic': formats.coco_panoptic,
    'restoration': formats.pairs,
    'super-resolution': formats.alone,
}


@pytest.mark.parametrize('task', SETS)
def test_fit_trains_each_task_from_a_folder_of_it(task, tmp_path):
    root = SETS[task](tmp_path / 'data')
    runner = denseformer.fit(
        str(root),
        out=str(tmp_path / 'run'),
        seed=0,
        device='cpu',
        cfg_options={**({} if task in ('restoration', 'super-resolution') else NARROW), **SHORT[task]},
    )
    assert any('EMA' in type(hook).__name__ for hook in runner.hooks)
    assert list((tmp_path / 'run').glob('best_*.pth'))
    assert (tmp_path / 'run' / 'config.py').is_file()
    short = (tmp_path / 'run' / 'dataset' / 'config.py').read_text()
    assert "'./data.py'" in short


def test_a_run_goes_on_where_it_was_moved_to(tmp_path):
    """Its configs lead to their own folder, also to data in it; data elsewhere keeps its place."""
    run, moved = tmp_path / 'run', tmp_path / 'other' / 'moved'
    outside = formats.binary_masks(tmp_path / 'data')
    root = formats.binary_masks(run / 'data')
    denseformer.fit(str(root), out=str(run), device='cpu', cfg_options={**NARROW, **SHORT['segmentation']})
    moved.parent.mkdir()
    run.rename(moved)
    assert str(run) not in (moved / 'config.py').read_text() + (moved / 'dataset/config.py').read_text()
    assert evaluate(str(moved / 'config.py'), str(moved / 'best.pth'), EvaluationOptions(device='cpu'))['metrics']
    assert prepare(str(moved / 'dataset/config.py'), LaunchOptions(device='cpu')).work_dir == str(moved)
    found, listing = understand(str(outside))
    base = write_dataset(found, listing, tmp_path / 'run' / 'dataset')
    assert f"data_root = '{outside}'" in base.read_text()


def test_explain_prints_reasons_and_the_config_and_writes_nothing(tmp_path, capsys):
    root = formats.yolo(tmp_path / 'data')
    assert main(['fit', str(root), '--out', str(tmp_path / 'run'), '--device', 'cpu', '--explain']) == 0
    printed = capsys.readouterr().out
    assert 'YOLO txt, detection' in printed
    assert 'because' in printed
    assert "'denseformer::_base_/heads/retinanet.py'" in printed
    assert not (tmp_path / 'run').exists()


def test_a_folder_that_is_not_understood_ends_with_a_status_and_what_was_expected(tmp_path, capsys):
    formats.write(tmp_path / 'notes.csv', '')
    assert main(['fit', str(tmp_path)]) == 2
    assert 'Expected is one of' in capsys.readouterr().err


def test_a_config_that_a_person_may_have_edited_is_not_replaced(tmp_path):
    root = formats.pairs(tmp_path / 'data')
    formats.write(tmp_path / 'run' / 'dataset' / 'config.py', '# mine')
    with pytest.raises(ValueError, match='is there already'):
        denseformer.fit(str(root), out=str(tmp_path / 'run'))

"""The main job on real files: train, go on, test and predict on the sample set, through the commands users type."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from denseformer.cli import main
from denseformer.config.loading import load_config
from denseformer.config.overrides import parse_override
from denseformer.datasets.sample import CLASSES
from denseformer.inference import Predictor

CONFIG = 'configs/upernet_dinat_nano_sample.py'
SMALL = [
    *('num_workers=0', 'batch_size=2', 'log_interval=1', 'warmup_iters=1', 'val_interval=2'),
    *('train_dataloader.persistent_workers=False', 'val_dataloader.persistent_workers=False'),
    *('train_dataloader.dataset.train=6', 'train_dataloader.dataset.val=3'),
    *('val_dataloader.dataset.train=6', 'val_dataloader.dataset.val=3'),
]


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp('run')
    options = ['--cfg-options', f'data_root={root}/sample', *SMALL]

    def command(*arguments: str, more: tuple[str, ...] = ()) -> int:
        return main([*arguments, '--device', 'cpu', *options, *more])

    return root, command


@pytest.fixture(scope='module')
def work(run):
    """The folder of a run that stopped after two iterations and went on to four."""
    root, command = run
    folder = root / 'work'
    assert command('train', CONFIG, '--work-dir', str(folder), '--seed', '0', more=('max_iters=2',)) == 0
    assert command('train', CONFIG, '--work-dir', str(folder), '--resume', '--seed', '0', more=('max_iters=4',)) == 0
    return folder


@pytest.fixture(scope='module')
def checkpoint(work):
    return (work / 'last_checkpoint').read_text().strip()


def scalars(work_dir: Path) -> list[dict]:
    (newest,) = sorted(work_dir.glob('2*/vis_data/scalars.json'))[-1:]
    return [json.loads(line) for line in newest.read_text().splitlines()]


def test_train_resume_test_and_infer(run, work, checkpoint):
    root, command = run
    assert (work / 'iter_2.pth').is_file()
    assert len(list(work.glob('2*/run.json'))) == 2
    assert [line['iter'] for line in scalars(work) if 'loss' in line] == [3, 4]

    assert checkpoint.endswith('iter_4.pth')
    scores = root / 'scores.json'
    assert command('test', CONFIG, checkpoint, '--work-dir', str(work), '--out', str(scores)) == 0
    result = json.loads(scores.read_text())
    assert 0 <= result['metrics']['mIoU'] <= 100
    assert set(result['per_class']) == set(CLASSES)

    out = root / 'out'
    assert command('infer', CONFIG, checkpoint, str(root / 'sample/images/validation'), '--out', str(out)) == 0
    assert len(list((out / 'masks').iterdir())) == 3


def test_a_folder_with_a_run_is_not_begun_again_without_a_word(run, work, capsys):
    _, command = run
    assert command('train', CONFIG, '--work-dir', str(work), more=('max_iters=2',)) == 2
    assert 'holds a run already' in capsys.readouterr().err


@pytest.mark.parametrize('ask', ['test', 'infer', 'export'])
def test_a_checkpoint_is_not_used_for_other_classes_or_without_a_head(run, checkpoint, capsys, ask):
    root, _ = run
    content = torch.load(checkpoint, weights_only=False)
    headless = {k: v for k, v in content['state_dict'].items() if not k.startswith('decode_head')}
    torch.save({**content, 'state_dict': headless}, root / 'headless.pth')
    turned = list(reversed(CLASSES))
    order = f"test_dataloader.dataset.metainfo={{'classes': {turned}}}"

    def asked(path: str, *more: str) -> str:
        places = {
            'test': ['--work-dir', str(root / 'refused')],
            'infer': [str(root / 'sample/images/validation'), '--out', str(root / 'refused')],
            'export': ['--out', str(root / 'refused.onnx')],
        }[ask]
        options = ['--cfg-options', f'data_root={root}/sample', *SMALL, *more]
        assert main([ask, CONFIG, path, *places, *options]) == 2
        return capsys.readouterr().err

    assert 'in another order' in asked(checkpoint, order)
    assert 'which would be random: decode_head.' in asked(str(root / 'headless.pth'))
    assert 'trained with data_preprocessor.mean=' in asked(checkpoint, 'model.data_preprocessor.mean=[0.0, 0.0, 0.0]')


def of_classes(*names: str) -> list[str]:
    info = f"{{'classes': {list(names)}}}"
    return [
        f'num_classes={len(names)}',
        *(f'{split}_dataloader.dataset.metainfo={info}' for split in ('train', 'val', 'test')),
    ]


def test_a_segmentor_of_other_classes_starts_from_a_whole_one(run, checkpoint):
    root, command = run
    more = ('max_iters=2', *of_classes('star', 'heart'))
    assert command('train', CONFIG, '--work-dir', str(root / 'two'), '--load-from', checkpoint, more=more) == 0
    (text,) = (root / 'two').glob('2*/*.log')
    assert 'decode_head.conv_seg.weight: left out, it has 8 outputs instead of 2' in text.read_text()


def test_one_class_is_refused_with_the_two_ways_out(run, capsys):
    root, command = run
    assert command('train', CONFIG, '--work-dir', str(root / 'one'), more=tuple(of_classes('star'))) == 2
    assert 'out_channels=1' in (said := capsys.readouterr().err)
    assert "classes=('background', ...)" in said


def test_two_classes_by_one_logit_train_score_and_predict(run):
    root, command = run
    binary = [
        f'model.{head}.{key}' for head in ('decode_head', 'auxiliary_head')
        for key in ('out_channels=1', 'loss_decode.use_sigmoid=True')
    ]  # fmt: skip
    more = ('max_iters=2', *of_classes('star', 'heart'), *binary)
    work = root / 'logit'
    assert command('train', CONFIG, '--work-dir', str(work), more=more) == 0
    checkpoint = (work / 'last_checkpoint').read_text().strip()
    assert command('test', CONFIG, checkpoint, '--work-dir', str(work), '--out', str(work / 's.json'), more=more) == 0
    assert set(json.loads((work / 's.json').read_text())['per_class']) == {'star', 'heart'}
    config = load_config(CONFIG, dict(parse_override(text) for text in (f'data_root={root}/sample', *SMALL, *more)))
    image = next((root / 'sample/images/validation').iterdir())
    (result,) = Predictor(config, checkpoint, device='cpu')(image)
    assert result.plot().width == result.mask.shape[1]
    assert set(np.unique(result.mask)) <= {0, 1}


def test_test_time_augmentation_and_pictures(run, checkpoint):
    root, command = run
    shown = root / 'shown'
    arguments = ('--work-dir', str(root / 'tta'), '--tta', '--show-dir', str(shown))
    assert command('test', CONFIG, checkpoint, *arguments) == 0
    assert len(list(shown.rglob('*.png'))) == 3


def test_a_dry_run_says_what_training_will_cost(run, capsys):
    root, command = run
    assert command('train', CONFIG, '--work-dir', str(root / 'dry'), '--dry-run', more=('max_iters=100',)) == 0
    assert 'seconds per iteration' in capsys.readouterr().out
    assert not list((root / 'dry').glob('*.pth'))


def test_a_dry_run_refuses_to_keep_the_maps_of_a_backbone_that_learns_as_training_does(run, capsys):
    root, command = run
    arguments = ('train', CONFIG, '--work-dir', str(root / 'cached'), '--cache-features', str(root / 'maps'))
    refused = []
    for more in (('--dry-run',), ()):
        assert command(*arguments, *more, more=('max_iters=2',)) == 2
        refused.append(capsys.readouterr().err.splitlines()[-1])
    assert 'parameters of the backbone learn' in refused[0]
    assert refused[0] == refused[1]


def test_a_dry_run_prints_what_the_doctor_warns_of(run, capsys):
    root, command = run
    source = root / 'sample/images/training'
    twice = sorted(source.iterdir())[0]
    shown = root / 'sample/images/validation'
    target = sorted(shown.iterdir())[0]
    kept = target.read_bytes()
    target.write_bytes(twice.read_bytes())
    try:
        assert command('train', CONFIG, '--work-dir', str(root / 'dry'), '--dry-run', more=('max_iters=100',)) == 0
    finally:
        target.write_bytes(kept)
    assert 'is the same image as' in capsys.readouterr().out


def test_bfloat16_training_runs_on_a_cpu(run):
    root, command = run
    assert command('train', CONFIG, '--work-dir', str(root / 'amp'), '--amp', 'bf16', more=('max_iters=2',)) == 0
    losses = [line['loss'] for line in scalars(root / 'amp') if 'loss' in line]
    assert len(losses) == 2
    assert all(loss < 10 for loss in losses)


def test_a_misspelt_key_stops_before_anything_is_built(run, capsys):
    root, command = run
    assert command('train', CONFIG, '--work-dir', str(root / 'typo'), more=('param_schedulr.x=1',)) == 2
    assert "Did you mean 'param_scheduler'" in capsys.readouterr().err
    assert not (root / 'typo').exists()

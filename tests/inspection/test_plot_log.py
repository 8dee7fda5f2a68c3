"""Curves from logs, also from those of runs that were killed and restarted."""

import cv2
import pytest
import tiny

from denseformer.cli import main
from denseformer.inspection.plot_log import choose_keys, read_runs


def read_run(folder):
    (series,) = read_runs(folder).values()
    return series


@pytest.fixture
def run(tmp_path):
    cfg = tiny.with_validation(tiny.config(tmp_path / 'run', iters=4, interval=2), interval=2)
    cfg.visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
    tiny.train(cfg)
    return tmp_path / 'run'


def test_every_step_and_score_is_there(run):
    series = read_run(run)
    assert sorted(series['loss']) == [1, 2, 3, 4]
    assert series['acc'] == {2: 3.0, 4: 3.0}
    assert choose_keys([series], None) == ['loss', 'lr', 'acc']


def test_a_half_line_is_left_out_and_a_restart_counts(run):
    (log,) = run.glob('*/vis_data/scalars.json')
    with log.open('a') as file:
        file.write('{"loss": 1.0, "st')
    later = run / '99990101_000000' / 'vis_data'
    later.mkdir(parents=True)
    (later / 'scalars.json').write_text('{"loss": 7.0, "step": 4}\n')
    assert read_run(run)['loss'][4] == 7.0


def test_two_runs_in_one_folder_are_two_curves(tmp_path):
    for start, run, losses in (('20260101_1', 'a', (9, 8)), ('20260101_2', 'a', (7, 6)), ('20260101_3', 'b', (5, 4))):
        folder = tmp_path / start / 'vis_data'
        folder.mkdir(parents=True)
        (folder.parent / 'run.json').write_text(f'{{"run": "{run}"}}')
        lines = (f'{{"loss": {loss}, "step": {step}}}\n' for step, loss in enumerate(losses, 1))
        (folder / 'scalars.json').write_text(''.join(lines))
    runs = read_runs(tmp_path)
    assert [series['loss'] for series in runs.values()] == [{1: 7.0, 2: 6.0}, {1: 5.0, 2: 4.0}]
    assert main(['plot', str(tmp_path), '--keys', 'loss', '--out', str(tmp_path / 'two.html')]) == 0
    assert [(tmp_path / 'two.html').read_text().count(f'<!-- {name} -->') for name in runs] == [1, 1]


def test_pictures_are_drawn(run, tmp_path):
    assert main(['plot', str(run), '--out', str(tmp_path / 'out/curves.png')]) == 0
    assert cv2.imread(str(tmp_path / 'out/curves.png')).std() > 1
    assert main(['plot', str(run), '--keys', 'loss', '--out', str(tmp_path / 'curves.html')]) == 0
    assert '<svg' in (tmp_path / 'curves.html').read_text()


def test_runs_are_drawn_beside_one_another(run, tmp_path):
    other = tmp_path / 'other/vis_data'
    other.mkdir(parents=True)
    (other / 'scalars.json').write_text('{"loss": 7.0, "step": 1}\n{"loss": 6.0, "step": 2}\n')
    assert (
        main(['plot', str(run), str(other.parent), '--keys', 'loss', 'acc', '--out', str(tmp_path / 'two.html')]) == 0
    )
    page = (tmp_path / 'two.html').read_text()
    assert [page.count(f'<!-- {name} -->') for name in (run, other.parent)] == [2, 2]  # in the legend of each panel


def test_a_log_without_steps_is_named(tmp_path):
    (tmp_path / 'vis_data').mkdir()
    (tmp_path / 'vis_data/scalars.json').write_text('{"acc": 3.0}\n')
    with pytest.raises(ValueError, match='nothing to draw yet'):
        read_run(tmp_path)


@pytest.mark.parametrize(('keys', 'words'), [(['los'], 'no run has los; there are'), (None, 'holds no')])
def test_mistakes_are_named(run, tmp_path, capsys, keys, words):
    folder = run if keys else tmp_path / 'nowhere'
    assert main(['plot', str(folder), *(['--keys', *keys] if keys else []), '--out', str(tmp_path / 'x.png')]) == 2
    assert words in capsys.readouterr().err

"""The status of a run is read from what its processes write: in a line, on a page, and for Prometheus."""

import json
import re
import time

import pytest

from denseformer.cli import main
from denseformer.inference import predict_folder
from denseformer.inference.status import duration, line_of, metrics_of, page_of, status_of

from .test_detection_run import detector, images  # noqa: F401 (a fixture)


@pytest.fixture
def out(tmp_path):
    """Four shards: finished, running, running at half its speed, and silent for an hour; a fifth has not begun."""
    root = tmp_path / 'out'
    (root / 'shards').mkdir(parents=True)
    (root / 'shards/run.json').write_text(json.dumps({'shards': 5, 'report': False, 'task': {}}))
    now = time.time()
    for i, (done, failed, rate, updated) in enumerate([(98, 2, 4, 0), (50, 0, 2, 0), (40, 1, 1, 0), (7, 0, 2, 3600)]):
        place = root / f'shards/{i:05d}-of-00005'
        place.mkdir()
        progress = {
            'shard': f'{i}/5', 'host': 'node<1>', 'done': done, 'failed': failed, 'expected': 101, 'rate': rate,
            'seconds': 25.0, 'updated': now - updated, 'over': i == 0,
        }  # fmt: skip
        (place / 'progress.json').write_text(json.dumps(progress))
    finished = {'images': 100, 'failed': 2, 'names': '0', 'seconds': 25.0, 'ended': now, 'other files': {}}
    (root / 'shards/00000-of-00005/finished.json').write_text(json.dumps(finished))
    return root


def test_one_line_says_how_far_all_shards_are(out):
    line = line_of(status_of(out))
    assert line.startswith('195 done of about 504; 3 failed; 3.0 images/s; about 1 min left')
    assert 'shards: 1 finished, 2 running, 1 stopped, 1 waiting' in line
    assert line.endswith('slowest 2/5, 1 min left')


def test_the_time_left_is_that_of_the_slowest_shard_where_it_is_longer(out):
    place = out / 'shards/00002-of-00005/progress.json'
    place.write_text(json.dumps({**json.loads(place.read_text()), 'rate': 0.01}))
    assert status_of(out).remaining == pytest.approx(60 / 0.01)


def test_a_shard_that_has_more_images_than_expected_is_not_complete(out):
    for i in range(1, 5):
        place = out / f'shards/{i:05d}-of-00005'
        place.mkdir(exist_ok=True)
        progress = json.loads((out / 'shards/00001-of-00005/progress.json').read_text())
        (place / 'progress.json').write_text(json.dumps({**progress, 'done': 200}))
    assert 'complete' not in line_of(status_of(out))
    assert 'about 0 s left' in line_of(status_of(out))


def test_the_page_needs_nothing_else_and_shows_stopped_shards_first(out):
    page = ''.join(page_of(status_of(out)))
    assert not re.search(r'src=|href=|url\(|@import', page)
    assert re.findall(r'<tr class="(\w+)"', page) == ['stopped', 'running', 'running', 'waiting', 'finished']
    assert page.index('>2/5<') < page.index('>1/5<')
    assert 'node&lt;1&gt;' in page


def test_metrics_are_in_prometheus_text_format(out):
    lines = metrics_of(status_of(out)).splitlines()
    samples = [line for line in lines if not line.startswith('#')]
    assert all(
        re.fullmatch(r'denseformer_[a-z_]+\{out="[^"]+"(,state="[a-z]+")?\} [0-9.e+]+', line) for line in samples
    )
    assert f'denseformer_images_done{{out="{out}"}} 195' in samples
    assert f'denseformer_shards{{out="{out}",state="stopped"}} 1' in samples
    for line in samples:  # each is introduced, once
        assert sum(other.startswith(f'# TYPE {line.partition("{")[0]} ') for other in lines) == 1


def test_the_command_follows_a_run_to_its_end(images, tmp_path, capsys):  # noqa: F811
    out = tmp_path / 'out'
    assert main(['status', str(tmp_path)]) == 2
    predict_folder(detector(), images, out, shard='0/2')
    assert main(['status', str(out)]) == 0
    assert '1 finished, 1 waiting' in capsys.readouterr().out
    predict_folder(detector(), images, out, shard='1/2')
    page, metrics = tmp_path / 'status.html', tmp_path / 'status.prom'
    assert main(['status', str(out), '--html', str(page), '--prometheus', str(metrics)]) == 0
    assert capsys.readouterr().out.startswith('6 done; 0 failed; 0.0 images/s; complete; shards: 2 finished')
    assert page.read_text().count('class="finished"') == 2
    assert 'images_expected' in metrics.read_text()
    predict_folder(detector(), images, tmp_path / 'plain')
    assert main(['status', str(tmp_path / 'plain')]) == 0
    assert capsys.readouterr().out == '6 done; 0 failed; 0.0 images/s; complete\n'


@pytest.mark.parametrize(('seconds', 'text'), [(59, '59 s'), (600, '10 min'), (7500, '2 h 5 min'), (90_000, '1 d 1 h')])
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text

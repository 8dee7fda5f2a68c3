"""Processes share a folder, an interrupted run leaves complete files, and memory running out is survived."""

import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from forks import DEADLINE, Fork
from PIL import Image
from predicting import CONFIG, record

from denseformer.cli import main
from denseformer.inference import Predictor, predict_folder
from denseformer.inference.record import lines_of, record_files
from denseformer.inference.run import PARTS
from denseformer.inference.shards import Shard
from denseformer.inference.streaming import PREFETCH, prefetched
from denseformer.inference.writers import RunFolder, lock_of, place_of


@pytest.fixture
def many(tmp_path):
    root = tmp_path / 'in'
    root.mkdir()
    rng = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(rng.integers(0, 255, (40, 48, 3), np.uint8)).save(root / f'{i:02d}.png')
    return root


@pytest.fixture
def start(checkpoint, many, tmp_path):
    """Starts processes that predict; what runs when a test ends, is killed."""
    children = []

    def start(*flags) -> Fork:
        command = [
            'infer',
            CONFIG,
            str(checkpoint),
            str(many),
            '--out',
            str(tmp_path / 'out'),
            '--device',
            'cpu',
            *flags,
        ]
        children.append(Fork(lambda: sys.exit(main(command))))
        return children[-1]

    yield start
    for child in children:
        child.kill()


def test_processes_that_share_a_folder_do_nothing_twice(start, tmp_path):
    children = [start('--share') for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    lines = [json.loads(line)['file'] for line in (tmp_path / 'out/results.jsonl').read_text().splitlines()]
    assert sorted(lines) == [f'{i:02d}.png' for i in range(40)]


def test_what_another_process_has_is_left_to_it(predictor, many, tmp_path):
    out = tmp_path / 'out'
    taken = [Shard(i, PARTS) for i in range(0, PARTS, 2)]
    theirs = {name for name in os.listdir(many) if any(shard.holds(name) for shard in taken)}
    with ExitStack() as stack:
        for shard in taken:
            stack.enter_context(lock_of(place_of(out, shard)))
        assert predict_folder(predictor, many, out, share=True)['predicted'] == 40 - len(theirs)
    assert not (out / 'results.jsonl').exists()
    assert predict_folder(predictor, many, out, share=True)['predicted'] == len(theirs)
    assert len(record(out)) == 40


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_leaves_complete_files_and_is_resumed(start, predictor, many, tmp_path, number):
    for i in range(60):
        (many / f'more_{i}.png').write_bytes((many / '00.png').read_bytes())
    child = start()
    record_file, end = tmp_path / 'out/results.jsonl', time.monotonic() + DEADLINE
    while not record_file.is_file() or not record_file.read_text():
        assert child.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(child.pid, number)
    assert child.wait() == (130 if number == signal.SIGTERM else -signal.SIGKILL)
    if number == signal.SIGTERM:
        assert json.loads((tmp_path / 'out/summary.json').read_text())['interrupted']
        assert not (tmp_path / 'out/.unfinished').exists()
    done = {name for file in record_files(tmp_path / 'out') for name, _, _ in lines_of(file)}
    assert 0 < len(done) < 100
    for path in (tmp_path / 'out').glob('[mo]*/*'):  # masks and overlays
        Image.open(path).load()
    rest = predict_folder(predictor, many, tmp_path / 'out', resume=True)
    assert rest['predicted'] + len(done) == 100
    assert not (tmp_path / 'out/.unfinished').exists()


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
def test_a_write_that_is_broken_off_leaves_no_file(tmp_path, error):
    def write(path):
        path.write_text('half')
        raise error

    with pytest.raises(error):
        RunFolder(tmp_path).file('masks/a.png', write)
    assert list((tmp_path / 'masks').iterdir()) == list((tmp_path / '.unfinished').iterdir()) == []


def test_an_image_that_fails_in_a_batch_fails_alone(checkpoint, many, tmp_path, monkeypatch):
    predictor = Predictor(CONFIG, checkpoint, device='cpu', batch_size=8)
    inside = predictor.task.predict

    def fragile(batch):
        if any(prepared.name.name == '05.png' for prepared in batch):
            raise RuntimeError('cannot be done')
        return inside(batch)

    monkeypatch.setattr(predictor.task, 'predict', fragile)
    summary = predict_folder(predictor, many, tmp_path / 'out')
    assert summary['failures'] == [{'file': '05.png', 'error': 'RuntimeError: cannot be done'}]
    assert summary['predicted'] == 39


def test_running_out_of_memory_does_not_fail_an_image(checkpoint, tmp_path, monkeypatch):
    predictor = Predictor(CONFIG, checkpoint, device='cpu', native=True, tile=512)
    inside = predictor.task.tiled.network.network

    def small_machine(images):
        if images[0, 0].numel() > 300 * 300:
            raise MemoryError
        return inside(images)

    monkeypatch.setattr(predictor.task.tiled.network, 'network', small_machine)
    picture = np.random.default_rng(0).integers(0, 255, (500, 400, 3), np.uint8)
    summary = predict_folder(predictor, picture, tmp_path / 'out')
    assert summary['failures'] == []


def test_a_file_that_cannot_be_written_is_a_failure_of_its_image(predictor, folder, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/masks').write_text('in the way')
    summary = predict_folder(predictor, folder / 'a.jpg', tmp_path / 'out', overwrite=True)
    assert summary['failed'] == 1


def test_the_first_result_waits_for_no_further_item_and_later_ones_are_ahead():
    taken, ahead = [], []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(1) as pool:
        for number, doubled in prefetched(pool, lambda number: 2 * number, items()):
            assert doubled == 2 * number
            ahead.append(taken[-1] - number)
    assert ahead[0] == 0
    assert ahead[10] == PREFETCH
    assert len(ahead) == 20

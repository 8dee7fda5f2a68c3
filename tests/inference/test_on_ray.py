"""What a worker of a Ray cluster does, here without one; `test_ray_end_to_end.py` has real ones."""

import json
import os
import pickle
import signal
import sys
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from forks import in_child
from PIL import Image

from denseformer.inference import Predictor, on_ray, predict_folder
from denseformer.inference.on_ray import DEATHS, Worker, blocks_of, item_of, row_of, table_of
from denseformer.inference.record import Hashes
from denseformer.inference.shards import hash_of
from denseformer.inference.sources import Selection, SourceItem, find_files
from denseformer.options import RunOptions
from denseformer.storage import path_of


@pytest.fixture(scope='module')
def restorer(weights):
    return Predictor(weights, device='cpu')


@pytest.fixture
def images(tmp_path):
    """Five images, and one that cannot be read."""
    folder = tmp_path / 'in'
    folder.mkdir()
    for i in range(5):
        Image.fromarray(np.full((16, 16, 3), 40 * i, np.uint8)).save(folder / f'{i}.png')
    (folder / 'broken.png').write_bytes(b'')
    return folder


def worker(predictor, out: Path, done: tuple[str, ...] = ()) -> Worker:
    names = Hashes(hash_of(name) for name in done)
    folders = {'root': str(out), 'unfinished': str(out / '.unfinished'), 'marks': 'begun'}
    return Worker(predictor, names, device='cpu', **folders, thumbnails=False)


def test_a_worker_answers_with_the_entries_of_each_file_but_of_images_that_are_done(restorer, images, tmp_path):
    block = table_of(find_files(images, Selection()))
    answer = worker(restorer, tmp_path / 'out', done=('1.png', '3.png'))(block)['entries']
    statuses = [[(entry['file'], entry['status']) for entry in json.loads(text)] for text in answer]
    expected = [[('0.png', 'ok')], [], [('2.png', 'ok')], [], [('4.png', 'ok')], [('broken.png', 'failed')]]
    assert statuses == expected
    assert sorted(path.name for path in (tmp_path / 'out/restored').iterdir()) == ['0.png', '2.png', '4.png']
    assert not list((tmp_path / 'out/.unfinished/begun').iterdir())


def test_a_file_that_ends_its_process_again_and_again_fails_alone(restorer, images, tmp_path, monkeypatch):
    block = table_of(find_files(images, Selection()))
    prepare = restorer.task.prepare

    def attempt() -> None:
        begun = worker(restorer, tmp_path / 'out')
        monkeypatch.setattr(begun.predictor.task, 'prepare', deadly)
        (tmp_path / 'answer').write_text(json.dumps(begun(block)['entries']))

    def deadly(item: SourceItem):
        if item.name.name == '2.png':
            os.kill(os.getpid(), signal.SIGKILL)
        return prepare(item)

    assert [in_child(attempt) for _ in range(DEATHS + 2)] == [-signal.SIGKILL] * (DEATHS + 1) + [0]
    entries = [json.loads(text)[0] for text in json.loads((tmp_path / 'answer').read_text())]
    assert [entry['status'] for entry in entries] == ['ok', 'ok', 'failed', 'ok', 'ok', 'failed']
    assert f'{DEATHS} processes died over it' in entries[2]['error']
    assert not list((tmp_path / 'out/.unfinished/begun').iterdir())


@pytest.mark.parametrize(
    'item',
    [
        SourceItem(PurePosixPath('b/a.png'), path=Path('/in/b/a.png')),
        SourceItem(PurePosixPath(os.fsdecode(b'\xff.png')), path=Path(os.fsdecode(b'/in/\xff.png'))),
        SourceItem(PurePosixPath('gone.png'), fault="'list.txt', line 3: 'gone.png': there is no such file."),
        SourceItem(PurePosixPath('b/a.png'), path=path_of('memory://in/b/a.png')),
    ],
)
def test_a_file_is_the_same_when_it_arrives(item):
    (row,) = table_of([item]).to_pylist()
    assert item_of(row) == item


def test_a_relative_path_is_sent_as_an_absolute_one(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert item_of(row_of(SourceItem(PurePosixPath('a.png'), path=Path('in/a.png')))).path == tmp_path / 'in/a.png'


def test_few_files_are_given_in_small_parts_and_very_many_in_large_ones(monkeypatch):
    monkeypatch.setattr(on_ray, 'BLOCKS', 10)
    items = [SourceItem(PurePosixPath(f'{i}.png'), path=Path(f'/in/{i}.png')) for i in range(330)]

    def sizes(count: int, **given: int) -> list[int]:
        return [len(block) for block in blocks_of(table_of(items[:count]), **given)]

    assert sizes(40, batch=1, workers=1) == [10] * 4
    assert sizes(10, batch=1, workers=8) == [1] * 10
    assert sizes(10, batch=4, workers=8) == [4, 4, 2]  # whole batches
    assert sizes(100, batch=1, workers=1) == [16] * 6 + [4]
    assert sizes(330, batch=1, workers=1) == [33] * 10
    assert sizes(0, batch=1, workers=1) == []


def test_a_predictor_that_was_sent_to_another_process_predicts_the_same(restorer, images):
    (here,), (there,) = (each(images / '3.png') for each in (restorer, pickle.loads(pickle.dumps(restorer))))
    np.testing.assert_array_equal(here.image, there.image)


@pytest.mark.parametrize(
    ('source', 'options', 'fault'),
    [
        (np.zeros((8, 8, 3), np.uint8), {}, 'predicts files'),
        ('rtsp://camera', {}, 'a camera or stream is for one process'),
        ('in', {'share': True}, 'leave out --share'),
        ('in', {'pack': 10}, 'leave out --pack'),
        ('elsewhere', {}, 'There is no file or folder'),
    ],
)
def test_what_does_not_go_with_ray_is_refused(restorer, images, tmp_path, monkeypatch, source, options, fault):
    pytest.importorskip('ray', reason='Ray is not installed')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=fault):
        predict_folder(restorer, source, tmp_path / 'out', engine='ray', **options)


def test_without_ray_the_way_to_it_is_said(restorer, images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray.data', None)
    with pytest.raises(ValueError, match=r"pip install 'denseformer\[ray\]'"):
        predict_folder(restorer, images, tmp_path / 'out', engine='ray')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('options', [{'workers': 2}, {'gpus_per_worker': 0.5}, {'engine': 'ray', 'workers': 0}])
def test_options_of_workers_are_for_ray(options):
    with pytest.raises(ValueError, match='for --engine ray'):
        RunOptions(**options)

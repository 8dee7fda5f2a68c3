"""Shards divide a source, survive any death, and become one record, as if one undisturbed process had predicted all."""

import json
import os
import signal
from collections import Counter
from functools import partial

import numpy as np
import pytest
from forks import in_child
from PIL import Image
from predicting import record

from denseformer.cli import main
from denseformer.inference import predict_folder
from denseformer.inference import record as records
from denseformer.inference.merging import merge
from denseformer.inference.record import Hashes, census_of, consolidate
from denseformer.inference.run import PARTS
from denseformer.inference.shards import Shard, local_device, parse_shard
from denseformer.inference.sources import Selection, find_items
from denseformer.inference.writers import RunFolder, lock_of, place_of

from .test_detection_run import counts, detector

IMAGES = 24


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """Squares to count, in two folders; two images differ in their suffix, one cannot be read."""
    root = tmp_path_factory.mktemp('in')
    (root / 'more').mkdir()
    for i in range(IMAGES - 3):
        pixels = np.zeros((32, 96, 3), np.uint8)
        for square in range(i % 4):
            pixels[10:20, 24 * square + 5 : 24 * square + 15] = 255
        Image.fromarray(pixels).save(root / ('more' if i % 2 else '') / f'{i:02d}.png')
    for name in ('twin.png', 'twin.bmp'):
        Image.fromarray(pixels).save(root / name)
    (root / 'broken.png').write_bytes(b'no image')
    return root


def content(out) -> dict[str, bytes]:
    """All that a merged run holds, but for what its shards keep, what was measured, and the drawings."""
    files = {path.relative_to(out).as_posix(): path for path in out.rglob('*') if path.is_file()}
    kept = {name: path.read_bytes() for name, path in files.items() if name.split('/')[0] in ('instances', 'overlays')}
    lines = [json.loads(line) for line in (out / 'results.jsonl').read_text().splitlines()]
    timeless = [{key: value for key, value in entry.items() if key != 'ms'} for entry in lines]
    return {**kept, 'results': json.dumps(timeless).encode(), 'coco': (out / 'instances.json').read_bytes()}


@pytest.fixture(scope='module')
def undisturbed(images, tmp_path_factory):
    """What one process makes of the images."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    assert predict_folder(detector(), images, out)['predicted'] == IMAGES - 1
    return content(out)


def die_at(monkeypatch, module, function: str, number: int) -> None:
    """Let this process be killed when it calls a function for the n-th time."""
    calls = []
    inside = getattr(module, function)

    def deadly(*args, **kwargs):
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return inside(*args, **kwargs)

    monkeypatch.setattr(module, function, deadly)


DEATHS = [
    *((RunFolder, 'log', n) for n in (1, 4)),  # before an image is in the record
    *((os, 'replace', n) for n in (2, 5, 9)),  # before a file appears under its name; the last ones are of the record
    (records, 'merge_sorted', 1),
    (records, 'write_lines', 1),
]


@pytest.mark.parametrize('seed', range(2))
def test_killed_shards_that_are_started_again_give_what_one_process_gives(
    images, undisturbed, tmp_path, monkeypatch, seed
):
    out = tmp_path / 'out'
    random = np.random.default_rng(seed)

    def predict(shard: str, death: int | None = None) -> None:
        if death is not None:
            die_at(monkeypatch, *DEATHS[death])
        predict_folder(detector(), images, out, shard=shard, resume=True)

    for shard in random.permutation(['0/3', '1/3', '2/3']):
        for death in random.permutation(len(DEATHS))[:4]:
            in_child(partial(predict, shard, death))
        assert in_child(partial(predict, shard)) == 0
    for _ in range(2):  # a merge may be repeated
        assert merge(out)['predicted'] == IMAGES - 1
        assert content(out) == undisturbed
    assert not list(out.rglob('.unfinished'))


def test_a_killed_merge_is_done_again(images, undisturbed, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    for index in range(2):
        predict_folder(detector(), images, out, shard=f'{index}/2')

    def doomed():
        die_at(monkeypatch, os, 'replace', 3)
        merge(out)

    assert in_child(doomed) == -signal.SIGKILL
    merge(out)
    assert content(out) == undisturbed


def test_shards_divide_a_source_whatever_it_is(images, tmp_path):
    (images / 'list.txt').write_text(
        ''.join(f'{path.relative_to(images)}\n' for path in sorted(images.rglob('*.*')) if path.suffix != '.txt')
    )
    for source in (images, images / 'list.txt', [images / 'more', images / '00.png'], f'{images}/*.png'):
        everything = [item.name for item in find_items(source)]
        shards = [[item.name for item in find_items(source, Selection(Shard(i, 5)))] for i in range(5)]
        assert sorted(everything) == sorted(name for shard in shards for name in shard)
        assert len(everything) == len(set(everything))
    (images / 'list.txt').unlink()


def test_a_shard_without_an_image_is_finished_too(images, tmp_path):
    for i in range(3):
        assert predict_folder(detector(), images / '00.png', tmp_path / 'out', shard=f'{i}/3')['failures'] == []
    assert merge(tmp_path / 'out')['predicted'] == 1
    assert counts(tmp_path / 'out/instances.json') == {'00.png': 0}


def test_resuming_one_shard_mends_it_and_touches_no_other(images, tmp_path):
    source, out = tmp_path / 'in', tmp_path / 'out'
    source.mkdir()
    for name in ('00.png', '02.png', '04.png', '06.png', '08.png', '10.png'):
        (source / name).write_bytes((images / name).read_bytes())
    (source / 'broken.png').write_bytes(b'not yet')
    mine = next(i for i in range(2) if Shard(i, 2).holds('broken.png'))
    for i in range(2):
        predict_folder(detector(), source, out, shard=f'{i}/2')
    assert merge(out)['failed'] == 1
    other = {path: path.stat().st_mtime_ns for path in (out / 'shards' / Shard(1 - mine, 2).folder).iterdir()}
    (source / 'broken.png').write_bytes((images / '00.png').read_bytes())
    assert predict_folder(detector(), source, out, shard=f'{mine}/2', resume=True)['predicted'] == 1
    assert other == {path: path.stat().st_mtime_ns for path in (out / 'shards' / Shard(1 - mine, 2).folder).iterdir()}
    assert (merge(out)['failed'], len(record(out))) == (0, 7)


def test_a_merge_says_what_is_missing(images, tmp_path, capsys):
    out = tmp_path / 'out'
    assert main(['merge', str(tmp_path)]) == 2
    for i in (0, 2):
        predict_folder(detector(), images, out, shard=f'{i}/3')
    assert main(['merge', str(out)]) == 2
    assert '1 of 3 shards in' in capsys.readouterr().err
    predict_folder(detector(), images, out, shard='1/3')
    results = out / 'shards/00001-of-00003/results.jsonl'
    lines = results.read_text().splitlines(keepends=True)
    results.write_text(''.join(lines[1:]))
    with pytest.raises(
        ValueError, match=rf'has {len(lines) - 1} images, and not the {len(lines)} .*--shard 1/3 --resume'
    ):
        merge(out)
    assert predict_folder(detector(), images, out, shard='1/3', resume=True)['predicted'] == 1
    assert main(['merge', str(out)]) == 1  # one image failed
    assert len(record(out)) == IMAGES


def test_an_image_in_two_shards_is_named(images, tmp_path, monkeypatch):
    predict_folder(detector(), images / '00.png', tmp_path / 'out', shard='0/2')
    monkeypatch.setattr(Shard, 'holds', lambda self, name: True)
    for shard in ('0/2', '1/2'):
        predict_folder(detector(), images / '00.png', tmp_path / 'out', shard=shard, resume=True)
    with pytest.raises(ValueError, match=r"several shards have '00\.png'"):
        merge(tmp_path / 'out')


def test_shards_and_other_runs_do_not_mix(images, tmp_path):
    source = images / '00.png'
    predict_folder(detector(), source, tmp_path / 'plain')
    predict_folder(detector(), source, tmp_path / 'shards', shard='0/2')
    for out, fault, options in (
        ('plain', 'without shards', {'shard': '0/2'}),
        ('plain', 'without shards', {'share': True}),
        ('shards', 'holds shards', {'resume': True}),
        ('shards', '2 shards, and this is one of 3', {'shard': '0/3'}),
        ('shards', 'was begun', {'shard': '0/2'}),
        ('shards', 'leave out', {'shard': '0/2', 'share': True}),
    ):
        with pytest.raises(ValueError, match=fault):
            predict_folder(detector(), source, tmp_path / out, **options)
    assert predict_folder(detector(), source, tmp_path / 'shards', shard='0/2', overwrite=True)['done before'] == 0


def test_an_interrupted_shard_is_not_finished(images, tmp_path, monkeypatch):
    predictor, log = detector(), RunFolder.log

    def stopped(folder, entry):
        log(folder, entry)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, 'log', stopped)
    assert predict_folder(predictor, images, tmp_path / 'out', shard='0/1')['interrupted']
    with pytest.raises(ValueError, match='have not finished'):
        merge(tmp_path / 'out')


def test_a_record_of_any_size_is_sorted_in_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(records, 'CHUNK', 7)
    monkeypatch.setattr(records, 'OPEN_FILES', 3)
    names = [f'{i:03d}' for i in np.random.default_rng(0).permutation(100)]
    lines = [{'file': name, 'status': 'failed', 'error': ''} for name in names]
    lines += [{'file': name, 'status': 'ok', 'attempt': 2} for name in names[:90]]
    lines += [{'file': name, 'status': 'failed', 'error': 'of a process that came back'} for name in names[:80]]
    for part in range(4):
        text = ''.join(json.dumps(line) + '\n' for line in lines[part * 70 : part * 70 + 70])
        (tmp_path / f'{part}.jsonl').write_text(text + '{"file": "trunc')
    census = consolidate(tmp_path, tmp_path / '.unfinished')
    assert (census.images, census.failed) == (100, 10)
    assert census == census_of(tmp_path / 'results.jsonl')
    found = [json.loads(line) for line in (tmp_path / 'results.jsonl').read_text().splitlines()]
    assert [entry['file'] for entry in found] == sorted(names)
    assert Counter(entry.get('attempt') for entry in found) == {2: 90, None: 10}
    assert [path.name for path in tmp_path.iterdir()] == ['results.jsonl']


def test_a_set_of_names_takes_eight_bytes_each():
    names = Hashes(iter([3, 1, 2, 1]))
    assert (len(names), names.sorted.itemsize) == (3, 8)
    assert 'a' not in names
    assert 'a' in Hashes([records.hash_of('a'), 5])


@pytest.mark.parametrize(
    ('text', 'variables', 'expected'),
    [
        ('3/8', '', '3/8'),
        ('auto', 'SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=8 SLURM_ARRAY_TASK_COUNT=8', '4/8'),
        (
            'auto',
            'SLURM_ARRAY_TASK_ID=6 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=6 SLURM_ARRAY_TASK_COUNT=4 '
            'SLURM_ARRAY_TASK_STEP=2 SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=2',
            '7/8',
        ),
        ('auto/64', 'SLURM_ARRAY_TASK_ID=63 SLURM_ARRAY_TASK_COUNT=1 SLURM_PROCID=0 SLURM_NTASKS=4', '63/64'),
        ('auto', 'SLURM_STEP_ID=0 SLURM_PROCID=3 SLURM_STEP_NUM_TASKS=4', '3/4'),
        ('auto', 'RANK=2 WORLD_SIZE=4 SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=1', '2/4'),
        ('auto', 'OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=3', '1/3'),
        ('auto', 'PMI_RANK=1 PMI_SIZE=3', '1/3'),
        ('auto/16', 'JOB_COMPLETION_INDEX=15', '15/16'),
        ('auto/16', 'JOB_COMPLETION_INDEX=15 RANK=1 WORLD_SIZE=2', '31/32'),
    ],
)
def test_a_shard_follows_from_what_started_the_process(text, variables, expected):
    environment = dict(pair.split('=') for pair in variables.split())
    assert str(parse_shard(text, environment)) == expected


@pytest.mark.parametrize(
    ('text', 'variables', 'fault'),
    [
        ('8/8', '', r'no shard 8/8: the first of 8 is 0/8'),
        ('three', '', 'it is I/N'),
        ('auto', '', 'no variable'),
        ('auto/4', '', 'no task of a Slurm array'),
        ('auto', 'JOB_COMPLETION_INDEX=15', 'auto/64'),
        (
            'auto',
            'SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=9 SLURM_ARRAY_TASK_COUNT=3',
            'gaps',
        ),
    ],
)
def test_a_shard_that_cannot_be_known_is_an_error(text, variables, fault):
    with pytest.raises(ValueError, match=fault):
        parse_shard(text, dict(pair.split('=') for pair in variables.split()))


def test_processes_of_one_machine_take_its_gpus_in_turn():
    assert local_device({'LOCAL_RANK': '5'}, 4) == 'cuda:1'
    assert local_device({'SLURM_LOCALID': '3'}, 1) == 'auto'  # the scheduler gave each process its own
    assert local_device({}, 4) == 'auto'


def test_what_a_dead_process_had_taken_is_taken_over(images, tmp_path):
    out = tmp_path / 'out'

    def doomed():
        for i in range(0, PARTS, 2):
            lock_of(place_of(out, Shard(i, PARTS))).acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(doomed) == -signal.SIGKILL
    assert predict_folder(detector(), images, out, share=True)['predicted'] == IMAGES - 1
    assert len(record(out)) == IMAGES

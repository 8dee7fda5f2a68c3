"""Outputs in tar files: what a run without them writes, exactly once, whenever its processes were killed."""

import json
import os
import shutil
import signal
import tarfile
from collections import Counter
from pathlib import PurePosixPath

import numpy as np
import pytest
from forks import in_child
from predicting import record

from denseformer.inference import Predictor, packs, predict_folder
from denseformer.inference.merging import merge
from denseformer.inference.packs import Pack, key_of, read_output
from denseformer.inference.sources import find_items
from denseformer.inference.writers import RunFolder

from .test_detection_run import detector
from .test_shards import IMAGES, die_at, images  # noqa: F401 (a fixture)

SHARDS = ('0/3', '1/3', '2/3')
DEATHS = [
    *((RunFolder, 'log', n) for n in (1, 4)),  # after an image was appended, before it is in the record
    *((Pack, 'add', n) for n in (2, 6)),
    *((packs, 'publish', n) for n in (1, 2)),  # before a full tar file has its name
    *((os, 'replace', n) for n in (3, 8)),
]


def content(out) -> dict[str, bytes]:
    """The tar files, COCO's file and the record of a run, without what was measured."""
    lines = [json.loads(line) for line in (out / 'results.jsonl').read_text().splitlines()]
    timeless = [{key: value for key, value in entry.items() if key != 'ms'} for entry in lines]
    tars = {path.name: path.read_bytes() for path in (out / 'tars').iterdir()}
    return {**tars, 'results': json.dumps(timeless).encode(), 'coco': (out / 'instances.json').read_bytes()}


@pytest.fixture(scope='module')
def undisturbed(images, tmp_path_factory):  # noqa: F811
    """The output of three shards, packed by fours."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    for shard in SHARDS:
        predict_folder(detector(), images, out, shard=shard, pack=4)
    merge(out)
    return out


def test_tar_files_hold_what_single_files_do(images, undisturbed, tmp_path):  # noqa: F811
    predict_folder(detector(), images, tmp_path / 'single')
    single, packed = (
        {entry['file']: entry for entry in record(out).values() if entry['status'] == 'ok'}
        for out in (tmp_path / 'single', undisturbed)
    )
    assert packed.keys() == single.keys()
    for name, entry in packed.items():
        for kind in ('instances', 'overlay'):
            path = PurePosixPath(single[name][kind])
            assert read_output(undisturbed, entry, kind) == (tmp_path / 'single' / path).read_bytes()
            assert entry[kind] == str(PurePosixPath(*path.parts[1:]).with_suffix(f'.{kind}{path.suffix}'))
    assert (undisturbed / 'instances.json').read_bytes() == (tmp_path / 'single/instances.json').read_bytes()
    assert not [path for name in ('instances', 'overlays') for path in (undisturbed / name).rglob('*')]
    members = Counter()
    for path in (undisturbed / 'tars').iterdir():
        with tarfile.open(path) as archive:
            names = archive.getnames()
            members.update(names)
            assert len(names) <= 2 * 4
    assert members == Counter(entry[kind] for entry in packed.values() for kind in ('instances', 'overlay'))


@pytest.mark.parametrize('seed', range(2))
def test_killed_shards_that_are_started_again_make_the_same_tar_files(images, undisturbed, tmp_path, monkeypatch, seed):  # noqa: F811
    out, random = tmp_path / 'out', np.random.default_rng(seed)

    def predict(shard: str, death: int | None = None) -> None:
        if death is not None:
            die_at(monkeypatch, *DEATHS[death])
        predict_folder(detector(), images, out, shard=shard, resume=True, pack=4)

    deaths = []
    for shard in random.permutation(SHARDS):
        for death in random.permutation(len(DEATHS))[:5]:
            deaths.append(in_child(lambda shard=shard, death=death: predict(str(shard), death)))
        assert in_child(lambda shard=shard: predict(str(shard))) == 0
    assert deaths.count(-signal.SIGKILL) >= 6
    merge(out)
    assert content(out) == content(undisturbed)


def test_a_run_without_shards_goes_on_within_a_tar_file(images, tmp_path, monkeypatch):  # noqa: F811
    def predict(kill: bool, out: str = 'out') -> None:
        if kill:
            die_at(monkeypatch, RunFolder, 'log', 7)
        predict_folder(detector(), images, tmp_path / out, resume=True, pack=5)

    assert in_child(lambda: predict(kill=True)) == -signal.SIGKILL
    assert [path.name for path in (tmp_path / 'out/tars').glob('*.part')] == ['000001.tar.part']
    with pytest.raises(ValueError, match='go on with --pack'):
        predict_folder(detector(), images, tmp_path / 'out', resume=True)
    predict(kill=False)
    predict(kill=False, out='whole')
    assert content(tmp_path / 'out') == content(tmp_path / 'whole')


@pytest.mark.parametrize('damage', ['cut', 'missing', 'stray', 'other'])
def test_a_merge_names_tar_files_that_are_not_what_the_record_says(undisturbed, tmp_path, damage):
    out = tmp_path / 'out'
    shutil.copytree(undisturbed, out)
    first, second = sorted((out / 'tars').iterdir())[:2]
    if damage == 'cut':
        os.truncate(first, first.stat().st_size // 2)
    elif damage == 'missing':
        first.unlink()
    elif damage == 'stray':
        first = first.with_name('00009-of-00003-000000.tar')
        first.write_bytes(second.read_bytes())
    else:
        first.write_bytes(b'\0' * first.stat().st_size)
    with pytest.raises(ValueError, match=f'{first.name} of .* is not what the record says'):
        merge(out)


@pytest.mark.parametrize('damage', ['cut', 'missing'])
def test_a_run_does_not_go_on_beside_a_damaged_tar_file(tmp_path, damage):
    first = tmp_path / 'tars/000000.tar'
    first.parent.mkdir()
    first.write_bytes(b'x' * 10)
    (tmp_path / 'tars/000001.tar').write_bytes(b'x' * 10)
    if damage == 'missing':
        first.unlink()
    recorded = [dict(tar=f'tars/{number:06d}.tar', tar_stop=stop) for number, stop in enumerate((20, 10))]
    with pytest.raises(ValueError, match=r'tars/000000\.tar is missing, or shorter'):
        Pack(tmp_path, None, 2, tmp_path / 'scratch', recorded)


def test_dots_in_names_do_not_begin_another_part_of_a_sample():
    assert key_of(PurePosixPath('v1.0/a.b%c')) == 'v1.0/a%2Eb%25c'


def test_packed_overwriting_leaves_nothing_behind(weights, folder, tmp_path):
    predictor = Predictor(weights, device='cpu')
    for size in (1, 2):
        predict_folder(predictor, folder, tmp_path / 'out', overwrite=True, pack=size)
    assert sorted(path.name for path in (tmp_path / 'out/tars').iterdir()) == ['000000.tar', '000001.tar']
    with pytest.raises(ValueError, match='--report needs single files'):
        predict_folder(predictor, folder, tmp_path / 'other', pack=2, report=True)
    assert not [*find_items(tmp_path / 'out/tars/000000.tar')]  # parts of samples, not images to predict on

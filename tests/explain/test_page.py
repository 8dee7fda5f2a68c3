"""The page says what was found, for each task, and is made of records without a model."""

import json
import re

import cv2
import numpy as np
import pytest

from denseformer.explain.collect import digest_of, records_of, resolved_config
from denseformer.explain.page import explain
from denseformer.explain.records import Records, difference, restoration_record, segmentation_record
from denseformer.options import LaunchOptions

NAMES = ['sky', 'road <wide>']


def segmentation(folder, spoil: float) -> Records:
    """Maps of which `spoil` of the pixels are wrong, on images that lie in `folder`."""
    rng = np.random.default_rng(0)
    records = Records('segmentation', NAMES)
    for number in range(12):
        labels = np.zeros((24, 24), np.uint8)
        labels[:, 12:] = 1
        wrong = rng.random(labels.shape) < spoil * (1 + number % 3) / 2
        found = np.where(wrong, 1 - labels, labels).astype(np.int64)
        chances = np.where(np.arange(2)[:, None, None] == found, 0.8, 0.2)
        path = folder / f'{number}.png'
        cv2.imwrite(str(path), np.full((24, 24, 3), 90, np.uint8))
        arrays, totals = segmentation_record(chances, found, labels, 255)
        records.add(str(path), arrays, totals)
    return records


def as_run(folder, records: Records):
    """A run's folder with these records of its best checkpoint."""
    folder.mkdir(parents=True)
    (folder / 'config.py').write_text("work_dir = '/elsewhere'\n")
    (folder / 'best.pth').write_bytes(b'weights')
    records.checkpoint = 'best_mIoU_iter_1.pth'
    records.digest = digest_of(resolved_config(folder, LaunchOptions()), folder / 'best.pth')
    records.save(folder / 'explain/records.npz')
    return folder


@pytest.fixture
def runs(tmp_path):
    return [as_run(tmp_path / name, segmentation(tmp_path, spoil)) for name, spoil in (('bad', 0.3), ('good', 0.1))]


def test_a_page_holds_scores_errors_reliability_and_suspects(runs):
    path = explain(runs[0], options=LaunchOptions())
    page = path.read_text()
    assert path == runs[0] / 'explain.html'
    for part in ('mIoU', 'best threshold', 'at boundaries', 'Most confused', 'Expected calibration error'):
        assert part in page
    assert 'road &lt;wide&gt;' in page
    assert 'road <wide>' not in page
    assert not re.search(r'https?://|<script', page)
    numbers = json.loads(path.with_suffix('.json').read_text())
    assert set(numbers['images']) == set(Records.load(runs[0] / 'explain/records.npz').files)


def test_records_are_those_of_one_checkpoint_and_config_wherever_the_run_lies(runs, tmp_path):
    moved = runs[0].rename(tmp_path / 'moved')
    assert len(records_of(moved, LaunchOptions()).images) == 12
    with pytest.raises(ValueError, match='no val_dataloader'):  # which shows that it would predict again
        records_of(moved, LaunchOptions(device='cpu', cfg_options={'scale': 2}))
    (moved / 'best.pth').write_bytes(b'other weights')
    with pytest.raises(ValueError, match='no val_dataloader'):
        records_of(moved, LaunchOptions(device='cpu'))


def test_two_runs_are_compared_with_an_interval_and_the_images_that_changed(runs):
    page = explain(*runs, options=LaunchOptions()).read_text()
    said = re.search(r'<b>([+-]\d+\.\d\d) mIoU, 95 % interval (\S+) to (\S+)</b>', page)
    difference, low, high = map(float, said.groups())
    assert 0 < low < difference < high
    assert '0 images got worse' in page
    assert '12 images got better' in page
    numbers = json.loads((runs[0] / 'explain.json').read_text())
    assert numbers['comparison']['difference'] == pytest.approx(difference, abs=0.01)


def test_runs_of_other_images_are_not_compared(runs, tmp_path):
    records = Records('restoration')
    image = np.random.default_rng(0).random((16, 16, 3))
    records.add('a.png', restoration_record(image, image / 2, 9.0, np.nan))
    other = as_run(tmp_path / 'other', records)
    with pytest.raises(ValueError, match='image by image: one is of segmentation, the other of restoration'):
        explain(runs[0], other, options=LaunchOptions())
    assert 'PSNR' in explain(other, options=LaunchOptions()).read_text()


def test_what_tells_two_runs_apart_is_said():
    runs = [Records('restoration') for _ in range(3)]
    image = np.zeros((16, 16, 3))
    for records, names in zip(runs, (('a', 'b'), ('b', 'a'), ('a', 'c')), strict=True):
        for name in names:
            records.add(f'{name}.png', restoration_record(image, image + 0.1, 9.0, np.nan))
    assert difference(runs[0], runs[0]) == ''
    assert 'another order' in difference(*runs[:2])
    assert '2 images were seen by one of them alone (b.png, c.png ...)' in difference(runs[0], runs[2])


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(ValueError, match='is it the --work-dir of a run'):
        explain(tmp_path, options=LaunchOptions())


def test_records_come_back_as_they_were_saved(tmp_path):
    records = segmentation(tmp_path, 0.2)
    records.save(tmp_path / 'records.npz')
    again = Records.load(tmp_path / 'records.npz')
    assert (again.task, again.classes, again.files) == (records.task, records.classes, records.files)
    for first, second in zip(records.images, again.images, strict=True):
        assert first.keys() == second.keys()
        assert all(np.array_equal(first[name], second[name]) for name in first)
    assert np.array_equal(again.totals['levels'], records.totals['levels'])

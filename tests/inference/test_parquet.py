"""The record as a table has all that the lines have."""

import json

import pytest

from denseformer.cli import main
from denseformer.inference import parquet, predict_folder
from denseformer.inference.record import Record

from .test_detection_run import detector, images  # noqa: F401 (a fixture)

needed = "pip install 'denseformer[storage]'"


def test_a_table_has_the_entries_whatever_their_keys(tmp_path, monkeypatch):
    arrow = pytest.importorskip('pyarrow.parquet', reason=needed)
    monkeypatch.setattr(parquet, 'ROWS', 2)
    entries = [
        {'file': 'a.png', 'status': 'ok', 'ms': 3, 'height': 5, 'classes': {'sea': 0.25, 'sky': 1}},
        {'file': 'b.mp4', 'status': 'ok', 'ms': 2.5, 'height': 6, 'frame folders': {'mask': 'masks/b'}},
        {'file': 'c.png', 'status': 'failed', 'error': 'it is empty'},
    ]
    (tmp_path / 'results.jsonl').write_text(''.join(json.dumps(entry) + '\n' for entry in entries))
    parquet.write_parquet(tmp_path / 'results.parquet', Record(tmp_path / 'results.jsonl'))
    table = arrow.read_table(tmp_path / 'results.parquet')
    rows = [{key: value for key, value in row.items() if value is not None} for row in table.to_pylist()]
    assert [{k: dict(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows] == entries
    assert str(table.schema.field('height').type) == 'int64'
    assert str(table.schema.field('ms').type) == 'double'


def test_runs_and_merges_write_it_where_they_are_asked(images, tmp_path):  # noqa: F811
    arrow = pytest.importorskip('pyarrow.parquet', reason=needed)
    predict_folder(detector(), images, tmp_path / 'whole', parquet=True)
    for shard in ('0/2', '1/2'):
        predict_folder(detector(), images, tmp_path / 'shards', shard=shard)
    assert main(['merge', str(tmp_path / 'shards'), '--parquet']) == 0
    for out in ('whole', 'shards'):
        assert arrow.read_table(tmp_path / out / 'results.parquet').num_rows == 6


def test_without_the_package_nothing_is_begun(images, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setitem(__import__('sys').modules, 'pyarrow', None)
    with pytest.raises(ValueError, match=r'denseformer\[storage\]'):
        predict_folder(detector(), images, tmp_path / 'out', parquet=True)
    with pytest.raises(ValueError, match='denseformer merge'):
        predict_folder(detector(), images, tmp_path / 'out', parquet=True, shard='0/2')
    assert not (tmp_path / 'out').exists()

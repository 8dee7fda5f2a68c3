"""The record as a table, results.parquet: a row per image, a column per key of the entries."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from denseformer.inference.record import Record

ROWS = 50_000
"""Rows of a group, which are in memory at once."""


def import_pyarrow() -> ModuleType:
    """The package pyarrow; raises ValueError with the remedy where it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError("--parquet needs pyarrow: pip install 'denseformer[storage]'.") from error
    return pyarrow


def write_parquet(path: Path, record: Record) -> None:
    """Write a record as a Parquet file; mappings, such as the shares of classes, become maps."""
    arrow = import_pyarrow()
    columns: dict[str, set[type]] = {}
    for entry in record:
        for key, value in entry.items():
            columns.setdefault(key, set()).update(kinds_of(value))
    schema = arrow.schema([(key, type_of(arrow, kinds)) for key, kinds in columns.items()])
    with arrow.parquet.ParquetWriter(path, schema) as writer:
        rows: Iterator[dict[str, Any]] = map(row_of, record)
        while group := list(islice(rows, ROWS)):
            writer.write_table(arrow.Table.from_pylist(group, schema))


def kinds_of(value: Any) -> set[type]:
    """The types that a column has to hold for a value; of a mapping `dict` and those of its values."""
    return {dict, *map(type, value.values())} if isinstance(value, Mapping) else {type(value)}


def type_of(arrow: ModuleType, kinds: set[type]) -> Any:
    """The type of a column."""
    scalar = arrow.string() if str in kinds else arrow.float64() if float in kinds else arrow.int64()
    return arrow.map_(arrow.string(), scalar) if dict in kinds else scalar


def row_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value.items()) if isinstance(value, Mapping) else value for key, value in entry.items()}

"""Shards of one run: how they begin and end, and how one record, and the files about the run, are made of them."""

import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from denseformer.inference.coco import write_run_files
from denseformer.inference.packs import check_packs
from denseformer.inference.parquet import write_parquet
from denseformer.inference.record import RESULTS, Record, census_of, consolidate, merge_sorted, merged
from denseformer.inference.report import write_report
from denseformer.inference.shards import Shard
from denseformer.inference.writers import (
    FAILURES_SHOWN,
    FINISHED,
    PROGRESS,
    SHARDS,
    attempt_name,
    new_scratch,
    place_of,
    read_json,
    write_json,
    write_whole,
)
from denseformer.storage import is_local, publish

RUN = f'{SHARDS}/run.json'
NAMED = 10
"""Shards or images that a message names."""


def has_shards(root: Path) -> bool:
    """Whether a folder is the output of shards."""
    return (root / SHARDS).is_dir()


def begin_shards(root: Path, shard: Shard, facts: Mapping[str, Any], *, report: bool) -> None:
    """Note what a merge needs to know of the run; raises ValueError where the folder holds another one.

    facts: as of `Task.facts`; report: whether a report is made.
    """
    if (root / RESULTS).exists() and not has_shards(root):
        raise ValueError(
            f"'{root}' holds a run without shards: choose another folder, or go on without --shard, --share."
        )
    count = read_json(root / RUN).get('shards', shard.count)
    if count != shard.count:
        raise ValueError(f"'{root}' holds {count} shards, and this is one of {shard.count}: choose another folder.")
    run = {'shards': shard.count, 'report': report, 'task': facts}
    scratch = new_scratch(root / SHARDS / f'.{attempt_name()}')
    write_whole(root / RUN, scratch, lambda path: write_json(path, run))
    shutil.rmtree(scratch.parent if is_local(root) else scratch)


def shards_of(root: Path) -> list[Shard]:
    """The shards of a folder; raises ValueError for one that holds none."""
    count = read_json(root / RUN).get('shards')
    if count is None:
        raise ValueError(f"'{root}' holds no shards.")
    return [Shard(i, count) for i in range(count)]


def finish_shard(place: Path, summary: Mapping[str, Any]) -> None:
    """Mark a shard, all of whose images are in its record, as finished."""
    census = consolidate(place, new_scratch(place))
    finished = {
        'images': census.images,
        'failed': census.failed,
        'names': f'{census.names:016x}',
        'seconds': read_json(place / PROGRESS)['seconds'],
        'ended': time.time(),
        'other files': summary['other files'],
    }
    scratch = new_scratch(place)
    write_whole(place / FINISHED, scratch, lambda path: write_json(path, finished))
    scratch.rmdir()


def is_finished(place: Path, since: float = 0.0) -> bool:
    """Whether a shard is finished, and was not before the time `since`."""
    return read_json(place / FINISHED).get('ended', -1.0) >= since


def merge(root: Path, *, parquet: bool = False) -> dict[str, Any]:
    """Make the record, the COCO files, the summary and, where it was asked for, the report of all shards.

    It may be done again, as after a shard was mended. parquet: also write results.parquet. Raises ValueError where
    shards are not finished, a record is not what its shard had when it finished, an image is in two of them, or a tar
    file of outputs does not hold what the record says.
    """
    places = {shard: place_of(root, shard) for shard in shards_of(root)}
    finished = {shard: read_json(place / FINISHED) for shard, place in places.items()}
    if unfinished := [str(shard) for shard, mark in finished.items() if not mark]:
        names = ', '.join(unfinished[:NAMED]) + (' ...' if len(unfinished) > NAMED else '')
        raise ValueError(
            f"{len(unfinished)} of {len(places)} shards in '{root}' have not finished: {names}. Start each again with "
            f'--resume, such as --shard {unfinished[0]} --resume.'
        )
    files = [place / RESULTS for place in places.values()]
    for (shard, mark), file in zip(finished.items(), files, strict=True):
        census = census_of(file) if file.is_file() else None
        if census is None or (census.images, f'{census.names:016x}') != (mark['images'], mark['names']):
            raise ValueError(
                f"'{file}' has {census.images if census else 0} images, and not the {mark['images']} of its shard: "
                f'start --shard {shard} --resume to predict what is missing.'
            )
    scratch = new_scratch(root)
    scratch.mkdir(exist_ok=True)
    try:
        census = merge_sorted(scratch / RESULTS, files, scratch)
        if census.images != sum(mark['images'] for mark in finished.values()):
            raise ValueError(
                f"In '{root}' several shards have {', '.join(twice(files))}: they are of different sources."
            )
        publish(scratch / RESULTS, root / RESULTS)
    finally:
        shutil.rmtree(scratch)
    check_packs(root, Record(root / RESULTS))
    run = read_json(root / RUN)
    seconds = sum(mark['seconds'] for mark in finished.values())
    failures = (entry for entry in Record(root / RESULTS) if entry['status'] == 'failed')
    summary = {
        'out': str(root),
        'shards': len(places),
        'predicted': census.images - census.failed,
        'failed': census.failed,
        'interrupted': False,
        'seconds': round(seconds, 2),
        'images per second': round(census.images / max(seconds, 1e-9), 2),
        'failures': [{'file': entry['file'], 'error': entry['error']} for entry in islice(failures, FAILURES_SHOWN)],
        'other files': finished[Shard(0, len(places))]['other files'],
    }
    write_results(root, summary, run['task'], report=run['report'], parquet=parquet)
    return summary


def twice(files: list[Path]) -> list[str]:
    """Images that several of up to some hundred sorted records have, a few of them."""
    with ExitStack() as stack:
        groups = groupby(merged(files, stack), key=itemgetter(0))
        return list(islice((f"'{name}'" for name, lines in groups if len(list(lines)) > 1), NAMED))


def write_results(
    root: Path, summary: Mapping[str, Any], facts: Mapping[str, Any], *, report: bool, parquet: bool
) -> None:
    """Write the files that a run has one of, from its sorted record."""
    record, scratch = Record(root / RESULTS), new_scratch(root)

    def file(name: str, write: Any) -> None:
        write_whole(root / name, scratch, write)

    file('summary.json', lambda path: write_json(path, summary))
    write_run_files(root, record, facts, file)
    if parquet:
        file('results.parquet', lambda path: write_parquet(path, record))
    if report:
        file('report.html', lambda path: write_report(path, root, record, summary, facts))
    shutil.rmtree(scratch)

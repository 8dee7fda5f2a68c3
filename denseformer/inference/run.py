"""Predicting a folder: reading, network and writing overlap, and one bad image does not end the run."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from denseformer.inference.predictor import Predictor
from denseformer.inference.sources import Item, Source, find_items
from denseformer.inference.writers import RunFolder, finished_names, new_folder

AHEAD = 4
"""How many images are read before, and written after, the one in the network."""
T = TypeVar('T')


def predict_folder(
    predictor: Predictor,
    source: Source | Iterable[Source],
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    fail_fast: bool = False,
) -> dict[str, Any]:
    """Predict on every image of `source` into the folder `out`; returns the summary.

    An `out` that exists is left alone and a numbered one made beside it, unless `resume` continues it or `overwrite`
    writes over it. An image that fails is recorded with its reason; `fail_fast` raises instead.
    """
    items = list(find_items(source))
    root = Path(out) if resume or overwrite else new_folder(Path(out))
    if overwrite and not resume:
        (root / 'results.jsonl').unlink(missing_ok=True)
    done = finished_names(root) if resume else set()
    items = [item for item in items if str(item.name) not in done]
    folder = RunFolder(root)
    started = time.perf_counter()
    failures: list[dict[str, str]] = []
    with progress_bar() as progress:
        task = progress.add_task('predict', total=len(items), speed='')
        for count, entry in enumerate(predict_items(predictor, items, folder, fail_fast), 1):
            folder.log(entry)
            if entry['status'] == 'failed':
                failures.append({'file': entry['file'], 'error': entry['error']})
            progress.update(task, advance=1, speed=f'{count / (time.perf_counter() - started):.1f} images/s')
    seconds = time.perf_counter() - started
    summary = {
        'out': str(root),
        'predicted': len(items) - len(failures),
        'failed': len(failures),
        'done before': len(done),
        'seconds': round(seconds, 2),
        'images per second': round(len(items) / seconds, 2) if items else 0.0,
        'failures': failures,
    }
    folder.close(summary)
    return summary


def predict_items(
    predictor: Predictor, items: Iterable[Item], folder: RunFolder, fail_fast: bool
) -> Iterator[dict[str, Any]]:
    """The record of each item, in order; at most `AHEAD` images wait on either side of the network."""
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        pending: list[Future] = []
        for item, read in ahead(reader, predictor.read, items):
            started = time.perf_counter()
            try:
                result = predictor.predict(item.name, read.result())
                milliseconds = round(1000 * (time.perf_counter() - started), 1)
                pending.append(writer.submit(record, folder, item, result, milliseconds))
            except (ValueError, OSError, RuntimeError, MemoryError) as error:
                if fail_fast:
                    raise
                pending.append(writer.submit(failure, item, error))
            if len(pending) > AHEAD:
                yield pending.pop(0).result()
        for future in pending:
            yield future.result()


def ahead(pool: ThreadPoolExecutor, work: Callable[[Item], T], items: Iterable[Item]) -> Iterator[tuple[Item, Future]]:
    """Each item with the future of its work, `AHEAD` items early."""
    waiting: list[tuple[Item, Future]] = []
    for item in items:
        waiting.append((item, pool.submit(work, item)))
        if len(waiting) > AHEAD:
            yield waiting.pop(0)
    yield from waiting


def record(folder: RunFolder, item: Item, result: Any, milliseconds: float) -> dict[str, Any]:
    try:
        written = folder.write(result)
    except OSError as error:
        return failure(item, error)
    return {'file': str(item.name), 'status': 'ok', 'ms': milliseconds, **written}


def failure(item: Item, error: BaseException) -> dict[str, Any]:
    return {'file': str(item.name), 'status': 'failed', 'error': f'{error}' or type(error).__name__}


def progress_bar() -> Progress:
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn('{task.fields[speed]}'), console=Console(stderr=True))


def print_summary(summary: dict[str, Any]) -> None:
    console = Console()
    console.print(f'{summary["predicted"]} ok, {summary["failed"]} failed -> {summary["out"]}', highlight=False)
    for fault in summary['failures']:
        console.print(f'  {fault["file"]}: {fault["error"]}', highlight=False, markup=False)

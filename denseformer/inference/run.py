"""Predicting a folder: reading, network and writing overlap, and one bad image does not end the run."""

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from denseformer.inference.predictor import Predictor
from denseformer.inference.report import write_report
from denseformer.inference.results import Result
from denseformer.inference.sources import Item, Source, find_items
from denseformer.inference.task import Prepared
from denseformer.inference.writers import RunFolder, entries, finished_names, new_folder

AHEAD = 4
"""How many images are read before, and written after, those in the network."""
FAULTS = (ValueError, OSError, RuntimeError, MemoryError)
"""What one image may raise without ending the run."""
Entry = dict[str, Any]


def predict_folder(
    predictor: Predictor,
    source: Source | Iterable[Source],
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    share: bool = False,
    fail_fast: bool = False,
    report: bool = False,
) -> dict[str, Any]:
    """Predict on every image of `source` into the folder `out`; returns the summary.

    An `out` that exists is left alone and a numbered one made beside it, unless `resume` continues it, `overwrite`
    writes over it, or `share` has several processes, each called like this, divide the images among them. An image
    that fails is recorded with its reason; `fail_fast` raises instead. `report` makes a page of it, report.html.
    Interrupted (Ctrl-C, SIGTERM), the run stops with complete files only and says so in the summary.
    """
    items = list(find_items(source))
    root = Path(out) if resume or overwrite or share else new_folder(Path(out))
    if overwrite and not (resume or share):
        (root / 'results.jsonl').unlink(missing_ok=True)
    done = finished_names(root) if resume or share else set()
    items = [item for item in items if str(item.name) not in done]
    folder = RunFolder(root, thumbnails=report)
    mine = (item for item in items if not share or folder.claim(item.name))
    started = time.perf_counter()
    results: list[Entry] = []
    interrupted = False
    with progress_bar() as progress, interruptible():
        task = progress.add_task('predict', total=len(items), speed='')
        try:
            for entry in predict_items(predictor, mine, folder, fail_fast):
                results.append({'file': entry['file'], 'error': entry.get('error')})
                speed = f'{len(results) / (time.perf_counter() - started):.1f} images/s'
                progress.update(task, advance=1, speed=speed)
        except KeyboardInterrupt:
            interrupted = True
    summary = summarise(root, results, len(done), time.perf_counter() - started, interrupted)
    folder.close(summary)
    if report:
        folder.file('report.html', lambda path: write_report(path, root, entries(root), summary, vars(predictor.task)))
    return summary


def summarise(root: Path, results: list[Entry], done: int, seconds: float, interrupted: bool) -> dict[str, Any]:
    failures = [result for result in results if result['error'] is not None]
    return {
        'out': str(root),
        'predicted': len(results) - len(failures),
        'failed': len(failures),
        'done before': done,
        'interrupted': interrupted,
        'seconds': round(seconds, 2),
        'images per second': round(len(results) / seconds, 2) if results else 0.0,
        'failures': failures,
    }


def predict_items(predictor: Predictor, items: Iterable[Item], folder: RunFolder, fail_fast: bool) -> Iterator[Entry]:
    """The record of each item, in order; at most `AHEAD` images, or batches, wait on either side of the network."""
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        pending: list[Future[Entry]] = []
        try:
            for batch in batches(predictor, ahead(reader, predictor.prepare, items)):
                for item, outcome, milliseconds in outcomes(predictor, batch, folder):
                    if fail_fast and isinstance(outcome, BaseException):
                        raise outcome
                    pending.append(writer.submit(record, folder, item, outcome, milliseconds))
                while len(pending) > AHEAD + len(batch):
                    yield pending.pop(0).result()
            while pending:
                yield pending.pop(0).result()
        except BaseException:
            reader.shutdown(wait=False, cancel_futures=True)
            raise


Waiting = tuple[Item, Prepared | BaseException]
Batch = list[tuple[Item, Prepared]]


def ahead(pool: ThreadPoolExecutor, work: Callable[[Item], Prepared], items: Iterable[Item]) -> Iterator[Waiting]:
    """Each item with what was prepared of it, or with what that raised; the work runs `AHEAD` items early."""
    waiting: list[tuple[Item, Future]] = []
    for item in items:
        waiting.append((item, pool.submit(work, item)))
        if len(waiting) > AHEAD:
            yield outcome_of(*waiting.pop(0))
    for item, future in waiting:
        yield outcome_of(item, future)


def outcome_of(item: Item, future: Future) -> Waiting:
    try:
        return item, future.result()
    except FAULTS as error:
        return item, error


def batches(predictor: Predictor, waiting: Iterable[Waiting]) -> Iterator[Batch | tuple[Item, BaseException]]:
    """Neighbours of one group together, as many as the network takes; and what could not be read, by itself."""
    batch: Batch = []
    for item, prepared in waiting:
        if batch and (isinstance(prepared, BaseException) or batch[0][1].group != prepared.group):
            yield batch
            batch = []
        if isinstance(prepared, BaseException):
            yield item, prepared
            continue
        batch.append((item, prepared))
        if prepared.window is not None or len(batch) >= predictor.task.batch_size(prepared):
            yield batch
            batch = []
    if batch:
        yield batch


Outcome = tuple[Item, Result | Entry | BaseException, float]


def outcomes(predictor: Predictor, batch: Batch | tuple[Item, BaseException], folder: RunFolder) -> Iterator[Outcome]:
    """The result of each image, or what went wrong, and the milliseconds it took."""
    if isinstance(batch, tuple):
        item, error = batch
        yield item, error, 0.0
        return
    prepared = [ready for _, ready in batch]
    started = time.perf_counter()
    results: Sequence[Result | Entry | BaseException]
    try:
        if prepared[0].window is not None:
            results = [folder.write_bands(predictor.task, prepared[0])]
        else:
            results = predictor.predict(prepared)
    except FAULTS as fault:
        if len(batch) > 1:  # so that only the image that is at fault fails
            for single in batch:
                yield from outcomes(predictor, [single], folder)
            return
        results = [fault]
    milliseconds = round(1000 * (time.perf_counter() - started) / len(batch), 1)
    for (item, _), result in zip(batch, results, strict=True):
        yield item, result, milliseconds


def record(folder: RunFolder, item: Item, outcome: Result | Entry | BaseException, milliseconds: float) -> Entry:
    """Write a result and its line in the record; returns the line."""
    name = str(item.name)
    try:
        if isinstance(outcome, BaseException):
            raise outcome
        written = folder.write(outcome) if isinstance(outcome, Result) else outcome
        entry = {'file': name, 'status': 'ok', 'ms': milliseconds, **written}
    except FAULTS as error:
        entry = {'file': name, 'status': 'failed', 'error': f'{error}' or type(error).__name__}
    folder.log(entry)
    return entry


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM stops a run as Ctrl-C does, where it runs in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def progress_bar() -> Progress:
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn('{task.fields[speed]}'), console=Console(stderr=True))


def print_summary(summary: dict[str, Any]) -> None:
    console = Console()
    stopped = ', interrupted' if summary['interrupted'] else ''
    console.print(
        f'{summary["predicted"]} ok, {summary["failed"]} failed{stopped} -> {summary["out"]}', highlight=False
    )
    for fault in summary['failures']:
        console.print(f'  {fault["file"]}: {fault["error"]}', highlight=False, markup=False)

"""Predicting a folder: reading, network and writing overlap, and one bad image does not end the run."""

import signal
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from denseformer.inference.predictor import Predictor
from denseformer.inference.report import write_report
from denseformer.inference.results import Result
from denseformer.inference.sources import Item, Source, find_items
from denseformer.inference.streaming import AHEAD, Batch, ahead, batches
from denseformer.inference.videos import predict_video
from denseformer.inference.writers import RunFolder, entries, finished_names, new_folder, remove_unfinished

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
    that fails is recorded with its reason, and with `fail_fast` the run stops there. `report` makes a page of it,
    report.html. Interrupted (Ctrl-C, SIGTERM), the run stops with complete files only and says so in the summary.
    """
    root = Path(out) if resume or overwrite or share else new_folder(Path(out))
    items = list(without_outputs(find_items(source), source, root))
    names = [item.name for item in items]
    if overwrite and not (resume or share):
        (root / 'results.jsonl').unlink(missing_ok=True)
    if not share:
        remove_unfinished(root)
    done = finished_names(root) if resume or share else set()
    items = [item for item in items if str(item.name) not in done]
    started = time.perf_counter()
    interrupted = False
    with progress_bar() as progress, interruptible():
        bar = progress.add_task('predict', total=len(items), speed='')
        folder = RunFolder(root, names, thumbnails=report, notify=partial(show_share, progress, bar))
        mine = claimed(items, folder, progress, bar) if share else items
        with closing(predict_items(predictor, mine, folder)) as entries_of_run:
            try:
                for number, entry in enumerate(entries_of_run, 1):
                    speed = f'{number / (time.perf_counter() - started):.1f} images/s'
                    progress.update(bar, completed=number, speed=speed)
                    if fail_fast and entry['status'] == 'failed':
                        break
            except KeyboardInterrupt:
                interrupted = True
    seconds = time.perf_counter() - started
    with folder.alone():  # of the processes that share it, the last one to come here finds everything in the record
        record = entries(root)
        summary = summarise(folder, record if share else None, len(done), seconds, interrupted)
        folder.close(summary)
        for name, write in predictor.task.whole_run(root, record).items():
            folder.file(name, write)
        if report:
            folder.file('report.html', lambda path: write_report(path, root, record, summary, vars(predictor.task)))
    return summary


def without_outputs(items: Iterable[Item], source: Any, root: Path) -> Iterator[Item]:
    """Without what a run before has written, where `root` lies in the folder that is predicted."""
    inside = isinstance(source, (str, Path)) and Path(source).resolve() in root.resolve().parents
    for item in items:
        if not inside or not item.file.resolve().is_relative_to(root.resolve()):
            yield item


def claimed(items: Iterable[Item], folder: RunFolder, progress: Progress, bar: TaskID) -> Iterator[Item]:
    """The images that no other process takes."""
    for item in items:
        if folder.claim(item.name):
            yield item
        else:
            progress.update(bar, total=(progress.tasks[bar].total or 1) - 1)


def show_share(progress: Progress, bar: TaskID, share: float) -> None:
    """Let the bar move while an image takes long."""
    progress.update(bar, completed=int(progress.tasks[bar].completed) + min(share, 0.999))


def summarise(
    folder: RunFolder, shared: dict[str, Entry] | None, done: int, seconds: float, interrupted: bool
) -> dict[str, Any]:
    """What this run did; of processes that share a folder, what all of them did until now, by their record."""
    predicted, failures = folder.predicted, folder.failures
    if shared is not None:
        failures = [{'file': name, 'error': e['error']} for name, e in shared.items() if e['status'] == 'failed']
        predicted = len(shared) - len(failures) - done
    count = folder.predicted + len(folder.failures)
    return {
        'out': str(folder.root),
        'predicted': predicted,
        'failed': len(failures),
        'done before': done,
        'interrupted': interrupted,
        'seconds': round(seconds, 2),
        'images per second': round(count / seconds, 2),
        'failures': failures,
    }


def predict_items(predictor: Predictor, items: Iterable[Item], folder: RunFolder) -> Generator[Entry, None, None]:
    """The record of each item, in order; at most `AHEAD` images, or batches, wait on either side of the network."""
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        pending: list[Future[Entry]] = []
        try:
            for batch in batches(predictor, ahead(reader, predictor.task.prepare, items)):
                for item, outcome, milliseconds in outcomes(predictor, batch, folder):
                    pending.append(writer.submit(record, folder, item, outcome, milliseconds))
                while len(pending) > AHEAD + len(batch):
                    yield pending.pop(0).result()
            while pending:
                yield pending.pop(0).result()
        except BaseException:
            reader.shutdown(wait=False, cancel_futures=True)
            raise


Outcome = tuple[Item, Result | Entry | Exception, float]


def outcomes(predictor: Predictor, batch: Batch | tuple[Item, Exception], folder: RunFolder) -> Iterator[Outcome]:
    """The result of each image, or what went wrong, and the milliseconds it took."""
    if isinstance(batch, tuple):
        item, error = batch
        yield item, error, 0.0
        return
    prepared = [ready for _, ready in batch]
    started = time.perf_counter()
    results: Sequence[Result | Entry | Exception]
    try:
        if prepared[0].item.is_video:
            results = [predict_video(predictor, prepared[0].item, folder)]
        elif prepared[0].window is not None:
            results = [folder.write_bands(predictor.task, prepared[0])]
        else:
            results = predictor.task.predict(prepared)
    except Exception as fault:
        if len(batch) > 1:  # so that only the image that is at fault fails
            for single in batch:
                yield from outcomes(predictor, [single], folder)
            return
        results = [fault]
    milliseconds = 1000 * (time.perf_counter() - started) / len(batch)
    for (item, _), result in zip(batch, results, strict=True):
        yield item, result, milliseconds


def record(folder: RunFolder, item: Item, outcome: Result | Entry | Exception, milliseconds: float) -> Entry:
    """Write a result and its line in the record; returns the line."""
    name = str(item.name)
    try:
        if isinstance(outcome, Exception):
            raise outcome
        written = folder.write(outcome) if isinstance(outcome, Result) else outcome
        entry = {'file': name, 'status': 'ok', 'ms': round(milliseconds / written.get('frames', 1), 1), **written}
    except Exception as error:
        kind = '' if isinstance(error, ValueError) else f'{type(error).__name__}: '
        entry = {'file': name, 'status': 'failed', 'error': f'{kind}{error}'}
    folder.log(entry)
    return entry


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """What Ctrl-C does, also where SIGINT is ignored, as in a job that a script put into the background."""
    raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM stops a run as Ctrl-C does, where it runs in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
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

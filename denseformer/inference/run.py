"""Predicting a folder: reading, network and writing overlap, and one bad image does not end the run."""

import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
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
from denseformer.inference.sources import Source, SourceItem, find_items, other_files
from denseformer.inference.streaming import PREFETCH, Batch, batches, prefetched
from denseformer.inference.videos import predict_video
from denseformer.inference.writers import RunFolder, entries, finished_names, new_folder, remove_unfinished
from denseformer.options import RunOptions, takes_options

Entry = dict[str, Any]


@takes_options(RunOptions)
def predict_folder(
    predictor: Predictor,
    source: Source | Iterable[Source],
    out: str | Path,
    options: RunOptions = RunOptions(),  # noqa: B008 (frozen)
) -> dict[str, Any]:
    """Predict on every image of `source` into the folder `out`; returns the summary.

    An `out` that exists is left alone, and a numbered folder made beside it, unless the options say what to do with it.
    An image that fails is recorded with its reason. Interrupted (Ctrl-C, SIGTERM), the run stops with complete files
    only and says so in the summary.
    """
    root = Path(out) if options.resume or options.overwrite or options.share else new_folder(Path(out))
    found = list(without_outputs(find_items(source), source, root))
    if options.overwrite and not (options.resume or options.share):
        (root / 'results.jsonl').unlink(missing_ok=True)
    if not options.share:
        remove_unfinished(root)
    done = finished_names(root) if options.resume or options.share else set()
    items = [item for item in found if str(item.name) not in done]
    started = time.perf_counter()
    with progress_bar() as progress, interruptible():
        bar = progress.add_task('predict', total=len(items), speed='')
        folder = RunFolder(
            root, [item.name for item in found], thumbnails=options.report, notify=partial(show_share, progress, bar)
        )
        mine = unclaimed(items, folder, progress, bar) if options.share else items
        interrupted = predict_all(
            predictor, mine, folder, options.fail_fast, partial(show_speed, progress, bar, started)
        )
    seconds = time.perf_counter() - started
    with folder.lock():  # of the processes that share it, the last one to come here finds everything in the record
        record = entries(root)
        summary = summarize(folder, record if options.share else None, len(done), seconds, interrupted)
        summary['other files'] = dict(other_files(source, root).most_common())
        folder.close(summary)
        for name, write in predictor.task.run_files(root, record).items():
            folder.file(name, write)
        if options.report:
            folder.file('report.html', lambda path: write_report(path, root, record, summary, vars(predictor.task)))
    return summary


def predict_all(
    predictor: Predictor,
    items: Iterable[SourceItem],
    folder: RunFolder,
    fail_fast: bool,
    notify: Callable[[int], None],
) -> bool:
    """Predict on all items; whether that was interrupted. notify: is called with the number of items that are done."""
    with closing(predict_items(predictor, items, folder)) as entries_of_run:
        try:
            for number, entry in enumerate(entries_of_run, 1):
                notify(number)
                if fail_fast and entry['status'] == 'failed':
                    break
        except KeyboardInterrupt:
            return True
    return False


def without_outputs(items: Iterable[SourceItem], source: Any, root: Path) -> Iterator[SourceItem]:
    """The items without the output of a previous run, where `root` lies inside the source."""
    inside = isinstance(source, (str, Path)) and Path(source).resolve() in root.resolve().parents
    for item in items:
        if not inside or not item.file.resolve().is_relative_to(root.resolve()):
            yield item


def unclaimed(items: Iterable[SourceItem], folder: RunFolder, progress: Progress, bar: TaskID) -> Iterator[SourceItem]:
    """The images that no other process has claimed, claimed for this one."""
    for item in items:
        if folder.claim(item.name):
            yield item
        else:
            progress.update(bar, total=(progress.tasks[bar].total or 1) - 1)


def show_speed(progress: Progress, bar: TaskID, started: float, number: int) -> None:
    """Show the number of images that are done, and how many that is a second."""
    progress.update(bar, completed=number, speed=f'{number / (time.perf_counter() - started):.1f} images/s')


def show_share(progress: Progress, bar: TaskID, share: float) -> None:
    """Let the bar move while an image takes long."""
    progress.update(bar, completed=int(progress.tasks[bar].completed) + min(share, 0.999))


def summarize(
    folder: RunFolder, shared: dict[str, Entry] | None, done: int, seconds: float, interrupted: bool
) -> dict[str, Any]:
    """The summary of this run; shared: the record of all processes, where several share the folder."""
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


def predict_items(predictor: Predictor, items: Iterable[SourceItem], folder: RunFolder) -> Generator[Entry, None, None]:
    """The record's entry of each item, in order; at most `PREFETCH` items wait on either side of the network."""
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        pending: list[Future[Entry]] = []
        try:
            for batch in batches(predictor, prefetched(reader, predictor.task.prepare, items)):
                for item, outcome, milliseconds in predict_batch(predictor, batch, folder):
                    pending.append(writer.submit(write_outcome, folder, item, outcome, milliseconds))
                while len(pending) > PREFETCH + len(batch):
                    yield pending.pop(0).result()
            while pending:
                yield pending.pop(0).result()
        except BaseException:
            reader.shutdown(wait=False, cancel_futures=True)
            raise


Outcome = tuple[SourceItem, Result | Entry | Exception, float]


def predict_batch(
    predictor: Predictor, batch: Batch | tuple[SourceItem, Exception], folder: RunFolder
) -> Iterator[Outcome]:
    """The result of each image, or its error, and the milliseconds that it took."""
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
        elif prepared[0].tiff is not None:
            results = [folder.write_bands(predictor.task, prepared[0])]
        else:
            results = predictor.task.predict(prepared)
    except Exception as fault:
        if len(batch) > 1:  # so that only the image that is at fault fails
            for single in batch:
                yield from predict_batch(predictor, [single], folder)
            return
        results = [fault]
    milliseconds = 1000 * (time.perf_counter() - started) / len(batch)
    for (item, _), result in zip(batch, results, strict=True):
        yield item, result, milliseconds


def write_outcome(
    folder: RunFolder, item: SourceItem, outcome: Result | Entry | Exception, milliseconds: float
) -> Entry:
    """Write the files of a result and its entry in the record; returns the entry."""
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
    """Raise KeyboardInterrupt, as Ctrl-C does, also where SIGINT is ignored, as in a background job of a script."""
    raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM stops a run as Ctrl-C does, where it runs in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def progress_bar() -> Progress:
    """A progress bar on stderr."""
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn('{task.fields[speed]}'), console=Console(stderr=True))


def print_summary(summary: dict[str, Any]) -> None:
    """Print the counts and the failures of a run."""
    console = Console()
    stopped = ', interrupted' if summary['interrupted'] else ''
    console.print(
        f'{summary["predicted"]} ok, {summary["failed"]} failed{stopped} -> {summary["out"]}', highlight=False
    )
    if others := summary['other files']:
        kinds = ', '.join(f'{count} {suffix}' for suffix, count in others.items())
        console.print(f'left out, neither images nor videos by their suffix: {kinds}', highlight=False)
    for fault in summary['failures']:
        console.print(f'  {fault["file"]}: {fault["error"]}', highlight=False, markup=False)

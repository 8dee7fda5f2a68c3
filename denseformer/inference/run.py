"""Predicting a folder: reading, network and writing overlap, and one bad image does not end the run."""

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from filelock import Timeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from denseformer.inference.merging import begin_shards, finish_shard, has_shards, is_finished, merge, write_results
from denseformer.inference.parquet import import_pyarrow
from denseformer.inference.predictor import Predictor
from denseformer.inference.record import Entry, Hashes, consolidate, done_before, record_files
from denseformer.inference.results import Result
from denseformer.inference.shards import WHOLE, Shard, parse_shard
from denseformer.inference.sources import Selection, Source, SourceItem, count_images, find_files, find_items
from denseformer.inference.streaming import PREFETCH, Batch, batches, prefetched
from denseformer.inference.videos import predict_video
from denseformer.inference.volumes import predict_volume
from denseformer.inference.writers import (
    FAILURES_SHOWN,
    OutputFolder,
    RunFolder,
    lock_of,
    new_folder,
    new_scratch,
    place_of,
)
from denseformer.options import RunOptions, takes_options
from denseformer.ray_cluster import import_ray
from denseformer.storage import is_local, path_of, remove

PARTS = 64
"""Shards that processes which share a folder take one after the other."""


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
    only and says so in the summary. Raises ValueError for options, or a folder, that do not go together.
    """
    if options.share and (options.shard or options.overwrite):
        raise ValueError('--share divides the images itself, and goes on where it was: leave out --shard, --overwrite.')
    if options.engine == 'ray':
        if options.share:
            raise ValueError('--engine ray divides the images itself: leave out --share.')
        if options.pack is not None:
            raise ValueError('--engine ray writes a file for each output: leave out --pack.')
        if not isinstance(source, (str, Path)):
            raise ValueError('--engine ray predicts files: name a folder, a glob, a list file or an address.')
        import_ray('data')
    if options.parquet and options.shard:
        raise ValueError(
            'One file is made of all shards: leave out --parquet here, and give it to `denseformer merge`.'
        )
    if options.pack is not None and (options.pack < 1 or options.report):
        raise ValueError(
            '--pack N puts outputs of N images, at least one, into a tar file; --report needs single files.'
        )
    if options.parquet:
        import_pyarrow()
    bar = Bar()
    run = Run(predictor, source, options, bar)
    with bar.progress, interruptible():
        if options.share:
            return run.share(path_of(out))
        if options.shard:
            return run.predict_shard(path_of(out), parse_shard(options.shard, os.environ))
        return run.predict_whole(path_of(out))


class Run:
    """A process that predicts: all images, one shard, or shard after shard."""

    def __init__(self, predictor: Predictor, source: Source | Iterable[Source], options: RunOptions, bar: 'Bar'):
        self.predictor, self.source, self.options, self.bar = predictor, source, options, bar
        self.began = time.time()
        self.images: int | None = None
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        with suppress(ValueError, OSError):  # which the run itself will meet
            self.images = count_images(self.source)

    def predict_whole(self, out: Path) -> dict[str, Any]:
        """Predict all images, and write the files about the run."""
        resume, overwrite, report = self.options.resume, self.options.overwrite, self.options.report
        root = out if resume or overwrite else new_folder(out)
        if has_shards(root):
            raise ValueError(f"'{root}' holds shards: name one of them by --shard, or choose another folder.")
        summary, _ = self._predict(root, None)
        consolidate(root, new_scratch(root))
        write_results(root, summary, self.predictor.task.facts(), report=report, parquet=self.options.parquet)
        return summary

    def predict_shard(self, root: Path, shard: Shard) -> dict[str, Any]:
        """Predict the images of one shard; besides predictions, only its own folder is written."""
        if record_files(place_of(root, shard)) and not (self.options.resume or self.options.overwrite):
            raise ValueError(f"Shard {shard} was begun in '{root}': --resume goes on, --overwrite begins again.")
        begin_shards(root, shard, self.predictor.task.facts(), report=self.options.report)
        summary, complete = self._predict(root, shard)
        if complete:
            finish_shard(place_of(root, shard), summary)
        return summary

    def share(self, root: Path) -> dict[str, Any]:
        """Predict shard after shard that no other process works on; who finds all of them finished merges them."""
        if not is_local(root):
            raise ValueError(f"--share locks files, and '{root}' has none: name a shard by --shard.")
        shards = [Shard(i, PARTS) for i in range(PARTS)]
        begin_shards(root, shards[0], self.predictor.task.facts(), report=self.options.report)
        summaries = []
        for shard in shards:
            place = place_of(root, shard)
            with suppress(Timeout), lock_of(place).acquire(blocking=False):
                if is_finished(place, since=self.began):
                    continue
                summary, complete = self._predict(root, shard)
                summaries.append(summary)
                if not complete:
                    break
                finish_shard(place, summary)
        with lock_of(root):
            if all(is_finished(place_of(root, shard)) for shard in shards):
                merge(root, parquet=self.options.parquet)
        return sum_of(root, summaries)

    def _predict(self, root: Path, shard: Shard | None) -> tuple[dict[str, Any], bool]:
        """Predict the images of a shard, or all, that are not in its record; the summary, and whether that is all."""
        place, options = place_of(root, shard), self.options
        selection = Selection(shard or WHOLE, os.path.realpath(root) if is_local(root) else None)
        items = self._items(selection)
        first = next(items, None)  # a source that is missing is an error before anything is written
        if options.overwrite and not options.resume:
            for path in record_files(place):
                remove(path)
        again = options.resume or options.share
        done = done_before(place, failed=options.share and not options.resume) if again else Hashes(())
        folder = RunFolder(
            root,
            shard,
            thumbnails=options.report,
            notify=self.bar.show_share,
            expected=lambda: self._expected(selection.shard),
            done_before=len(done),
            pack=options.pack,
        )
        started = time.perf_counter()
        rest = (item for item in chain([first] if first else [], items) if str(item.name) not in done)
        try:
            ending = self._predict_all(rest, folder, done)
        finally:
            folder.close()
        seconds = time.perf_counter() - started
        summary = {
            'out': str(root),
            'predicted': folder.predicted,
            'failed': folder.failed,
            'done before': len(done),
            'interrupted': ending == 'interrupted',
            'seconds': round(seconds, 2),
            'images per second': round((folder.predicted + folder.failed) / seconds, 2),
            'failures': folder.failures,
            'other files': dict(selection.others.most_common()),
        }
        return summary, ending == 'complete'

    def _expected(self, shard: Shard) -> int | None:
        """About how many images a shard has."""
        return None if self.images is None else round(self.images / shard.count)

    def _items(self, selection: Selection) -> Iterator[SourceItem]:
        """The images of the source; for Ray the files, which its processes open."""
        if self.options.engine == 'ray':
            assert isinstance(self.source, (str, Path))
            return find_files(self.source, selection)
        return find_items(self.source, selection)

    def _entries(self, items: Iterable[SourceItem], folder: RunFolder, done: Hashes) -> Generator[Entry, None, None]:
        """Predict on all items but those in `done`; the entry of each, once it is in the record."""
        if self.options.engine == 'ray':
            from denseformer.inference import on_ray

            return on_ray.predict_items(self.predictor, items, folder, done, self.options)
        return predict_items(self.predictor, items, folder, folder.log)

    def _predict_all(self, items: Iterable[SourceItem], folder: RunFolder, done: Hashes) -> str:
        """Predict on all items; how that ended: 'complete', 'interrupted', or, where a failure ends it, 'failed'."""
        with closing(self._entries(items, folder, done)) as entries_of_run:
            try:
                for entry in entries_of_run:
                    shard = folder.shard if folder.shard and not self.options.share else WHOLE
                    self.bar.advance(self._expected(shard), folder.done_before)
                    if self.options.fail_fast and entry['status'] == 'failed':
                        return 'failed'
            except KeyboardInterrupt:
                return 'interrupted'
        return 'complete'


def sum_of(root: Path, summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The summary of a process that predicted several shards."""
    totals = {key: sum(part[key] for part in summaries) for key in ('predicted', 'failed', 'done before', 'seconds')}
    count = totals['predicted'] + totals['failed']
    return {
        'out': str(root),
        **totals,
        'interrupted': any(part['interrupted'] for part in summaries),
        'images per second': round(count / max(totals['seconds'], 1e-9), 2),
        'failures': [failure for part in summaries for failure in part['failures']][:FAILURES_SHOWN],
        'other files': summaries[-1]['other files'] if summaries else {},
    }


def predict_items(
    predictor: Predictor, items: Iterable[SourceItem], folder: OutputFolder, log: Callable[[Entry], Any]
) -> Generator[Entry, None, None]:
    """The record's entry of each item, in order; at most `PREFETCH` items wait on either side of the network.

    log: takes an entry as soon as the files of its item are written.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        pending: list[Future[Entry]] = []
        try:
            for batch in batches(predictor, prefetched(reader, predictor.task.prepare, items)):
                for item, outcome, milliseconds in predict_batch(predictor, batch, folder):
                    pending.append(writer.submit(write_outcome, folder, log, item, outcome, milliseconds))
                while len(pending) > PREFETCH + len(batch):
                    yield pending.pop(0).result()
            while pending:
                yield pending.pop(0).result()
        except BaseException:
            reader.shutdown(wait=False, cancel_futures=True)
            raise


Outcome = tuple[SourceItem, Result | Entry | Exception, float]


def predict_batch(
    predictor: Predictor, batch: Batch | tuple[SourceItem, Exception], folder: OutputFolder
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
        elif prepared[0].item.is_volume:
            results = [predict_volume(predictor, prepared[0].item, folder)]
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
    folder: OutputFolder,
    log: Callable[[Entry], Any],
    item: SourceItem,
    outcome: Result | Entry | Exception,
    milliseconds: float,
) -> Entry:
    """Write the files of a result and its entry in the record; returns the entry."""
    name = str(item.name)
    try:
        if isinstance(outcome, Exception):
            raise outcome
        written = folder.write(outcome, item.stem) if isinstance(outcome, Result) else outcome
        entry = {'file': name, 'status': 'ok', 'ms': round(milliseconds / written.get('frames', 1), 1), **written}
    except Exception as error:
        kind = '' if isinstance(error, ValueError) else f'{type(error).__name__}: '
        entry = {'file': name, 'status': 'failed', 'error': f'{kind}{error}'}
    log(entry)
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


class Bar:
    """A progress bar on stderr."""

    def __init__(self) -> None:
        columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, TextColumn('{task.fields[speed]}'), console=Console(stderr=True))
        self.task = self.progress.add_task('predict', total=None, speed='')
        self.started = time.perf_counter()
        self.done = 0

    def advance(self, expected: int | None, done_before: int) -> None:
        """Show that another image is done, of about how many with those before, and how many that is a second."""
        self.done += 1
        speed = f'{self.done / (time.perf_counter() - self.started):.1f} images/s'
        total = None if expected is None else max(self.done, expected - done_before)
        self.progress.update(self.task, total=total, completed=self.done, speed=speed)

    def show_share(self, share: float) -> None:
        """Let the bar move while an image takes long."""
        self.progress.update(self.task, completed=self.done + min(share, 0.999))


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

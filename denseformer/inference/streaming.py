"""Before the network: images are read ahead of it, in another thread, and gathered into batches."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from denseformer.inference.predictor import Predictor
from denseformer.inference.sources import SourceItem
from denseformer.inference.task import PreparedItem

PREFETCH = 4
"""The number of images that are read ahead of those in the network, and of those that wait to be written."""
T = TypeVar('T')
Batch = list[tuple[SourceItem, PreparedItem]]


def prefetched(pool: ThreadPoolExecutor, work: Callable[[T], Any], items: Iterable[T]) -> Iterator[tuple[T, Any]]:
    """Each item with the result of `work`, or the error that it raised; the work runs up to `PREFETCH` items early.

    It begins with none, and one more after each result: the first one does not wait until further items are found.
    """
    waiting: list[tuple[T, Future]] = []
    ahead = 0
    for item in items:
        waiting.append((item, pool.submit(work, item)))
        if len(waiting) > ahead:
            yield result_or_error(*waiting.pop(0))
            ahead = min(ahead + 1, PREFETCH)
    for item, future in waiting:
        yield result_or_error(item, future)


def result_or_error(item: T, future: Future) -> tuple[T, Any]:
    try:
        return item, future.result()
    except Exception as error:
        return item, error


def batches(
    predictor: Predictor, waiting: Iterable[tuple[SourceItem, PreparedItem | Exception]]
) -> Iterator[Batch | tuple[SourceItem, Exception]]:
    """Consecutive items of one group, as many as the network takes; items that could not be read, with their error."""
    batch: Batch = []
    for item, prepared in waiting:
        if batch and (isinstance(prepared, Exception) or batch[0][1].group != prepared.group):
            yield batch
            batch = []
        if isinstance(prepared, Exception):
            yield item, prepared
            continue
        batch.append((item, prepared))
        if prepared.streamed or len(batch) >= predictor.task.batch_size(prepared):
            yield batch
            batch = []
    if batch:
        yield batch

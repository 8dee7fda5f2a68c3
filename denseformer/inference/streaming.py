"""What happens before the network: images are read ahead of it, and those that may go through it together are."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from denseformer.inference.predictor import Predictor
from denseformer.inference.sources import Item
from denseformer.inference.task import Prepared

AHEAD = 4
"""How many images are read before, and written after, those in the network."""
T = TypeVar('T')
Batch = list[tuple[Item, Prepared]]


def ahead(pool: ThreadPoolExecutor, work: Callable[[T], Any], items: Iterable[T]) -> Iterator[tuple[T, Any]]:
    """Each item with what `work` makes of it, or with what that raised; the work runs `AHEAD` items early."""
    waiting: list[tuple[T, Future]] = []
    for item in items:
        waiting.append((item, pool.submit(work, item)))
        if len(waiting) > AHEAD:
            yield outcome_of(*waiting.pop(0))
    for item, future in waiting:
        yield outcome_of(item, future)


def outcome_of(item: T, future: Future) -> tuple[T, Any]:
    try:
        return item, future.result()
    except Exception as error:
        return item, error


def batches(
    predictor: Predictor, waiting: Iterable[tuple[Item, Prepared | Exception]]
) -> Iterator[Batch | tuple[Item, Exception]]:
    """Neighbours of one group together, as many as the network takes; and what could not be read, by itself."""
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

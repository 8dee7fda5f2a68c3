"""Predicting in processes of a Ray cluster: `infer --engine ray`.

The command lists the files, Ray Data hands them to actors that hold a model each, and the command writes the record
from what comes back. Ray replaces an actor or a machine that dies, and hands its files to another one: they are
predicted again, and come back once. So the folder is that of a run without Ray, which may go on with it, and the other
way round.
"""

import json
import logging
import os
import platform
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import cv2

from denseformer.export.runtime import ExportedModel
from denseformer.images.reading import without_pillows_limit
from denseformer.inference.predictor import Predictor
from denseformer.inference.record import UNFINISHED, Entry, Hashes
from denseformer.inference.run import predict_items as predict_here
from denseformer.inference.shards import hash_of
from denseformer.inference.sources import OutputNames, SourceItem, images_in
from denseformer.inference.writers import OutputFolder, RunFolder, attempt_name
from denseformer.options import RunOptions
from denseformer.ray_cluster import connected, import_ray
from denseformer.storage import is_local, make_folder, path_of, patiently, read_bytes, remove

BATCHES = 16
"""Batches of the network in a block, which an actor is given at a time: in it reading, network and writing overlap."""
BATCH = 4
"""Images in a batch, where free memory decides."""
BLOCKS_PER_WORKER = 4
"""Blocks for each actor at least, so that all are busy until the end; of few images they are smaller."""
BLOCKS = 10_000
"""About how many blocks there are at most; of very many images they are larger."""
CHUNK = 10_000
"""Names that are made a part of a table at once."""
DEATHS = 3
"""Actors that may die over one file, after one that died over several, before it counts as failed."""


def predict_items(
    predictor: Predictor, items: Iterable[SourceItem], folder: RunFolder, done: Hashes, options: RunOptions
) -> Generator[Entry, None, None]:
    """The entry of each image in the files `items`, in any order, once it is in the record of `folder`.

    done: the images to leave out. Raises ValueError for a camera or stream, and where no actor can begin.
    """
    ray, table = import_ray('data'), table_of(items)
    if not len(table):
        return
    with connected(ray):
        workers = options.workers or max(1, int(ray.cluster_resources().get('CPU', 1)))
        blocks = list(blocks_of(table, predictor.settings.batch_size or BATCH, workers))
        gpus = gpus_of(ray, predictor, options)
        dataset = ray.data.from_blocks(blocks)
        set_up(dataset.context)
        least, most = (options.workers, options.workers) if options.workers else (1, len(blocks))
        answers = dataset.map_batches(
            Actor,
            batch_size=len(blocks[0]),
            batch_format='pyarrow',
            compute=ray.data.ActorPoolStrategy(min_size=least, max_size=most),
            num_gpus=gpus or None,
            fn_constructor_kwargs={
                'predictor': ray.put(predictor),
                'done': ray.put(done),
                'device': 'cuda' if gpus else 'cpu',
                'root': str(folder.root.absolute()),
                'unfinished': str((folder.place / UNFINISHED).absolute()),
                'marks': f'begun-{attempt_name()}',
                'thumbnails': folder.thumbnails,
            },
        )
        try:
            with closing(
                iter(answers.iter_batches(batch_size=None, batch_format='pyarrow', prefetch_batches=0))
            ) as tables:
                for table in tables:
                    for text in table['entries'].to_pylist():
                        for entry in json.loads(text):
                            folder.log(entry)
                            yield entry
        except ray.exceptions.RayActorError as error:
            raise ValueError(
                f'--engine ray: a process could not begin, or was lost for good. What came back is in the record, and '
                f'--resume goes on. {error}'
            ) from error


def set_up(context: Any) -> None:
    """Set how Ray Data runs: the command has a progress bar, a large tar file may take hours, and a machine may be lost
    while a model is loaded."""
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1
    context.max_consecutive_actor_init_deaths = DEATHS
    logging.getLogger('ray.data').setLevel(logging.WARNING)
    logging.getLogger('ray.data._internal.progress').setLevel(logging.ERROR)


def gpus_of(ray: ModuleType, predictor: Predictor, options: RunOptions) -> float:
    """The GPUs of each actor."""
    if options.gpus_per_worker is not None:
        return options.gpus_per_worker
    return 1.0 if ray.cluster_resources().get('GPU') and not isinstance(predictor.model, ExportedModel) else 0.0


def table_of(items: Iterable[SourceItem]) -> Any:
    """An Arrow table with a row per file. Raises ValueError for a camera or stream.

    name: below the source; path: absolute, or an address; fault: why there is no such file, else empty.
    """
    import pyarrow

    kinds = pyarrow.schema([(column, pyarrow.binary()) for column in ('name', 'path', 'fault')])
    encoded = map(row_of, items)
    chunks = iter(lambda: list(islice(encoded, CHUNK)), [])
    return pyarrow.Table.from_batches((pyarrow.RecordBatch.from_pylist(chunk, kinds) for chunk in chunks), kinds)


def blocks_of(table: Any, batch: int, workers: int) -> Iterator[Any]:
    """The parts of a table: `BATCHES` times `batch` rows, if they are neither few nor very many."""
    few = max(batch, len(table) // (BLOCKS_PER_WORKER * workers))
    rows = max(min(BATCHES * batch, few), -(-len(table) // BLOCKS))
    for start in range(0, len(table), rows):
        yield table.slice(start, rows).combine_chunks()


def row_of(item: SourceItem) -> dict[str, bytes]:
    """A file as a row of a table. Raises ValueError for a camera or stream."""
    if item.stream is not None:
        raise ValueError('--engine ray predicts files: a camera or stream is for one process.')
    path = '' if item.path is None else os.path.abspath(item.path) if is_local(item.path) else str(item.path)
    return {'name': os.fsencode(str(item.name)), 'path': os.fsencode(path), 'fault': os.fsencode(item.fault or '')}


def item_of(row: dict[str, bytes]) -> SourceItem:
    """The file of a row."""
    name, path, fault = (os.fsdecode(row[column]) for column in ('name', 'path', 'fault'))
    return SourceItem(PurePosixPath(name), path=path_of(path) if path else None, fault=fault or None)


class Worker:
    """Predicts on the files that it is given, and answers with the entries of their images.

    Args:
        predictor: on the CPU.
        done: the images to leave out.
        device: where to predict.
        root: the folder of the run.
        unfinished: that of its files that are not complete.
        marks: the name of a folder there in which the workers of a run note what they have begun.
        thumbnails: keep small pictures for a report.
    """

    def __init__(
        self,
        predictor: Predictor,
        done: Hashes,
        *,
        device: str,
        root: str,
        unfinished: str,
        marks: str,
        thumbnails: bool,
    ):
        cv2.setLogLevel(0)
        self.predictor = predictor.to(device)
        self.done = done
        self.names = OutputNames()
        self.marks = path_of(unfinished) / marks
        if is_local(self.marks):
            scratch = Path(unfinished) / f'{platform.node()}-{os.getpid()}'
        else:
            self.temporary = TemporaryDirectory(prefix='denseformer-')
            scratch = Path(self.temporary.name)
        self.folder = OutputFolder(path_of(root), scratch, thumbnails=thumbnails)

    def __call__(self, table: Any) -> dict[str, list[str]]:
        """The entries of the images in the file of each row, as JSON.

        Files over which an actor died are predicted one by one, so that the one that is at fault fails alone.
        """
        files = [item_of(row) for row in table.to_pylist()]
        with without_pillows_limit(), self.begun(f'{hash_of(str(files[0].name)):016x}-{len(files)}') as before:
            found = self.predict(files) if before == 0 else [self.predict_alone(file) for file in files]
        return {'entries': [json.dumps(entries) for entries in found]}

    def predict_alone(self, file: SourceItem) -> list[Entry]:
        """The entries of the images in a file; a failure where actors died over it again and again."""
        with self.begun(f'{hash_of(str(file.name)):016x}') as before:
            if before < DEATHS:
                return self.predict([file])[0]
        error = f'{DEATHS} processes died over it: it takes more memory than they have, or ends its reader.'
        return [{'file': str(file.name), 'status': 'failed', 'error': error}]

    def predict(self, files: Sequence[SourceItem]) -> list[list[Entry]]:
        """The entries of the images in each file."""
        counts = [0] * len(files)

        def images() -> Iterator[SourceItem]:
            for number, file in enumerate(files):
                for image in images_in(file, self.names):
                    if str(image.name) not in self.done:
                        counts[number] += 1
                        yield image

        entries = iter(list(predict_here(self.predictor, images(), self.folder, lambda entry: None)))
        return [list(islice(entries, count)) for count in counts]

    @contextmanager
    def begun(self, name: str) -> Iterator[int]:
        """Note that work of a name was begun, until it is through; how often it was begun before."""
        mark = self.marks / name
        try:
            before = len(read_bytes(mark))
        except FileNotFoundError:
            before = 0
        make_folder(self.marks)
        patiently(lambda: mark.write_bytes(b'.' * (before + 1)))
        yield before
        remove(mark)


class Actor(Worker):
    """A worker in a process of its own, which is given references."""

    def __init__(self, predictor: Any, done: Any, **settings: Any):
        ray = import_ray('data')
        super().__init__(ray.get(predictor), ray.get(done), **settings)

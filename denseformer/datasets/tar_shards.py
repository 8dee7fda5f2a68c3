"""Samples in tar files, from which millions of small files are read quickly, also out of an object store.

The tar files follow WebDataset's convention: files of one sample lie one after the other and share their name up to the
first dot: 000000012.json has what the dataset knows of the sample, 000000012.jpg its image, 000000012.seg_map.png its
labels. Beside them lie

index.json    how many samples there are, how many in each tar file, and the dataset's metainfo
offsets.npy   (N, 2) int64: the first byte of each sample in its tar file, and the one after its last

By the offsets any sample is one read, so that these samples are shuffled, divided among ranks and resumed by the same
samplers as files are, in the same order. WebDataset's own reader and LitData's are streams: they shuffle in a buffer,
in another order than files have, and keep a state of their own for every worker.
"""

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.fileio import BaseStorageBackend, register_backend

from denseformer.registry import DATASETS
from denseformer.storage import is_local, path_of, patiently, read_bytes

INDEX = 'index.json'
OFFSETS = 'offsets.npy'
SCHEME = 'tar'
BLOCK = 512
FILES_OPEN = 64
"""Tar files that a process keeps open."""
SAMPLES_KEPT = 8
"""Samples whose bytes a process keeps, since each of their files is asked for by itself."""


@DATASETS.register_module()
class TarShards(BaseDataset):
    """The samples that `denseformer prepare shards` wrote from a dataset: the same ones, in the same order.

    What a sample knows of itself is as in that dataset, but for its files: their paths are addresses,
    tar://FOLDER/NUMBER/FIELD/NAME, which every transform that reads through mmengine's file backends takes.

    Args:
        folder: of the tar files, on this machine or in an object store (s3://bucket/folder ...).
        pipeline: configs of transforms.
        metainfo: names that take the place of stored ones, such as `classes`.
        test_mode: mmengine's.
        max_refetch: mmengine's.

    Raises ValueError for a folder without an index.
    """

    def __init__(
        self,
        *,
        folder: str | Path,
        pipeline: Sequence[dict] = (),
        metainfo: Mapping[str, Any] | None = None,
        test_mode: bool = False,
        max_refetch: int = 1000,
    ):
        self.folder = str(folder)
        super().__init__(
            metainfo=dict(metainfo or {}),
            pipeline=list(pipeline),
            test_mode=test_mode,
            max_refetch=max_refetch,
            lazy_init=True,
        )
        self._metainfo: dict[str, Any] = {**reader_of(self.folder, os.getpid()).metainfo, **(metainfo or {})}
        self._fully_initialized = True

    def __len__(self) -> int:
        return len(reader_of(self.folder, os.getpid()))

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The annotations that the packed dataset gives for a sample, with addresses in place of paths."""
        number = range(len(self))[idx]
        info = decoded(sample_of(self.folder, number, os.getpid()).info, f'{SCHEME}://{quote(self.folder)}/{number}')
        return {**info, 'sample_idx': number}

    def get_cat_ids(self, idx: int) -> list[int]:
        """The classes of a sample's objects, for samplers that balance them."""
        return [int(row['bbox_label']) for row in self.get_data_info(idx)['instances']]


@register_backend('TarShards', prefixes=SCHEME)
class TarBackend(BaseStorageBackend):
    """Reads tar://FOLDER/NUMBER/FIELD/NAME, the file FIELD of a sample; FOLDER is percent-encoded, NAME is not used."""

    def get(self, filepath: str | Path) -> bytes:
        folder, number, field, _ = str(filepath).removeprefix(f'{SCHEME}://').rsplit('/', 3)
        return sample_of(unquote(folder), int(number), os.getpid()).files[field]

    def get_text(self, filepath: str | Path, encoding: str = 'utf-8') -> str:
        return self.get(filepath).decode(encoding)


@dataclass(frozen=True)
class Sample:
    """info: what the dataset knows of it, as `encoded` wrote it; files: {field: content}."""

    info: bytes
    files: Mapping[str, bytes]


class ShardReader:
    """Reads samples of a folder of tar files by their numbers; raises ValueError for one without an index."""

    def __init__(self, folder: str):
        self.folder = path_of(folder)
        try:
            index = json.loads(read_bytes(self.folder / INDEX))
        except FileNotFoundError as error:
            raise ValueError(
                f"'{folder}' has no {INDEX}: it is no folder of shards, or was not written to its end. "
                '`denseformer prepare shards CONFIG OUT` writes one.'
            ) from error
        self.samples, self.per_shard = index['samples'], index['per_shard']
        self.metainfo = decoded(json.dumps(index['metainfo']), '')

    def __len__(self) -> int:
        return self.samples

    @cached_property
    def offsets(self) -> np.ndarray:
        """(N, 2) int64; of a file of this machine, only the parts that are looked at take up memory."""
        path = self.folder / OFFSETS
        return np.load(path, mmap_mode='r') if is_local(path) else np.load(io.BytesIO(read_bytes(path)))

    def read(self, number: int) -> Sample:
        """The sample of a number, by one read."""
        start, stop = map(int, self.offsets[number])
        content = read_range(self.folder / tar_name(number // self.per_shard), start, stop)
        files = {name.partition('.')[2]: part for name, part in members_of(content)}
        return Sample(files.pop('json'), files)


@lru_cache(16)
def reader_of(folder: str, process: int) -> ShardReader:
    """The reader of a folder; each process, such as a data loader's worker, has its own."""
    return ShardReader(folder)


@lru_cache(SAMPLES_KEPT)
def sample_of(folder: str, number: int, process: int) -> Sample:
    return reader_of(folder, process).read(number)


@lru_cache(FILES_OPEN)
def open_file(path: Path, process: int) -> BinaryIO:
    return path.open('rb')


def read_range(path: Path, start: int, stop: int) -> bytes:
    """Bytes of a file; raises ValueError where it is shorter."""
    if is_local(path):
        content = os.pread(open_file(path, os.getpid()).fileno(), stop - start, start)
    else:
        store: Any = path
        content = patiently(lambda: store.fs.cat_file(store.path, start=start, end=stop))
    if len(content) != stop - start:
        raise ValueError(f"'{path}' ends before byte {stop}: it is not the file that the index was made for.")
    return content


def members_of(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files in a part of a tar file of the format ustar: each has a header of one block.

    Python's tarfile does the same, with all else that a header holds, in the time that reading the sample takes.
    """
    place = 0
    while place < len(content):
        name = content[place : place + 100].rstrip(b'\0').decode()
        size = int(content[place + 124 : place + 135], 8)
        place += BLOCK
        yield name, content[place : place + size]
        place += -(-size // BLOCK) * BLOCK


def tar_name(shard: int) -> str:
    return f'{shard:06d}.tar'


def encoded(value: Any, files: dict[str, str], key: str = '') -> Any:
    """A value as JSON holds it; paths are replaced by fields, and collected in `files`, {path: field}.

    Strings under a key that ends in _path, or under class_masks, are paths. Mappings whose keys are no strings, and
    tuples, come back as such. Raises TypeError for another type.
    """
    if isinstance(value, str) and (key.endswith('_path') or key == 'class_masks'):
        return {'$file': [files.setdefault(value, new_field(key, value, files)), os.path.basename(value)]}
    if isinstance(value, Mapping):
        if all(isinstance(name, str) for name in value):
            return {name: encoded(item, files, name) for name, item in value.items()}
        return {'$pairs': [[encoded(name, files), encoded(item, files)] for name, item in value.items()]}
    if isinstance(value, tuple):
        return {'$tuple': [encoded(item, files, key) for item in value]}
    if isinstance(value, list):
        return [encoded(item, files, key) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f'{key}: {type(value).__name__}')


def new_field(key: str, path: str, files: Mapping[str, str]) -> str:
    """The field of a file: 'jpg' of the image, 'seg_map.png' of what seg_map_path names."""
    stem = '' if key == 'img_path' else key.removesuffix('_path')
    suffix = os.path.splitext(path)[1].lower() or '.file'
    names = (f'{stem}{number or ""}{suffix}'.removeprefix('.') for number in range(len(files) + 2))
    return next(name for name in names if name not in files.values() and name != 'json')


def decoded(text: str | bytes, address: str) -> Any:
    """The value that `encoded` made JSON of; files become addresses below that of the sample."""

    def restored(found: dict[str, Any]) -> Any:
        if '$file' in found:
            return '/'.join((address, *found['$file']))
        if '$pairs' in found:
            return dict(found['$pairs'])
        return tuple(found['$tuple']) if '$tuple' in found else found

    return json.loads(text, object_hook=restored)

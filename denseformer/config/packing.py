"""Writing the datasets of a config into tar files that `TarShards` reads."""

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope

from denseformer.config.audit import unknown_keys
from denseformer.datasets.building import build_dataset, leaf_datasets
from denseformer.datasets.restoration.lmdb_store import read_file
from denseformer.datasets.tar_shards import INDEX, OFFSETS, encoded, tar_name
from denseformer.storage import is_local, make_folder, publish

PER_SHARD = 1000
KEPT = ('pipeline', 'test_mode', 'max_refetch')
"""Settings of a dataset that those of its shards have, too."""


@dataclass(frozen=True)
class Packed:
    """The shards of one dataset: folder, number of samples, bytes of the tar files."""

    folder: Path
    samples: int
    size: int


def pack_config(config: Config, out: Path, per_shard: int = PER_SHARD) -> Iterator[Packed]:
    """Write the datasets of a loaded config into folders of `out`, and a config of the same run on them, config.py.

    Datasets inside wrappers are packed one by one, and those that occur twice once. Yields what was written, when it is
    complete. Raises ValueError where a folder is complete already, and for samples that cannot be packed.
    """
    init_default_scope(config.get('default_scope') or 'mmengine')
    changed = Config(config.to_dict(), filename=config.filename)
    done: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for split in ('train', 'val', 'test'):
        dataset = (changed.get(f'{split}_dataloader') or {}).get('dataset') or {}
        parts = [part for _, part in leaf_datasets('', dataset) if part]
        for number, part in enumerate(parts):
            before = dict(part)
            after = next((shards for other, shards in done if other == before), None)
            if after is None:
                folder = out / (split if len(parts) == 1 else f'{split}{number}')
                built = build_dataset({**before, 'pipeline': []})
                yield write_shards(built, folder, per_shard)
                names = {key: built.metainfo[key] for key in ('classes', 'palette') if built.metainfo.get(key)}
                kept = {key: before[key] for key in KEPT if key in before}
                after = dict(type='denseformer.TarShards', folder=str(folder), metainfo=names, **kept)
                done.append((before, after))
            part.clear()  # type: ignore[attr-defined]
            part.update(after)  # type: ignore[attr-defined]
    scratch = scratch_beside(out)
    try:
        changed.dump(scratch / 'config.py')
        for variable in unknown_keys(Config.fromfile(scratch / 'config.py')):  # of the datasets that were replaced
            changed.pop(variable.key)
        changed.dump(scratch / 'config.py')
        publish(scratch / 'config.py', out / 'config.py')
    finally:
        shutil.rmtree(scratch)


def write_shards(dataset: Any, folder: Path, per_shard: int) -> Packed:
    """Write the samples of a dataset into tar files of `per_shard` samples each.

    Each file appears when it is complete, and the index when all are; what an attempt that broke off has left is
    replaced. Raises ValueError where the index is there, or a sample has something that JSON cannot hold.
    """
    if (folder / INDEX).exists():
        raise ValueError(f"'{folder}' holds shards; remove it first, or write into another folder.")
    if per_shard < 1 or not len(dataset):
        raise ValueError(f"'{folder}': there is nothing to pack with {len(dataset)} samples, {per_shard} in a file.")
    make_folder(folder)
    offsets = np.empty((len(dataset), 2), np.int64)
    size = 0
    scratch = scratch_beside(folder)
    try:
        for first in range(0, len(dataset), per_shard):
            numbers = range(first, min(first + per_shard, len(dataset)))
            file = scratch / tar_name(first // per_shard)
            with tarfile.open(file, 'w', format=tarfile.USTAR_FORMAT) as archive:
                for number in numbers:
                    offsets[number, 0] = archive.offset
                    add_sample(archive, f'{number:09d}', dataset.get_data_info(number))
                    offsets[number, 1] = archive.offset
            size += file.stat().st_size
            publish(file, folder / file.name)
        np.save(scratch / OFFSETS, offsets)
        index = {'samples': len(dataset), 'per_shard': per_shard, 'metainfo': encoded(dataset.metainfo, {})}
        (scratch / INDEX).write_text(json.dumps(index, indent=2) + '\n')
        for name in (OFFSETS, INDEX):
            publish(scratch / name, folder / name)
    finally:
        shutil.rmtree(scratch)
    return Packed(folder, len(dataset), size)


def add_sample(archive: tarfile.TarFile, key: str, info: dict[str, Any]) -> None:
    """Append what a dataset knows of a sample, and its files."""
    files: dict[str, str] = {}
    known = {name: value for name, value in info.items() if name != 'sample_idx'}
    try:
        text = json.dumps(encoded(known, files))
    except TypeError as error:
        raise ValueError(f'{next(iter(files), key)}: shards cannot hold this of a sample: {error}.') from error
    add_member(archive, f'{key}.json', text.encode())
    for path, field in files.items():
        add_member(archive, f'{key}.{field}', read_file(path))


def add_member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Append a file whose owner and time say nothing, so that the same content gives the same tar file."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def scratch_beside(folder: Path) -> Path:
    """A new folder on this machine, on the disk of `folder` where that is on this machine, too."""
    if not is_local(folder):
        return Path(mkdtemp(prefix='denseformer-'))
    make_folder(folder)
    return Path(mkdtemp(prefix='.unfinished-', dir=folder))

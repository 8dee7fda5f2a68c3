"""The command `denseformer weights`: the catalog as a table, and what is done with its files."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from denseformer.checkpoints.cache import add, fetch, path_of, present, remove, verify
from denseformer.checkpoints.catalog import WeightFile, by_name, search


def print_list(words: Sequence[str]) -> None:
    """Print the files of whose entries each of `words` is a part. Raises ValueError where there are none."""
    files = search(tuple(words))
    if not files:
        raise ValueError(f'no published weights have all of {", ".join(words)} in their entry.')
    table = Table('name', 'size', 'license', 'published', 'config', 'here', box=box.SIMPLE, pad_edge=False)
    for file in files:
        here = 'yes' if present(file) else 'by hand' if not file.direct_urls and not file.hub else ''
        table.add_row(file.name, size_of(file), license_of(file), scores_of(file), file.config or '', here)
    console = Console(width=None if Console().is_terminal else 200)
    console.print(table)
    console.print(f'{len(files)} files; `denseformer weights fetch NAME` fetches one.', highlight=False)


def size_of(file: WeightFile) -> str:
    path = present(file)
    size = path.stat().st_size if path else file.bytes
    return f'{size / 2**20:.0f} MiB' if size else ''


def license_of(file: WeightFile) -> str:
    return file.license + {True: '', False: ' (not commercial)', None: ' (?)'}[file.commercial]


def scores_of(file: WeightFile) -> str:
    return ', '.join(f'{name} {value}' for name, value in list(file.metric.items())[:2])


def fetch_all(names: Sequence[str], *, commercial_only: bool) -> None:
    """Fetch files by name and print where they are. Raises ValueError at the first that cannot be had."""
    for file in [by_name(name) for name in names]:
        print(fetch(file, commercial_only=commercial_only))


def add_file(source: str, name: str | None, compared: Callable[[WeightFile, Path], str]) -> None:
    """Add a file and print what it is. compared: says what it holds, and raises where it is not the entry's."""
    found: list[str] = []
    file, path = add(source, name, lambda file, path: found.append(compared(file, path)))
    print('\n'.join(filter(None, [f'{source} is {file.name}: {path}', *found])))


def remove_all(names: Sequence[str]) -> None:
    for file in [by_name(name) for name in names]:
        print(f'removed {remove(file.name)}')


def print_faults() -> int:
    """Verify the cache, print each file; returns how many are not what they should be."""
    found = verify()
    for name, fault in found.items():
        print(f'{name}: {fault}' if fault else f'{name}: as published or pinned ({path_of(by_name(name))})')
    print(f'{len(found)} files, {sum(map(bool, found.values()))} faults')
    return sum(map(bool, found.values()))

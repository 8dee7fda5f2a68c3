"""Lists of images that people write by hand."""

from collections.abc import Iterable

from denseformer.images.reading import read_bytes


def read_names(path: str, suffixes: Iterable[str], backend_args: dict | None = None) -> list[str]:
    """The names in a list, one a line, which may have one of these suffixes and blanks around them.

    Raises ValueError, naming the list, for backslashes between folders.
    """
    lines = read_bytes(path, 'list of images', backend_args).decode(errors='replace').splitlines()
    names = [line.strip() for line in lines if line.strip()]
    wrong = [name for name in names if '\\' in name]
    if wrong:
        raise ValueError(f"'{path}' lists names with backslashes ({wrong[0]}); write '/' between folders.")
    for suffix in suffixes:
        names = [name.removesuffix(suffix) for name in names]
    return names

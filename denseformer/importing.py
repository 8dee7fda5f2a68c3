"""The import of other packages: something to do as soon as one is imported, and what it says meanwhile kept quiet."""

import contextlib
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

TALKATIVE = ('albumentations', 'mmcv', 'mmdet', 'mmengine', 'mmseg')
"""Packages that print and warn while they are imported, about optional parts that are not installed."""


class ImportHook(MetaPathFinder):
    """Runs the code of the modules that `wants` names inside the context that `around` makes."""

    def __init__(self, wants: Callable[[str], bool], around: Callable[[], AbstractContextManager]):
        self.wants = wants
        self.around = around

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not self.wants(fullname):
            return None
        others = sys.meta_path[sys.meta_path.index(self) + 1 :]
        found = (finder.find_spec(fullname, path, target) for finder in others if hasattr(finder, 'find_spec'))
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            self._wrap(spec.loader)
        return spec

    def _wrap(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            with self.around():
                execute(module)

        loader.exec_module = exec_module


def when_imported(module: str, action: Callable[[], object]) -> None:
    """Call `action` now if `module` is imported, else as soon as it is."""
    if module in sys.modules:
        action()
        return

    @contextlib.contextmanager
    def then_act() -> Iterator[None]:
        yield
        action()

    sys.meta_path.insert(0, ImportHook(lambda name: name == module, then_act))


class Quiet:
    """Withholds what is printed, warned and logged to the terminal, by depth of entering; see `quiet_imports`."""

    def __init__(self) -> None:
        self.depth = 0
        self.said = io.StringIO()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        self.depth += 1
        streams = sys.stdout, sys.stderr
        if self.depth == 1:
            self.said = io.StringIO()
            sys.stdout, sys.stderr = (Withheld(stream, self) for stream in streams)
        try:
            yield
        except BaseException:
            if self.depth == 1:
                streams[1].write(self.said.getvalue())
            raise
        finally:
            self.depth -= 1
            if self.depth == 0:
                sys.stdout, sys.stderr = streams


class Withheld:
    """A stream that keeps its text to itself while its imports run, and hands it on afterwards.

    A log handler that was made meanwhile holds it for good.
    """

    def __init__(self, stream: Any, quiet: Quiet):
        self.stream = stream
        self.quiet = quiet

    def write(self, text: str) -> int:
        return (self.quiet.said if self.quiet.depth else self.stream).write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def quiet_imports() -> None:
    """Withhold all that `TALKATIVE` packages print and warn while they are imported; a failing import shows it."""
    if any(isinstance(finder, ImportHook) and isinstance(finder.around, Quiet) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, ImportHook(lambda name: name.partition('.')[0] in TALKATIVE, Quiet()))

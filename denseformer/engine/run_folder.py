"""A run owns its folder: one process at a time writes there, and what an older run left is not taken for its own.

Every run has an id, which its checkpoints (`meta['run']`) and the `run.json` of each start keep, and which stands in
the folder's `current_run`. A resumed run keeps its id, also in a copied or moved folder.
"""

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from denseformer.checkpoints.writing import NAMES
from denseformer.config.errors import ConfigError
from denseformer.folders.writing import HERE

LOCK = 'run.lock'
CURRENT = 'current_run'
BEAT = 10.0
"""Seconds after which a living run touches its lock."""
STALE = 45.0
"""Seconds without a touch after which the lock of another machine counts for nothing."""


@contextmanager
def owned(folder: str | Path) -> Iterator[None]:
    """Hold a run's folder against other runs. Raises ConfigError while another process trains into it."""
    lock = Path(folder) / LOCK
    make_folder(folder)
    acquire(lock)
    done = threading.Event()
    beat = threading.Thread(target=keep_fresh, args=(lock, done), daemon=True)
    beat.start()
    try:
        yield
    finally:
        done.set()
        beat.join()
        lock.unlink(missing_ok=True)


def make_folder(folder: str | Path) -> None:
    """Make the folder of a run. Raises ConfigError where that cannot be."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f'{folder}: the folder of the run cannot be made ({error}). Choose another --work-dir.'
        ) from error
    if not os.access(folder, os.W_OK):
        raise ConfigError(f'{folder}: nothing can be written there. Choose another --work-dir.')


def acquire(lock: Path) -> None:
    """Write the lock, in place of one whose owner is gone. Raises ConfigError naming an owner that is not."""
    owner = {'pid': os.getpid(), 'host': platform.node()}
    for _ in range(2):
        try:
            with lock.open('x') as file:
                json.dump(owner, file)
            return
        except FileExistsError:
            holder = read_owner(lock)
            if is_alive(lock, holder):
                raise ConfigError(
                    f'{lock.parent}: process {holder.get("pid")} on {holder.get("host")} trains into this folder. Wait '
                    f'for it, or choose another --work-dir; delete {lock} if that process is gone.'
                ) from None
            lock.unlink(missing_ok=True)
    raise ConfigError(f'{lock.parent}: another run began here at this moment. Choose another --work-dir.')


def read_owner(lock: Path) -> dict:
    """{'pid': ..., 'host': ...} of a lock; empty where it cannot be read."""
    try:
        owner = json.loads(lock.read_text())
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}


def is_alive(lock: Path, owner: Mapping) -> bool:
    """Whether the owner of a lock still runs: asked for on this machine, watched for `STALE` on another."""
    if owner.get('host') == platform.node():
        return process_exists(int(owner.get('pid') or 0))
    before, end = touched(lock), time.monotonic() + STALE
    while before is not None and time.monotonic() < end:
        time.sleep(min(1.0, STALE / 10))
        if touched(lock) != before:
            return True
    return False


def touched(lock: Path) -> float | None:
    """The time a lock was last touched; None where it is gone."""
    try:
        return lock.stat().st_mtime
    except OSError:
        return None


def process_exists(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def keep_fresh(lock: Path, done: threading.Event) -> None:
    """Touch the lock until the run is done."""
    while not done.wait(BEAT):
        if lock.exists():
            os.utime(lock)


def new_run() -> str:
    """The id of a new run."""
    return uuid.uuid4().hex[:12]


def current_run(folder: str | Path) -> str | None:
    """The id of the run that a folder belongs to; None in one without a run, or of a version without ids."""
    file = Path(folder) / CURRENT
    return file.read_text(errors='replace').strip() or None if file.is_file() else None


def set_current_run(folder: str | Path, run: str) -> None:
    """Let a folder belong to a run."""
    (Path(folder) / CURRENT).write_text(run + '\n')


def traces(folder: str | Path) -> list[str]:
    """Names of what a run left in a folder: checkpoints, and logs that have steps in them."""
    folder = Path(folder)
    files = [path.name for path in sorted(folder.glob('*.pth'))]
    checkpoints = [name for name in files if not name.startswith('nan_') and name not in NAMES]
    logs = [path for path in sorted(folder.glob('*/vis_data/scalars.json')) if path.stat().st_size]
    return checkpoints + [str(path.relative_to(folder)) for path in logs if (path.parent.parent / 'run.json').is_file()]


def check_free(folder: str | Path) -> None:
    """Raise ConfigError where a new run would begin in a folder that holds another one."""
    found = traces(folder)
    if found:
        raise ConfigError(
            f'{folder}: holds a run already ({", ".join(found[:3])}{" ..." if len(found) > 3 else ""}). Go on with it: '
            '--resume. Begin a new one: in another --work-dir, or here with --overwrite, which replaces its files one '
            'by one as the new run writes them; a later --resume goes on from the new run alone.'
        )


def movable(value: Any, folder: Path) -> Any:
    """A part of a config with the absolute paths in `folder` as a config in that folder writes them."""
    if isinstance(value, Mapping):
        return {key: movable(part, folder) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(movable(part, folder) for part in value)
    if isinstance(value, str) and os.path.isabs(value) and Path(os.path.normpath(value)).is_relative_to(folder):
        return (Path(HERE) / os.path.relpath(value, folder)).as_posix()
    return value

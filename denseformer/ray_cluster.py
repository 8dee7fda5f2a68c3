"""The Ray cluster that a run takes its processes from."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

from denseformer.importing import quiet_imports


def import_ray(part: str) -> ModuleType:
    """The package ray, with its library `part`: 'data' or 'train'. Raises ValueError where it is not installed."""
    try:
        import_module(f'ray.{part}')
    except ImportError as error:
        raise ValueError(f"--engine ray: {error}. pip install 'denseformer[ray]'.") from error
    return import_module('ray')


@contextmanager
def connected(ray: ModuleType) -> Iterator[None]:
    """Let `ray` be connected: as it is already; else to the cluster of RAY_ADDRESS, to one that runs on this machine,
    or to one that is started here and ends with the context.

    Nothing is reported to Ray's makers, unless RAY_USAGE_STATS_ENABLED says so. SIGTERM does what it did before.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    quiet = {'worker_process_setup_hook': f'{__name__}.{set_up_worker.__name__}'}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    ray.init(logging_level='WARNING', include_dashboard=False, runtime_env=quiet)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        ray.shutdown()


def set_up_worker() -> None:
    """Keep a process of the cluster from saying what no user needs; Ray calls this when it starts one.

    Where there is no dashboard, Ray Train's cleaner says so every second.
    """
    quiet_imports()
    logging.getLogger('ray.train.v2._internal.execution.controller.placement_group_cleaner').setLevel(logging.ERROR)

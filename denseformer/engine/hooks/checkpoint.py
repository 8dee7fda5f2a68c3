"""The hook that writes checkpoints and deletes old ones."""

import os
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner import Runner

from denseformer.checkpoints import remove_checkpoint
from denseformer.registry import HOOKS

INTERRUPTED = 'interrupted.pth'


class DeleteAfterWrite:
    """A file backend that puts off removing a file until the one that takes its place is safe."""

    def __init__(self, backend: Any):
        self.backend = backend
        self.waiting: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        self.waiting.append(str(path))

    def flush(self, keep: set[str]) -> None:
        """Remove all of them now, except those that were written again meanwhile."""
        for path in self.waiting:
            if path not in keep:
                remove_checkpoint(path)
        self.waiting.clear()


@HOOKS.register_module()
class CheckpointHook(MMEngineCheckpointHook):
    """mmengine's hook, which deletes the old checkpoint before it has written the new one; here it is afterwards."""

    _default_greater_keys = [*MMEngineCheckpointHook._default_greater_keys, 'PQ']  # noqa: RUF012
    saved_iter = -1
    file_backend: Any

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if not os.access(self.out_dir, os.W_OK):
            raise ValueError(f'{self.out_dir}: checkpoints cannot be written there; choose another --work-dir.')
        self.file_backend = DeleteAfterWrite(self.file_backend)

    def save_interrupted(self, runner: Runner) -> Path:
        """Save between two iterations, wherever in an epoch; the file goes when the next regular one is written."""
        runner.save_checkpoint(
            str(self.out_dir), INTERRUPTED, meta={'epoch': runner.epoch, 'iter': runner.iter + 1}, by_epoch=False
        )
        path = Path(self.out_dir) / INTERRUPTED
        self._point_to(runner, path)
        return path

    @master_only
    def _point_to(self, runner: Runner, path: Path) -> None:
        (Path(runner.work_dir) / 'last_checkpoint').write_text(str(path))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        self.saved_iter = meta['iter']
        self._remove_replaced()
        self._remove_interrupted()

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        super()._save_best_checkpoint(runner, metrics)
        self._remove_replaced()

    @master_only
    def _remove_replaced(self) -> None:
        best = [getattr(self, 'best_ckpt_path', None), *getattr(self, 'best_ckpt_path_dict', {}).values()]
        self.file_backend.flush({str(path) for path in (self.last_ckpt, *best) if path})

    @master_only
    def _remove_interrupted(self) -> None:
        remove_checkpoint(Path(self.out_dir) / INTERRUPTED)

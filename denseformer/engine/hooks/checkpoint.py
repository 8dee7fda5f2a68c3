"""The hook that writes checkpoints and deletes old ones."""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner import Runner

from denseformer.checkpoints import remove_checkpoint
from denseformer.checkpoints.writing import BEST, LAST, NAMES
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
    """mmengine's hook, which deletes the old checkpoint before it has written the new one; here it is afterwards.

    `best.pth` and `last.pth` beside the checkpoints lead to the best and to the newest one.
    """

    _default_greater_keys = [*MMEngineCheckpointHook._default_greater_keys, 'PQ', 'Dice', 'J&F']  # noqa: RUF012
    saved_iter = -1
    file_backend: Any

    def _init_rule(self, rules: Sequence[str | None], key_indicators: Sequence[str]) -> None:
        """As mmengine, which however takes `loss_dice` for a score, since Dice is one: less of a loss is better."""
        rules = list(rules) * (len(key_indicators) if len(rules) == 1 else 1)
        of_losses = ['less' if 'loss' in key.lower() else None for key in key_indicators]
        super()._init_rule([rule or known for rule, known in zip(rules, of_losses, strict=True)], key_indicators)

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if not os.access(self.out_dir, os.W_OK):
            raise ValueError(f'{self.out_dir}: checkpoints cannot be written there; choose another --work-dir.')
        self.file_backend = DeleteAfterWrite(self.file_backend)
        if not runner._resume:
            self._forget_older_run()

    def best(self, runner: Runner) -> tuple[str, float, Path] | None:
        """The score by which the best checkpoint is chosen, its best value so far, and that checkpoint."""
        if not self.save_best:
            return None
        key = self.key_indicators[0]
        ending = '' if len(self.key_indicators) == 1 else f'_{key}'
        known = runner.message_hub.runtime_info
        if f'best_ckpt{ending}' not in known:
            return None
        name = Path(known[f'best_ckpt{ending}']).name  # the folder may have been moved since
        return key, float(known[f'best_score{ending}']), Path(self.out_dir) / name

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
        link(path, LAST)

    @master_only
    def _forget_older_run(self) -> None:
        for name in NAMES:
            (Path(self.out_dir) / name).unlink(missing_ok=True)

    @master_only
    def _link_best(self, runner: Runner) -> None:
        best = self.best(runner)
        if best is not None and best[2].is_file():
            link(best[2], BEST)

    @master_only
    def _link_last(self) -> None:
        link(Path(self.last_ckpt), LAST)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        self.saved_iter = meta['iter']
        self._link_last()
        self._remove_replaced()
        self._remove_interrupted()

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        super()._save_best_checkpoint(runner, metrics)
        self._link_best(runner)
        self._remove_replaced()

    @master_only
    def _remove_replaced(self) -> None:
        best = [getattr(self, 'best_ckpt_path', None), *getattr(self, 'best_ckpt_path_dict', {}).values()]
        self.file_backend.flush({str(path) for path in (self.last_ckpt, *best) if path})

    @master_only
    def _remove_interrupted(self) -> None:
        remove_checkpoint(Path(self.out_dir) / INTERRUPTED)


def link(path: Path, name: str) -> None:
    """Let `name` beside `path` lead to it: a relative link, or a copy where the file system has no links.

    A copied or moved folder keeps its links; a copied link is the checkpoint itself.
    """
    place, temporary = path.with_name(name), path.with_name(f'{name}.writing')
    temporary.unlink(missing_ok=True)
    with suppress(OSError):
        temporary.symlink_to(path.name)
    if not temporary.is_symlink():
        shutil.copyfile(path, temporary)
    os.replace(temporary, place)

"""The hook that ends a run which no longer improves."""

from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.runner import Runner

from denseformer.engine.hooks.checkpoint import CheckpointHook
from denseformer.inspection.plot_log import read_runs
from denseformer.registry import HOOKS


@HOOKS.register_module()
class PatienceHook(Hook):
    """Ends training after so many validations in a row without a better score than the best one.

    The score is the one by which the best checkpoint is chosen. Validations are counted in the logs of the run's
    folder, so that a run that was stopped and resumed ends where the uninterrupted one does. mmengine's
    EarlyStoppingHook counts from zero after a resume, and takes an equal score for a better one.

    patience: how many, at least 1.
    """

    priority = 'LOWEST'

    def __init__(self, patience: int):
        if patience < 1:
            raise ValueError(f'PatienceHook: patience={patience}; at least one validation has to pass.')
        self.patience = patience

    def before_train(self, runner: Runner) -> None:
        savers = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook) and hook.save_best]
        if not savers or runner._val_dataloader is None:
            raise ValueError(
                'Patience needs a validation set and default_hooks.checkpoint.save_best, the score to watch.'
            )
        self.saver = savers[0]
        if runner._resume:
            self._decide(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._decide(runner)

    def _decide(self, runner: Runner) -> None:
        answer = [self._waited(runner) if runner.rank == 0 else 0]
        broadcast_object_list(answer)
        if answer[0] >= self.patience:
            runner.train_loop.stop_training = True
            runner.logger.info(f'Ends early: {answer[0]} validations without a better {self.saver.key_indicators[0]}.')

    def _waited(self, runner: Runner) -> int:
        """How many validations of this run came after its best one."""
        key = self.saver.key_indicators[0]
        try:
            *_, curves = read_runs(runner.work_dir).values()
        except ValueError:  # a checkpoint that was copied without its logs
            return 0
        scores = [value for _, value in sorted(curves.get(key, {}).items())]
        return waited(scores, greater=self.saver.rules[0] == 'greater')


def waited(scores: list[float], *, greater: bool) -> int:
    """How many scores stand behind the best one, the first of equal ones."""
    if not scores:
        return 0
    best = max(scores) if greater else min(scores)
    return len(scores) - 1 - scores.index(best)

"""Going on with a run whose settings changed: the config decides, and every difference is said.

The optimizer's moments, the random numbers and the place in the run come from the checkpoint. Where the config says the
same as then, the schedules do too, and the run goes on bit by bit. Where it does not, the rates of the config are laid
from the first iteration on and followed to the place where the run stands.
"""

import copy
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mmengine.optim import ReduceOnPlateauParamScheduler

from denseformer.checkpoints import CheckpointError
from denseformer.engine.agreement import RECORD, changed_settings
from denseformer.engine.hooks.nan_guard import optimizers

if TYPE_CHECKING:
    from denseformer.engine.runner import Runner

SHAPES_RATES = ('optim_wrapper.', 'param_scheduler', 'train_cfg.', 'auto_scale_lr', 'processes')
"""Beginnings of the settings that change the rate of an iteration."""


def changes_since(meta: Mapping[str, Any], now: Mapping[str, Any], path: str) -> dict[str, tuple[Any, Any]]:
    """The settings that a resumed run has otherwise than the checkpoint at `path`: {dotted key: (before, now)}.

    Raises CheckpointError for another optimizer, whose state the checkpoint does not hold.
    """
    before = (meta.get(RECORD) or {}).get('settings')
    changes = changed_settings(before, now['settings']) if before else {}
    types = [
        pair for key, pair in changes.items() if key.startswith('optim_wrapper.') and key.endswith('optimizer.type')
    ]
    if types:
        raise CheckpointError(
            f'{path}: holds the state of {types[0][0]}, the config says {types[0][1]}. Resume with the same optimizer, '
            'or begin a new run from these weights with --load-from.'
        )
    return changes


def settings_of_groups(optim_wrapper: Any) -> list[list[dict[str, Any]]]:
    """The options of each parameter group of each optimizer, as the config has them."""
    return [
        [copy.deepcopy({k: v for k, v in group.items() if k != 'params'}) for group in optimizer.param_groups]
        for optimizer in optimizers(optim_wrapper)
    ]


def restore_groups(optim_wrapper: Any, settings: list[list[dict[str, Any]]]) -> None:
    """Give the parameter groups the options that `settings_of_groups` took."""
    for optimizer, groups in zip(optimizers(optim_wrapper), settings, strict=True):
        for group, options in zip(optimizer.param_groups, groups, strict=True):
            group.update(options)


def each_scheduler(schedulers: Any) -> Iterator[Any]:
    """The schedulers of a run, of all its optimizers."""
    for part in schedulers.values() if isinstance(schedulers, Mapping) else [schedulers or []]:
        yield from part


def advance(schedulers: Any, iterations: int, epoch_length: int | None) -> None:
    """Take new schedulers to where they stand after so many iterations, in epochs of `epoch_length`.

    Raises CheckpointError for schedules that follow the scores of a run, which are not known.
    """
    parts = list(each_scheduler(schedulers))
    if any(isinstance(part, ReduceOnPlateauParamScheduler) for part in parts):
        raise CheckpointError(
            'A schedule that follows scores (ReduceOnPlateau) cannot be laid again: resume with the settings of the '
            'run, or begin a new one with --load-from.'
        )
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that no optimizer stepped in between
        for iteration in range(1, iterations + 1):
            step_all(parts, iteration, epoch_length)


def highest_rate(schedulers: list[Any], optim_wrapper: Any, iterations: int, epoch_length: int | None) -> float:
    """The highest rate of the one parameter group of `optim_wrapper`, up to the iteration that reaches its first."""
    (group,) = optim_wrapper.param_groups
    highest = group['lr']
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for iteration in range(1, iterations):
            if highest >= group.get('initial_lr', 0):
                break
            step_all(schedulers, iteration, epoch_length)
            highest = max(highest, group['lr'])
    return highest


def step_all(schedulers: list[Any], iteration: int, epoch_length: int | None) -> None:
    """One step of all schedulers that count iterations, and, at the end of an epoch, of those that count epochs."""
    for part in schedulers:
        if isinstance(part, ReduceOnPlateauParamScheduler):
            continue
        if not part.by_epoch or (epoch_length and iteration % epoch_length == 0):
            part.step()


def place_in_epochs(epoch: int, iteration: int, before: int | None, now: int) -> int:
    """The iteration of a run, when its epochs had `before` iterations and have `now`.

    Epochs stay what they are: (epoch, done) becomes the iteration by which as much of the epoch was seen.
    """
    before = before or (iteration // epoch if epoch and iteration % epoch == 0 else now)
    done = min(max(iteration - epoch * before, 0), before)
    return epoch * now + round(done * now / before)


def resume(runner: 'Runner', path: str, meta: Mapping[str, Any], load: Any) -> None:
    """Resume `runner` from the checkpoint at `path`, whose `meta` is given; `load` is mmengine's part of it.

    load: called with resume_param_scheduler, and sets weights, optimizer and place in the run.
    """
    now = runner.describe_training()
    changes = changes_since(meta, now, path)
    before, length = (meta.get(RECORD) or {}).get('epoch_length'), now['epoch_length']
    place = meta.get('iter', 0) if length is None else place_in_epochs(meta['epoch'], meta['iter'], before, length)
    moved = place != meta.get('iter', 0)
    again = moved or any(key.startswith(SHAPES_RATES) for key in changes)
    fresh = settings_of_groups(runner.optim_wrapper)
    try:
        load(not again)
    except ValueError as error:
        if 'param' not in str(error):
            raise
        raise CheckpointError(
            f'{path}: its optimizer has other parameters than this config builds ({error}). Resume with the config of '
            'the run, or begin a new one from these weights with --load-from.'
        ) from error
    for key, (old, new) in changes.items():
        runner.logger.warning(f'{key} was {old} in the resumed run and is {new} now.')
    if moved:
        runner.train_loop._iter = place
        runner.logger.warning(
            f'An epoch has {length} iterations now: the run goes on at iteration {place} instead of {meta["iter"]}.'
        )
    if again:
        restore_groups(runner.optim_wrapper, fresh)
        advance(runner.param_schedulers, place, length)
        runner.logger.warning('The schedules are laid again from the config, up to where the run stands.')

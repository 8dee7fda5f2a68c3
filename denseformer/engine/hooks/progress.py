"""The hook that shows how a run goes: a page in its folder, and the best score in the last line of its log."""

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner

from denseformer import pages
from denseformer.checkpoints.writing import BEST, LAST
from denseformer.engine.hooks.checkpoint import CheckpointHook
from denseformer.engine.validation import scores_per_class
from denseformer.inspection.outcomes import (
    FOUND,
    found_picture,
    input_picture,
    read_legend,
    true_picture,
    write_legend,
)
from denseformer.inspection.plot_log import NOT_A_SCORE, read_runs
from denseformer.registry import HOOKS

PAGE, FOLDER, ROWS = 'progress.html', 'progress', 'validations.jsonl'
SIDE = 192
SHOWN = 8
"""Validations whose pictures are on the page, evenly spread; the folder keeps all."""
REFRESH = 60
SIZES = ('s', 'm', 'l')
NO_OBJECTS = -1.0
"""COCO's average precision of a size that no object has."""


@HOOKS.register_module()
class ProgressHook(Hook):
    """Rewrites `progress.html` in the run's folder at each validation, and when training ends, however it ends.

    The page is one file that needs no network: curves, scores per class, the same validation images over time, learning
    rate, time per iteration and the time that is left. What it is made of lies in `progress/` and in the logs, so that
    a resumed run goes on with it. The best score so far and its checkpoint are logged after each validation, and in the
    last line of the log.

    images: how many validation images are shown, evenly spread over those of the first process.
    """

    priority = 'LOWEST'

    def __init__(self, images: int = 8):
        self.images = images
        self.training = False

    def before_train(self, runner: Runner) -> None:
        self.training = True
        self.began, self.first_iter, self.validating = time.monotonic(), runner.iter, 0.0
        self.folder = Path(runner.work_dir) / FOLDER
        if runner.rank == 0 and not runner._resume:
            shutil.rmtree(self.folder, ignore_errors=True)

    def before_val_epoch(self, runner: Runner) -> None:
        self.eta = runner.message_hub.get_info('eta', 0.0)  # validation overwrites it with its own
        self.val_began, self.seen = time.monotonic(), 0
        loader = runner.val_dataloader
        count = len(loader.sampler) if loader.sampler is not None else len(loader.dataset)
        self.chosen = set(np.linspace(0, count - 1, min(self.images, count)).astype(int).tolist())

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if not self.training or runner.rank:
            return
        for i, sample in enumerate(outputs):
            if self.seen in self.chosen:
                self._keep_pictures(runner, data_batch, i, sample)
            self.seen += 1

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if not self.training:
            return
        self.validating += time.monotonic() - self.val_began
        if runner.rank:
            return
        self.folder.mkdir(exist_ok=True)
        row = {'iter': runner.iter, 'per_class': scores_per_class(runner.val_evaluator.metrics)}
        with (self.folder / ROWS).open('a') as file:
            file.write(json.dumps(row) + '\n')
        self._write(runner, 'training')
        runner.logger.info(best_sentence(runner))

    def on_exit(self, runner: Runner) -> None:
        if not self.training:
            return
        self.training = False
        if runner.rank == 0:
            stopped = getattr(runner.train_loop, 'stop_training', False)
            done = runner.iter >= runner.max_iters
            self._write(runner, 'finished' if done else 'ended early' if stopped else 'stopped')
            runner.logger.info(best_sentence(runner))

    def _keep_pictures(self, runner: Runner, batch: Mapping[str, Any], i: int, sample: Any) -> None:
        inputs, given = batch['inputs'][i], batch['data_samples'][i]
        if inputs.ndim != 3 or len(inputs) not in (1, 3) or not any(key in sample for key in FOUND):
            return
        self.folder.mkdir(exist_ok=True)
        meta = runner.val_dataloader.dataset.metainfo or {}
        classes, palette = meta.get('classes') or (), meta.get('palette')
        write_legend(self.folder, classes, palette)
        preprocessor = runner.cfg.model.get('data_preprocessor') or {}
        picture = input_picture(inputs, bool(preprocessor.get('bgr_to_rgb')), SIDE)
        place = self.folder / f'{self.seen:06}'
        for name, drawn in (
            ('input', picture),
            ('truth', true_picture(picture, given, classes, palette)),
            (f'{runner.iter:09}', found_picture(picture, sample, classes, palette)),
        ):
            if drawn is not None:
                place.with_name(f'{place.name}_{name}.jpg').write_bytes(pages.jpeg(drawn))

    def _write(self, runner: Runner, state: str) -> None:
        rest = runner.max_iters - runner.iter
        done = max(1, runner.iter - self.first_iter)
        eta = getattr(self, 'eta', 0.0) + rest * self.validating / done
        numbers: dict[str, Any] = {'state': state, 'iteration': f'{runner.iter} of {runner.max_iters}'}
        if state == 'training':
            numbers['left, with validation'] = pages.duration(eta)
        best = saver_of(runner).best(runner) if saver_of(runner) else None
        if best is not None:
            numbers[f'best {best[0]}, {best[2].name}'] = best[1]
        numbers['written'] = time.strftime('%Y-%m-%d %H:%M:%S')
        body = describe(Path(runner.work_dir), numbers)
        title = f'{Path(runner.work_dir).name}: {state}'
        path = Path(runner.work_dir) / PAGE
        temporary = path.with_name(f'{PAGE}.writing')
        temporary.write_text(pages.page(title, body, refresh=REFRESH if state == 'training' else None))
        os.replace(temporary, path)


def saver_of(runner: Runner) -> CheckpointHook | None:
    return next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)


def best_sentence(runner: Runner) -> str:
    """The best score so far and where its checkpoint is, or where the newest one is when nothing was scored yet."""
    saver = saver_of(runner)
    best = saver.best(runner) if saver else None
    if best is not None:
        key, score, path = best
        return f'Best {key} so far: {score:.4f}, {path.with_name(BEST)} ({path.name}).'
    last = Path(saver.out_dir) / LAST if saver else None
    return f'No best checkpoint yet; the newest one: {last if last and last.exists() else "none"}.'


def describe(folder: Path, numbers: dict[str, Any]) -> Iterator[str]:
    """The body of the page about the run in `folder`."""
    try:
        *_, series = read_runs(folder).values()
    except ValueError:  # it ended before its first line of numbers
        series = {}
    if 'time' in series:
        numbers['s per iteration'] = float(np.median(list(series['time'].values())[-50:]))
    if 'lr' in series:
        numbers['learning rate'] = list(series['lr'].values())[-1]
    yield pages.figures(numbers)
    yield pages.section('curves', 'Curves', '<div class="curves">', *panels(series), '</div>')
    rows = read_rows(folder / FOLDER / ROWS)
    tables = [row for row in rows if row['per_class']]
    if tables:
        yield pages.section('classes', 'Classes', '<div class="wide">', class_table(tables), '</div>')
    images = image_rows(folder / FOLDER)
    if images:
        legend = pages.legend(read_legend(folder / FOLDER))
        body = '<div class="wide">', image_table(images), '</div>'
        yield pages.section('images', 'The same images over time', legend, *body)


def panels(series: Mapping[str, Mapping[int, float]]) -> Iterator[str]:
    """Losses in one panel, scores of one kind in one, the learning rate and the time in one of their own."""
    points = {key: sorted(values.items()) for key, values in series.items()}
    yield pages.curves('loss', {key: points[key] for key in ('loss', 'val_loss') if key in points})
    scores = [key for key in points if key not in ('loss', 'val_loss', 'lr') and not NOT_A_SCORE.search(key)]
    for title, keys in panels_of(scores).items():
        yield pages.curves(title, {key: [p for p in points[key] if p[1] != NO_OBJECTS] for key in keys})
    for key, title in (('lr', 'learning rate'), ('time', 'seconds per iteration')):
        if key in points:
            yield pages.curves(title, {key: points[key]})


def panels_of(scores: Iterable[str]) -> dict[str, list[str]]:
    """{title: scores}: a score and those at its thresholds (mAP_50) share a panel, those by size (mAP_s) another."""
    found: dict[str, list[str]] = {}
    for key in scores:
        name, _, part = key.rpartition('_')
        title = f'{name} by size' if part in SIZES else name if part.isdigit() else key
        found.setdefault(title, []).append(key)
    return found


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The row of each validation, in their order; the later one where a resume repeated it."""
    lines = path.read_text().splitlines() if path.is_file() else []
    rows = {row['iter']: row for row in map(json.loads, lines)}
    return [rows[step] for step in sorted(rows)]


def class_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Scores per class of the last validation, the best of the first of them, and how that one went."""
    last = rows[-1]['per_class']
    names = list(next(iter(last.values())))
    main = names[0]
    head = ['class', *names, f'best {main}', f'{main} over time']
    lines = []
    for name, scores in last.items():
        past = [(row['iter'], row['per_class'].get(name, {}).get(main)) for row in rows]
        known = [(step, value) for step, value in past if value is not None]
        best = max((value for _, value in known), default=None)
        spark = f'<div class="spark">{pages.curves("", {main: known})}</div>' if known else None
        lines.append([name, *scores.values(), best, spark])
    return pages.table(head, lines)


def image_rows(folder: Path) -> dict[str, dict[str, Path]]:
    """{image: {'input', 'truth' or an iteration: its file}} of the pictures that were kept."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob('*_*.jpg')):
        image, _, kind = path.stem.partition('_')
        found.setdefault(image, {})[kind] = path
    return found


def image_table(images: Mapping[str, Mapping[str, Path]]) -> str:
    """One row per image: input, truth, and what was found at some of the validations."""
    steps = sorted({kind for row in images.values() for kind in row} - {'input', 'truth'})
    if len(steps) > SHOWN:
        steps = [steps[i] for i in np.linspace(0, len(steps) - 1, SHOWN).astype(int)]
    kinds = [kind for kind in ('input', 'truth') if any(kind in row for row in images.values())] + steps
    head = [kind if kind in ('input', 'truth') else f'iteration {int(kind)}' for kind in kinds]
    return pages.table(
        head, ([pages.image(row[kind]) if kind in row else None for kind in kinds] for row in images.values())
    )

"""From a config and the command line to a Runner: training, testing, and a dry run."""

import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mmengine.device.utils
import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object
from rich.console import Console
from rich.table import Table

from denseformer.checkpoints import CheckpointError, newest_checkpoint, read_checkpoint
from denseformer.checkpoints.writing import fault
from denseformer.engine import doctor
from denseformer.engine.audit import check_config
from denseformer.engine.config import ConfigError, load_config
from denseformer.engine.distributed import join_processes
from denseformer.engine.interruption import parse_duration
from denseformer.engine.run_report import write_run_report
from denseformer.engine.runner import Runner
from denseformer.ops import choice as operators

AMP_WRAPPERS = {
    'bf16': {'type': 'denseformer.BFloat16OptimWrapper'},
    'fp16': {'type': 'mmengine.AmpOptimWrapper', 'dtype': 'float16'},
}
DRY_RUN_SAMPLES = 50
"""Of each split, which a dry run reads."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says besides the config; each field is the flag of its name."""

    work_dir: str | None = None
    resume: str | bool = False
    load_from: str | None = None
    amp: str | None = None
    compile: bool = False
    seed: int | None = None
    deterministic: bool = False
    time_limit: str | None = None
    launcher: str = 'none'
    device: str = 'auto'
    cfg_options: Mapping[str, Any] = field(default_factory=dict)
    trust_checkpoint: bool = False


def prepare(config_path: str, options: Options) -> Config:
    """The config with everything the command line says; its data is looked at, nothing is built."""
    config = load_config(config_path, options.cfg_options)
    config.work_dir = options.work_dir or config.get('work_dir') or str(Path('work_dirs') / Path(config_path).stem)
    config.launcher = options.launcher
    if options.load_from:
        config.load_from = options.load_from
    if options.resume:
        config.resume = True
        if isinstance(options.resume, str):
            config.load_from = options.resume
    if options.amp:
        use_mixed_precision(config, options.amp)
    if options.compile:
        config.compile = True
    if options.seed is not None or options.deterministic:
        config.randomness = dict(seed=options.seed, deterministic=options.deterministic)
    if options.time_limit:
        set_time_limit(config, options.time_limit)
    use_device(options.device)
    if not torch.cuda.is_available() or options.device == 'cpu':
        config.env_cfg = dict(config.get('env_cfg') or {}, dist_cfg=dict(backend='gloo'))
    check_config(config)
    return config


def use_mixed_precision(config: Config, amp: str) -> None:
    """Run the optimiser's steps under autocast."""
    wrapper = dict(config.optim_wrapper)
    if wrapper.get('type', 'OptimWrapper') not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ConfigError(f'--amp: optim_wrapper is a {wrapper["type"]}; set its precision in the config.')
    if amp == 'fp16' and not torch.cuda.is_available():
        raise ConfigError('--amp fp16 needs a GPU; on a CPU use --amp bf16.')
    config.optim_wrapper = {**wrapper, **AMP_WRAPPERS[amp]}


def set_time_limit(config: Config, limit: str) -> None:
    """Let the run save and stop before `limit` ('11h30m') is over."""
    parse_duration(limit)
    hooks = config.get('default_hooks') or {}
    if 'interruption' not in hooks:
        raise ConfigError(
            "--time-limit: the config has no default_hooks.interruption ('denseformer.InterruptionHook')."
        )
    hooks['interruption']['time_limit'] = limit


def use_device(device: str) -> None:
    """Make `device` ('auto', 'cpu', 'cuda', 'cuda:1' ...) the one mmengine works on."""
    if device == 'auto':
        return
    if device.startswith('cuda') and not torch.cuda.is_available():
        raise ConfigError(f'--device {device}: this PyTorch sees no GPU.')
    mmengine.device.utils.DEVICE = device


def build_runner(config: Config, options: Options) -> Runner:
    """The Runner of a prepared config, with distributed training set up by the launcher."""
    notes = choose_start(config, options.resume)
    if options.launcher != 'none':
        os.environ.setdefault('LOCAL_RANK', '0')
        join_processes(options.launcher, config)
    runner = Runner.from_cfg(config)
    runner.trust_checkpoint = options.trust_checkpoint
    check_agreement(config)
    for note in notes:
        runner.logger.warning(note)
    if config.get('default_scope') == 'mmdet':
        runner.logger.info(operators.describe())
    return runner


def choose_start(config: Config, resume: str | bool) -> list[str]:
    """Set what a run goes on from, and its seed; return what to tell the user.

    resume: True for the newest whole checkpoint of the work_dir, or, when there is none yet, a beginning from
        `load_from`, so that the same command starts and restarts a run; or the path of a checkpoint.
    """
    if not resume:
        return []
    if isinstance(resume, str):
        problem = fault(resume) if Path(resume).is_file() else 'there is no such file'
        if problem:
            raise CheckpointError(f'--resume {resume}: {problem}. --resume without a path takes the newest whole one.')
        path = Path(resume)
        notes: list[str] = []
    else:
        found, notes = newest_checkpoint(config.work_dir)
        if found is None:
            config.resume = False
            return [*notes, f'{config.work_dir} has no checkpoint to go on from: the run starts at its beginning.']
        path = found
    config.resume, config.load_from = True, str(path)
    return [*notes, f'Goes on from {path}.', *take_over_seed(config, path)]


def check_agreement(config: Config) -> None:
    """Raise ConfigError when processes on different machines would go on from different checkpoints."""
    chosen = all_gather_object(str(config.load_from) if config.get('resume') else '')
    if len(set(chosen)) > 1:
        raise ConfigError(
            f'The processes found different checkpoints to go on from: {", ".join(sorted(set(chosen)))}. '
            '--work-dir has to be a folder that all machines share.'
        )


def take_over_seed(config: Config, path: Path) -> list[str]:
    """Let the run draw from the seed it was started with."""
    seed = (read_checkpoint(path, mmap=True).get('meta') or {}).get('seed')
    randomness = dict(config.get('randomness') or {})
    given = randomness.get('seed')
    if seed is None or seed == given:
        return []
    config.randomness = {**randomness, 'seed': seed}
    return [] if given is None else [f'The run began with seed {seed}, which it keeps; {given} is not used.']


def train(config_path: str, options: Options) -> Runner:
    """Train; returns the Runner, whose work_dir holds logs, the config as run, and checkpoints."""
    runner = build_runner(prepare(config_path, options), options)
    if runner.rank == 0:
        write_run_report(runner)
    runner.train()
    return runner


def evaluate(
    config_path: str,
    checkpoint: str,
    options: Options,
    *,
    out: str | None = None,
    tta: bool = False,
    show_dir: str | None = None,
) -> dict[str, Any]:
    """Score a checkpoint on the config's test set: {'metrics': {name: value}, 'per_class': {class: {...}}}.

    out: a json file for the same; tta: test-time augmentation, multi-scale and flipped; show_dir: where to draw.
    """
    config = prepare(config_path, options)
    config.load_from, config.resume = checkpoint, False
    if tta:
        use_test_time_augmentation(config)
    if show_dir:
        draw_predictions(config, show_dir)
    runner = build_runner(config, options)
    metrics = runner.test()
    per_class = [getattr(metric, 'per_class', None) for metric in runner.test_evaluator.metrics]
    result = {
        'config': str(config_path),
        'checkpoint': str(checkpoint),
        'metrics': {name: float(value) for name, value in metrics.items()},
        'per_class': next((table for table in per_class if table), {}),
    }
    if runner.rank == 0:
        print_scores(result)
        if out:
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            Path(out).write_text(json.dumps(result, indent=2) + '\n')
    return result


def use_test_time_augmentation(config: Config) -> None:
    if 'tta_model' not in config or 'tta_pipeline' not in config:
        raise ConfigError(f'{config.filename}: --tta needs tta_model and tta_pipeline.')
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.model = dict(config.tta_model, module=config.model)


def draw_predictions(config: Config, folder: str) -> None:
    """Let the test draw what the model finds into `folder`."""
    kind = 'Det' if config.get('default_scope') == 'mmdet' else 'Seg'
    place = dict(test_out_dir=str(Path(folder).resolve())) if kind == 'Det' else {}
    config.visualizer = dict(
        type=f'{kind}LocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], save_dir=folder, alpha=0.6
    )
    config.default_hooks.visualization = dict(type=f'{kind}VisualizationHook', draw=True, interval=1, **place)


def print_scores(result: Mapping[str, Any]) -> None:
    console = Console()
    if result['per_class']:
        table = Table('class', *next(iter(result['per_class'].values())))
        for name, row in result['per_class'].items():
            table.add_row(name, *('-' if value is None else f'{value:,}' for value in row.values()))
        console.print(table)
    console.print('  '.join(score_text(name, value) for name, value in result['metrics'].items() if '/' not in name))


def score_text(name: str, value: float) -> str:
    """Four decimals for what lies between 0 and 1, such as SSIM; two for percentages and decibels."""
    return f'{name} {value:.4f}' if 0 < abs(value) < 1 else f'{name} {value:.2f}'


def dry_run(config_path: str, options: Options) -> dict[str, Any]:
    """Look at a part of the data, build everything, run a training iteration and a validation step, and say the cost.

    Returns parameters (total and trained), seconds per iteration, peak memory in GiB, and hours for the whole run
    without validation.
    """
    config = prepare(config_path, options)
    check_data(config)
    runner = build_runner(config, options)
    runner.optim_wrapper = runner.build_optim_wrapper(config.optim_wrapper)
    runner._init_model_weights()
    batches = iter(runner.train_dataloader)
    runner.model.train()
    for _ in range(2):  # the first one warms up
        started = time.perf_counter()
        losses = runner.model.train_step(next(batches), runner.optim_wrapper)
        seconds = time.perf_counter() - started
    if runner._val_dataloader is not None:
        runner.model.eval()
        with torch.no_grad():
            runner.model.val_step(next(iter(runner.val_dataloader)))
    parameters = list(runner.model.parameters())
    report = {
        'parameters': sum(p.numel() for p in parameters),
        'trained parameters': sum(p.numel() for p in parameters if p.requires_grad),
        'loss': float(losses['loss'].detach()),
        'iterations': runner.max_iters,
        'seconds per iteration': round(seconds, 3),
        'hours, without validation': round(seconds * runner.max_iters / 3600, 2),
        'peak memory, GiB': round(peak_memory() / 2**30, 2),
    }
    table = Table('dry run', str(config_path))
    for name, value in report.items():
        table.add_row(name, f'{value:,}')
    Console().print(table)
    return report


def check_data(config: Config) -> None:
    """Raise ConfigError with what the doctor finds wrong in a sample of each split."""
    reports = doctor.examine(config, limit=DRY_RUN_SAMPLES)
    if doctor.count_errors(reports):
        doctor.print_reports(reports)
        raise ConfigError(f'{config.filename}: its data is not sound; `denseformer doctor` looks at all of it.')


def peak_memory() -> int:
    """Bytes: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    kilobyte = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte

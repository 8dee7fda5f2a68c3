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
from rich.console import Console
from rich.table import Table

from denseformer.engine.audit import check_config
from denseformer.engine.config import ConfigError, load_config
from denseformer.engine.runner import Runner

AMP_WRAPPERS = {
    'bf16': {'type': 'denseformer.BFloat16OptimWrapper'},
    'fp16': {'type': 'mmengine.AmpOptimWrapper', 'dtype': 'float16'},
}


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


def use_device(device: str) -> None:
    """Make `device` ('auto', 'cpu', 'cuda', 'cuda:1' ...) the one mmengine works on."""
    if device == 'auto':
        return
    if device.startswith('cuda') and not torch.cuda.is_available():
        raise ConfigError(f'--device {device}: this PyTorch sees no GPU.')
    mmengine.device.utils.DEVICE = device


def build_runner(config: Config, options: Options) -> Runner:
    """The Runner of a prepared config, with distributed training set up by the launcher."""
    if options.launcher != 'none':
        os.environ.setdefault('LOCAL_RANK', '0')
    runner = Runner.from_cfg(config)
    runner.trust_checkpoint = options.trust_checkpoint
    return runner


def train(config_path: str, options: Options) -> Runner:
    """Train; returns the Runner, whose work_dir holds logs, the config as run, and checkpoints."""
    runner = build_runner(prepare(config_path, options), options)
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
    config.visualizer = dict(
        type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], save_dir=folder, alpha=0.6
    )
    config.default_hooks.visualization = dict(type='SegVisualizationHook', draw=True, interval=1)


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
    """Build everything, run one training iteration and one validation step, and say what a run will cost.

    Returns parameters (total and trained), seconds per iteration, peak memory in GiB, and hours for the whole run
    without validation.
    """
    config = prepare(config_path, options)
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


def peak_memory() -> int:
    """Bytes: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    kilobyte = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte

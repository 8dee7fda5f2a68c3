"""From a config and the command line to a Runner: training and testing."""

import json
import os
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

from denseformer.checkpoints import CheckpointError, newest_checkpoint, read_checkpoint, require_file
from denseformer.checkpoints.writing import fault
from denseformer.config.audit import check_config
from denseformer.config.loading import ConfigError, load_config
from denseformer.engine.confusion_matrix import write_confusion
from denseformer.engine.distributed import join_processes
from denseformer.engine.preemption import parse_duration
from denseformer.engine.run_report import write_run_report
from denseformer.engine.runner import Runner
from denseformer.engine.trackers import send_curves
from denseformer.ops import dispatch as operators

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
    fsdp: bool = False
    auto_scale_lr: bool = False
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
    if options.auto_scale_lr:
        scale_learning_rate(config)
    if options.fsdp or config.get('fsdp'):
        enable_fsdp(config)
    if options.seed is not None or options.deterministic:
        config.randomness = dict(seed=options.seed, deterministic=options.deterministic)
    if config.get('trackers'):
        send_curves(config)
    if options.time_limit:
        set_time_limit(config, options.time_limit)
    use_device(options.device)
    check_config(config)
    if config.get('load_from') and not options.resume:
        require_file(config.load_from)
    return config


def use_mixed_precision(config: Config, amp: str) -> None:
    """Run the optimiser's steps under autocast."""
    wrapper = dict(config.optim_wrapper)
    if wrapper.get('type', 'OptimWrapper') not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ConfigError(f'--amp: optim_wrapper is a {wrapper["type"]}; set its precision in the config.')
    if amp == 'fp16' and not torch.cuda.is_available():
        raise ConfigError('--amp fp16 needs a GPU; on a CPU use --amp bf16.')
    config.optim_wrapper = {**wrapper, **AMP_WRAPPERS[amp]}


def scale_learning_rate(config: Config) -> None:
    """Let the learning rate follow the number of images per step."""
    if not (config.get('auto_scale_lr') or {}).get('base_batch_size'):
        raise ConfigError(
            '--auto-scale-lr: the config does not say which batch its learning rate is for. Add '
            'auto_scale_lr = dict(base_batch_size=...).'
        )
    config.auto_scale_lr.enable = True


def enable_fsdp(config: Config) -> None:
    """Let the processes of a run hold a part of the model each (`sharding`)."""
    if config.launcher == 'none':
        raise ConfigError('--fsdp divides a model among processes: start them with torchrun and --launcher pytorch.')
    averaging = [hook for hook in config.get('custom_hooks') or () if 'EMA' in str(hook.get('type'))]
    if averaging:
        raise ConfigError(
            f'--fsdp: {averaging[0]["type"]} keeps a second whole model. Leave it out: --cfg-options custom_hooks=[].'
        )
    if config.optim_wrapper.get('type') in ('AmpOptimWrapper', 'mmengine.AmpOptimWrapper'):
        raise ConfigError('--fsdp with fp16: a loss scaler sees only the parts of its own process; use --amp bf16.')
    config.fsdp = True


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

    A detector's confusion matrix goes into the run's folder.
    out: a json file for the same; tta: test-time augmentation, multi-scale and flipped, for restoration turned and
    mirrored; show_dir: where to draw.
    """
    require_file(checkpoint)
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
        for metric in runner.test_evaluator.metrics:
            if getattr(metric, 'confusion', None) is not None:
                folder = Path(runner.work_dir) / runner.timestamp
                figure = write_confusion(metric.confusion, metric.classes, folder)
                runner.logger.info(f'What is taken for what: {figure}')
        if out:
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            Path(out).write_text(json.dumps(result, indent=2) + '\n')
    return result


def use_test_time_augmentation(config: Config) -> None:
    if restores(config):
        if config.model.type == 'denseformer.InpaintingRestorer':
            raise ConfigError('--tta turns whole images; a model that fills holes is tested without.')
        config.model.self_ensemble = True
        return
    if 'tta_model' not in config or 'tta_pipeline' not in config:
        raise ConfigError(f'{config.filename}: --tta needs tta_model and tta_pipeline.')
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.model = dict(config.tta_model, module=config.model)


def restores(config: Config) -> bool:
    return config.model.type.rpartition('.')[2].endswith('Restorer')


def draw_predictions(config: Config, folder: str) -> None:
    """Let the test draw what the model finds into `folder`."""
    if restores(config):
        hook = dict(type='denseformer.RestoredImagesHook', folder=folder)
        config.custom_hooks = [*(config.get('custom_hooks') or ()), hook]
        return
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

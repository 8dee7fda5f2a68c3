"""From a config and the options of the command line to a Runner: training and evaluation."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object
from rich.console import Console
from rich.table import Table

from denseformer.checkpoints import CheckpointError, newest_checkpoint, read_checkpoint, require_file
from denseformer.checkpoints.writing import fault
from denseformer.config.audit import check_config
from denseformer.config.errors import ConfigError
from denseformer.config.loading import load_config
from denseformer.config.masks import finds_masks
from denseformer.datasets.building import leaf_datasets
from denseformer.engine.confusion_matrix import write_confusion
from denseformer.engine.devices import use_device
from denseformer.engine.distributed import join_processes, rank_in_environment, recognized_launcher
from denseformer.engine.hooks.preemption import parse_duration
from denseformer.engine.run_folder import check_free, current_run, make_folder, new_run, owned
from denseformer.engine.run_report import write_run_report
from denseformer.engine.runner import Runner
from denseformer.engine.trackers import add_trackers
from denseformer.engine.validation import scores_per_class
from denseformer.network import Network
from denseformer.ops import dispatch as operators
from denseformer.options import EvaluationOptions, LaunchOptions, TrainOptions, takes_options
from denseformer.registry import MODELS

AMP_WRAPPERS = {
    'bf16': {'type': 'denseformer.BFloat16OptimWrapper'},
    'fp16': {'type': 'mmengine.AmpOptimWrapper', 'dtype': 'float16'},
}


@takes_options(TrainOptions)
def train(config_path: str, options: TrainOptions = TrainOptions()) -> Runner | None:  # noqa: B008 (frozen)
    """Train a config; returns the Runner, whose work_dir holds logs, the config as run, and checkpoints.

    With engine='ray' there is a Runner in each process of the cluster, and None is returned.
    """
    if options.engine == 'ray':
        from denseformer.engine import on_ray

        on_ray.train(config_path, options)
        return None
    config = prepare(config_path, options)
    with own_folder(config, options):
        runner = build_runner(config, options)
        if runner.rank == 0:
            write_run_report(runner)
        runner.train()
    return runner


@contextmanager
def own_folder(config: Config, options: TrainOptions) -> Iterator[None]:
    """Hold the folder of a run, which the first of its processes does for all.

    Raises ConfigError while another process trains there, and, without --overwrite, where it holds another run.
    """
    if rank_in_environment(config.launcher, os.environ) != 0:
        yield
        return
    with owned(config.work_dir):
        if not options.overwrite and not continues(config.work_dir, options.resume):
            check_free(config.work_dir)
        yield


def continues(folder: str, resume: str | bool) -> bool:
    """Whether a run that resumes from `resume` is the one that the folder belongs to."""
    run = current_run(folder)
    if not isinstance(resume, str) or run is None or not Path(resume).is_file():
        return bool(resume)
    return run_of(resume) == run


def run_of(path: str | Path) -> str | None:
    """The id of the run that wrote a checkpoint; None where it has none."""
    return (read_checkpoint(path, mmap=True).get('meta') or {}).get('run')


@takes_options(EvaluationOptions)
def evaluate(
    config_path: str,
    checkpoint: str,
    options: EvaluationOptions = EvaluationOptions(),  # noqa: B008 (frozen)
) -> dict[str, Any]:
    """Score a checkpoint on the config's test set.

    Returns {'config': its path, 'checkpoint': its path, 'metrics': {name: value}, 'per_class': {class: {...}}}. The
    confusion matrix of a detector goes into the run's folder.
    """
    require_file(checkpoint)
    config = prepare(config_path, options)
    config.load_from, config.resume = checkpoint, False
    if options.tta:
        use_test_time_augmentation(config)
    if options.show_dir:
        draw_predictions(config, options.show_dir)
    runner = build_runner(config, options)
    metrics = runner.test()
    result = {
        'config': str(config_path),
        'checkpoint': str(checkpoint),
        'metrics': {name: float(value) for name, value in metrics.items()},
        'per_class': scores_per_class(runner.test_evaluator.metrics),
    }
    if runner.rank == 0:
        print_scores(result)
        write_confusion_matrices(runner)
        if options.out:
            Path(options.out).parent.mkdir(parents=True, exist_ok=True)
            Path(options.out).write_text(json.dumps(result, indent=2) + '\n')
    return result


def prepare(config_path: str, options: LaunchOptions) -> Config:
    """The config with everything that the options say, audited; its data is looked at, nothing is built."""
    config = load_config(config_path, options.cfg_options)
    config.work_dir = work_dir_of(config, config_path, options)
    config.launcher = recognized_launcher(options.launcher, os.environ)
    if isinstance(options, TrainOptions):
        for apply in TRAIN_STEPS:
            apply(config, options)
    if config.get('trackers'):
        add_trackers(config)
    use_device(options.device)
    check_config(config)
    if config.get('load_from') and not config.get('resume'):
        require_file(config.load_from)
    return config


def work_dir_of(config: Config, config_path: str, options: LaunchOptions) -> str:
    """The folder of a run."""
    folder = options.work_dir or config.get('work_dir') or Path('work_dirs') / Path(config_path).stem
    return os.path.normpath(folder)


def set_start(config: Config, options: TrainOptions) -> None:
    """Set the weights that training starts from, or the checkpoint that it resumes from."""
    if options.load_from:
        config.load_from = options.load_from
    if options.resume:
        config.resume = True
        if isinstance(options.resume, str):
            config.load_from = options.resume


def set_pretrained(config: Config, options: TrainOptions) -> None:
    """Set the published weights that the backbone or the restoration network starts from."""
    if options.pretrained is None:
        return
    settings = network_settings(config)
    if settings is None:
        raise ConfigError('--pretrained: the model has neither a backbone nor a network that could start from weights.')
    settings.pretrained = None if options.pretrained == 'none' else options.pretrained
    for other in ('init_cfg', 'anchors_pretrained'):
        settings.pop(other, None)


def network_settings(config: Config) -> Any:
    """Settings of the model's backbone or network, if it has one; of the backbone in EoMT, which adds queries to it."""
    settings = config.model.get('backbone') or config.model.get('network')
    if settings is None or 'backbone' not in settings:
        return settings
    kind = settings.get('type')
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    return settings if isinstance(kind, type) and issubclass(kind, Network) else settings.backbone


def set_finetuning(config: Config, options: TrainOptions) -> None:
    """Set what of the backbone or the restoration network learns."""
    if options.finetune is None:
        return
    settings = network_settings(config)
    if settings is None or not str(settings.get('type')).startswith('denseformer.'):
        raise ConfigError('--finetune: the model has no backbone or network of denseformer.')
    settings.finetune = options.finetune
    if options.finetune != 'lora':
        settings.pop('lora', None)


def set_stitches(config: Config, options: TrainOptions) -> None:
    """Let the layers between an SN-Net's pre-trained anchors be fitted before they are trained."""
    if config.get('model') and (network_settings(config) or {}).get('anchors_pretrained'):
        hook = dict(type='denseformer.FitStitchesHook')
        config.default_hooks = {'fit_stitches': hook, **(config.get('default_hooks') or {})}


def set_feature_cache(config: Config, options: TrainOptions) -> None:
    """Let the maps of a frozen backbone be computed once and kept."""
    if not options.cache_features:
        return
    if options.compile or config.get('compile') or options.fsdp or config.get('fsdp'):
        raise ConfigError('--cache-features goes with neither --compile nor --fsdp: maps are read between the layers.')
    hook = dict(type='denseformer.FeatureCacheHook', folder=options.cache_features, views=options.cached_views or 1)
    config.default_hooks = {**(config.get('default_hooks') or {}), 'feature_cache': hook}


def use_mixed_precision(config: Config, options: TrainOptions) -> None:
    """Run the optimiser's steps under autocast."""
    if not options.amp:
        return
    wrapper = dict(config.optim_wrapper)
    if wrapper.get('type', 'OptimWrapper') not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ConfigError(f'--amp: optim_wrapper is a {wrapper["type"]}; set its precision in the config.')
    if options.amp == 'fp16' and not torch.cuda.is_available():
        raise ConfigError('--amp fp16 needs a GPU; on CPU use --amp bf16.')
    config.optim_wrapper = {**wrapper, **AMP_WRAPPERS[options.amp]}


def compile_model(config: Config, options: TrainOptions) -> None:
    """Let mmengine compile the model."""
    if options.compile:
        config.compile = True


def scale_learning_rate(config: Config, options: TrainOptions) -> None:
    """Let the learning rate follow the number of images per step."""
    if not options.auto_scale_lr:
        return
    if not (config.get('auto_scale_lr') or {}).get('base_batch_size'):
        raise ConfigError(
            '--auto-scale-lr: the config does not say which batch its learning rate is for. Add '
            'auto_scale_lr = dict(base_batch_size=...).'
        )
    config.auto_scale_lr.enable = True


def enable_fsdp(config: Config, options: TrainOptions) -> None:
    """Let each process of a run hold a shard of the model (`sharding`)."""
    if not (options.fsdp or config.get('fsdp')):
        return
    if config.launcher == 'none':
        raise ConfigError('--fsdp shards a model over processes: start them with torchrun and --launcher pytorch.')
    averaging = [hook for hook in config.get('custom_hooks') or () if 'EMA' in str(hook.get('type'))]
    if averaging:
        raise ConfigError(
            f'--fsdp: {averaging[0]["type"]} keeps a second whole model. Leave it out: --cfg-options custom_hooks=[].'
        )
    if config.optim_wrapper.get('type') in ('AmpOptimWrapper', 'mmengine.AmpOptimWrapper'):
        raise ConfigError('--fsdp with fp16: a loss scaler sees only the shards of its own process; use --amp bf16.')
    config.fsdp = True


def set_randomness(config: Config, options: TrainOptions) -> None:
    """Seed the run, or restrict it to deterministic operators."""
    if options.seed is not None or options.deterministic:
        config.randomness = dict(seed=options.seed, deterministic=options.deterministic)


def set_time_limit(config: Config, options: TrainOptions) -> None:
    """Let the run save and stop before its time ('11h30m') is over."""
    if not options.time_limit:
        return
    parse_duration(options.time_limit)
    hooks = config.get('default_hooks') or {}
    if not hooks.get('preemption'):
        raise ConfigError("--time-limit: the config has no default_hooks.preemption ('denseformer.PreemptionHook').")
    hooks['preemption']['time_limit'] = options.time_limit


def set_validation(config: Config, options: TrainOptions) -> None:
    """Set how many images are validated together, and how long the run waits for a better score."""
    if options.val_batch_size is None and options.patience is None:
        return
    if not config.get('val_dataloader'):
        raise ConfigError('--val-batch-size and --patience: the config has no val_dataloader.')
    if options.val_batch_size is not None:
        config.val_dataloader.batch_size = options.val_batch_size
    if options.patience is not None:
        saver = (config.get('default_hooks') or {}).get('checkpoint') or {}
        if not saver.get('save_best'):
            raise ConfigError('--patience: default_hooks.checkpoint.save_best has to name the score to watch.')
        config.default_hooks.patience = dict(type='denseformer.PatienceHook', patience=options.patience)


TRAIN_STEPS: tuple[Callable[[Config, TrainOptions], None], ...] = (
    *(
        set_start,
        set_pretrained,
        set_finetuning,
        set_stitches,
        set_feature_cache,
        use_mixed_precision,
        compile_model,
        scale_learning_rate,
        enable_fsdp,
        set_randomness,
        set_time_limit,
        set_validation,
    ),
)
"""The steps that bring the options of training into a config."""


def build_runner(config: Config, options: LaunchOptions) -> Runner:
    """The Runner of a prepared config, with distributed training set up by the launcher."""
    notes = choose_start(config, options.resume) if isinstance(options, TrainOptions) else []
    if config.launcher != 'none':
        os.environ.setdefault('LOCAL_RANK', '0')
        join_processes(config.launcher, config)
    make_folder(config.work_dir)
    runner = Runner.from_cfg(config)
    runner.trust_checkpoint = options.trust_checkpoint
    runner.run_id = run_of(config.load_from) if config.get('resume') else new_run()
    check_agreement(config)
    for note in notes:
        runner.logger.warning(note)
    if config.get('default_scope') == 'mmdet':
        runner.logger.info(operators.describe())
    return runner


def choose_start(config: Config, resume: str | bool) -> list[str]:
    """Set the checkpoint that a run resumes from, and its seed; return notes for the user.

    resume: True for the newest whole checkpoint of the work_dir, or, when there is none yet, a start from `load_from`,
        so that the same command starts and restarts a run; or the path of a checkpoint.
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
        found, notes = newest_checkpoint(config.work_dir, current_run(config.work_dir))
        if found is None:
            config.resume = False
            return [*notes, f'{config.work_dir} has no checkpoint to resume from: the run starts at its beginning.']
        path = found
    config.resume, config.load_from = True, str(path)
    return [*notes, f'Resumes from {path}.', *take_over_seed(config, path)]


def check_agreement(config: Config) -> None:
    """Raise ConfigError when processes on different machines would resume from different checkpoints."""
    chosen = all_gather_object(str(config.load_from) if config.get('resume') else '')
    if len(set(chosen)) > 1:
        raise ConfigError(
            f'The processes found different checkpoints to resume from: {", ".join(sorted(set(chosen)))}. '
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


def write_confusion_matrices(runner: Runner) -> None:
    """Write the confusion matrix of each metric that counts one into the run's folder."""
    for metric in runner.test_evaluator.metrics:
        if getattr(metric, 'confusion', None) is not None:
            folder = Path(runner.work_dir) / runner.timestamp
            figure = write_confusion(metric.confusion, metric.classes, folder)
            runner.logger.info(f'Confusion matrix: {figure}')


def use_test_time_augmentation(config: Config) -> None:
    """Let the test predict on several copies of an image. Raises ConfigError for a config that does not say how."""
    if restores(config):
        if config.model.type == 'denseformer.InpaintingRestorer':
            raise ConfigError('--tta flips and rotates whole images; a model that fills holes is tested without.')
        config.model.self_ensemble = True
        return
    if config.get('default_scope') == 'mmdet':
        augment_detector(config)
        return
    if 'tta_model' not in config or 'tta_pipeline' not in config:
        raise ConfigError(f'{config.filename}: --tta needs tta_model and tta_pipeline.')
    for dataset in test_datasets(config):
        dataset.pipeline = config.tta_pipeline
    config.model = dict(config.tta_model, module=config.model)


def augment_detector(config: Config) -> None:
    """Let the test of a detector predict on the copies of its `tta_pipeline`, or on each image and its mirror image."""
    from denseformer.detection.test_time import mirrored

    model = config.get('tta_model') or dict(type='denseformer.DetectorTTA')
    if model['type'].rpartition('.')[2] == 'DetTTAModel' and finds_masks(config.model):
        raise ConfigError(
            "--tta: mmdetection's DetTTAModel merges no masks; use tta_model=dict(type='denseformer.DetectorTTA')."
        )
    for dataset in test_datasets(config):
        dataset.pipeline = config.get('tta_pipeline') or mirrored(dataset.pipeline)
    config.model = dict(model, module=config.model)


def test_datasets(config: Config) -> list[Any]:
    """The configs of the datasets that are tested on, inside wrappers too."""
    return [dataset for _, dataset in leaf_datasets('test_dataloader', config.test_dataloader.dataset)]


def restores(config: Config) -> bool:
    """Whether the config's model is a restorer."""
    return config.model.type.rpartition('.')[2].endswith('Restorer')


def draw_predictions(config: Config, folder: str) -> None:
    """Let the test draw the model's predictions into `folder`."""
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
    """Print the table of scores per class, where there are any, and the scores."""
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

"""Options of `denseformer train` and `denseformer test`."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from denseformer.config.overrides import parse_override
from denseformer.options.engine import EngineOptions
from denseformer.options.fields import option


class ParseOverrides(argparse.Action):
    """KEY=VALUE ... to {'dotted.key': value}; the flag may stand there several times."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, flag: str | None = None
    ) -> None:
        try:
            new = dict(map(parse_override, values))
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from None
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), **new})


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """Options of every run of a config."""

    work_dir: str | None = option(None, 'folder of this run; default: work_dirs/<name of the config>', metavar='FOLDER')
    device: str = option('auto', "'auto' (a GPU if there is one), 'cpu', 'cuda', 'cuda:1' ...")
    launcher: str = option(
        'none', 'what starts the processes of a distributed run', choices=('none', 'pytorch', 'slurm', 'mpi')
    )
    trust_checkpoint: bool = option(False, 'let the checkpoint execute code while it loads')
    cfg_options: Mapping[str, Any] = option(
        {}, 'set keys of the config, dotted from the top', action=ParseOverrides, metavar='KEY=VALUE'
    )


@dataclass(frozen=True, kw_only=True)
class TrainOptions(EngineOptions, LaunchOptions):
    """Options of training."""

    resume: str | bool = option(
        False, 'resume from the newest checkpoint of the run, or from PATH', const=True, metavar='PATH'
    )
    overwrite: bool = option(False, 'begin a new run in a folder that holds another one')
    load_from: str | None = option(
        None, 'start from these weights, of a run here or published by the authors (.pth, .safetensors)', metavar='PATH'
    )
    pretrained: str | None = option(
        None,
        "published weights that the backbone or network starts from: a label such as 'imagenet1k', a name of "
        "`denseformer weights list`, a path, or 'none'; default: those of the config",
        metavar='NAME',
    )
    finetune: str | None = option(
        None,
        "what of the backbone or network learns: 'all', nothing but its 'head', or low-rank updates too ('lora'); "
        'default: as the config says',
        choices=('all', 'head', 'lora'),
    )
    cache_features: str | None = option(
        None, 'keep the maps of a frozen backbone here, and compute each once', metavar='FOLDER'
    )
    cached_views: int | None = option(
        None, 'augmented views of each image, with --cache-features; default: 1', parse=int, metavar='N'
    )
    amp: str | None = option(None, 'mixed precision', const='bf16', choices=('bf16', 'fp16'))
    compile: bool = option(False, 'torch.compile the model')
    fsdp: bool = option(False, 'shard the model, not only the batch, over the processes')
    auto_scale_lr: bool = option(False, "scale the learning rate to the run's batch size")
    seed: int | None = option(
        None, 'seed of all random numbers; default: drawn, and kept in the checkpoints', parse=int
    )
    deterministic: bool = option(False, 'only deterministic GPU operators')
    time_limit: str | None = option(
        None, 'save and stop before so much time is over (exit status 75)', metavar='11h30m'
    )
    val_batch_size: int | None = option(
        None, 'validate so many images of one size together; scores are those of one by one', parse=int, metavar='N'
    )
    patience: int | None = option(
        None, 'end after so many validations in a row without a better score', parse=int, metavar='N'
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.engine == 'ray' and self.launcher != 'none':
            raise ValueError('--engine ray starts the processes itself: leave out --launcher.')
        if any(number is not None and number < 1 for number in (self.val_batch_size, self.patience)):
            raise ValueError('--val-batch-size and --patience must be at least 1.')
        if self.cached_views is not None and (self.cached_views < 1 or not self.cache_features):
            raise ValueError('--cached-views is a number from 1 on, for --cache-features FOLDER.')


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions(LaunchOptions):
    """Options of scoring a checkpoint."""

    out: str | None = option(None, 'write the scores to this json file', metavar='FILE.json')
    tta: bool = option(
        False,
        'test-time augmentation: several scales and flipped; restoration flips and rotates (x8 self-ensemble)',
    )
    show_dir: str | None = option(None, 'draw the predictions into this folder', metavar='FOLDER')

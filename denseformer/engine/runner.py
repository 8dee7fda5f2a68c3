"""mmengine's Runner with checkpoints that are read and written safely, and runs that can be stopped and resumed."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import master_only
from mmengine.model import (
    BaseTTAModel,
    MMDistributedDataParallel,
    convert_sync_batchnorm,
    is_model_wrapper,
    revert_sync_batchnorm,
)
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop
from mmengine.runner import Runner as MMEngineRunner
from mmengine.runner.checkpoint import weights_to_cpu
from mmengine.utils import apply_to
from torch import nn
from torch.utils.data import DataLoader

from denseformer.checkpoints import CheckpointError, read_checkpoint, weights_of, write_checkpoint
from denseformer.checkpoints.files import refuse_nan
from denseformer.checkpoints.fitting import fit, without_prefix
from denseformer.config.errors import ConfigError
from denseformer.datasets.building import build_dataset, check_listed_files
from denseformer.engine.agreement import RECORD, check_agreement, describe_training, replaced_classes
from denseformer.engine.distributed import explain_lost_ranks
from denseformer.engine.hooks.feature_cache import FeatureCacheHook
from denseformer.engine.hooks.nan_guard import optimizers
from denseformer.engine.hooks.preemption import start_worker
from denseformer.engine.reproducibility import ResumableEpochLoop, reproducible
from denseformer.engine.resuming import highest_rate
from denseformer.engine.resuming import resume as resume_run
from denseformer.engine.run_folder import movable, set_current_run
from denseformer.engine.sharding import compile_units, is_sharded, shard, shard_state
from denseformer.engine.validation import SameSizeTestLoop, SameSizeValLoop
from denseformer.inspection.learnable import check_learnable

MMENGINE_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')
SHOWN = 8
"""Names of parameters that a message lists."""
STATISTICS = ('running_mean', 'running_var')
"""Ends of the names of buffers that are learned."""
BEGUN: Counter[str] = Counter()
"""How many runs of this process began in each second."""
UNUSED_IN_PREDICTION = re.compile(r'^(auxiliary_head|discriminator|losses|perceptual)\b')
"""Parts of a model that only its training needs."""


class Runner(MMEngineRunner):
    """mmengine's Runner, except for what is written below about checkpoints, randomness and CPUs.

    Reading: a checkpoint executes nothing and what does not fit is an error or a warning; mmengine falls back to an
    unrestricted unpickler and runs the config text that it finds in a checkpoint.
    Writing: a file is whole or not there; mmengine writes to the final name.
    Randomness: see `reproducibility`; mmengine restores the order of samples at best.
    CPUs: several processes without a GPU; mmengine's wrapper and SyncBatchNorm ask for one.
    Names: runs of one process have a time each; what mmengine logs is shared by runs that begin in the same second.
    """

    trust_checkpoint = False
    takes_whole_models = False
    """Whether a checkpoint has to set all parameters, since the run does not learn them: a test, or a resumed run."""
    run_id: str | None = None
    compared_loader = 'test_dataloader'
    """The loader whose classes and labels have to be the checkpoint's."""
    _train_dataloader: Any
    optim_wrapper: Any

    def setup_env(self, env_cfg: dict) -> None:
        """Set up processes and this run's time, which is numbered where an earlier run of the process has it."""
        super().setup_env(env_cfg)
        BEGUN[self._timestamp] += 1
        if BEGUN[self._timestamp] > 1:
            self._timestamp += f'_{BEGUN[self._timestamp]}'

    def train(self) -> nn.Module:
        """Train; afterwards, and after an error, hooks with an `on_exit` undo their changes.

        The workers of an endless loader end here too; mmengine keeps them as long as the runner.
        """
        if self.rank == 0 and self.run_id:
            set_current_run(self.work_dir, self.run_id)
        try:
            with explain_lost_ranks(), explain_small_batches():
                return super().train()
        finally:
            self.call_hook('on_exit')
            if isinstance(self._train_loop, IterBasedTrainLoop):
                del self._train_loop.dataloader_iterator

    @master_only
    def dump_config(self) -> None:
        """Write the config into the run's folder, with paths that go on leading there when the folder is moved."""
        folder = Path(self.work_dir)
        values = movable(self.cfg.to_dict() | {'work_dir': self.work_dir}, folder)
        Config(values).dump(folder / Path(self.cfg.filename or f'{self.timestamp}.py').name)

    def test(self) -> dict:
        """Score the checkpoint on the test set; it has to be whole."""
        self.takes_whole_models = True
        return super().test()

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """The training loop, over samples that depend on nothing but the seed and their place in the run."""
        if not isinstance(loop, dict):
            return super().build_train_loop(loop)
        views = next((hook.views for hook in self.hooks if isinstance(hook, FeatureCacheHook)), None)
        self._train_dataloader = reproducible(self._train_dataloader, self.seed, views)
        if loop.get('type') == 'EpochBasedTrainLoop' or loop.get('by_epoch'):
            loop = {'type': ResumableEpochLoop, **{key: loop[key] for key in loop if key not in ('type', 'by_epoch')}}
        return super().build_train_loop(loop)

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """The loop of validation, in batches of images of any sizes."""
        return super().build_val_loop(replaced(loop, 'ValLoop', SameSizeValLoop))

    def build_test_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """The loop of a test, in batches of images of any sizes."""
        return super().build_test_loop(replaced(loop, 'TestLoop', SameSizeTestLoop))

    @staticmethod
    def build_dataloader(dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False) -> DataLoader:
        """mmengine's, with annotation files that are not trusted, and workers that outlive the signals by which a
        cluster asks all processes to stop.
        """
        if isinstance(dataloader, dict) and isinstance(dataloader['dataset'], dict):
            dataloader = {**dataloader, 'dataset': build_dataset(dataloader['dataset'])}
        loader = MMEngineRunner.build_dataloader(dataloader, seed, diff_rank_seed)
        check_listed_files(loader.dataset)
        check_learnable(loader.dataset)
        loader.worker_init_fn = partial(start_worker, loader.worker_init_fn)
        return loader

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """The model, distributed if the run is: a copy per process, or with `fsdp = True` a part of it."""
        if self.distributed and self.cfg.get('fsdp', False):
            return self._shard_model(model)
        if not self.distributed or model_wrapper_cfg is not None or get_device() != 'cpu' or is_model_wrapper(model):
            return super().wrap_model(model_wrapper_cfg, model)
        return MMDistributedDataParallel(
            module=revert_sync_batchnorm(model),
            broadcast_buffers=False,
            find_unused_parameters=self.cfg.get('find_unused_parameters', False),
        )

    def _shard_model(self, model: nn.Module) -> nn.Module:
        """The model in parts, with its initial weights: random numbers are drawn for whole parameters."""
        device = get_device()
        if hasattr(model, 'init_weights'):
            model.init_weights()
        convert = revert_sync_batchnorm if device == 'cpu' or not self.cfg.get('sync_bn') else convert_sync_batchnorm
        return shard(convert(model.to(device)), device.split(':')[0])

    def _init_model_weights(self) -> None:
        if not is_sharded(self.model):
            super()._init_model_weights()

    def _maybe_compile(self, target: str) -> None:
        """mmengine's; of a model in parts the blocks, whose parts are gathered in between."""
        options = self.cfg.get('compile')
        if options and is_sharded(self.model):
            compile_units(self.model, **({} if options is True else options))
        else:
            super()._maybe_compile(target)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """The optimiser, whose state is whole in its state dict."""
        built = super().build_optim_wrapper(optim_wrapper)
        if is_sharded(self.model) and built is not optim_wrapper:
            for optimizer in optimizers(built):
                shard_state(optimizer)
        return built

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """The schedules; a warning says where they never bring the rate to what was asked."""
        built = super().build_param_scheduler(scheduler)
        if built is not scheduler:
            self._warn_of_low_rates(scheduler)
        return built

    def _warn_of_low_rates(self, scheduler: Any) -> None:
        length = self.describe_training()['epoch_length']
        several = isinstance(self.optim_wrapper, OptimWrapperDict)
        named = isinstance(scheduler, dict) and 'type' not in scheduler  # each optimizer has its own
        for name, wrapper in self.optim_wrapper.items() if several else [('', self.optim_wrapper)]:
            parts = scheduler.get(name, []) if named else scheduler
            base = max(group.get('initial_lr', group['lr']) for group in wrapper.param_groups)
            alone = OptimWrapper(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base))
            highest = highest_rate(self._build_param_scheduler(parts, alone), alone, self.max_iters, length)
            if highest < 0.99 * base:
                self.logger.warning(
                    f'The learning rate{f" of {name}" if name else ""}, {base:.3g}, is never reached: the highest of '
                    f'the {self.max_iters} iterations is {highest:.3g}. Shorten the warm-up, or train for longer.'
                )

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """mmengine's; any hook is left out by None, not only one of its own."""
        super().register_default_hooks(
            {name: hook for name, hook in (hooks or {}).items() if hook is not None or name in MMENGINE_HOOKS}
        )

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: str | Callable = 'default',
    ) -> None:
        """Go on with the run of a checkpoint, by the settings of the config (`resuming`).

        Raises CheckpointError when it is another model's, lacks a parameter, or was trained by another optimizer.
        """
        self.takes_whole_models, self.compared_loader = True, 'train_dataloader'
        meta = read_checkpoint(filename, mmap=True, trust=self.trust_checkpoint).get('meta') or {}

        def load(with_schedulers: bool) -> None:
            schedulers = resume_param_scheduler and with_schedulers and self.param_schedulers is not None
            super(Runner, self).resume(filename, resume_optimizer, schedulers, map_location)

        resume_run(self, filename, meta, load)

    def load_checkpoint(
        self, filename: str, map_location: str | Callable = 'cpu', strict: bool = False, revise_keys: list | None = None
    ) -> dict:
        """Load weights from a file of ours or of a network's authors; return the file's content."""
        checkpoint = read_checkpoint(filename, map_location=map_location, trust=self.trust_checkpoint)
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)  # text that mmengine would execute
        if self.takes_whole_models:
            check_agreement(self.cfg, checkpoint.get('meta'), filename, self.compared_loader)
        else:
            for note in replaced_classes(self.cfg, meta if isinstance(meta := checkpoint.get('meta'), dict) else {}):
                self.logger.warning(f'{filename}: {note}')
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model = self.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        for note in load_weights(model, checkpoint, filename, whole=self.takes_whole_models):
            self.logger.warning(note)
        self._has_loaded = True
        self.logger.info(f'Loaded {filename}')
        return checkpoint

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict | None = None,
        by_epoch: bool = True,
        backend_args: dict | None = None,
    ) -> None:
        """Write a checkpoint to resume from, with mmengine's arguments and content, by `write_checkpoint`.

        Raises CheckpointError when it cannot be written. Rank 0 writes; the others give it their parts of the model.
        """
        if self.rank != 0 and not is_sharded(self.model):
            return
        if file_client_args or backend_args:
            raise ValueError('Checkpoints are written to local or mounted folders: leave backend_args out.')
        content = self._checkpoint(save_optimizer, save_param_scheduler)
        if self.rank != 0:
            return
        content['meta'] = {**self._describe_run(by_epoch), **(meta or {})}
        self.call_hook('before_save_checkpoint', checkpoint=content)
        write_checkpoint(content, Path(out_dir) / filename)

    def _checkpoint(self, save_optimizer: bool, save_param_scheduler: bool) -> dict[str, Any]:
        """The state of the run, on CPU; of a sharded model all ranks ask for it together."""
        model: Any = self.model.module if is_model_wrapper(self.model) else self.model
        content: dict[str, Any] = {
            'state_dict': weights_to_cpu(model.state_dict()),
            'message_hub': _to_cpu(self.message_hub.state_dict()),
        }
        if save_optimizer:
            content['optimizer'] = _to_cpu(self.optim_wrapper.state_dict())
        schedulers = self.param_schedulers if save_param_scheduler else None
        if isinstance(schedulers, dict):
            content['param_schedulers'] = {name: [s.state_dict() for s in each] for name, each in schedulers.items()}
        elif schedulers is not None:
            content['param_schedulers'] = [scheduler.state_dict() for scheduler in schedulers]
        return content

    def describe_training(self) -> dict[str, Any]:
        """The settings of the run that a checkpoint keeps (`agreement`)."""
        loop = self.train_loop
        length = len(loop.dataloader) if isinstance(loop, EpochBasedTrainLoop) else None
        return describe_training(self.cfg, processes=self.world_size, epoch_length=length)

    @cached_property
    def config_text(self) -> str:
        """The config as checkpoints keep it; it takes a second to lay out, and stays."""
        return self.cfg.pretty_text

    def _describe_run(self, by_epoch: bool) -> dict[str, Any]:
        meta = {
            'epoch': self.epoch + by_epoch,
            'iter': self.iter + (not by_epoch),
            'cfg': self.config_text,
            'seed': self.seed,
            'experiment_name': self.experiment_name,
            'time': time.strftime('%Y%m%d_%H%M%S'),
            'mmengine_version': mmengine.__version__,
            'world_size': self.world_size,
            'run': self.run_id,
            RECORD: self.describe_training(),
        }
        dataset = self.train_dataloader.dataset
        return {**meta, 'dataset_meta': dataset.metainfo} if hasattr(dataset, 'metainfo') else meta


def load_weights(model: nn.Module, checkpoint: dict, filename: str, *, whole: bool = False) -> list[str]:
    """Load a checkpoint's weights into `model`; return notes on all that was changed for it and did not match.

    whole: the model is used as it then is. Otherwise it starts to learn from the weights, and may have layers of other
    classes or inputs (`checkpoints.fitting`).
    Raises CheckpointError when nothing matches, a tensor that the model takes has another shape there or holds NaN, or,
    with `whole`, a parameter is not set that a prediction needs.
    """
    try:
        weights = weights_of(checkpoint)
        if whole:
            weights, prefix = without_prefix(weights, model)
            notes = [f"without their prefix '{prefix}'"] if prefix else []
        else:
            weights, notes = fit(model, weights)
        left = model.load_state_dict(weights, strict=False)
        refuse_nan({key: value for key, value in weights.items() if key not in left.unexpected_keys})
    except ValueError as error:
        raise CheckpointError(f'{filename}: {error}') from error
    except RuntimeError as error:
        raise CheckpointError(
            f'{filename}: its tensors have other shapes than this config builds; is it of another variant or dataset? '
            f'{error}'
        ) from error
    names = {name for name, _ in model.named_parameters()}
    missing = [key for key in left.missing_keys if key in names or key.endswith(STATISTICS)]
    if len(names.intersection(missing)) == len(names):
        raise CheckpointError(
            f'{filename}: none of its {len(weights)} tensors belongs to this model; it has {list(weights)[:3]}, the '
            f'model {sorted(names)[:3]}.'
        )
    needed = [key for key in missing if not UNUSED_IN_PREDICTION.search(key)]
    if whole and needed:
        raise CheckpointError(
            f'{filename}: does not set {len(needed)} parameters, which would be random: {_some(needed)}. It holds a '
            'part of a model, or one of another config.'
        )
    notes = [f'{filename}: {note}' for note in notes]
    if missing:
        notes.append(f'{filename} does not set {len(missing)} parameters: {_some(missing)}')
    unknown = [key for key in left.unexpected_keys if not (whole and UNUSED_IN_PREDICTION.search(key))]
    if unknown:
        notes.append(f'{filename} has {len(unknown)} unknown tensors: {_some(unknown)}')
    return notes


@contextmanager
def explain_small_batches() -> Iterator[None]:
    """Raise ConfigError with the ways out where BatchNorm is given one value of each channel."""
    try:
        yield
    except ValueError as error:
        if 'more than 1 value per channel' not in str(error):
            raise
        raise ConfigError(
            'BatchNorm cannot train on a batch of one image whose map is one pixel, as behind pooling. Raise '
            'batch_size to 2 or more, leave out the last batch of an epoch with train_dataloader.drop_last=True, or '
            "choose another norm, as with norm_cfg=dict(type='GN', num_groups=32)."
        ) from error


def replaced(loop: Any, name: str, cls: type) -> Any:
    """A loop's config with `cls` in the place of mmengine's loop `name`; any other loop as it is."""
    return {**loop, 'type': cls} if isinstance(loop, dict) and loop.get('type', name) == name else loop


def _to_cpu(state: Any) -> Any:
    return apply_to(state, lambda value: hasattr(value, 'cpu'), lambda value: value.cpu())


def _some(names: list[str]) -> str:
    return ', '.join(names[:SHOWN]) + (' ...' if len(names) > SHOWN else '')

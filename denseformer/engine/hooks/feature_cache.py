"""The hook that keeps the maps of a frozen backbone."""

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from denseformer.engine.feature_cache import FeatureCache, frozen_backbone
from denseformer.registry import HOOKS


@HOOKS.register_module()
class FeatureCacheHook(Hook):
    """Computes the maps of a frozen backbone once for each view of an image, in training and in validation.

    folder: where they are kept; runs with other heads share them. views: how many augmented views each training image
    has, at least 1; they are the same in all runs, and a pass over the set takes the next one.

    Raises ConfigError for a model without a backbone, and for one that is not frozen.
    """

    priority = 'LOW'

    def __init__(self, folder: str | Path, views: int = 1):
        if views < 1:
            raise ValueError(f'FeatureCacheHook: views={views}; every image needs at least one.')
        self.folder = Path(folder)
        self.views = views
        self.cache: FeatureCache | None = None

    def before_train(self, runner: Runner) -> None:
        backbone = frozen_backbone(runner.model)
        self.cache = FeatureCache(backbone, self.folder, runner.cfg.model.get('backbone') or {})
        runner.logger.info(f'Maps of the frozen backbone are kept in {self.cache.folder}.')

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        if self.cache is not None and runner.iter == 0 and self.cache.bytes_per_image:
            images = len(runner.train_dataloader.dataset)
            size = self.cache.bytes_per_image * images * self.views
            runner.logger.info(
                f'{images} images in {self.views} views will take {size / 1e9:.2g} GB, validation images more.'
            )

    def after_train(self, runner: Runner) -> None:
        self.on_exit(runner)

    def on_exit(self, runner: Runner) -> None:
        if self.cache is not None:
            read, all_images = self.cache.read, self.cache.read + self.cache.written
            runner.logger.info(f'Maps of {read} of {all_images} images came from the cache.')
            self.cache.remove()
            self.cache = None

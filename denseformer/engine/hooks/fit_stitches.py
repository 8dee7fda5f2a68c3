"""The hook that fits the layers between SN-Net's anchors before they are trained."""

import torch
from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from denseformer.config.errors import ConfigError
from denseformer.registry import HOOKS


@HOOKS.register_module()
class FitStitchesHook(Hook):
    """Fits an SN-Net's stitching layers to the tokens of its anchors before the first step.

    images: how many training images they are fitted to, the authors' 50 unless given; in distributed training those of
    the first process. Layers stay as they are in a run that is resumed, or that starts from weights of the whole
    network (`pretrained`, `load_from`).

    Raises ConfigError for a model without such a network, ValueError for fewer than one image.
    """

    def __init__(self, images: int = 50):
        if images < 1:
            raise ValueError(f'FitStitchesHook: images={images}; stitches are fitted to at least one.')
        self.images = images

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        networks = [module for module in model.modules() if hasattr(module, 'fit_stitches')]
        if not networks:
            raise ConfigError('FitStitchesHook: no part of the model has stitches. Take it out of custom_hooks.')
        if runner.iter > 0 or runner.cfg.get('load_from'):
            return
        for network in networks:
            if network.init_cfg is not None:
                continue
            network.fit_stitches(self.first_images(runner))
            for parameter in network.stitches.parameters():
                broadcast(parameter.data)
            runner.logger.info(f'Stitching layers are fitted to {self.images} training images.')

    @torch.no_grad()
    def first_images(self, runner: Runner) -> Tensor:
        """(images, 3, height, width), as the model's preprocessor hands them to the network; fewer of a small set."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        found: list[Tensor] = []
        for batch in runner.train_dataloader:
            found.extend(model.data_preprocessor(batch, True)['inputs'])
            if len(found) >= min(self.images, len(runner.train_dataloader.dataset)):
                break
        return torch.stack(found[: self.images])

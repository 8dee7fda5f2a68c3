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

    images: how many training images they are fitted to, the authors' 50 unless given: drawn, and the same in all
    processes and runs. Layers stay as they are in a run that is resumed, or that starts from weights of the whole
    network (`pretrained`, `load_from`), and between anchors of random weights, whose tokens tell nothing.

    `train` adds it to runs whose backbone has `anchors_pretrained`; `default_hooks.fit_stitches` is its place there.

    Raises ConfigError for a model without such a network and for a dataset without images, ValueError for fewer than
    one image.
    """

    def __init__(self, images: int = 50):
        if images < 1:
            raise ValueError(f'FitStitchesHook: images={images}; stitches are fitted to at least one.')
        self.images = images

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        networks = [module for module in model.modules() if hasattr(module, 'fit_stitches')]
        if not networks:
            raise ConfigError('FitStitchesHook: no part of the model has stitches. Leave the hook out.')
        if runner.iter > 0 or runner.cfg.get('load_from'):
            return
        for network in networks:
            if network.init_cfg is not None:
                continue
            if any(anchor.init_cfg is None for anchor in network.anchors):
                runner.logger.warning(
                    'Stitching layers stay as they were drawn: anchors_pretrained names no weights of the anchors.'
                )
                continue
            images = self.drawn_images(runner)
            network.fit_stitches(images)
            for parameter in network.stitches.parameters():
                broadcast(parameter.data)
            runner.logger.info(f'Stitching layers are fitted to {len(images)} training images.')

    @torch.no_grad()
    def drawn_images(self, runner: Runner) -> list[Tensor]:
        """(3, height, width) each, as the model's preprocessor hands them to the network; all of a small dataset.

        The dataset is read beside its loader, whose endless sampler would be at its end once an iterator is dropped.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        dataset, collate = runner.train_dataloader.dataset, runner.train_dataloader.collate_fn
        if not len(dataset):
            raise ConfigError('FitStitchesHook: the training set has no image.')
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
        batches = (collate([dataset[i]]) for i in order[: self.images].tolist())
        return [image for batch in batches for image in model.data_preprocessor(batch, True)['inputs']]

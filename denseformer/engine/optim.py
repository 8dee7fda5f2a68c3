"""Optimiser settings per parameter, read from what backbones know about themselves, and mixed precision."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from denseformer.backbones.base import Backbone
from denseformer.registry import OPTIM_WRAPPER_CONSTRUCTORS
from denseformer.registry import OPTIM_WRAPPERS as OWN_OPTIM_WRAPPERS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor:
    """Builds the optimiser with the weight decay and learning rate that each parameter's role asks for.

    mmseg, mmdet and mmpretrain each carry layer-wise rate decay written for a few backbones by name; here the backbone
    says which of its parameters take no weight decay and how deep each one lies (`Backbone.param_groups`).

    paramwise_cfg:
        layer_decay: each layer's rate is this times the rate of the layer above it; heads take the full rate. 1: off.
        backbone_lr_mult: a factor for the backbone as a whole.
        head_no_decay: fragments of the names of head parameters without weight decay.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        self.wrapper = dict(optim_wrapper_cfg)
        self.optimizer = dict(self.wrapper.pop('optimizer'))
        options = {'layer_decay': 1.0, 'backbone_lr_mult': 1.0, 'head_no_decay': ('norm',), **(paramwise_cfg or {})}
        unknown = set(options) - {'layer_decay', 'backbone_lr_mult', 'head_no_decay'}
        if unknown:
            raise ValueError(
                f'paramwise_cfg has no {sorted(unknown)}; LayerDecayOptimWrapperConstructor takes layer_decay, '
                "backbone_lr_mult and head_no_decay. For mmengine's custom_keys use its DefaultOptimWrapperConstructor."
            )
        self.layer_decay = options['layer_decay']
        self.backbone_lr_mult = options['backbone_lr_mult']
        self.head_no_decay = tuple(options['head_no_decay'])

    def __call__(self, model: nn.Module) -> OptimWrapper:
        model = getattr(model, 'module', model)
        groups: dict[tuple[float, bool], dict] = {}
        for parameter, factor, decay in self._settings(model):
            if parameter.requires_grad:
                group = groups.setdefault((factor, decay), self._group(factor, decay))
                group['params'].append(parameter)
        optimizer = OPTIMIZERS.build({**self.optimizer, 'params': list(groups.values())})
        return OPTIM_WRAPPERS.build({'type': 'OptimWrapper', **self.wrapper}, default_args={'optimizer': optimizer})

    def _group(self, factor: float, decay: bool) -> dict:
        group = {'params': [], 'lr': self.optimizer['lr'] * factor}
        return group if decay else {**group, 'weight_decay': 0.0}

    def _settings(self, model: nn.Module):
        """(parameter, learning-rate factor, decays?) of every parameter."""
        backbones = {name: module for name, module in model.named_modules() if isinstance(module, Backbone)}
        roles = {
            f'{prefix}.{name}' if prefix else name: (role, backbone)
            for prefix, backbone in backbones.items()
            for name, role in backbone.param_groups().items()
        }
        for name, parameter in model.named_parameters():
            if name in roles:
                role, backbone = roles[name]
                above = backbone.depth + 1 - role.depth
                yield parameter, self.backbone_lr_mult * self.layer_decay**above, role.decay
            else:
                factor = self.backbone_lr_mult if name.startswith('backbone.') else 1.0
                yield parameter, factor, not any(part in name for part in self.head_no_decay)


@OWN_OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Training under bfloat16 autocast, on CPU and GPU.

    mmengine's AmpOptimWrapper refuses a CPU and scales losses, which bfloat16's range makes unnecessary.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast(get_device().split(':')[0], torch.bfloat16):
            yield

"""Optimiser settings per parameter, as backbones declare them, and mixed precision."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from denseformer.backbones.base import Backbone, ParamGroup
from denseformer.registry import OPTIM_WRAPPER_CONSTRUCTORS
from denseformer.registry import OPTIM_WRAPPERS as OWN_OPTIM_WRAPPERS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor:
    """Builds the optimiser with layer-wise learning-rate decay and each parameter's weight decay.

    mmseg, mmdet and mmpretrain each carry layer-wise rate decay written for a few backbones by name; here the backbone
    says which of its parameters take no weight decay and how deep each one lies (`Backbone.param_groups`).

    paramwise_cfg:
        layer_decay: each layer's rate is this times the rate of the layer above it; heads take the full rate. 1: off.
        decay_by: what counts as a layer: every 'block', or the coarser 'stage' and 'group' of ConvNeXt's segmentation
            and detection code, which many families use (`stage_layer`, `group_layer`).
        decay_from: where decay begins for blocks: 'heads', below which the last block has the first lower rate, or
            'last_block', which has the heads' rate, and the stem that of the first block, as in EoMT.
        full_rate_blocks: how many of the last blocks have the heads' rate, whatever else they would have.
        layers: for 'stage' and 'group', the number of layers below the heads, as their recipe has it.
        blocks_per_layer: for 'group', how many blocks of the third stage make a layer.
        backbone_lr_mult: a factor for the backbone as a whole.
        head_no_decay: fragments of the names of head parameters without weight decay.
        backbone_no_decay: the same of backbone parameters, in place of what the backbone declares.
        head_stem_rate: fragments of the names of head parameters that have the rate of the backbone's embedding, the
            lowest of all, as in ViT-Adapter's Mask2Former on BEiT.
        vector_decay: whether weight decay applies to parameters of one axis, biases and gains.
        decay_everything: whether weight decay applies to what a backbone or `head_no_decay` exempts, too: position
            tables and class tokens, and with `vector_decay` the norms.
        separate_backbone: whether the backbone's parameters are in groups of their own, whose entry 'backbone' is True:
            for schedules that treat them differently.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        self.wrapper = dict(optim_wrapper_cfg)
        self.optimizer = dict(self.wrapper.pop('optimizer'))
        options = {**PARAMWISE, **(paramwise_cfg or {})}
        unknown = set(options) - set(PARAMWISE)
        if unknown:
            raise ValueError(
                f'paramwise_cfg has no {sorted(unknown)}; LayerDecayOptimWrapperConstructor takes '
                f"{', '.join(PARAMWISE)}. For mmengine's custom_keys use its DefaultOptimWrapperConstructor."
            )
        if options['decay_by'] not in LAYERS or (options['decay_by'] == 'block') != (options['layers'] is None):
            raise ValueError(
                "paramwise_cfg's decay_by is 'block', or 'stage' or 'group' together with layers=N, not "
                f"'{options['decay_by']}' with layers={options['layers']}."
            )
        if options['decay_from'] not in DECAY_FROM or (options['decay_by'] != 'block' and is_special(options)):
            raise ValueError(
                "paramwise_cfg's decay_from is 'heads' or 'last_block'; it and full_rate_blocks want decay_by='block'."
            )
        self.layer_decay = options['layer_decay']
        self.decay_from = options['decay_from']
        self.full_rate_blocks = options['full_rate_blocks']
        self.decay_everything = options['decay_everything']
        self.separate_backbone = options['separate_backbone']
        self.layer_of = LAYERS[options['decay_by']]
        self.layers = options['layers']
        self.blocks_per_layer = options['blocks_per_layer']
        self.vector_decay = options['vector_decay']
        self.backbone_lr_mult = options['backbone_lr_mult']
        self.head_no_decay = tuple(options['head_no_decay'])
        self.backbone_no_decay = options['backbone_no_decay']
        self.head_stem_rate = tuple(options['head_stem_rate'])

    def __call__(self, model: nn.Module) -> OptimWrapper:
        model = getattr(model, 'module', model)
        groups: dict[tuple[float, bool, bool], dict] = {}
        for parameter, factor, decay, in_backbone in self._settings(model):
            if parameter.requires_grad:
                key = factor, decay, in_backbone and self.separate_backbone
                groups.setdefault(key, self._group(*key))['params'].append(parameter)
        optimizer = OPTIMIZERS.build({**self.optimizer, 'params': list(groups.values())})
        return OPTIM_WRAPPERS.build({'type': 'OptimWrapper', **self.wrapper}, default_args={'optimizer': optimizer})

    def _group(self, factor: float, decay: bool, separate: bool) -> dict:
        group = {'params': [], 'lr': self.optimizer['lr'] * factor, **({'backbone': True} if separate else {})}
        return group if decay else {**group, 'weight_decay': 0.0}

    def _settings(self, model: nn.Module) -> Iterator[tuple[nn.Parameter, float, bool, bool]]:
        """(parameter, learning-rate factor, decays?, of a backbone?) of every parameter."""
        backbones = {name: module for name, module in model.named_modules() if isinstance(module, Backbone)}
        declared = {
            f'{prefix}.{name}' if prefix else name: (group, backbone)
            for prefix, backbone in backbones.items()
            for name, group in backbone.param_groups().items()
        }
        lowest = self.layer_decay ** max((backbone.depth + 1 for backbone in backbones.values()), default=0)
        for name, parameter in model.named_parameters():
            if name in declared:
                group, backbone = declared[name]
                factor = self.backbone_lr_mult * self.layer_decay ** self._layers_above(name, group, backbone)
                exempt = not group.decay
                if self.backbone_no_decay is not None:
                    exempt = any(part in name for part in self.backbone_no_decay)
            else:
                factor = self.backbone_lr_mult if name.startswith('backbone.') else 1.0
                exempt = any(part in name for part in self.head_no_decay)
                if not name.startswith('backbone.') and any(part in name for part in self.head_stem_rate):
                    factor = lowest
            decay = (self.decay_everything or not exempt) and (self.vector_decay or parameter.ndim > 1)
            yield parameter, factor, decay, name in declared

    def _layers_above(self, name: str, group: ParamGroup, backbone: Backbone) -> int:
        """How many layers lie between a parameter's and the heads."""
        if self.layer_of is None:
            above = backbone.depth + 1 - group.depth
            if above <= self.full_rate_blocks:
                return 0
            return above if self.decay_from == 'heads' else min(above - 1, backbone.depth - 1)
        place = re.search(r'stages\.(\d+)\.(?:blocks\.(\d+)|downsample)', name)
        if place is None:
            return 0 if '.out_norms.' in f'.{name}' else self.layers + 1
        block = None if place[2] is None else int(place[2])
        return self.layers + 1 - self.layer_of(int(place[1]), block, self.layers, self.blocks_per_layer)


def stage_layer(stage: int, block: int | None, layers: int, blocks_per_layer: int) -> int:
    """The layer of a block, and of a downsampling where `block` is None: a stage is one layer, above the stem."""
    return 0 if block is None else stage + 1


def group_layer(stage: int, block: int | None, layers: int, blocks_per_layer: int) -> int:
    """The layer where `blocks_per_layer` blocks of the third stage are one, and the fourth stage is the last one."""
    if stage == 3:
        return layers
    if block is None:
        return stage + 1
    return 3 + block // blocks_per_layer if stage == 2 else stage + 1


def is_special(options: dict[str, Any]) -> bool:
    """Whether rates of single blocks are not those that follow from their depth."""
    return options['decay_from'] != 'heads' or options['full_rate_blocks'] > 0


DECAY_FROM = ('heads', 'last_block')
PARAMWISE: dict[str, Any] = {
    'layer_decay': 1.0,
    'decay_by': 'block',
    'decay_from': 'heads',
    'full_rate_blocks': 0,
    'layers': None,
    'blocks_per_layer': 3,
    'backbone_lr_mult': 1.0,
    'head_no_decay': ('norm',),
    'backbone_no_decay': None,
    'head_stem_rate': (),
    'vector_decay': True,
    'decay_everything': False,
    'separate_backbone': False,
}
LAYERS: dict[str, Callable[[int, int | None, int, int], int] | None] = {
    'block': None,
    'stage': stage_layer,
    'group': group_layer,
}


@OWN_OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Training under bfloat16 autocast, on CPU and GPU.

    mmengine's AmpOptimWrapper refuses a CPU and scales losses, which bfloat16's range makes unnecessary.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast(get_device().split(':')[0], torch.bfloat16):
            yield

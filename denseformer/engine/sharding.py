"""FSDP2: weights, gradients and optimiser state sharded over the ranks, behind state dicts that are whole.

PyTorch's `fully_shard`. mmengine's own FSDP wraps its first generation, needs another Runner, and lets each
strategy write checkpoints past the ones written here. Everything else of a run stays as it is: a sharded model's state
dicts are gathered when they are asked for, on all ranks together, and divided when they are loaded. So a checkpoint is
the same whether one process wrote it or many, and is resumed by either.
"""

import re
from typing import Any

import torch
from mmengine.dist import broadcast, get_world_size
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

UNIT = re.compile(r'(.+\.)?blocks\.\d+')
"""Names of the modules whose parameters are gathered together, just before they compute."""


def shard(model: nn.Module, device: str) -> nn.Module:
    """`model`, changed in place: on each rank a part of every parameter, all of them from rank 0's values."""
    for tensor in (*model.parameters(), *model.buffers()):
        broadcast(tensor.detach(), src=0)
    mesh = init_device_mesh(device, (get_world_size(),))
    for name, module in reversed(list(model.named_modules())):  # inner ones before those around them
        if UNIT.fullmatch(name):
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)
    model.register_state_dict_post_hook(_gather_weights)
    for module in model.modules():
        module.register_load_state_dict_pre_hook(_divide_weights)
    return model


def compile_units(model: nn.Module, **options: Any) -> None:
    """Compile the units whose parameters are gathered together; `options` are torch.compile's."""
    for name, module in model.named_modules():
        if UNIT.fullmatch(name):
            module.forward = torch.compile(module.forward, **options)


def is_sharded(model: nn.Module) -> bool:
    return isinstance(model, FSDPModule)


def full_tensor(value: Any) -> Any:
    """The full tensor of a sharded one, which all ranks have to ask for at the same time; anything else as it is."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def shard_state(optimizer: torch.optim.Optimizer) -> None:
    """Let the state dict of an optimiser over divided parameters be whole, too."""
    optimizer.register_state_dict_post_hook(_gather_state)
    optimizer.register_load_state_dict_pre_hook(_divide_state)


def _gather_weights(model: nn.Module, state_dict: dict, prefix: str, metadata: dict) -> None:
    state_dict.update({name: full_tensor(value) for name, value in state_dict.items()})


def _divide_weights(module: nn.Module, state_dict: dict, prefix: str, *_: Any) -> None:
    for name, parameter in module.named_parameters(recurse=False):
        if prefix + name in state_dict:
            state_dict[prefix + name] = _divide(state_dict[prefix + name], parameter)


def _gather_state(optimizer: torch.optim.Optimizer, state_dict: dict) -> dict:
    state = {
        index: {name: full_tensor(value) for name, value in values.items()}
        for index, values in state_dict['state'].items()
    }
    return {**state_dict, 'state': state}


def _divide_state(optimizer: torch.optim.Optimizer, state_dict: dict) -> dict:
    parameters = [parameter for group in optimizer.param_groups for parameter in group['params']]
    state = {
        index: {name: _divide(value, parameters[index]) for name, value in values.items()}
        for index, values in state_dict['state'].items()
    }
    return {**state_dict, 'state': state}


def _divide(value: Tensor, like: Tensor) -> Tensor:
    """This rank's part of a tensor that all ranks have, if it is as large as the divided tensor `like`."""
    if not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)

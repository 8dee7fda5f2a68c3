"""Checks of fine-tuning for every network: updates that learn and are merged where they are saved, frozen weights."""

import torch
from narrow import narrow_arch
from torch import nn

from denseformer.lora import updated_layers


def check_finetuning(plain: nn.Module, size: int = 32) -> None:
    """Build a network as small as `plain` for 'head' and 'lora', learn for a step, merge into `plain` and undo it."""
    family, arch = type(plain), narrow_arch(type(plain))
    heads = tuple(f'{name}.' for name in family.head_layers)
    frozen = family.on_meta_device(arch=arch, finetune='head')
    assert all(parameter.requires_grad == name.startswith(heads) for name, parameter in frozen.named_parameters())

    network = family(arch=arch, finetune='lora', lora={'rank': 2}).train()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not name.endswith(('bias', '.up')) and not parameter.any():
                parameter.fill_(0.5)  # a branch that is switched off at first, by its last norm or a layer scale
    image = torch.rand(1, getattr(network, 'in_channels', 3), size, size)
    sum(out.square().mean() for out in as_tuple(network(image))).backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is not None and bool(parameter.grad.isfinite().all())) == parameter.requires_grad, name
    updates = [network.get_submodule(name).parametrizations.weight[0] for name in sorted(updated_layers(network))]
    assert any(update.up.grad.any() for update in updates)

    own = {name: value.clone() for name, value in plain.state_dict().items()}
    with torch.no_grad():
        for update in updates:
            update.up.normal_(0, 0.05)
        plain.load_state_dict(network.state_dict())
        for merged, updated in zip(as_tuple(plain(image)), as_tuple(network.eval()(image)), strict=True):
            torch.testing.assert_close(merged, updated)
        plain.load_state_dict(own)


def as_tuple(out):
    return out if isinstance(out, tuple) else (out,)

"""What fine-tuning owes every network: updates that learn and are merged where they are saved, frozen weights."""

import torch

from denseformer.lora import updated_layers


def check_finetuning(family, size: int = 32, **settings) -> None:
    """Build the smallest network of a family for 'head' and 'lora', learn for a step, and merge."""
    settings['arch'] = family.truncated_arch()
    heads = tuple(f'{name}.' for name in family.head_layers)
    frozen = family.on_meta_device(**settings, finetune='head')
    assert all(parameter.requires_grad == name.startswith(heads) for name, parameter in frozen.named_parameters())

    plain = family(**settings).eval()
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            if not name.endswith('bias') and not parameter.any():
                parameter.fill_(0.5)  # a branch that is switched off at first, by its last norm or a layer scale
    network = family(**settings, finetune='lora', lora={'rank': 2})
    network.load_state_dict(plain.state_dict())
    image = torch.rand(1, getattr(network, 'in_channels', 3), size, size)
    sum(out.square().mean() for out in as_tuple(network.train()(image))).backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is not None and bool(parameter.grad.isfinite().all())) == parameter.requires_grad, name
    updates = [network.get_submodule(name).parametrizations.weight[0] for name in sorted(updated_layers(network))]
    assert updates
    assert any(update.up.grad.any() for update in updates)
    with torch.no_grad():
        for update in updates:
            update.up.normal_(0, 0.05)
        plain.load_state_dict(network.state_dict())
        for merged, updated in zip(as_tuple(plain(image)), as_tuple(network.eval()(image)), strict=True):
            torch.testing.assert_close(merged, updated)


def as_tuple(out):
    return out if isinstance(out, tuple) else (out,)

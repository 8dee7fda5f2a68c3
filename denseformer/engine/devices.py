"""The device that a run or a prediction computes on."""

import mmengine.device.utils
import torch


def choose_device(name: str) -> torch.device:
    """The device of 'auto' (a GPU if there is one), 'cpu', 'cuda', 'cuda:1' ...

    Raises ValueError for a name that PyTorch does not know, or a GPU that it does not see.
    """
    if name == 'auto':
        return torch.device(mmengine.device.utils.get_device())
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f'--device {name}: {error}') from None
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise ValueError(f'--device {name}: this PyTorch sees no GPU.')
    return device


def use_device(name: str) -> None:
    """Make the device of `choose_device` the one that mmengine works on."""
    if name != 'auto':
        mmengine.device.utils.DEVICE = str(choose_device(name))

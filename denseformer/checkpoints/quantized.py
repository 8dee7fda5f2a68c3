"""Files of quantized weights, told by what the packages that write them leave in names and types of tensors."""

import re
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor

NAMES = (
    (r'\.quant_state\.bitsandbytes__|\.(absmax|quant_map)$', 'bitsandbytes, 4 bits'),
    (r'\.SCB$', 'bitsandbytes, 8 bits'),
    (r'\.g_idx$', 'GPTQ'),
    (r'\.qweight$', 'GPTQ or AWQ'),
    (r'\.(weight_packed|weight_zero_point)$', 'compressed-tensors'),
    (r'\.weight\._(data|scale)$', 'quanto'),
    (r'_packed_params(\._packed_params)?$', 'PyTorch, by layers'),
)
"""(what the name of a tensor has in it, who writes it)"""
TYPES = ('torchao.', 'optimum.quanto.', 'quanto.', 'bitsandbytes.', 'hqq.', 'torch.ao.nn.', 'torch.nn.quantized.')
"""How the types of quantized layers and tensors begin, which are more than data."""
FLOAT8 = {dtype for name, dtype in vars(torch).items() if name.startswith('float8_')}
SCALE = re.compile(r'(^|\.)(weight_)?(scale|scales|scale_weight|weight_scale|weight_scale_inv)$')
REMEDY = (
    'Its numbers stand for others, and only the package that rounded them computes with them. Get the file that it was '
    'made from, of float32, float16 or bfloat16 weights: on the hub, that of the base model which the card names.'
)


def quantization(content: Mapping[str, Any]) -> str:
    """A sentence on the quantized weights of a state dict and what to get instead; empty for weights in floating point.

    Integers that a network counts or looks up with, as the number of batches that a norm has seen, are no weights.
    """
    names = [key for key in content if isinstance(key, str)]
    by_name = (kind for pattern, kind in NAMES for name in names if re.search(pattern, name))
    scaled = any(SCALE.search(name) for name in names)
    by_type = (_rounding(name, content[name], scaled=scaled) for name in names if isinstance(content[name], Tensor))
    kind = next(filter(None, chain(by_name, by_type)), '')
    return f'quantized weights ({kind}). {REMEDY}' if kind else ''


def _rounding(name: str, value: Tensor, *, scaled: bool) -> str:
    """The numbers that a tensor was rounded to; empty for one in floating point. scaled: there are scales beside it."""
    dtype = str(value.dtype).removeprefix('torch.')
    if value.is_quantized:
        return f'PyTorch, {dtype}'
    if value.dtype in FLOAT8 and scaled:
        return f'{dtype} with scales'
    packed = value.dtype in (torch.int8, torch.uint8) and value.ndim >= 2 and name.endswith('weight')
    return f'{dtype} numbers' if packed else ''


def quantized_types(types: Iterable[str]) -> str:
    """A sentence on a file that was refused for these types, where they are of quantized weights; empty elsewhere."""
    kind = next((name for name in types if name.startswith(TYPES)), '')
    return f'quantized weights ({kind}). {REMEDY}' if kind else ''

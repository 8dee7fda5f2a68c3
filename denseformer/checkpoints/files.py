"""Reading checkpoint files without executing anything that stands in them.

A `.safetensors` file holds tensors only. A `.pth` file is a pickle, which can run code when it is opened: it is read
with PyTorch's restricted unpickler, never without, unless the user says that the file is trusted. What mmengine and
other programs write about a run beside the weights (history buffers, numpy arrays, arguments) is on the list of allowed
types. A bare pickle of numpy arrays, as Detectron2's `.pkl` files are, is read with an unpickler that allows nothing
else, numpy's own `.npz` without objects. The content of a file says which of these it is, whatever its suffix. A model
in parts is read by the index that lists them.
"""

import json
import pickle
import re
import struct
import zipfile
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from denseformer.checkpoints.addresses import is_address, local_file
from denseformer.checkpoints.common import CheckpointError, UntrustedError
from denseformer.checkpoints.other_kinds import INDEX, begins_as_safetensors, names_in_zip, other_kind, part_of_model
from denseformer.checkpoints.quantized import quantization, quantized_types

WRAPPERS = (
    *('model_ema', 'state_dict_ema', 'ema', 'state_dict', 'model', 'params_ema', 'params', 'teacher', 'models'),
    *('model_state', 'model_state_dict', 'net', 'network', 'generator', 'module', 'weights'),
    'state_dict_backbone',
)
"""Keys that authors nest the weights under, the preferred one first: averaged weights are what was published."""
STATE_OF_A_RUN = re.compile(r'optim|sched|(^|_)(scaler|rng)')
"""Names of what training code keeps beside the weights, which may hold tensors, too."""
LOSSES = 'torch.nn.modules.loss.'
"""The module of PyTorch's losses, which training code saves beside the weights."""
ZIP = b'PK'
"""The beginning of what `torch.save` writes."""
BROKEN = (
    *(RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError),
    *(AttributeError, AssertionError, OverflowError, MemoryError, struct.error, zipfile.BadZipFile),
)
"""Exceptions of the readers, depending on where a file is damaged."""


def read_checkpoint(
    path: str | Path, *, map_location: Any = 'cpu', trust: bool = False, mmap: bool = False
) -> dict[str, Any]:
    """The content of a checkpoint file: a mapping, of tensors or of what a training run wrote.

    path: a file, the index of a model in parts, or an address of `denseformer.checkpoints.addresses`.
    trust: let the file execute code while it is read, as Python pickles do. Only for files you made yourself.
    mmap: leave tensors on the disk until they are used, to look at what else a large file says.
    Raises CheckpointError when the file is missing, broken, not a mapping, or holds more than data.
    """
    path = local_file(path)
    require_file(path)
    if path.name.endswith(INDEX):
        parts = (_read_file(part, map_location, trust, mmap) for part in parts_of(path))
        return {key: value for part in parts for key, value in part.items()}
    if part := part_of_model(path):
        raise CheckpointError(f'{path}: {part}')
    return _read_file(path, map_location, trust, mmap)


def _read_file(path: Path, map_location: Any, trust: bool, mmap: bool) -> dict[str, Any]:
    start = _first_bytes(path)
    safetensors = begins_as_safetensors(start)
    if kind := other_kind(path):
        raise CheckpointError(f'{path}: {kind}')
    if safetensors or (path.suffix == '.safetensors' and not start.startswith(ZIP)):
        content = _read_safetensors(path)
    elif path.suffix == '.pkl' and not trust and not start.startswith(ZIP):
        content = _read_arrays(path)
    elif start.startswith(ZIP) and _is_npz(path):
        content = _read_npz(path)
    else:
        content = _read_pickle(path, map_location, trust, mmap and start.startswith(ZIP))
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f'{path}: holds a {type(content).__name__}, not a mapping of names to tensors. Save the state_dict() of '
            'the network instead.'
        )
    return dict(content)


def parts_of(index: Path) -> list[Path]:
    """The files of a model in parts, in the folder of the index that lists them. Raises CheckpointError."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding='utf-8'))['weight_map'].values()))
        parts = [index.with_name(name) for name in names]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f'{index}: not an index of the parts of a model ({error}). Fetch it again.') from error
    missing = [part.name for part in parts if not part.is_file()]
    if missing or not parts:
        raise CheckpointError(f'{index}: lists parts that do not lie beside it: {", ".join(missing[:4]) or "none"}.')
    return parts


def _first_bytes(path: Path) -> bytes:
    with path.open('rb') as file:
        return file.read(16)


def require_file(path: str | Path) -> None:
    """Raise CheckpointError when there is no file at `path`; an address is left to whoever fetches it."""
    if not is_address(path) and not Path(path).is_file():
        raise CheckpointError(f'{path}: no such checkpoint file.')


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f'{path}: not a complete safetensors file ({error}). Fetch or save it again.') from error


def _read_pickle(path: Path, map_location: Any, trust: bool, mmap: bool) -> Any:
    try:
        with torch.serialization.safe_globals(allowed_types()):
            return torch.load(path, map_location=map_location, weights_only=not trust, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise _refusal_error(path, error) from error
    except BROKEN as error:
        raise _damage_error(path, error) from error


def _read_arrays(path: Path) -> Any:
    try:
        with path.open('rb') as file:
            return _with_tensors(_ArrayUnpickler(file, encoding='latin1').load())
    except pickle.UnpicklingError as error:
        raise _refusal_error(path, error) from error
    except BROKEN as error:
        raise _damage_error(path, error) from error


def _is_npz(path: Path) -> bool:
    """Whether a zip archive holds numpy's arrays alone; a damaged one is left to the reader of checkpoints."""
    names = names_in_zip(path)
    return bool(names) and all(name.endswith('.npy') for name in names)


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except BROKEN as error:
        raise CheckpointError(
            f'{path}: not an archive of plain arrays ({error}). Save the arrays alone, by name.'
        ) from error


class _ArrayUnpickler(pickle.Unpickler):
    """Reads containers, numbers, text and numpy arrays; refuses every other type by name."""

    allowed = (
        *('_codecs.encode', 'collections.OrderedDict', 'numpy.dtype', 'numpy.ndarray'),
        *('numpy._core.multiarray._reconstruct', 'numpy._core.multiarray.scalar'),
    )

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace('numpy.core.', 'numpy._core.')
        if f'{module}.{name}' not in self.allowed:
            raise pickle.UnpicklingError(f'GLOBAL {module}.{name}')
        return super().find_class(module, name)


def _with_tensors(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _with_tensors(value) for key, value in content.items()}
    return torch.from_numpy(content) if isinstance(content, np.ndarray) else content


def allowed_types() -> list[Any]:
    """Types besides tensors that checkpoints of runs contain, mmengine's and others', each of them plain data."""
    kinds = ('?', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8')
    numbers = [type(np.dtype(kind)) for kind in kinds]
    core = np._core.multiarray  # type: ignore[attr-defined]
    arrays = [np.ndarray, np.dtype, core._reconstruct, core.scalar]
    return [*numbers, *arrays, Namespace, PosixPath, HistoryBuffer, (_history_method, 'builtins.getattr')]


def _history_method(owner: Any, name: str) -> Any:
    """`getattr` restricted to the statistics of a HistoryBuffer, which pickles refer to by name."""
    if owner is HistoryBuffer and name in ('min', 'max', 'mean', 'current'):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'getattr({owner!r}, {name!r}) is not allowed')


def _refusal_error(path: Path, error: Exception) -> CheckpointError:
    """The error for a file that the restricted unpickler refused."""
    try:
        with torch.serialization.safe_globals(allowed_types()):
            refused = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # no zip archive: the unpickler's own words name what it met
        refused = re.findall(r'GLOBAL (\S+)', str(error))[:1]
    if kind := quantized_types(refused):
        return CheckpointError(f'{path}: {kind}')
    reason = ', '.join(refused) or re.sub(r'(?s).*WeightsUnpickler error:\s*', '', str(error)).splitlines()[0]
    if kind := _no_checkpoint(path):
        return CheckpointError(kind)
    if any(name.startswith('torch.nn.modules.') and not name.startswith(LOSSES) for name in refused):
        return UntrustedError(
            f'{path}: refused, because it holds a whole network with its code ({reason[:80]} ...), as '
            'torch.save(network) writes it. Opening it could run code. If you trust it, save the weights alone where '
            "its code is: torch.save(torch.load(FILE, weights_only=False).state_dict(), 'weights.pth'). Where FILE is "
            'a dictionary, take the network out of it by its name; where that has the weights, too, pass '
            '--trust-checkpoint.'
        )
    return UntrustedError(
        f'{path}: refused, because it holds more than data: {reason}. Opening it could run code. If you made this '
        'file yourself, save its weights alone, or pass --trust-checkpoint to infer, test or train (trust=True); '
        'otherwise ask its author for a .safetensors file.'
    )


def _damage_error(path: Path, error: Exception) -> CheckpointError:
    """The error for a file that is truncated or no checkpoint."""
    reason = str(error).split('. ')[0] or type(error).__name__
    return CheckpointError(
        _no_checkpoint(path) or f'{path}: not a complete PyTorch checkpoint ({reason}). Fetch or save it again.'
    )


def _no_checkpoint(path: Path) -> str:
    """A sentence on a file that begins as no checkpoint does; empty for one that may be damaged, or is empty."""
    if _first_bytes(path)[:1] in (b'', b'P', b'\x80'):
        return ''
    return f'{path}: not a checkpoint: neither a zip archive nor a pickle.'


def weights_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict inside a checkpoint, out of the wrappers authors use and without a leading `module.`.

    Raises ValueError when there is no tensor in it, or they are quantized.
    """
    content: Any = checkpoint
    while inner := _wrapped(content):
        content = inner
    if kind := quantization(content):
        raise ValueError(kind)
    weights = {
        key.removeprefix('module.'): value
        for key, value in content.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    if not weights:
        raise ValueError(f'found no weights: {_instead_of_weights(content)}')
    return weights


def refuse_nan(weights: Mapping[str, Tensor]) -> None:
    """Raise ValueError where weights hold NaN: whatever is computed with them is NaN, too."""
    floats = {key: value for key, value in weights.items() if value.is_floating_point() and value.element_size() > 1}
    bad = [key for key, value in floats.items() if value.isnan().any()]
    if bad:
        raise ValueError(
            f'{len(bad)} of its {len(weights)} tensors hold NaN ({", ".join(bad[:3])}): its run had diverged. Name an '
            'earlier checkpoint.'
        )


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The state dict inside a checkpoint file. Raises CheckpointError when it cannot be read, or holds none."""
    try:
        return weights_of(read_checkpoint(path))
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f'{path}: {error}') from error


def _instead_of_weights(content: Mapping[str, Any]) -> str:
    """The reason why a checkpoint has no weights, and what to do."""
    if not content:
        return 'it is empty. Save it again, as torch.save(model.state_dict(), FILE).'
    names = list(content)[:8]
    if _is_of_optimizer(content) or any(isinstance(key, str) and 'optim' in key for key in content):
        return f'it has the state of an optimizer ({names}). The weights are in another file of its run.'
    several = _names_of_weights(content)
    where = f'they lie below {" and ".join(several[:4])}' if several else f'it has {names}'
    return f'no tensors by name; {where}. Save those of the network by themselves.'


def _wrapped(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The mapping inside a wrapper: below a name of `WRAPPERS`, or below the only name with tensors where there is one.

    None for a state dict, and where several names hold tensors.
    """
    known = next((content[key] for key in WRAPPERS if _holds_tensors(content.get(key))), None)
    if known is not None or any(isinstance(value, Tensor) for value in content.values()):
        return known
    names = _names_of_weights(content)
    return content[names[0]] if len(names) == 1 else None


def _names_of_weights(content: Mapping[str, Any]) -> list[str]:
    """The names in a mapping below which tensors lie by name, the state of a run aside."""
    if _is_of_optimizer(content):
        return []
    return [
        key
        for key, value in content.items()
        if isinstance(key, str)
        and not STATE_OF_A_RUN.search(key)
        and isinstance(value, Mapping)
        and (any(isinstance(inner, Tensor) for inner in value.values()) or _names_of_weights(value))
    ]


def _is_of_optimizer(content: Mapping[str, Any]) -> bool:
    return {'state', 'param_groups'} <= content.keys()


def _holds_tensors(content: Any) -> bool:
    """Whether `content` is a mapping with a tensor at any depth; a count or a rate beside weights is none."""
    return isinstance(content, Mapping) and any(isinstance(v, Tensor) or _holds_tensors(v) for v in content.values())

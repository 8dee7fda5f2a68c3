"""What every published network of this project shares: variants by name, the authors' keys, a cheap description."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, ClassVar

import torch
from mmengine.model import BaseModule
from torch import Tensor
from torch.overrides import TorchFunctionMode

StateDict = dict[str, Tensor]
FEW = {'depths': (2, 2, 2, 2), 'blocks': (2, 2, 2, 2), 'groups': (1,)}
"""By the field of an arch record, how many blocks of each stage show all that a network does."""


@dataclass(frozen=True)
class Source:
    """Where a network comes from.

    paper: title and address; code: the official repository; licence: of the authors' code and weights.
    """

    paper: str
    code: str
    licence: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """What is known of a network without allocating its weights."""

    name: str
    parameters: int
    source: Source


class Network(BaseModule):
    """A published network.

    A subclass sets `archs` (variant name -> arch record, a frozen dataclass) and `source`, and implements
    `remap_official_keys`, through which every state dict passes on its way in: `load_state_dict` takes our own keys
    and each of the authors' layouts without being told which it is given.
    """

    archs: ClassVar[Mapping[str, Any]]
    source: ClassVar[Source]

    def __init__(self, *, arch: str | Mapping[str, Any], init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.arch = self.resolve_arch(arch)

    @classmethod
    def resolve_arch(cls, arch: str | Mapping[str, Any]) -> Any:
        """The arch record that `arch` names, or the one made from a dict of its fields.

        Raises ValueError for an unknown name or field, listing the legal ones.
        """
        if isinstance(arch, str):
            if arch not in cls.archs:
                near = get_close_matches(arch, cls.archs, n=1)
                hint = f" Did you mean '{near[0]}'?" if near else ''
                raise ValueError(f"{cls.__name__} has no arch '{arch}'. Known: {', '.join(cls.archs)}.{hint}")
            return cls.archs[arch]
        record = type(next(iter(cls.archs.values())))
        known = [field.name for field in fields(record)]
        unknown = sorted(set(arch) - set(known))
        if unknown:
            raise ValueError(f'{cls.__name__} arch has no field {unknown}. Fields: {", ".join(known)}.')
        try:
            return record(**arch)
        except TypeError as error:
            raise ValueError(f'{cls.__name__} arch is incomplete: {error}. Fields: {", ".join(known)}.') from None

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any) -> StateDict:
        """`state_dict`, in our key layout or in one of the authors', in ours and with tables at `network`'s sizes.

        Pure: `state_dict` is not changed. Keys that are recognised as belonging to the authors' classifier or as
        constants are dropped; what is not recognised is handed back, so that the loader reports it by name.
        """
        return state_dict

    def drop_unbuilt(self, state_dict: StateDict) -> StateDict:
        """`state_dict`, in our layout, without entries of parts that this instance was asked not to build."""
        return state_dict

    def _load_from_state_dict(self, state_dict, prefix, *args):
        own = {key[len(prefix) :]: state_dict.pop(key) for key in list(state_dict) if key.startswith(prefix)}
        own = self.drop_unbuilt(self.remap_official_keys(own, self))
        state_dict.update({prefix + key: value for key, value in own.items()})
        super()._load_from_state_dict(state_dict, prefix, *args)

    @classmethod
    def on_meta_device(cls, **options) -> 'Network':
        """An instance whose tensors have shapes and no storage."""
        with shapes_alone():
            return cls(**options)

    @classmethod
    def smallest(cls) -> str:
        """The name of the variant with the fewest parameters."""
        networks = {arch: cls.on_meta_device(arch=arch) for arch in cls.archs}
        return min(networks, key=lambda arch: sum(p.numel() for p in networks[arch].parameters()))

    @classmethod
    def shallow(cls) -> dict[str, Any]:
        """The smallest variant's fields, `FEW` blocks a stage at most: the others have the same operators."""
        record = cls.archs[cls.smallest()]
        known = {field.name: getattr(record, field.name) for field in fields(record)}
        for name, most in FEW.items():
            count = known.get(name)
            if isinstance(count, int):
                known[name] = min(count, most[0])
            elif count is not None and len(count) <= len(most):
                known[name] = tuple(map(min, count, most))
        return known


@contextmanager
def shapes_alone() -> Iterator[None]:
    """What is built inside has shapes and no storage: nothing is allocated, and no initial weight is drawn."""
    with torch.device('meta'), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    """Leaves tensors as they are where `torch.nn.init` would fill them."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(function, '__module__', '') == 'torch.nn.init':
            return args[0] if args else kwargs['tensor']
        return function(*args, **kwargs)

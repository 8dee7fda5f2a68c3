"""The class of all published networks: variants by name, the authors' keys, a cheap description, checkpointing."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, fields
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Literal, Never, Self, TypedDict, TypeVar, get_args

import torch
from mmengine.config import Config
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from denseformer.checkpoints.addresses import CATALOG, is_address
from denseformer.checkpoints.keys import StateDict
from denseformer.checkpoints.layouts import as_authors
from denseformer.checkpoints.sharing import save_model
from denseformer.lora import add_updates, without_foreign_factors
from denseformer.registry import MODELS

TEST_DEPTHS = {'depths': (2, 2, 2, 2), 'blocks': (2, 2, 2, 2), 'groups': (1,)}
"""By the field of an arch record, how many blocks of each stage show all that a network does."""

TRAINING_OPTIONS = ('pretrained', 'anchors_pretrained', 'init_cfg', 'finetune', 'lora')
"""Options that say how a network learns, and nothing of what it computes."""

FROM_FILE = 'denseformer.Pretrained'
"""The step of `init_cfg` that reads a file safely, out of wrappers and prefixes, and refuses one that does not fit."""

Finetune = Literal['all', 'head', 'lora']
Built = TypeVar('Built')


@dataclass(frozen=True)
class Source:
    """Where a network comes from.

    paper: title and address; code: the official repository; license: of the authors' code and weights.
    """

    paper: str
    code: str
    license: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """A network, described without its weights; parameters: how many numbers they are."""

    name: str
    parameters: int
    source: Source


class NetworkOptions(TypedDict, total=False):
    """The options that every network hands on to `Network`.

    pretrained: the published weights that training starts from: a label of `denseformer weights list`, as
    'imagenet1k', a path, or an address of `checkpoints.addresses`; None for none. init_cfg: mmengine's, in its place.
    finetune: what learns. 'all'; 'head', the family's `head_layers` alone, which of backbones adapters have; 'lora',
    these and low-rank updates of its `lora_layers`. lora: their rank and alpha, dict(rank=8, alpha=16) unless given.
    """

    pretrained: str | None
    init_cfg: dict | None
    finetune: Finetune
    lora: Mapping[str, Any] | None


class Checkpointing:
    """Mixed in: `run` calls a block, and recomputes its activations in the backward pass where `with_cp` is set."""

    with_cp: bool

    def run(self, block: Callable[..., Any], *inputs: Any) -> Any:
        if not (self.with_cp and torch.is_grad_enabled()):
            return block(*inputs)
        if torch.compiler.is_compiling():  # recomputes activations alone
            return checkpoint(block, *inputs, use_reentrant=False)
        return checkpoint(
            block, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), unchanged_statistics(block))
        )


@contextmanager
def unchanged_statistics(block: Callable[..., Any]) -> Iterator[None]:
    """A context in which BatchNorm, where it is training, leaves its running statistics and its count as they are.

    It still reads them, so that a checkpointed block saves the same tensors as it did the first time.
    """
    modules = block.modules() if isinstance(block, nn.Module) else ()
    norms = [module for module in modules if isinstance(module, _BatchNorm) and module.training]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, (_, count) in zip(norms, kept, strict=True):
        norm.momentum = 0.0
        norm.num_batches_tracked = None if count is None else count.clone()
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


class Finished(type):
    """The type of networks: calls `finish` on an instance behind all of its class's constructor."""

    def __call__(cls: type[Built], *args: Any, **settings: Any) -> Built:
        network = super().__call__(*args, **settings)  # type: ignore[misc]
        network.finish()
        return network


class Network(nn.Module, metaclass=Finished):
    """A published network.

    mmengine's models initialize it with their other parts: it has the `init_cfg`, `init_weights` and `is_init` of
    mmengine's BaseModule, and is none, because that class is not to be had without PyTorch's distributed optimizers,
    which take about as long to import as PyTorch.

    A subclass sets `archs` (variant name -> arch record, a frozen dataclass) and `source`, and implements
    `remap_official_keys`, through which every state dict passes on its way in: `load_state_dict` takes our own keys
    and each of the authors' layouts without being told which it is given.
    """

    archs: ClassVar[Mapping[str, Any]]
    source: ClassVar[Source]
    head_layers: ClassVar[tuple[str, ...]] = ()
    """The names of the parts that learn whatever `finetune` says."""
    lora_layers: ClassVar[str] = (
        r'(.+\.)?attn\.(.+\.)?(q|k|v|qk|kv|qkv|proj|in_proj|out_proj|proj_in|proj_out)((\.\d+)?\.conv)?'
    )
    """An expression for the whole names of the layers that finetune='lora' updates: the projections of token mixers."""
    settings: dict[str, Any]
    """The arguments that it was made with, for `save_pretrained`."""

    def __new__(cls, *_: Any, **settings: Any) -> Self:
        network = super().__new__(cls)
        network.settings = settings
        return network

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any],
        pretrained: str | None = None,
        init_cfg: dict | None = None,
        finetune: Finetune = 'all',
        lora: Mapping[str, Any] | None = None,
        **unknown: Never,
    ):
        if unknown:
            raise TypeError(self._unknown_option(next(iter(unknown))))
        if pretrained is not None:
            if init_cfg is not None:
                raise ValueError(f'{type(self).__name__}: pretrained and init_cfg say the same; give one of them.')
            init_cfg = dict(type=FROM_FILE, checkpoint=self.starting_point(arch, pretrained))
        if finetune not in get_args(Finetune):
            raise ValueError(f"finetune must be one of {', '.join(get_args(Finetune))}, got '{finetune}'.")
        if lora is not None and (finetune != 'lora' or not set(lora) <= {'rank', 'alpha'}):
            raise ValueError(
                f"lora=dict(rank=..., alpha=...) belongs to finetune='lora'; got {dict(lora)}, '{finetune}'."
            )
        super().__init__()
        self.init_cfg = deepcopy(init_cfg)
        self.is_init = False
        self.arch = self.resolve_arch(arch)
        self.finetune = finetune
        self.lora = {} if lora is None else dict(lora)

    def finish(self) -> None:
        """Freeze what `finetune` leaves out, and add the low-rank updates."""
        if self.finetune == 'all':
            return
        self.requires_grad_(False)
        for head in self._heads():
            head.requires_grad_(True)
        if self.finetune == 'lora':
            add_updates(self, self.lora_layers, **self.lora)

    def init_weights(self) -> None:
        """Initialize this network by `init_cfg`, then its parts; what a file holds comes last."""
        from mmengine.model import initialize

        if self.is_init:
            return
        steps = [self.init_cfg] if isinstance(self.init_cfg, Mapping) else self.init_cfg or []
        files = [step for step in steps if step['type'] in ('Pretrained', FROM_FILE)]
        initialize(self, [step for step in steps if step not in files])
        for part in self.children():
            initialize_part = getattr(part, 'init_weights', None)
            if initialize_part is not None and not getattr(part, 'is_init', False):
                initialize_part()
        initialize(self, [read_here(step) for step in files])
        self.is_init = True

    def _heads(self) -> list[nn.Module]:
        return [module for name, module in self.named_children() if name in self.head_layers]

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a frozen network stays in evaluation mode, one with updates keeps BatchNorm's statistics."""
        super().train(mode and self.finetune != 'head')
        if self.finetune == 'head':
            for head in self._heads():
                head.train(mode)
        elif self.finetune == 'lora':
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def save_pretrained(self, folder: str | Path, **about: Any) -> Path:
        """Write the weights, settings and a card into a folder, from which `pretrained=folder` starts; returns it.

        about: `scores`, `license`, `command`, `notes` and `half` of `checkpoints.sharing.save_model`.
        """
        return save_model(self, Config(self._saved_config()), folder, **about)

    def _saved_config(self) -> dict[str, Any]:
        settings = {name: value for name, value in self.settings.items() if name not in TRAINING_OPTIONS}
        return {'backbone': {'type': f'denseformer.{self.registered_name()}', **settings}}

    @classmethod
    def registered_name(cls) -> str:
        """The name in the registry and in the catalog of weights."""
        return next(name for name, component in MODELS.module_dict.items() if component is cls)

    @classmethod
    def starting_point(cls, arch: str | Mapping[str, Any], pretrained: str) -> str:
        """The path or address of a checkpoint that `pretrained` stands for."""
        if not isinstance(pretrained, (str, Path)):
            raise ValueError(
                f"pretrained={pretrained!r}: name the weights, as 'imagenet1k' (`denseformer weights list` shows all), "
                'a path or an address; None for random weights.'
            )
        if is_address(pretrained) or Path(pretrained).suffix or Path(pretrained).is_dir():
            return pretrained
        if not isinstance(arch, str):
            raise ValueError(
                f"pretrained='{pretrained}' names weights of a published variant, and this arch has none of their "
                'names. Give the path of a file, or name the variant.'
            )
        return f'{CATALOG}{cls.registered_name()}/{arch}/{pretrained}'

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """The names of all arguments that the constructor takes, the family's own first."""
        signatures = [signature(vars(base)['__init__']) for base in cls.__mro__ if '__init__' in vars(base)]
        keywords = [p.name for s in signatures for p in s.parameters.values() if p.kind is p.KEYWORD_ONLY]
        return tuple(dict.fromkeys(keywords))

    @classmethod
    def _unknown_option(cls, name: str) -> str:
        near = get_close_matches(name, cls.options(), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ''
        return f"{cls.__name__} takes no argument '{name}'. It takes: {', '.join(cls.options())}.{hint}"

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

        Pure: `state_dict` is not changed. Keys that are recognized as belonging to the authors' classifier or as
        constants are dropped; what is not recognized is handed back, so that the loader reports it by name.
        """
        return state_dict

    def drop_keys_of_unbuilt_parts(self, state_dict: StateDict) -> StateDict:
        """`state_dict`, in our layout, without entries of parts that this instance was asked not to build."""
        return state_dict

    def own_names(self, state_dict: StateDict) -> StateDict:
        """`state_dict`, in any layout, in ours, without parts that this instance was asked not to build; pure."""
        official = as_authors(type(self).__name__, without_foreign_factors(state_dict, self))
        return self.drop_keys_of_unbuilt_parts(self.remap_official_keys(official, self))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        own = {key[len(prefix) :]: state_dict.pop(key) for key in list(state_dict) if key.startswith(prefix)}
        own = self.own_names(own)
        state_dict.update({prefix + key: value for key, value in own.items()})
        super()._load_from_state_dict(state_dict, prefix, *args)

    @classmethod
    def families(cls) -> list[type[Self]]:
        """The registered networks that derive from `cls`, by name."""
        found = {kind for kind in MODELS.module_dict.values() if isinstance(kind, type) and issubclass(kind, cls)}
        return sorted(found, key=lambda kind: kind.__name__)

    @classmethod
    def describe(cls, arch: Any, **options: Any) -> Description:
        """Parameters and source of a variant, and what its task adds; nothing is allocated."""
        record = cls.archs.get(arch) if isinstance(arch, str) else arch
        asked = cls, repr((arch, record, sorted(options.items())))
        if asked not in DESCRIBED:
            network = cls.on_meta_device(arch=arch, **options)
            DESCRIBED[asked] = network._describe(f'{cls.__name__}-{arch}' if isinstance(arch, str) else cls.__name__)
        return DESCRIBED[asked]

    def _describe(self, name: str) -> Description:
        parameters = sum(parameter.numel() for parameter in self.parameters())
        return Description(name=name, parameters=parameters, source=self.source)

    @classmethod
    def on_meta_device(cls, **options: Any) -> 'Network':
        """An instance whose tensors have shapes and no storage."""
        with on_meta():
            return cls(**options)

    @classmethod
    def smallest(cls) -> str:
        """The name of the variant with the fewest parameters."""
        return min(cls.archs, key=lambda arch: cls.describe(arch).parameters)

    @classmethod
    def truncated_arch(cls) -> dict[str, Any]:
        """The smallest variant's fields, `TEST_DEPTHS` blocks a stage at most: the others have the same operators."""
        record = cls.archs[cls.smallest()]
        known = {field.name: getattr(record, field.name) for field in fields(record)}
        for name, most in TEST_DEPTHS.items():
            count = known.get(name)
            if isinstance(count, int):
                known[name] = min(count, most[0])
            elif count is not None and len(count) <= len(most):
                known[name] = tuple(map(min, count, most))
        return known


DESCRIBED: dict[tuple[type[Network], str], Description] = {}
"""Descriptions by family, arch and options: one takes as long as making all modules of the network."""


def read_here(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step of `init_cfg` that loads weights: `FROM_FILE` in place of mmengine's 'Pretrained', where it names a file.

    mmengine's goes on with random weights where nothing of the file fits, as where they lie below 'model'. One that
    names the prefix of its weights stays mmengine's, which refuses a file without it.
    """
    replaced = Path(str(step.get('checkpoint'))).is_file() and 'prefix' not in step
    return dict(type=FROM_FILE, checkpoint=step['checkpoint']) if replaced else dict(step)


@contextmanager
def on_meta() -> Iterator[None]:
    """A context in which modules have shapes and no storage: nothing is allocated, and no initial weight is drawn.

    Constructors leave out the arithmetic of initial weights for tensors on the meta device (`is_meta`): PyTorch does it
    in Python there, and imports its compiler first, which takes longer than most files take to identify.
    """
    with torch.device('meta'), SkipInit():
        yield


def without_weights(settings: Mapping[str, Any]) -> nn.Module:
    """The component that a config's `settings` name: one of this project on the meta device, others as they are."""
    cls: Any = MODELS.get(settings['type'])
    if not getattr(cls, '__module__', '').startswith('denseformer.'):
        return MODELS.build({**settings})
    with on_meta():
        return cls(**{name: value for name, value in settings.items() if name != 'type'})


class SkipInit(TorchFunctionMode):
    """Leaves tensors as they are where `torch.nn.init` would fill them, or one of its functions by `normal_`."""

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(function, '__module__', '') == 'torch.nn.init' or function is torch.Tensor.normal_:
            return args[0] if args else kwargs['tensor']
        return function(*args, **kwargs)

"""Components that a config names: the lookup in their registries, and the arguments that they take."""

import inspect
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, Never

from mmengine import DefaultScope
from mmengine import registry as root

from denseformer.deprecation import old_arguments
from denseformer.suggestions import did_you_mean

REGISTRIES = (
    *(root.MODELS, root.DATASETS, root.TRANSFORMS, root.METRICS, root.EVALUATOR, root.HOOKS, root.LOOPS),
    *(root.OPTIMIZERS, root.OPTIM_WRAPPERS, root.OPTIM_WRAPPER_CONSTRUCTORS, root.PARAM_SCHEDULERS),
    *(root.DATA_SAMPLERS, root.FUNCTIONS, root.WEIGHT_INITIALIZERS, root.TASK_UTILS),
    *(root.VISUALIZERS, root.VISBACKENDS, root.LOG_PROCESSORS, root.MODEL_WRAPPERS),
)


KNOWN: dict[tuple[str, str], root.Registry] = {}
"""Where the component of a default scope and a name was found last: there it is looked for first.

Registries are kept, not components, and they are asked again: what `custom_imports` register later is found.
"""


def component_of(config: Mapping[str, Any]) -> Any:
    kind = config.get('type')
    return find_component(kind) if isinstance(kind, str) else kind


def find_component(name: str) -> Any:
    """The class or function that `name` stands for in the config's default scope; None when nobody knows it.

    A registry that does not know a name tries to import a module of that name, which takes most of an audit's time.
    """
    scope = DefaultScope.get_current_instance()
    key = scope.scope_name if scope else '', name
    for registry in (KNOWN[key], *REGISTRIES) if key in KNOWN else REGISTRIES:
        with registry.switch_scope_and_registry(None) as scoped:
            found = scoped.get(name)
        if found is not None:
            KNOWN[key] = registry
            return found
    return getattr(import_module('mmcv.ops'), name, None)  # mmdetection names RoIAlign and nms, which no registry has


def component_names(scope: str | None) -> set[str]:
    """All names registered in `scope`; without one, those of the default scope and its parents."""
    names: set[str] = set()
    for registry in REGISTRIES:
        if scope is None:
            with registry.switch_scope_and_registry(None) as scoped:
                names |= {*scoped.module_dict, *registry.module_dict}
        elif scope in registry.children:
            names |= {f'{scope}.{name}' for name in registry.children[scope].module_dict}
    return names


def unknown_component(name: str) -> str:
    scope = name.rpartition('.')[0] or None
    return f"no component is called '{name}'.{did_you_mean(name, component_names(scope))}"


@lru_cache(maxsize=1024)
def accepted_arguments(component: Any) -> frozenset[str] | None:
    """Names a component can be built with; None when it takes any."""
    if not inspect.isclass(component):
        return _named(inspect.signature(component)) if callable(component) else None
    names: set[str] = set()
    for cls in component.__mro__:
        if '__init__' not in vars(cls):
            continue
        constructor = vars(cls)['__init__']
        signature = inspect.signature(constructor)
        names |= old_arguments(constructor)
        own = _named(signature)
        names |= own or {p.name for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD}
        if own is not None:
            return frozenset(names)
    return None


def _named(signature: inspect.Signature) -> frozenset[str] | None:
    """Names of arguments; None where any other is taken, or handed on."""
    parameters = signature.parameters.values()
    if any(p.kind is p.VAR_KEYWORD and p.annotation is not Never for p in parameters):
        return None
    return frozenset(p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))


def default_of(cls: type, argument: str) -> Any:
    """The default of an argument of a class's constructor; None where it has none."""
    for base in cls.__mro__:
        parameter = inspect.signature(vars(base).get('__init__', object.__init__)).parameters.get(argument)
        if parameter is not None and parameter.default is not parameter.empty:
            return parameter.default
    return None

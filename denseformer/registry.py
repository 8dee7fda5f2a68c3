"""The registry scope `denseformer`: children of mmengine's root registries, filled on first use.

A component is named `denseformer.X` in a config of any scope, so mmseg and mmdet configs reach it with
`custom_imports = dict(imports='denseformer')`.
"""

from collections.abc import Sequence
from importlib import import_module

from mmengine import registry as root
from mmengine.registry import Registry

from denseformer.deprecation import current_name


class ScopeRegistry(Registry):
    """A registry of this scope below `parent`, which imports `modules` when something is first looked up.

    last_modules: imported only for a name that `modules` do not have, because they need packages that the others do
        without: heads need mmseg or mmdet, networks do not.
    """

    def __init__(self, parent: Registry, modules: Sequence[str], last_modules: Sequence[str] = ()):
        locations = [f'denseformer.{module}' for module in modules]
        super().__init__(parent.name, parent=parent, scope='denseformer', locations=locations)
        self.last_modules = last_modules

    def get(self, key: str) -> type | None:
        key = current_name(key)
        scope, name = self.split_scope_key(key)
        if scope in (None, self.scope) and name in self.module_dict:
            return self.module_dict[name]
        found = super().get(key)
        if found is None and self.last_modules:
            self._import_last()
            found = super().get(key)
        return found

    def has(self, name: str) -> bool:
        """Whether a component of this very scope has a name, which `get` would look for elsewhere, and import."""
        name = current_name(name)
        self.import_from_location()
        if name not in self.module_dict:
            self._import_last()
        return name in self.module_dict

    def _import_last(self) -> None:
        for module in self.last_modules:
            import_module(f'denseformer.{module}')


MODELS = ScopeRegistry(
    root.MODELS,
    ['backbones', 'necks', 'plugins', 'restoration.components', 'pretraining'],
    last_modules=['segmentation', 'detection'],
)
DATASETS = ScopeRegistry(root.DATASETS, ['datasets'])
TRANSFORMS = ScopeRegistry(root.TRANSFORMS, ['datasets'])
DATA_SAMPLERS = ScopeRegistry(root.DATA_SAMPLERS, ['detection'])
METRICS = ScopeRegistry(root.METRICS, ['segmentation', 'detection', 'restoration.components'])
HOOKS = ScopeRegistry(root.HOOKS, ['engine'])
OPTIMIZERS = ScopeRegistry(root.OPTIMIZERS, ['engine'])
OPTIM_WRAPPERS = ScopeRegistry(root.OPTIM_WRAPPERS, ['engine'])
OPTIM_WRAPPER_CONSTRUCTORS = ScopeRegistry(root.OPTIM_WRAPPER_CONSTRUCTORS, ['engine', 'restoration.components'])
PARAM_SCHEDULERS = ScopeRegistry(root.PARAM_SCHEDULERS, ['engine'])
WEIGHT_INITIALIZERS = ScopeRegistry(root.WEIGHT_INITIALIZERS, ['engine'])
VISBACKENDS = ScopeRegistry(root.VISBACKENDS, ['engine'])

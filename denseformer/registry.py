"""The registry scope `denseformer`: children of mmengine's root registries, filled on first use.

A component is named `denseformer.X` in a config of any scope, so mmseg and mmdet configs reach it with
`custom_imports = dict(imports='denseformer')`.
"""

from importlib import import_module

from mmengine import registry as root
from mmengine.registry import Registry


class _Models(Registry):
    """Heads need mmseg and mmdet, networks do not: heads are imported for a name that no network has."""

    def get(self, key: str) -> type | None:
        found = super().get(key)
        if found is None:
            import_module('denseformer.detection')
            found = super().get(key)
        return found


def _child(parent: Registry, *modules: str, kind: type[Registry] = Registry) -> Registry:
    """A registry of this scope below `parent`, which imports `modules` the first time something is looked up."""
    locations = [f'denseformer.{module}' for module in modules]
    return kind(parent.name, parent=parent, scope='denseformer', locations=locations)


MODELS = _child(root.MODELS, 'backbones', 'plugins', 'restoration', kind=_Models)
DATASETS = _child(root.DATASETS, 'datasets')
TRANSFORMS = _child(root.TRANSFORMS, 'datasets')
METRICS = _child(root.METRICS, 'segmentation', 'detection', 'restoration')
HOOKS = _child(root.HOOKS, 'engine')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, 'engine', 'restoration')
WEIGHT_INITIALIZERS = _child(root.WEIGHT_INITIALIZERS, 'engine')
VISBACKENDS = _child(root.VISBACKENDS, 'engine')

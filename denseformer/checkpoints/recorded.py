"""Configs that came with weights, in a shared folder or a checkpoint: read without running them.

A config file is a program, and so is more of a config than its Python: a registry imports the module that a `type` or
a scope names, mmcv evaluates the `type` of a suppression, and some components run or unpickle a file that they are
given. Of a config that may be a stranger's, literals alone are read, and what a prediction looks up in it (the model,
the test pipelines, the test dataset) names components of this package and `COMPONENTS`, and no others.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from denseformer.checkpoints.common import CheckpointError
from denseformer.registry import DATASETS, MODELS, TRANSFORMS

SCOPES = ('denseformer', 'mmcv', 'mmdet', 'mmengine', 'mmseg')
"""Scopes whose registries a config may name: mmengine imports the package of a scope."""
COMPONENTS = (
    *('ADE20KDataset', 'ATSS', 'ATSSAssigner', 'ATSSHead', 'AnchorGenerator', 'BBoxL1Cost', 'BN', 'BaseSegDataset'),
    *('BatchFixedSizePad', 'BatchSyncRandomResize', 'BoundaryLoss', 'COCOStuffDataset', 'CascadeEncoderDecoder'),
    *('CascadeRCNN', 'CascadeRoIHead', 'ChaseDB1Dataset', 'CityscapesDataset', 'ConcatDataset', 'ConvFCBBoxHead'),
    *('CrossEntropyLoss', 'DDODHead', 'DDQDETR', 'DDQDETRHead', 'DIIHead', 'DINO', 'DINOHead', 'DeformableDETR'),
    *('DeformableDETRHead', 'DeltaXYWHBBoxCoder', 'DetDataPreprocessor', 'DistancePointBBoxCoder'),
    *('DistributionFocalLoss', 'DynamicConv', 'DynamicSoftLabelAssigner', 'EmbeddingRPNHead', 'EncoderDecoder'),
    *('FCNHead', 'FCNMaskHead', 'FPN', 'FPNHead', 'FocalLoss', 'FocalLossCost', 'FusedSemanticHead', 'GFL'),
    *('GFLHead', 'GIoULoss', 'GN', 'HTCMaskHead', 'HungarianAssigner', 'HybridTaskCascade'),
    *('HybridTaskCascadeRoIHead', 'IoUCost', 'L1Loss', 'LN', 'LovaszLoss', 'LoveDADataset', 'MaskRCNN'),
    *('MaxIoUAssigner', 'MlvlPointGenerator', 'OCRHead', 'OhemCrossEntropy', 'PackDetInputs', 'PackSegInputs'),
    *('PascalContextDataset59', 'PascalVOCDataset', 'PotsdamDataset', 'PseudoSampler', 'QualityFocalLoss', 'RPNHead'),
    *('RTMDet', 'RTMDetInsSepBNHead', 'RTMDetSepBNHead', 'RandomFlip', 'RandomSampler', 'ResNet', 'ResNetV1c'),
    *('Resize', 'RetinaHead', 'RetinaNet', 'RoIAlign', 'SETRUPHead', 'SegDataPreProcessor', 'SegformerHead'),
    *('Shared2FCBBoxHead', 'Shared4Conv1FCBBoxHead', 'SingleRoIExtractor', 'SmoothL1Loss', 'SparseRCNN'),
    *('SparseRoIHead', 'StandardRoIHead', 'SwinTransformer', 'SynapseDataset', 'SyncBN', 'TaskAlignedAssigner'),
    *('TestTimeAug', 'UPerHead', 'nms', 'soft_nms'),
)
"""OpenMMLab's and PyTorch's components that shipped configs, and those of `fit`, use for predictions."""
TRAINING = ('init_cfg', 'pretrained', 'finetune')
"""Options that name weights to start training from, and what of them learns."""
UNUSED = ('losses', 'auxiliary_head')
"""Parts of a model that predictions leave out; the losses of a restorer may bring networks of their own."""
FILE = re.compile(r'://|\.(?!txt$)[a-z]\w*$', re.IGNORECASE)
"""In an address, or the name of a file whose suffix may have it unpickled."""
REMEDY = 'If it is your own, name the config file before the weights: `denseformer infer CONFIG CHECKPOINT`.'


def config_in(content: Mapping[str, Any], path: str | Path) -> Config | None:
    """The config that a run recorded in the checkpoint at `path`; None where there is none.

    Raises CheckpointError where it is none that `recorded_config` reads.
    """
    meta = content.get('meta')
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    return recorded_config(text, path) if isinstance(text, str) else None


def recorded_config(text: str, path: str | Path) -> Config:
    """The config that a run or `save_model` wrote to `path`, read without running it or checking what it names.

    Raises CheckpointError where a statement is anything but a name that is set to a literal.
    """
    values = {}
    line = 1
    try:
        for statement in ast.parse(text).body:
            line = statement.lineno
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    values[name] = _literal(value)
                case _:
                    raise ValueError('no assignment')
        return Config(values)
    except (ValueError, TypeError, KeyError, SyntaxError, RecursionError, MemoryError) as error:
        raise CheckpointError(
            f'{path}: line {line} of its config is no literal with a name, and is not run. {REMEDY}'
        ) from error


def _literal(node: ast.expr) -> Any:
    """A literal's value; `dict(name=literal)` is one, at any depth."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
        return {_stated(keyword.arg): _literal(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {ast.literal_eval(_stated(key)): _literal(value) for key, value in pairs}
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_literal(value) for value in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    return ast.literal_eval(node)


def _stated(key: Any) -> Any:
    """The key of a value in a call or dict; raises ValueError for `**`, which has none."""
    if key is None:
        raise ValueError('no literal')
    return key


def for_prediction(config: Config, path: str | Path) -> Config:
    """A config that came with the weights at `path`, with the model that a prediction builds.

    Raises CheckpointError for a component, scope, import or file that is not allowed, and names it.
    """
    parts = config.to_dict()
    if isinstance(parts.get('model'), Mapping):
        parts['model'] = predicted_model(parts['model'])
    found = next(_not_allowed(parts), None)
    if found is not None:
        raise CheckpointError(
            f'{path}: {found} in its config is not of denseformer, nor used by its configs: a file that came with '
            f'weights runs no other code. {REMEDY}'
        )
    return Config(parts)


def _not_allowed(parts: Mapping[str, Any]) -> Iterator[str]:
    """Everything that a prediction would look up in a config and that is not allowed."""
    imports = parts.get('custom_imports') or {}
    if imports and (not isinstance(imports, Mapping) or imports.get('imports') not in ('denseformer', ['denseformer'])):
        yield f'custom_imports={imports!r}'
    if parts.get('default_scope') not in (None, *SCOPES):
        yield f'default_scope={parts["default_scope"]!r}'
    loader = parts.get('test_dataloader')
    built = [parts.get(name) for name in ('model', 'test_pipeline', 'tta_pipeline')]
    for node in walk([*built, loader.get('dataset') if isinstance(loader, Mapping) else loader]):
        if isinstance(node, Mapping):
            if 'type' in node and not is_allowed(node['type']):
                yield f'type={node["type"]!r}'
            if node.get('_scope_') not in (None, *SCOPES):
                yield f'_scope_={node["_scope_"]!r}'
    for node in walk(built):  # a dataset's files are not read
        if isinstance(node, str) and FILE.search(node):
            yield repr(node)


def walk(node: Any) -> Iterator[Any]:
    """A part of a config and all parts of it, without the strings that `type` and `_scope_` are."""
    yield node
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key not in ('type', '_scope_'):
                yield from walk(value)
    elif isinstance(node, (list, tuple, set, frozenset)):
        for value in node:
            yield from walk(value)


def is_allowed(kind: Any) -> bool:
    """Whether a `type` is a component of this package, or one of `COMPONENTS`."""
    if not isinstance(kind, str):
        return False
    scope, _, name = kind.rpartition('.')
    if name in COMPONENTS and scope in ('', *SCOPES):
        return True
    return scope in ('', 'denseformer') and any(registry.has(name) for registry in (MODELS, TRANSFORMS, DATASETS))


def predicted_model(settings: Mapping[str, Any]) -> Any:
    """A model's config as predictions build it: with random weights that are not looked for, and nothing frozen."""
    kept = without_training(settings)
    return type(kept)({key: value for key, value in kept.items() if key not in UNUSED})


def without_training(node: Any) -> Any:
    """A model's config without the checkpoints its training starts from, and without what is frozen and updated."""
    if isinstance(node, dict):
        training = (*TRAINING, 'lora') if 'finetune' in node else TRAINING
        return type(node)({key: without_training(value) for key, value in node.items() if key not in training})
    if isinstance(node, (list, tuple)):
        return type(node)(without_training(value) for value in node)
    return node

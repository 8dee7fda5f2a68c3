"""The audit of a config: errors that are found before anything is built from it.

mmengine trains through a misspelt top-level key without a word, and reports a misspelt component as "not in the
registry". The audit looks at the whole config at once: unknown keys, unknown components and arguments, class counts
that disagree, empty schedules, data that is missing or does not match. Every finding names the key, where it was
written, what is wrong, and the nearest legal name.
"""

import ast
import inspect
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry.utils import init_default_scope
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings

from denseformer.checkpoints.addresses import is_address
from denseformer.config.components import accepted_arguments, component_of, default_of, unknown_component
from denseformer.config.counts import (
    class_weights,
    hook_names,
    input_channels,
    label_counts,
    map_counts,
    single_classes,
)
from denseformer.config.errors import ConfigError
from denseformer.config.findings import Finding, walk
from denseformer.config.masks import masks_of_boxes
from denseformer.config.overrides import SHARED_KEYS
from denseformer.config.shipped import config_folder
from denseformer.datasets.building import leaf_datasets
from denseformer.suggestions import did_you_mean

RUN_KEYS = ({*inspect.signature(Runner.__init__).parameters} - {'self', 'cfg'}) | {
    *('custom_imports', 'sync_bn', 'compile', 'fsdp', 'tta_model', 'tta_pipeline', 'vis_backends'),
    *('find_unused_parameters', 'model_wrapper_cfg', 'window'),
}
"""Top-level keys that mmengine or this project reads."""
BUILDER_KEYS = {
    *('type', '_scope_', 'constructor', 'paramwise_cfg', 'priority'),
    *('convert_to_iter_based', 'requires_grad', 'fallback_on_stride'),
}
"""Keys that builders take out of a component's dict before they call it."""
READ = re.compile(r'^(?:\$\{|\{\{ *_base_\.) *(\w+)')
"""A reference of ours, or of mmengine's, and the top-level key that it reads."""
REFERENCE = re.compile(r'\$\{(\w+)')
LISTED = 5


def check_config(config: Config, *, data: bool = True) -> None:
    """Raise ConfigError with all findings; `data=False` leaves the datasets' files unread."""
    findings = list(audit(config, data=data))
    if findings:
        listed = '\n'.join(f'  {finding}' for finding in findings)
        raise ConfigError(f'{config.filename}: {len(findings)} finding{"s" * (len(findings) > 1)}\n{listed}')


def audit(config: Config, *, data: bool = True) -> Iterator[Finding]:
    """Yield everything that is wrong with `config`, which `load_config` made."""
    init_default_scope(config.get('default_scope') or 'mmengine')
    import_custom_modules(config)
    checks = [unknown_keys, unknown_components, class_counts, empty_schedules, missing_weights]
    checks += [class_weights, single_classes, label_counts, input_channels, map_counts, hook_names, masks_of_boxes]
    checks += [missing_data] if data else []
    where = SourceLocations(config.filename)
    for finding in distinct(finding for check in checks for finding in check(config)):
        yield Finding(finding.key, finding.problem, where.find(finding.key))


def distinct(findings: Iterable[Finding]) -> list[Finding]:
    """One finding per problem: one that a reference copied to several places is reported at the shortest key."""
    shortest: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        identity = finding.key.rpartition('.')[2], finding.problem
        if identity not in shortest or len(finding.key) < len(shortest[identity].key):
            shortest[identity] = finding
    return list(shortest.values())


def import_custom_modules(config: Config) -> None:
    imports = config.get('custom_imports')
    if imports:
        import_modules_from_strings(**imports)


def unknown_keys(config: Config) -> Iterator[Finding]:
    """Top-level keys that nobody reads: neither mmengine, nor this project, nor another part of the config."""
    known = RUN_KEYS | SHARED_KEYS | names_read(config.filename)
    for key in config:
        if key in known or (key in names_set(config.filename) and is_variable(key, config, known)):
            continue
        hint = did_you_mean(key, known)
        yield Finding(key, f'nothing reads this key.{hint} A variable of the file itself is written with a leading _.')


def is_variable(key: str, config: Config, known: Iterable[str]) -> bool:
    """Whether a key seems to be a variable that was read before the file was written, as in what a run leaves.

    A file without bases may have the names that bases of this project read. Else the value stands somewhere else too; a
    number may do so by chance, so its name must not be like a known one.
    """
    if len(config_files(config.filename)) == 1 and key in names_in_bases():
        return True
    value = config[key]
    if isinstance(value, bool) or value is None:
        return False
    if not isinstance(value, Mapping | list | tuple) and did_you_mean(key, known):
        return False
    return any(value == node for other in config if other != key for _, node in walk(config[other], other))


def unknown_components(config: Config) -> Iterator[Finding]:
    """Names (`type`) that no registry knows, and arguments that the component does not take."""
    for key, node, component in named_components(config):
        if component is None:
            yield Finding(f'{key}.type', unknown_component(str(node['type'])))
            continue
        accepted = accepted_arguments(component)
        for argument in set() if accepted is None else node.keys() - accepted - BUILDER_KEYS:
            name = getattr(component, '__name__', component)
            yield Finding(f'{key}.{argument}', f'{name} takes no such argument.{did_you_mean(argument, accepted)}')


def named_components(config: Config) -> list[tuple[str, Mapping[str, Any], Any]]:
    """(dotted key, config, component) of everything with a `type`; the component is None where nobody knows it.

    Without the parts that a component calls `opaque`: they have `type`s of another library, which it looks up itself.
    """
    nodes = [
        (key, node) for key, node in walk(dict(config.items()), '') if isinstance(node, Mapping) and 'type' in node
    ]
    named = [(key, node, component_of(node)) for key, node in nodes]
    opaque = [node[name] for _, node, component in named for name in getattr(component, 'opaque', ()) if name in node]
    foreign = [part for value in opaque for _, part in walk(value, '')]
    return [(key, node, component) for key, node, component in named if node not in foreign]


def class_counts(config: Config) -> Iterator[Finding]:
    """num_classes against the datasets' class names and against every head."""
    count = config.get('num_classes')
    if count is None:
        return
    for key, dataset in datasets_of(config):
        classes, palette = metainfo(dataset)
        if classes is not None and len(classes) != count:
            names = ', '.join(map(str, classes[:4]))
            yield Finding('num_classes', f'is {count}, but {key} has {len(classes)} classes ({names} ...).')
        if classes is not None and palette is not None and len(palette) != len(classes):
            yield Finding(f'{key}.metainfo.palette', f'has {len(palette)} colors for {len(classes)} classes.')
    for key, part in walk(config.get('model') or {}, 'model'):
        is_head = isinstance(part, Mapping) and not key.endswith('.semantic_head')  # HTC's, which learns label maps
        if is_head and part.get('num_classes', count) != count:
            yield Finding(
                f'{key}.num_classes', f"is {part['num_classes']}, the dataset has {count}: write '${{num_classes}}'."
            )


def metainfo(dataset: Mapping[str, Any]) -> tuple[Sequence | None, Sequence | None]:
    """Class names and palette of a dataset's config: its own metainfo, else its class's."""
    own = dataset.get('metainfo') or {}
    info = own if 'classes' in own else {**getattr(component_of(dataset), 'METAINFO', {}), **own}
    return info.get('classes'), info.get('palette')


def datasets_of(config: Config) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(dotted key, config) of every dataset, inside wrappers too; test data that are the validation data once."""
    seen: list[Any] = []
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = (config.get(loader) or {}).get('dataset') or {}
        if dataset not in seen:
            seen.append(dataset)
            yield from leaf_datasets(f'{loader}.dataset', dataset)


def empty_schedules(config: Config) -> Iterator[Finding]:
    """Parts of a schedule that end before they begin, as where a run was made shorter than its warm-up."""
    for key, part in walk(config.get('param_scheduler') or [], 'param_scheduler'):
        if isinstance(part, Mapping) and part.get('end', math.inf) <= part.get('begin', 0):
            begin, end = part['begin'], part['end']
            yield Finding(f'{key}.end', f'is {end}, but begin is {begin}: raise max_iters, or lower warmup_iters.')


def missing_weights(config: Config) -> Iterator[Finding]:
    """Checkpoints that are named and not there."""
    for key, node in walk(dict(config.items()), ''):
        named = key == 'load_from' or key.endswith('init_cfg.checkpoint')
        elsewhere = isinstance(node, str) and (is_address(node) or '://' in node)
        if named and isinstance(node, str) and not elsewhere and not Path(node).is_file():
            yield Finding(key, f"there is no file '{node}'.")


def missing_data(config: Config) -> Iterator[Finding]:
    """Folders and lists that are missing or empty, and images without a label map."""
    for key, dataset in datasets_of(config):
        cls = component_of(dataset)
        if cls is not None and not getattr(cls, 'makes_its_data', False):
            yield from missing_files(key, dataset, cls)


def missing_files(key: str, dataset: Mapping[str, Any], cls: type) -> Iterator[Finding]:
    """The root folder or annotation file that is missing; else folders without files, and images without labels."""
    root = Path(dataset.get('data_root') or '')
    ann_file = dataset.get('ann_file')
    if dataset.get('data_root') and not root.is_dir():
        yield Finding(f'{key}.data_root', f"there is no folder '{root}'; data/README.md says how to lay the data out.")
    elif ann_file and not (root / ann_file).is_file():
        yield Finding(f'{key}.ann_file', f"there is no file '{root / ann_file}'.")
    else:
        yield from faulty_folders(key, dataset, cls)


def faulty_folders(key: str, dataset: Mapping[str, Any], cls: type) -> Iterator[Finding]:
    """Folders of `data_prefix` that are missing or empty; where none is, images and label maps that have no partner."""
    root = Path(dataset.get('data_root') or '')
    folders = {name: root / folder for name, folder in (dataset.get('data_prefix') or {}).items() if folder}
    absent = {name: folder for name, folder in folders.items() if not folder.is_dir() or not any(folder.iterdir())}
    for name, folder in absent.items():
        state = 'is empty' if folder.is_dir() else 'does not exist'
        yield Finding(f'{key}.data_prefix.{name}', f"the folder '{folder}' {state}.")
    if not absent and not dataset.get('ann_file') and {'img_path', 'seg_map_path'} <= set(folders):
        yield from unmatched_labels(key, dataset, cls, folders['img_path'], folders['seg_map_path'])


def unmatched_labels(key: str, dataset: Mapping[str, Any], cls: type, images: Path, labels: Path) -> Iterator[Finding]:
    """Images without a label map and label maps without an image, by the dataset's own suffixes."""
    image_suffix, label_suffix = (
        dataset.get(name) or default_of(cls, name) for name in ('img_suffix', 'seg_map_suffix')
    )
    if not isinstance(image_suffix, str) or not isinstance(label_suffix, str):
        return
    image_names, label_names = stems(images, image_suffix), stems(labels, label_suffix)
    if not image_names:
        yield Finding(
            f'{key}.img_suffix', f"no file in '{images}' ends in '{image_suffix}', but there is {example(images)}."
        )
        return
    for names, others, kind in (
        (image_names, label_names, f'images have no label map *{label_suffix} in {labels}'),
        (label_names, image_names, f'label maps have no image *{image_suffix} in {images}'),
    ):
        alone = sorted(names - others)
        if alone:
            some = ', '.join(alone[:LISTED]) + (' ...' if len(alone) > LISTED else '')
            yield Finding(f'{key}.data_prefix', f'{len(alone)} of {len(names)} {kind}: {some}')


def stems(folder: Path, suffix: str) -> set[str]:
    files = (path.relative_to(folder).as_posix() for path in folder.rglob(f'*{suffix}'))
    return {name.removesuffix(suffix) for name in files}


def example(folder: Path) -> str:
    return next((f"'{path.name}'" for path in sorted(folder.rglob('*')) if path.is_file()), 'no file at all')


@lru_cache(maxsize=64)
def config_files(filename: str | None) -> tuple[Path, ...]:
    """The file and its bases, the file first."""
    if not filename or not Path(filename).is_file():
        return ()
    files = [Path(filename)]
    for base in Config._get_base_files(filename):
        path, _ = Config._get_cfg_path(base, filename)
        files += [file for file in config_files(path) if file not in files]
    return tuple(files)


@lru_cache(maxsize=64)
def names_read(filename: str | None) -> frozenset[str]:
    """Names that the config's files read: as Python variables, of a base (`_base_.name`), or in a `${...}`."""
    names = set()
    for file in config_files(filename):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and getattr(node.value, 'id', None) == '_base_':
                names.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names |= {*READ.findall(node.value)}
    return frozenset(names)


@lru_cache(maxsize=1)
def names_in_bases() -> frozenset[str]:
    """Names that some base of this project reads."""
    texts = (file.read_text() for file in (config_folder() / '_base_').rglob('*.py'))
    return frozenset(name for text in texts for name in REFERENCE.findall(text))


@lru_cache(maxsize=64)
def names_set(filename: str | None) -> frozenset[str]:
    """Top-level names that the config's files set; a key besides came from the command line."""
    statements = (node for file in config_files(filename) for node in ast.parse(file.read_text()).body)
    targets = (target for node in statements if isinstance(node, ast.Assign) for target in node.targets)
    return frozenset(node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))


class SourceLocations:
    """Finds the file and line in which a dotted key was written."""

    def __init__(self, filename: str | None):
        self.files = config_files(filename)

    def find(self, key: str) -> str:
        top, *_, last = [part.split('[')[0] for part in key.split('.')] * 2
        for file in self.files:
            for statement in ast.parse(file.read_text()).body:
                if isinstance(statement, ast.Assign) and any(getattr(t, 'id', None) == top for t in statement.targets):
                    line = statement.lineno if last == top else self._line(statement, last)
                    if line:
                        return f'{file.name}:{line}'
        return ''

    @staticmethod
    def _line(statement: ast.Assign, name: str) -> int | None:
        for node in ast.walk(statement):
            if isinstance(node, ast.keyword) and node.arg == name:
                return node.value.lineno
            if isinstance(node, ast.Constant) and node.value == name:
                return node.lineno
        return None

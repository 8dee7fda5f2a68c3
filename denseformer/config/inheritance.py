"""Inheritance between config files, where a base has a reference or the name of a variant.

`model = dict(backbone=dict(arch='small'))` on top of a base whose `model.backbone` is '${backbone}' changes what is
referred to, as `model.backbone.arch=small` does on the command line. mmengine, which merges the files, knows no
references and refuses. Importing this module lets it keep the change beside the reference, in a dict that
`apply_changes` takes out again once all files are merged.

`backbone = dict(arch=dict(width=96))` on top of a base whose `backbone.arch` is 'small' replaces that name. A dict in
place of any other text is refused, as mmengine does it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config, ConfigDict

from denseformer.config.overrides import merge_through
from denseformer.config.references import referenced

VARIANT = 'arch'
BESIDE = '_reference_'
"""The key of a reference that waits beside its changes."""


def merge_files(child: Mapping[str, Any], base: Any, allow_list_keys: bool = False) -> Any:
    """mmengine's merge of a file, or a part of one, into its base, whose references and variants are no obstacle."""
    changed = [name for name in child if isinstance(child[name], dict) and not child[name].get('_delete_')]
    if isinstance(base, dict):
        base = base.copy()
        for name in changed:
            if referenced(base.get(name)):
                base[name] = ConfigDict({BESIDE: base[name]})
            elif name == VARIANT and isinstance(base.get(name), str):
                del base[name]
    return mmengine_merge(child, base, allow_list_keys)


mmengine_merge = Config._merge_a_into_b
Config._merge_a_into_b = staticmethod(merge_files)


def apply_changes(config: dict[str, Any]) -> None:
    """Apply what files change behind references to `config`, which is changed in place."""
    for holder, name in list(places_of_changes(config)):
        changes = dict(holder[name])
        holder[name] = changes.pop(BESIDE)
        merge_through(config, holder, name, changes)


def places_of_changes(node: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """(dict, key) of every reference that waits, the outer ones first."""
    for name, value in node.items() if isinstance(node, dict) else ():
        if isinstance(value, dict) and BESIDE in value:
            yield node, name
        yield from places_of_changes(value)

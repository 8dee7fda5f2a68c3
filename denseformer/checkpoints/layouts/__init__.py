"""Layouts of other packages: their names of a family's tensors to the names of its authors.

A network asks for its family whenever weights are loaded into it; weights in no foreign layout pass unchanged.
"""

from denseformer.checkpoints.keys import StateDict
from denseformer.checkpoints.layouts import (
    detectron2,
    flax,
    openmmlab,
    timm,
    torchvision,
    transformers,
    transformers_plain,
)
from denseformer.checkpoints.layouts.layout import Layout

SYSTEMS = (
    transformers.SYSTEM,
    transformers.SEGFORMER,
    detectron2.DETECTOR,
    openmmlab.BEIT_SEGMENTOR,
    openmmlab.VITDET,
    torchvision.FACEXFORMER,
)
"""Layouts of whole models, whose heads have other names, too."""
PACKAGES = {
    'timm': timm.LAYOUTS,
    'transformers': transformers.LAYOUTS | transformers_plain.LAYOUTS,
    'OpenMMLab': openmmlab.LAYOUTS,
    'torchvision': torchvision.LAYOUTS,
    'Flax': flax.LAYOUTS,
}


def foreign_layout(family: str, state_dict: StateDict) -> tuple[str, Layout] | None:
    """The package whose names of the `family` a state dict has, and its layout; None for the authors' and for ours."""
    for package, layouts in PACKAGES.items():
        layout = layouts.get(family)
        if layout is not None and layout.matches(state_dict):
            return package, layout
    return None


def as_authors(family: str, state_dict: StateDict) -> StateDict:
    """`state_dict`, in whatever layout, under the authors' names where it has another package's; pure."""
    found = foreign_layout(family, state_dict)
    return found[1].convert(state_dict) if found else state_dict


def as_openmmlab(state_dict: StateDict) -> StateDict:
    """The weights of a whole model of another package under the names that ours has, its backbone's aside; pure."""
    for layout in SYSTEMS:
        if layout.matches(state_dict):
            return layout.convert(state_dict)
    return state_dict

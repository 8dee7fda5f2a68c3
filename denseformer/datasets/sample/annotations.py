"""A scene's labels in COCO's instance and panoptic formats.

Outlines run along pixel edges, in the corners' whole coordinates, so that pycocotools rasterises them to exactly the
pixels they were traced from. Category ids are class indices + 1 in both formats.
"""

from typing import Any

import numpy as np

from denseformer.datasets.sample.classes import CLASSES, IGNORED, PALETTE, THING_CLASSES
from denseformer.datasets.sample.scene import Scene

Json = dict[str, Any]

CATEGORIES = [
    {'id': i + 1, 'name': name, 'supercategory': 'thing' if name in THING_CLASSES else 'stuff',
     'isthing': int(name in THING_CLASSES), 'color': list(PALETTE[i])}
    for i, name in enumerate(CLASSES)
]  # fmt: skip


def boundary_loops(mask: np.ndarray) -> list[list[complex]]:
    """The corners x + iy of all closed walks along the edges of `mask`, (H, W) bool, that keep it on their right.

    Walks around the mask are clockwise on the screen, walks around its holes are not. Pixels that touch at a corner
    only are kept apart.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    below, right = np.diff(padded, axis=0)[:, 1:-1], np.diff(padded, axis=1)[1:-1]  # (H + 1, W), (H, W + 1)
    edges = [
        *((complex(x, y), 1 + 0j) for y, x in np.argwhere(below == 1)),
        *((complex(x + 1, y), -1 + 0j) for y, x in np.argwhere(below == -1)),
        *((complex(x, y + 1), -1j) for y, x in np.argwhere(right == 1)),
        *((complex(x, y), 1j) for y, x in np.argwhere(right == -1)),
    ]
    known, left = set(edges), dict.fromkeys(edges)
    loops = []
    while left:
        edge = next(iter(left))
        corners = []
        while edge in left:
            del left[edge]
            start, heading = edge
            end = start + heading
            turn = next(turn for turn in (1j, 1, -1j) if (end, heading * turn) in known)
            edge = (end, heading * turn)
            if turn != 1:
                corners.append(end)
        loops.append(corners)
    return loops


def signed_area(corners: list[complex]) -> float:
    """The enclosed area: positive for a loop that runs clockwise on the screen."""
    return sum((a.conjugate() * b).imag for a, b in zip(corners, corners[1:] + corners[:1], strict=True)) / 2


def polygons(mask: np.ndarray) -> list[list[int]]:
    """COCO polygons [x, y, x, y ...] that together cover exactly `mask`, (H, W) bool.

    A part with a hole is cut in two through the hole, since the format knows no holes.
    """
    loops = boundary_loops(mask)
    hole = next((loop for loop in loops if signed_area(loop) < 0), None)
    if hole is None:
        return [[int(value) for corner in loop for value in (corner.real, corner.imag)] for loop in loops]
    across = [corner.real for corner in hole]
    columns = np.arange(mask.shape[1]) < (min(across) + max(across)) // 2
    return polygons(mask & columns) + polygons(mask & ~columns)


def box_and_area(mask: np.ndarray) -> Json:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = int(rows[0]), int(columns[0])
    return {'bbox': [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top], 'area': int(mask.sum())}


def instance_annotations(scene: Scene) -> list[Json]:
    """One annotation per visible thing, without the ids of the image and the annotation."""
    annotations = []
    for instance in np.unique(scene.instances[scene.instances > 0]):
        mask = scene.instances == instance
        category = scene.things[instance - 1] + 1
        annotations.append(
            {'category_id': category, **box_and_area(mask), 'segmentation': polygons(mask), 'iscrowd': 0}
        )
    return annotations


def panoptic_segments(scene: Scene) -> tuple[np.ndarray, list[Json]]:
    """The color map, (H, W, 3) uint8 R, G, B, whose colors are segment ids R + 256 G + 65536 B, and the segments.

    A segment has its class's color of the palette, the k-th thing of the picture with k more red. Black is void.
    """
    colors = np.zeros((*scene.semantic.shape, 3), np.uint8)
    segments = []
    keys = scene.instances * 256 + scene.semantic
    for key in np.unique(keys[scene.semantic != IGNORED]).tolist():
        instance, label = divmod(key, 256)
        mask = keys == key
        red, green, blue = PALETTE[label][0] + instance, PALETTE[label][1], PALETTE[label][2]
        colors[mask] = red, green, blue
        segments.append(
            {
                'id': red + 256 * green + 65536 * blue,
                'category_id': label + 1,
                **box_and_area(mask),
                'iscrowd': 0,
                'isthing': int(instance > 0),
            }
        )
    return colors, segments

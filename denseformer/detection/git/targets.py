"""The words that GiT is taught: boxes and outlines of objects as numbers, and which point says it.

Legend: Q points of an image, m objects, R rays.
"""

import cv2
import numpy as np
import torch
from mmdet.structures.bbox import bbox_xyxy_to_cxcywh
from scipy.optimize import linear_sum_assignment
from torch import Tensor

NEARBY = (0, 1, -1, 2, -2, 3, -3)
"""Degrees beside a ray where its end is looked for, in this order."""


def assign(points: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Points (Q, 2) and the objects (m, 2) they speak of, each of one and as near as can be for all together.

    Returns the numbers of both, (min(Q, m),).
    """
    cost = torch.cdist(points.float(), centers.float(), p=1).cpu().numpy()
    rows, columns = linear_sum_assignment(cost)
    return torch.from_numpy(rows).to(points.device), torch.from_numpy(columns).to(points.device)


def box_values(boxes: Tensor, size: Tensor) -> Tensor:
    """Boxes (m, 4) in pixels as centers and sides in shares of `size`, width and height: (m, 4)."""
    return bbox_xyxy_to_cxcywh(boxes / size.repeat(2))


def outline(mask: np.ndarray) -> np.ndarray:
    """All points on the borders of a mask (h, w), one after the other, those of holes among them: (points, 2)."""
    contours, _ = cv2.findContours(np.ascontiguousarray(mask, np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE)
    return np.concatenate([each[:, 0] for each in contours]) if contours else np.zeros((0, 2), np.int32)


def center_of_mass(points: np.ndarray) -> np.ndarray:
    """The center of mass of the polygon (points, 2), in whole pixels: (2,)."""
    if not len(points):
        return np.zeros(2)
    here = points.astype(np.float64)
    before = np.roll(here, 1, 0)
    areas = (here[:, 0] * before[:, 1] - here[:, 1] * before[:, 0]) / 2
    area = areas.sum()
    center = here.mean(0) if area == 0 else (areas[:, None] * (here + before)).sum(0) / 3 / area
    return np.trunc(center)


def ray_lengths(center: np.ndarray, points: np.ndarray, rays: int) -> np.ndarray:
    """How far the outline is from the center at equal angles, counted from straight down to the right: (R,) pixels."""
    x, y = (points - center).T
    degrees = np.degrees(np.arctan2(x, y))
    degrees = np.where(degrees < 0, degrees + 360, degrees).astype(int)
    farthest = np.full(361 + max(NEARBY), -1.0)
    np.maximum.at(farthest, degrees, np.hypot(x, y))
    places = np.arange(0, 360, 360 // rays)[:, None] + NEARBY  # (R, 7)
    found = np.where(places < 0, -1.0, farthest[places])
    first = (found >= 0).argmax(1)
    lengths = found[np.arange(rays), first]
    return np.where(lengths < 0, 0.0, lengths)


def ray_values(masks: np.ndarray, rays: int, size: tuple[float, float]) -> np.ndarray:
    """Masks (m, h, w) as centers and lengths of rays, in shares of `size`, width and height: (m, 2 + R).

    Lengths are shares of the width.
    """
    values = np.zeros((len(masks), 2 + rays), np.float32)
    for value, mask in zip(values, masks, strict=True):
        points = outline(mask)
        center = center_of_mass(points)
        value[:2] = center / size
        value[2:] = ray_lengths(center, points, rays) / size[0]
    return values


def polygons(values: Tensor) -> Tensor:
    """Centers and lengths of rays in pixels, (m, 2 + R), as corners (m, R, 2)."""
    angles = torch.arange(values.shape[1] - 2, device=values.device) * (2 * torch.pi / (values.shape[1] - 2))
    directions = torch.stack([angles.sin(), angles.cos()], -1)
    return values[:, None, :2] + values[:, 2:, None] * directions


def choose(positive: Tensor, count: int) -> Tensor:
    """Choose `count` of each window's points to be taught, those of objects first: (n, G) -> numbers (n, count)."""
    return (torch.rand(positive.shape, device=positive.device) + positive).topk(count).indices

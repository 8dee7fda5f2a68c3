"""One picture of the sample set: pieces of five shapes, scattered over grounds of three materials, in raking light.

Legend: H W the picture, both `size`; images are (H, W, 3) in R, G, B and [0, 1] until they are developed.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from denseformer.datasets.sample.classes import CLASSES, IGNORED, STUFF_CLASSES, THING_CLASSES
from denseformer.datasets.sample.materials import (
    GROUNDS,
    PAINTS,
    PROFILES,
    WOODS,
    blur,
    flat,
    lit,
    noise,
    pattern,
    pigment,
)
from denseformer.datasets.sample.shapes import OUTLINES, Outline, Window, chip, coverage, pose, twig, window

REFERENCE_SIZE = 160  # lengths below are in pixels of a picture of this size
FEWEST_VISIBLE = 24  # an object of which fewer pixels are left to see is ignored


@dataclass(frozen=True)
class Scene:
    """A picture and its exact labels.

    image: (H, W, 3) uint8, R, G, B. semantic: (H, W) uint8, indices into CLASSES or IGNORED. instances: (H, W) int32,
    0 where no thing is seen, otherwise 1 + the thing's index. things: the class index of each thing.
    """

    image: np.ndarray
    semantic: np.ndarray
    instances: np.ndarray
    things: tuple[int, ...]


class Canvas:
    """A picture in the making and its labels, drawn from the ground up."""

    def __init__(self, rng: Generator, size: int):
        angle = np.pi * rng.uniform(1, 1.5)  # from the upper left
        self.rng, self.size, self.unit = rng, size, size / REFERENCE_SIZE
        self.light = np.array([np.cos(angle), np.sin(angle)])
        self.image = np.zeros((size, size, 3))
        self.semantic = np.full((size, size), IGNORED, np.uint8)
        self.instances = np.zeros((size, size), np.int32)

    def lay_grounds(self) -> None:
        """One to three materials with winding borders between them."""
        rng, size, shape = self.rng, self.size, (self.size, self.size)
        materials = rng.permutation(list(STUFF_CLASSES))[: rng.choice([1, 2, 3], p=[0.25, 0.5, 0.25])]
        territory = np.argmax([noise(rng, shape, size / 2) for _ in materials], axis=0)
        for i, material in enumerate(materials):
            make_relief, pigments = GROUNDS[material]
            relief = make_relief(rng, shape)
            base, tint = pigment(rng, pigments), pigment(rng, pigments)
            mix = np.clip(0.25 * noise(rng, shape, size / 4) + 0.12 * relief, 0, 0.5)[..., None]
            surface = (base + (tint - base) * mix) * (lit(relief, self.light, 0.8) * (0.66 + 0.34 * relief))[..., None]
            here = territory == i
            edge = blur(here.astype(float), 0.6)[..., None]
            self.image += surface * edge
            self.semantic[here] = CLASSES.index(material)

    def strew(self, twig: Outline) -> None:
        """Lay thin clutter on the ground; the labels do not tell of it."""
        self.cast_shadow(twig, 1.5)
        where = window(twig, self.size, 1)
        self.paint(where, coverage(twig, where), pigment(self.rng, WOODS) * 0.8)

    def place(self, name: str, outline: Outline, *, instance: int = 0) -> None:
        """Lay a piece over what is there, in the image and in the labels; one whose name is no class is ignored."""
        rng = self.rng
        where = window(outline, self.size, 2)
        alpha = coverage(outline, where)
        seen = alpha >= 0.5
        base, tint = pigment(rng, PAINTS), pigment(rng, PAINTS)
        surface = base + (tint - base) * pattern(rng, name, alpha.shape)[..., None]
        depth = cv2.distanceTransform(seen.astype(np.uint8), cv2.DIST_L2, 5).astype(np.float64)
        relief = blur(PROFILES.get(name, flat)(rng, depth), 0.8) + 0.03 * noise(rng, alpha.shape, 3)
        self.cast_shadow(outline, rng.uniform(2, 5))
        self.paint(where, alpha, surface * lit(relief, self.light, 0.75)[..., None])
        self.semantic[where][seen] = CLASSES.index(name) if name in CLASSES else IGNORED
        self.instances[where][seen] = instance

    def cast_shadow(self, outline: Outline, height: float) -> None:
        away = [loop - self.light * height * self.unit for loop in outline]
        softness = 0.35 * height * self.unit
        where = window(away, self.size, 4 * softness)
        self.image[where] *= 1 - 0.55 * blur(coverage(away, where), softness)[..., None]

    def paint(self, where: Window, alpha: np.ndarray, color: np.ndarray) -> None:
        under = self.image[where]
        under += (color - under) * alpha[..., None]


def draw_scene(rng: Generator, size: int) -> Scene:
    """Everything about the picture follows from `rng` and `size`."""
    canvas = Canvas(rng, size)
    canvas.lay_grounds()
    for _ in range(rng.integers(2, 9)):
        canvas.strew(place_outline(rng, twig(rng), size, center=free_spot(rng, []), radii=(6, 22)))
    things = rng.integers(len(THING_CLASSES), size=rng.integers(4, 8)).tolist()
    centers: list[np.ndarray] = []
    for instance, label in enumerate(things, start=1):
        if rng.random() < 0.25:
            canvas.place('chip', place_outline(rng, chip(rng), size, center=free_spot(rng, []), radii=(6, 12)))
        name = CLASSES[label]
        centers.append(free_spot(rng, centers))
        outline = place_outline(rng, OUTLINES[name](rng), size, center=centers[-1], radii=(24, 46))
        canvas.place(name, outline, instance=instance)
    ignore_slivers(canvas, len(things))
    return Scene(develop(rng, canvas.image), canvas.semantic, canvas.instances, tuple(things))


def free_spot(rng: Generator, taken: list[np.ndarray]) -> np.ndarray:
    """A point of the unit square: of three at random, the one farthest from those that are `taken`."""
    points = rng.uniform(0.06, 0.94, (3, 2))
    if not taken:
        return points[0]
    room = np.linalg.norm(points[:, None] - np.stack(taken), axis=-1).min(axis=1)
    return points[room.argmax()]


def place_outline(
    rng: Generator, outline: Outline, size: int, *, center: np.ndarray, radii: tuple[float, float]
) -> Outline:
    """`outline` at `center` of the unit square, slightly rotated and stretched, its radius between the `radii`."""
    return pose(
        outline,
        center=center * size,
        radius=np.exp(rng.uniform(*np.log(radii))) * size / REFERENCE_SIZE,
        angle=rng.uniform(-0.6, 0.6),
        stretch=rng.uniform(0.88, 1.14),
    )


def ignore_slivers(canvas: Canvas, count: int) -> None:
    """Ignore things of which fewer than FEWEST_VISIBLE pixels are visible."""
    visible = np.bincount(canvas.instances.ravel(), minlength=count + 1)
    sliver = (visible < FEWEST_VISIBLE)[canvas.instances] & (canvas.instances > 0)
    canvas.semantic[sliver], canvas.instances[sliver] = IGNORED, 0


def develop(rng: Generator, image: np.ndarray) -> np.ndarray:
    """Return `image` as a camera would have taken it: uneven light, color cast, defocus and noise; (H, W, 3) uint8."""
    size, shape = len(image), image.shape[:2]
    y, x = np.mgrid[:size, :size] / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    fall = 1 + rng.uniform(0, 0.5) * (np.cos(angle) * x + np.sin(angle) * y) + 0.1 * noise(rng, shape, size / 2)
    image = image * fall[..., None] * rng.uniform(0.8, 1.15) * rng.normal(1, 0.05, 3)
    image = blur(image, max(0.0, rng.uniform(-0.6, 0.7)))
    image = image + rng.normal(0, rng.uniform(0.005, 0.025), image.shape)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)

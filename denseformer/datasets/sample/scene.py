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
    PATTERNS,
    WOODS,
    blur,
    lit,
    noise,
    pigment,
    turned_grid,
)
from denseformer.datasets.sample.shapes import OUTLINES, Outline, chip, coverage, pose

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
    """What has been drawn so far, from the ground up."""

    def __init__(self, rng: Generator, size: int):
        angle = rng.uniform(0, 2 * np.pi)
        self.rng, self.size, self.unit = rng, size, size / REFERENCE_SIZE
        self.light = np.array([np.cos(angle), np.sin(angle)])
        self.image = np.zeros((size, size, 3))
        self.semantic = np.full((size, size), IGNORED, np.uint8)
        self.instances = np.zeros((size, size), np.int32)

    def lay_grounds(self) -> None:
        """One to three materials with winding borders between them."""
        rng, size = self.rng, self.size
        materials = rng.permutation(list(STUFF_CLASSES))[: rng.choice([1, 2, 3], p=[0.25, 0.5, 0.25])]
        territory = np.argmax([noise(rng, size, size / 2) for _ in materials], axis=0)
        for i, material in enumerate(materials):
            make_relief, pigments = GROUNDS[material]
            relief = make_relief(rng, size)
            base, tint = pigment(rng, pigments), pigment(rng, pigments)
            mix = np.clip(0.25 * noise(rng, size, size / 4) + 0.12 * relief, 0, 0.5)[..., None]
            surface = (base + (tint - base) * mix) * (lit(relief, self.light, 0.5) * (0.72 + 0.28 * relief))[..., None]
            here = territory == i
            edge = blur(here.astype(float), 0.6)[..., None]
            self.image += surface * edge
            self.semantic[here] = CLASSES.index(material)

    def strew_twigs(self, count: int) -> None:
        """Thin clutter, which counts as part of the ground it lies on."""
        rng = self.rng
        for _ in range(count):
            start, angle = rng.uniform(0, self.size, 2), rng.uniform(0, np.pi)
            along = np.linspace(0, rng.uniform(12, 45) * self.unit, 8)
            bend = rng.uniform(-0.004, 0.004) * along**2
            spine = start + np.stack(
                [np.cos(angle) * along - np.sin(angle) * bend, np.sin(angle) * along + np.cos(angle) * bend], axis=1
            )
            side = np.array([-np.sin(angle), np.cos(angle)]) * rng.uniform(0.4, 1.0) * self.unit
            twig = [np.concatenate([spine - side, spine[::-1] + side])]
            self.cast_shadow(twig, 1.5)
            self.paint(coverage(twig, self.size), pigment(rng, WOODS) * 0.8)

    def place(self, outline: Outline, label: int, instance: int) -> None:
        """Lay a bevelled piece over what is there, in the image and in the labels."""
        rng = self.rng
        alpha = coverage(outline, self.size)
        seen = alpha >= 0.5
        u, v = turned_grid(rng, self.size)
        pattern = PATTERNS[rng.integers(len(PATTERNS))](rng, u, v)[..., None]
        base, tint = pigment(rng, PAINTS), pigment(rng, PAINTS)
        surface = base + (tint - base) * pattern
        bevel = rng.uniform(2, 4) * self.unit
        depth = cv2.distanceTransform(seen.astype(np.uint8), cv2.DIST_L2, 5).astype(np.float64)
        relief = blur(np.minimum(depth / bevel, 1), 0.8) * 1.6 + 0.03 * noise(rng, self.size, 3)
        self.cast_shadow(outline, rng.uniform(2, 5))
        self.paint(alpha, surface * lit(relief, self.light, 0.75)[..., None])
        self.semantic[seen], self.instances[seen] = label, instance

    def cast_shadow(self, outline: Outline, height: float) -> None:
        away = [loop - self.light * height * self.unit for loop in outline]
        self.image *= 1 - 0.55 * blur(coverage(away, self.size), 0.35 * height * self.unit)[..., None]

    def paint(self, alpha: np.ndarray, colour: np.ndarray) -> None:
        self.image += (colour - self.image) * alpha[..., None]


def draw_scene(rng: Generator, size: int) -> Scene:
    """Everything about the picture follows from `rng` and `size`."""
    canvas = Canvas(rng, size)
    canvas.lay_grounds()
    canvas.strew_twigs(rng.integers(2, 9))
    things: list[int] = []
    for _ in range(rng.integers(5, 10)):
        if rng.random() < 0.15:
            canvas.place(scattered(rng, chip(rng), size, 6, 12), IGNORED, 0)
        else:
            things.append(int(rng.integers(len(THING_CLASSES))))
            outline = OUTLINES[CLASSES[things[-1]]](rng)
            canvas.place(scattered(rng, outline, size, 18, 38), things[-1], len(things))
    forget_slivers(canvas, len(things))
    return Scene(developed(rng, canvas.image), canvas.semantic, canvas.instances, tuple(things))


def scattered(rng: Generator, outline: Outline, size: int, smallest: float, largest: float) -> Outline:
    unit = size / REFERENCE_SIZE
    return pose(
        outline,
        centre=rng.uniform(0.04, 0.96, 2) * size,
        radius=np.exp(rng.uniform(np.log(smallest), np.log(largest))) * unit,
        angle=rng.uniform(0, 2 * np.pi),
        stretch=rng.uniform(0.85, 1.18),
    )


def forget_slivers(canvas: Canvas, count: int) -> None:
    visible = np.bincount(canvas.instances.ravel(), minlength=count + 1)
    sliver = (visible < FEWEST_VISIBLE)[canvas.instances] & (canvas.instances > 0)
    canvas.semantic[sliver], canvas.instances[sliver] = IGNORED, 0


def developed(rng: Generator, image: np.ndarray) -> np.ndarray:
    """`image` as a camera would have taken it: uneven light, colour cast, defocus and noise; (H, W, 3) uint8."""
    size = len(image)
    y, x = np.mgrid[:size, :size] / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    fall = 1 + rng.uniform(0, 0.6) * (np.cos(angle) * x + np.sin(angle) * y) + 0.1 * noise(rng, size, size / 2)
    image = image * fall[..., None] * rng.uniform(0.8, 1.15) * rng.normal(1, 0.05, 3)
    image = blur(image, max(0.0, rng.uniform(-0.6, 0.9)))
    image = image + rng.normal(0, rng.uniform(0.005, 0.03), image.shape)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)

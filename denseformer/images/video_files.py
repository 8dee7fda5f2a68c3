"""Videos as files: read frame by frame, written frame by frame.

OpenCV reads what FFmpeg decodes and writes MPEG-4 Part 2, the one codec for mp4 that its wheels encode everywhere.
Sound is not carried.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from PIL import Image

from denseformer.images.reading import check_pixels, picture_of
from denseformer.inference.sources import Item

WHOLE = 0.9
"""Of the frames that a file announces; many formats give them as an estimate."""


class VideoReader:
    """The frames of a video, upright, one after the other.

    size: (H, W); rate: frames per second; announced: how many the file says it has.

    Raises ValueError for a file that is missing, no video, cut short, or of more than `max_pixels` a frame.
    """

    def __init__(self, item: Item, max_pixels: int):
        self.item = item
        self.capture = cv2.VideoCapture(str(item.file), cv2.CAP_FFMPEG)
        if not self.capture.isOpened():
            raise ValueError(f"'{item.path}' cannot be read as a video: it is missing, cut short, or none.")
        self.size = int(self.capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(self.capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.announced = max(0, int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.seen = 0
        check_pixels(item.file, self.size[0] * self.size[1], max_pixels)
        if not 0 < self.rate < 1000:
            raise ValueError(f"'{item.path}' gives no frame rate: encode it anew, as with ffmpeg -r 25.")

    def read(self) -> Item | None:
        """The next frame, named <video>/000001.png ..., or None after the last one."""
        done, frame = self.capture.read()
        if not done:
            if self.seen < max(1, WHOLE * self.announced):
                raise ValueError(
                    f"'{self.item.path}' ends after {self.seen} of {self.announced} frames: it is cut short."
                )
            return None
        self.seen += 1
        return Item(self.item.name.with_suffix('') / f'{self.seen:06d}.png', picture=picture_of(frame))

    def close(self) -> None:
        self.capture.release()

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def frames_of(item: Item, max_pixels: int) -> Iterator[Item]:
    """The frames of a video as images to predict on."""
    with VideoReader(item, max_pixels) as video:
        yield from iter(video.read, None)


class VideoWriter:
    """An mp4 file; its frames are of one size, made even by repeating a border, as the codec needs."""

    def __init__(self, path: Path, rate: float, size: tuple[int, int]):
        self.padding = size[0] % 2, size[1] % 2
        height, width = size[0] + self.padding[0], size[1] + self.padding[1]
        codec = cv2.VideoWriter.fourcc(*'mp4v')
        self.writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, rate, (width, height))
        if not self.writer.isOpened():
            raise ValueError(f'A video of {height} x {width} pixels at {rate:g} frames/s cannot be written.')

    def add(self, image: Image.Image) -> None:
        bgr = np.asarray(image)[..., ::-1]
        self.writer.write(cv2.copyMakeBorder(bgr, 0, self.padding[0], 0, self.padding[1], cv2.BORDER_REPLICATE))

    def close(self) -> None:
        self.writer.release()

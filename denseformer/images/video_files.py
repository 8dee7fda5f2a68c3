"""Videos, cameras and streams: read frame by frame, written frame by frame.

OpenCV reads what FFmpeg decodes and writes MPEG-4 Part 2, the one codec for mp4 that its wheels encode everywhere.
Sound is not carried.
"""

from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from PIL import Image

from denseformer.images.limits import MAX_PIXELS, check_pixels
from denseformer.images.picture import Picture, picture_of_array

COMPLETE = 0.9
"""Share of the announced frames from which on a file is complete; many formats give their number as an estimate."""
LIVE_RATE = 25.0
"""Frames per second of a camera or stream that does not say."""


class VideoReader:
    """The frames of a video file, a camera (its number) or a stream (its URL), upright, one after the other.

    size: (H, W); rate: frames per second; announced: how many frames the file says it has; live: whether it is no file.

    Raises ValueError for a source that is missing, no video, truncated, or of more than `max_pixels` a frame.
    """

    def __init__(self, source: str | Path | int, max_pixels: int = MAX_PIXELS):
        self.name = f'camera {source}' if isinstance(source, int) else str(source)
        self.live = isinstance(source, int) or '://' in str(source)
        if isinstance(source, int):
            self.capture = cv2.VideoCapture(source)
        else:
            self.capture = cv2.VideoCapture(str(source), cv2.CAP_FFMPEG)
        if not self.capture.isOpened():
            raise ValueError(f"'{self.name}' cannot be read as a video: it is missing, truncated, or not a video.")
        self.size = int(self.capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(self.capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.announced = 0 if self.live else max(0, int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.count = 0
        check_pixels(self.name, self.size[0] * self.size[1], max_pixels)
        if not 0 < self.rate < 1000:
            if not self.live:
                raise ValueError(f"'{self.name}' gives no frame rate: encode it again, as with ffmpeg -r 25.")
            self.rate = LIVE_RATE

    def read(self) -> Picture | None:
        """The next frame, or None after the last one; `count` frames have been read then."""
        done, frame = self.capture.read()
        if not done:
            if self.count < max(1, COMPLETE * self.announced):
                raise ValueError(f"'{self.name}' ends after {self.count} of {self.announced} frames: it is truncated.")
            return None
        self.count += 1
        return picture_of_array(frame)

    def close(self) -> None:
        self.capture.release()

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


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

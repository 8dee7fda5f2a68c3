"""Predicting on videos, frame by frame like images.

Overlays and restored frames become a video again; other results, such as masks, a folder with a file per frame.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, count
from pathlib import Path
from typing import Any

from PIL import Image

from denseformer.images.drawing import frame_legend, stacked
from denseformer.images.video_files import VideoReader, VideoWriter
from denseformer.inference.predictor import Predictor
from denseformer.inference.report import keep_thumbnails
from denseformer.inference.results import Result
from denseformer.inference.sources import SourceItem, frame_item
from denseformer.inference.streaming import PREFETCH, batches, prefetched
from denseformer.inference.writers import OutputFolder
from denseformer.storage import is_local

VIDEO_OUTPUTS = ('overlay', 'restored')
"""The outputs that become a video."""


def predict_video(predictor: Predictor, item: SourceItem, folder: OutputFolder) -> dict[str, Any]:
    """Predict on a video into the folder of a run; returns its entry in the record."""
    if item.path is not None and not is_local(item.path):
        raise ValueError(f"'{item.path}' is a video: videos are read from disks, copy it first.")
    with VideoReader(item.video, predictor.settings.max_pixels) as video, ThreadPoolExecutor(1) as pool:
        results = frame_results(predictor, item, video, pool)
        first = next(results)
        job = VideoJob(predictor, item, video, folder, first)
        folder.file(job.name, lambda path: job.run(path, chain([first], results)))
    return job.entry()


def frame_results(
    predictor: Predictor, item: SourceItem, video: VideoReader, pool: ThreadPoolExecutor
) -> Iterator[Result]:
    """The results of a video's frames; frames are decoded and prepared ahead of the network."""

    def prepare(_: int) -> Any:
        frame = video.read()
        return None if frame is None else predictor.task.prepare(frame_item(item, video.count, frame))

    def prepared() -> Iterator[tuple[SourceItem, Any]]:
        for _, frame in prefetched(pool, prepare, count()):
            if frame is None:
                return
            yield item, frame

    for batch in batches(predictor, prepared()):
        if isinstance(batch, tuple):
            raise batch[1]
        yield from predictor.task.predict([frame for _, frame in batch])


class VideoJob:
    """Writes the results of a video's frames into files, and counts meanwhile.

    first: the result of the first frame, from which the kinds of files follow.
    """

    def __init__(self, predictor: Predictor, item: SourceItem, video: VideoReader, folder: OutputFolder, first: Result):
        self.item, self.video, self.folder, self.first = item, video, folder, first
        self.stem = item.stem
        outputs = first.outputs()
        self.main = next(kind for kind in VIDEO_OUTPUTS if kind in outputs)
        self.name = f'{outputs[self.main].folder}/{self.stem}.mp4'
        every_frame = [kind for kind in outputs if kind != self.main]
        if predictor.settings.format and self.main == 'restored':
            every_frame.append('restored')
        self.folders = {kind: f'{outputs[kind].folder}/{self.stem}' for kind in every_frame}
        entries = first.legend_entries()
        self.legend = frame_legend(entries, *first.output_image().size) if entries else None
        self.frames = 0
        self.shares: Counter[str] = Counter()

    def run(self, path: Path, results: Iterable[Result]) -> None:
        """Write the video `path` and the files of its frames; `PREFETCH` of them wait at most."""
        width, height = self._frame(self.first).size
        sink = VideoWriter(path, self.video.rate, (height, width))
        pending: list[Future] = []
        try:
            with ThreadPoolExecutor(1) as pool:
                try:
                    for result in results:
                        pending.append(pool.submit(self._write, result, sink))
                        if len(pending) > PREFETCH:
                            pending.pop(0).result()
                except KeyboardInterrupt:
                    if not self.video.live:
                        raise  # a camera or stream has no other end
                for future in pending:
                    future.result()
        finally:
            sink.close()

    def _frame(self, result: Result) -> Image.Image:
        return result.output_image() if self.legend is None else stacked(result.output_image(), self.legend)

    def _write(self, result: Result, sink: VideoWriter) -> None:
        sink.add(self._frame(result))
        outputs = result.outputs()
        for kind, folder in self.folders.items():
            self.folder.file(f'{folder}/{result.name.stem}{outputs[kind].suffix}', outputs[kind].write)
        if self.folder.thumbnails and self.frames == self.video.announced // 2:
            keep_thumbnails(result, self.folder.file, self.item.name)
        self.shares.update(result.record().get('classes', {}))
        self.frames += 1
        self.folder.notify(min(1.0, self.frames / max(1, self.video.announced)))

    def entry(self) -> dict[str, Any]:
        first = self.first.record()
        entry = {'height': first['height'], 'width': first['width'], 'frames': self.frames, 'rate': self.video.rate}
        if self.shares:
            entry['classes'] = {name: round(total / self.frames, 4) for name, total in self.shares.most_common()}
        return {**entry, 'video': self.name, 'frame folders': self.folders}

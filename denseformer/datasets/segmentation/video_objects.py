"""Frames of videos with one mask of what moves, in the layout of DAVIS, and their optical flow."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets import BaseSegDataset

from denseformer.images.flow import dis_flow, flow_colors, read_flo
from denseformer.images.reading import read_bytes, read_image
from denseformer.registry import DATASETS, TRANSFORMS

FRAME_SUFFIXES = ('.jpg', '.jpeg', '.png')
FLOW_SUFFIXES = ('.flo', *FRAME_SUFFIXES)


@DATASETS.register_module()
class VideoObjects(BaseSegDataset):
    """DAVIS, https://davischallenge.org, or videos in its layout; what is not 0 in a mask is the object.

    Args:
        ann_file: a list of videos, one name a line, or of frames, `/JPEGImages/480p/bear/00000.jpg` and more a line.
        data_prefix: folders of videos' folders as `img_path` and as `seg_map_path`, and, where there is flow, as
            `flow_path`: a .flo file or an image of colors for each frame, by the frame's name.
        options: of mmsegmentation's `BaseSegDataset`.

    Raises ValueError for a list of nothing, for a video without frames, and for flow of a part of the frames.
    """

    METAINFO: ClassVar[dict] = dict(classes=('background', 'object'), palette=[[0, 0, 0], [220, 20, 60]])

    def load_data_list(self) -> list[dict]:
        images, masks, flows = (self.data_prefix.get(name) for name in ('img_path', 'seg_map_path', 'flow_path'))
        found = []
        for video in self._videos():
            frames = frames_of(Path(images) / video)
            if not frames:
                raise ValueError(f"'{Path(images) / video}' has no frames, and '{self.ann_file}' lists it.")
            flow = flow_files(Path(flows) / video, frames) if flows else None
            for i, path in enumerate(frames):
                mask = str(Path(masks or images) / video / f'{path.stem}.png')
                info: dict[str, Any] = dict(img_path=str(path), label_map=self.label_map, reduce_zero_label=False)
                info |= dict(seg_fields=[], seg_map_path=mask, class_masks=[(1, mask)])
                info['next_path'] = neighbor(frames, i)
                if flow is not None:
                    info['flow_path'] = str(flow[i])
                found.append(info)
        return found

    def _videos(self) -> list[str]:
        lines = [line for line in read_bytes(self.ann_file, 'list of videos').decode().splitlines() if line.strip()]
        if not lines:
            raise ValueError(f"'{self.ann_file}' lists no video.")
        return list(dict.fromkeys(map(video_of, lines)))


def video_of(line: str) -> str:
    """The video that a line of a list names, itself or by one of its frames and what stands behind it."""
    name = line.split()[0]
    return Path(name).parent.name if '/' in name else name


def frames_of(folder: Path) -> list[Path]:
    """The frames in a video's folder, in the order of their names."""
    return sorted(path for path in folder.glob('*') if path.suffix.lower() in FRAME_SUFFIXES)


def neighbor(frames: list[Path], number: int) -> str:
    """The frame that the flow of another leads to: the next one, and from the last one back to the one before."""
    return str(frames[number + 1] if number + 1 < len(frames) else frames[max(number - 1, 0)])


def flow_files(folder: Path, frames: list[Path]) -> list[Path]:
    """The file of each frame's flow; the last one may lack, as nothing follows it, and has the one before."""
    stored = {path.stem: path for path in folder.glob('*') if path.suffix.lower() in FLOW_SUFFIXES}
    missing = [path.name for path in frames[:-1] or frames if path.stem not in stored]
    if missing:
        raise ValueError(f"'{folder}' has no flow of {len(missing)} frames, of {missing[:3]} among them.")
    files = [stored.get(path.stem) for path in frames]
    return [each or files[-2] for each in files]  # type: ignore[misc]


@TRANSFORMS.register_module()
class LoadFlow(BaseTransform):
    """Puts the colors of the optical flow behind the image: `img` becomes (H, W, 6) uint8, R, G, B twice.

    Flow comes from `flow_path`, a .flo file or an image of its colors, where the dataset names one; else it is computed
    from the image to `next_path` by OpenCV's dense inverse search.

    Raises ValueError for flow or a next frame of another size than the image, and for a frame that names neither.
    """

    def transform(self, results: dict) -> dict:
        results['img'] = with_flow(results['img'], results.get('flow_path'), results.get('next_path'))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


def with_flow(frame: np.ndarray, flow: str | None, following: str | None) -> np.ndarray:
    """A frame (H, W, 3), B, G, R, with the colors of its flow: (H, W, 6), R, G, B twice."""
    if flow is not None and not flow.lower().endswith('.flo'):
        colors = read_image(flow, what='flow').as_bgr8()[..., ::-1]
    elif flow is not None:
        colors = flow_colors(read_flo(flow))
    elif following is not None:
        after = read_image(following).as_bgr8()
        if after.shape != frame.shape:
            raise ValueError(
                f"'{following}' is {after.shape[:2]}, the frame beside it {frame.shape[:2]} (H, W): all frames of a "
                'video need one size.'
            )
        colors = flow_colors(dis_flow(frame, after))
    else:
        raise ValueError('A frame has neither flow_path nor next_path: use the dataset denseformer.VideoObjects.')
    if colors.shape != frame.shape:
        raise ValueError(f"The flow '{flow}' is {colors.shape[:2]}, its frame {frame.shape[:2]} (H, W).")
    return np.concatenate([frame[..., ::-1], colors], 2)

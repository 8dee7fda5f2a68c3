"""Objects that move, in the frames of videos that lie in folders: each frame with its flow to the next one."""

from typing import Never

from denseformer.datasets.segmentation.video_objects import frames_of, neighbor, with_flow
from denseformer.images.reading import read_image
from denseformer.inference.segmentation import SegmentationTask
from denseformer.inference.sources import SourceItem
from denseformer.inference.task import PreparedItem


class VideoObjectTask(SegmentationTask):
    """From frames to `SegmentationResult`; the model takes a frame and the colors of its flow.

    Flow is computed by OpenCV to the next file of the frame's folder, and from the last file to the one before.
    """

    def prepare(self, item: SourceItem) -> PreparedItem:
        """Read a frame and the one its flow leads to; raises ValueError for one that is in no folder of images."""
        if item.is_video or item.path is None or item.content is not None:
            raise ValueError(
                f"'{item.name}' is no file in a folder of frames, whose flow this model needs: write the frames of a "
                'video into a folder, in the order of their names, and give that.'
            )
        picture = read_image(item.file, max_pixels=self.settings.max_pixels)
        frames = frames_of(item.file.parent)
        following = neighbor(frames, frames.index(item.file)) if item.file in frames else str(item.file)
        sample = {'img': with_flow(picture.as_bgr8(), None, following), 'img_path': str(item.name)}
        sample['img_shape'] = sample['ori_shape'] = picture.size
        inputs = self.pipeline(sample)['inputs']  # (6, h, w)
        return PreparedItem(item=item, picture=picture, inputs=inputs, group=(tuple(inputs.shape), picture.size))

    def exportable(self) -> Never:
        raise ValueError('A model of frames and their flow is not exported: the flow is computed outside of it.')

"""Videos in DAVIS's layout, their masks and their flow, and prediction on a folder of frames."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from denseformer.datasets.loading import LoadImage
from denseformer.datasets.segmentation import LoadFlow, LoadSegmentation, VideoObjects
from denseformer.images.flow import flow_colors


def write_videos(root: Path, videos: dict[str, int], side: int = 32) -> None:
    rng = np.random.default_rng(0)
    for name, frames in videos.items():
        images, masks = root / 'JPEGImages' / name, root / 'Annotations' / name
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        texture = np.kron(rng.integers(0, 255, (12, 12, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        for number in range(frames):
            Image.fromarray(texture[:side, 2 * number : 2 * number + side]).save(images / f'{number:05d}.png')
            mask = np.zeros((side, side), np.uint8)
            mask[4:20, 8:24] = 38  # an object's palette index, or 255
            Image.fromarray(mask).save(masks / f'{number:05d}.png')


def dataset(root: Path, listed: str, **prefix: str) -> VideoObjects:
    (root / 'list.txt').write_text(listed)
    prefix = dict(img_path='JPEGImages', seg_map_path='Annotations', **prefix)
    return VideoObjects(ann_file=str(root / 'list.txt'), data_root=str(root), data_prefix=prefix)


def test_finds_the_frames_of_listed_videos_and_what_follows_each(tmp_path):
    write_videos(tmp_path, {'bear': 3, 'dog': 1, 'other': 2})
    by_name = dataset(tmp_path, 'bear\ndog\n')
    lines = [f'/JPEGImages/480p/{video}/00000.jpg /Annotations/480p/{video}/00000.png' for video in ('bear', 'dog')]
    by_frame = dataset(tmp_path, '\n'.join(lines))
    for found in (by_name, by_frame):
        names = [Path(each['img_path']).relative_to(tmp_path / 'JPEGImages').as_posix() for each in found]
        assert names == ['bear/00000.png', 'bear/00001.png', 'bear/00002.png', 'dog/00000.png']
        following = [Path(each['next_path']).name for each in found]
        assert following == ['00001.png', '00002.png', '00001.png', '00000.png']


def test_frames_have_masks_of_0_and_1_and_the_colors_of_their_flow(tmp_path):
    write_videos(tmp_path, {'bear': 2})
    info = LoadFlow()(LoadSegmentation(num_classes=2)(LoadImage()(dataset(tmp_path, 'bear')[0])))
    assert info['gt_seg_map'].sum() == 256
    assert info['img'].shape == (32, 32, 6)
    stored = np.array(Image.open(info['img_path']))
    np.testing.assert_array_equal(info['img'][..., :3], stored)  # R, G, B
    assert info['img'][..., 3:].std() > 0


def test_stored_flow_is_taken_before_any_is_computed(tmp_path):
    write_videos(tmp_path, {'bear': 2})
    (tmp_path / 'Flow/bear').mkdir(parents=True)
    colors = flow_colors(np.random.default_rng(0).normal(size=(32, 32, 2)))
    Image.fromarray(colors).save(tmp_path / 'Flow/bear/00000.png')
    frames = dataset(tmp_path, 'bear', flow_path='Flow')
    for frame in frames:  # the last one has the flow of the one before
        np.testing.assert_array_equal(LoadFlow()(LoadImage()(frame))['img'][..., 3:], colors)
    Image.fromarray(colors[:8]).save(tmp_path / 'Flow/bear/00001.png')
    with pytest.raises(ValueError, match=r"flow '.*00001.png' is \(8, 32\), its frame \(32, 32\)"):
        LoadFlow()(LoadImage()(dataset(tmp_path, 'bear', flow_path='Flow')[1]))


def test_what_is_missing_is_named(tmp_path):
    write_videos(tmp_path, {'bear': 3})
    (tmp_path / 'Flow/bear').mkdir(parents=True)
    with pytest.raises(ValueError, match='lists no video'):
        dataset(tmp_path, '\n')
    with pytest.raises(ValueError, match=r'has no frames'):
        dataset(tmp_path, 'cat')
    with pytest.raises(ValueError, match='has no flow of 2 frames'):
        dataset(tmp_path, 'bear', flow_path='Flow')
    (tmp_path / 'Flow/dog').mkdir()
    write_videos(tmp_path, {'dog': 1})
    (tmp_path / 'Flow/dog/00007.flo').touch()
    with pytest.raises(ValueError, match='has no flow of 1 frames'):
        dataset(tmp_path, 'dog', flow_path='Flow')
    (tmp_path / 'list.txt').unlink()
    with pytest.raises(ValueError, match=r"list of videos '.*list\.txt' cannot be read"):
        VideoObjects(ann_file=str(tmp_path / 'list.txt'), data_prefix=dict(img_path='JPEGImages'))
    Image.new('RGB', (16, 32)).save(tmp_path / 'JPEGImages/bear/00001.png')
    with pytest.raises(ValueError, match=r"00001\.png' is \(32, 16\), the frame beside it \(32, 32\)"):
        LoadFlow()(LoadImage()(dataset(tmp_path, 'bear')[0]))
    with pytest.raises(ValueError, match='VideoObjects'):
        LoadFlow()(dict(img=np.zeros((8, 8, 3), np.uint8)))

"""A video is predicted frame by frame, becomes a video again, and is a failure where it is broken."""

import json
import os
import signal

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from predicting import CONFIG, record

from denseformer.images.drawing import frame_legend, with_legend
from denseformer.images.video_files import VideoReader, VideoWriter
from denseformer.inference import Predictor, predict_folder
from denseformer.inference.sources import find_items, frames_of
from denseformer.inference.streaming import PREFETCH
from denseformer.restoration.networks import CFSR

FRAMES = 12


def frame(i: int, height: int = 48, width: int = 63) -> np.ndarray:
    """(H, W, 3) uint8, R, G, B: a smooth picture with a stripe that wanders."""
    rows, columns = np.mgrid[:height, :width]
    picture = np.stack([rows * 4, columns * 3, np.full_like(rows, 90)], 2).astype(np.uint8)
    picture[:, 4 * i : 4 * i + 4] = 255
    return picture


def write_video(path, frames: int = FRAMES) -> None:
    writer = VideoWriter(path, 12.5, (48, 63))
    for i in range(frames):
        writer.add(Image.fromarray(frame(i)))
    writer.close()


@pytest.fixture
def clips(tmp_path):
    """A folder with the video clip.mp4."""
    (tmp_path / 'in').mkdir()
    write_video(tmp_path / 'in/clip.mp4')
    return tmp_path / 'in'


def read_video(path) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    return frames


def test_frames_come_in_order_and_upright_in_color(clips):
    (item,) = find_items(clips)
    frames = list(frames_of(item, 10**6))
    assert [str(frame.name) for frame in frames[:2]] == ['clip/000001.png', 'clip/000002.png']
    assert len(frames) == FRAMES
    for i, found in enumerate(frames):
        assert np.abs(found.pixels[:, :63, ::-1].astype(int) - frame(i)).mean() < 8


def test_masks_become_files_and_overlays_a_video(predictor, clips, tmp_path):
    summary = predict_folder(predictor, clips, tmp_path / 'out', report=True)
    entry = record(tmp_path / 'out')['clip.mp4']
    assert (summary['predicted'], summary['failed']) == (1, 0)
    assert (entry['frames'], entry['rate'], entry['video']) == (FRAMES, 12.5, 'overlays/clip.mp4')
    assert sum(entry['classes'].values()) == pytest.approx(1, abs=0.01)
    masks = sorted((tmp_path / 'out' / entry['frame folders']['mask']).iterdir())
    results = list(predictor(clips))
    assert len(masks) == len(results) == FRAMES
    for path, result in zip(masks, results, strict=True):
        assert np.array_equal(np.asarray(Image.open(path)), result.mask)
    video = read_video(tmp_path / 'out/overlays/clip.mp4')
    assert len(video) == FRAMES
    assert np.abs(video[3][:48].astype(int) - np.asarray(results[3].output_image())).mean() < 20
    assert (tmp_path / 'out/report.html').read_text().count('<figure>') == 1


def test_all_frames_have_the_legend_of_all_classes(predictor, clips, tmp_path):
    predict_folder(predictor, clips, tmp_path / 'out')
    legends = [frame[48:].astype(int) for frame in read_video(tmp_path / 'out/overlays/clip.mp4')]
    expected = frame_legend(list(zip(predictor.task.classes, predictor.task.palette, strict=True)), 64, 48)
    assert all(legend.shape == (expected.height + expected.height % 2, 64, 3) for legend in legends)
    assert max(np.abs(legend[: expected.height] - np.asarray(expected)).mean() for legend in legends) < 20


def test_the_legend_of_a_video_takes_a_third_of_its_height_while_letters_can_be_read():
    entries = [(f'class {i}', (i, 0, 0)) for i in range(150)]
    assert frame_legend(entries[:3], 1280, 720).height == with_legend(blank(1280, 720), entries[:3]).height - 720
    assert 160 < frame_legend(entries, 1280, 720).height <= 240
    assert frame_legend(entries, 320, 240).height > 80


def blank(width, height) -> Image.Image:
    return Image.new('RGB', (width, height))


@pytest.mark.parametrize('suffix', [None, '.png'])
def test_a_restored_video_is_larger_and_as_long(clips, tmp_path, suffix):
    torch.manual_seed(0)
    network = CFSR(arch=dict(dim=16, groups=1, blocks=1, kernel_size=9, mlp_ratio=2), scale=2)
    torch.save(network.state_dict(), tmp_path / 'small.pth')
    predictor = Predictor(tmp_path / 'small.pth', device='cpu', batch_size=5, format=suffix)
    predict_folder(predictor, clips / 'clip.mp4', tmp_path / 'out')
    video = read_video(tmp_path / 'out/restored/clip.mp4')
    assert len(video) == FRAMES
    assert video[0].shape == (96, 128, 3)  # the file's frames are 64 wide: an even number
    expected = next(iter(predictor(clips))).image
    small = [cv2.resize(image[:, :126], (9, 8), interpolation=cv2.INTER_AREA) for image in (video[0], expected)]
    assert np.abs(small[0].astype(int) - small[1]).mean() < 8  # random weights make noise, which the codec smooths
    assert (tmp_path / 'out/restored/clip').is_dir() == (suffix is not None)
    if suffix:
        assert np.array_equal(np.asarray(Image.open(tmp_path / 'out/restored/clip/000001.png')), expected)


def test_few_frames_are_held_at_a_time(predictor, clips, tmp_path, monkeypatch):
    read, predicted, waiting = VideoReader.read, [], []
    monkeypatch.setattr(VideoReader, 'read', lambda video: waiting.append(1) or read(video))
    inside = predictor.task.predict

    def counting(batch):
        predicted.append(1)
        assert len(waiting) - len(predicted) <= PREFETCH + 1
        return inside(batch)

    monkeypatch.setattr(predictor.task, 'predict', counting)
    write_video(clips / 'clip.mp4', 3 * PREFETCH + 5)
    assert predict_folder(predictor, clips, tmp_path / 'out')['failures'] == []
    assert len(predicted) == 3 * PREFETCH + 5


def test_an_interrupted_video_leaves_no_half_of_it_and_is_resumed(predictor, clips, tmp_path, monkeypatch):
    inside, calls = predictor.task.predict, []

    def stopped(batch):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return inside(batch)

    monkeypatch.setattr(predictor.task, 'predict', stopped)
    assert predict_folder(predictor, clips, tmp_path / 'out')['interrupted']
    assert list((tmp_path / 'out/overlays').iterdir()) == []
    assert record(tmp_path / 'out') == {}
    assert predict_folder(predictor, clips, tmp_path / 'out', resume=True)['predicted'] == 1
    assert len(read_video(tmp_path / 'out/overlays/clip.mp4')) == FRAMES


def test_broken_videos_are_failures_that_leave_nothing_behind(predictor, clips, tmp_path):
    whole = (clips / 'clip.mp4').read_bytes()
    (clips / 'text.mp4').write_text('no video')
    (clips / 'zero.avi').write_bytes(b'')
    (clips / 'half.mp4').write_bytes(whole[: len(whole) // 2])
    writer = cv2.VideoWriter(str(clips / 'cut.avi'), cv2.VideoWriter.fourcc(*'MJPG'), 25, (64, 48))
    for i in range(30):
        writer.write(cv2.resize(frame(i % 15), (64, 48)))
    writer.release()
    content = (clips / 'cut.avi').read_bytes()
    (clips / 'cut.avi').write_bytes(content[: len(content) // 3])
    summary = predict_folder(predictor, clips, tmp_path / 'out')
    assert summary['predicted'] == 1
    assert {failure['file'] for failure in summary['failures']} == {'text.mp4', 'zero.avi', 'half.mp4', 'cut.avi'}
    assert all('video' in failure['error'] or 'cut short' in failure['error'] for failure in summary['failures'])
    assert [path.name for path in (tmp_path / 'out/overlays').iterdir()] == ['clip.mp4']


def test_videos_of_too_large_frames_are_refused(checkpoint, clips, tmp_path):
    predict_folder(Predictor(CONFIG, checkpoint, device='cpu', max_pixels=1000), clips, tmp_path / 'out')
    assert 'max_pixels' in json.loads((tmp_path / 'out/summary.json').read_text())['failures'][0]['error']


def test_a_stream_is_predicted_like_a_file(predictor, clips, tmp_path):
    stream = f'file://{clips}/clip.mp4'
    assert len(list(predictor(stream))) == FRAMES
    assert predict_folder(predictor, stream, tmp_path / 'out')['predicted'] == 1
    assert len(read_video(tmp_path / 'out/overlays/clip.mp4')) == FRAMES


class Camera:
    """As cv2.VideoCapture: six frames, then Ctrl-C."""

    def __init__(self, number):
        assert number == 2
        self.frames = iter(range(6))

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, what: int) -> int:
        return {cv2.CAP_PROP_FRAME_HEIGHT: 48, cv2.CAP_PROP_FRAME_WIDTH: 63}.get(what, 0)

    def read(self):
        for i in self.frames:
            return True, frame(i)[..., ::-1].copy()
        os.kill(os.getpid(), signal.SIGINT)
        return False, None

    def release(self):
        pass


def test_what_a_camera_gave_until_it_was_stopped_is_kept(predictor, tmp_path, monkeypatch):
    capture = cv2.VideoCapture
    monkeypatch.setattr(
        cv2, 'VideoCapture', lambda source, *how: Camera(source) if source == 2 else capture(source, *how)
    )
    summary = predict_folder(predictor, 2, tmp_path / 'out')
    assert (summary['predicted'], summary['interrupted']) == (1, False)
    frames = len(read_video(tmp_path / 'out/overlays/camera2.mp4'))
    assert 0 < frames == record(tmp_path / 'out')['camera2.mp4']['frames']

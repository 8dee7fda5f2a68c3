"""A run of a detector has one COCO file for all its images, however many processes and attempts it took."""

import json
import threading

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from denseformer.inference import Predictor, predict_folder
from denseformer.inference.writers import lock_of

from .test_detection import CLASSES, BaseDetector, task


@pytest.fixture
def images(tmp_path):
    """Image i of six has i + 1 squares; there is a folder in the folder."""
    root = tmp_path / 'in'
    (root / 'more').mkdir(parents=True)
    for i in range(6):
        pixels = np.zeros((40, 200 + i, 3), np.uint8)
        for square in range(i + 1):
            pixels[10:20, 30 * square + 5 : 30 * square + 15] = 255
        Image.fromarray(pixels).save(root / ('more' if i % 2 else '') / f'{i}.png')
    return root


def detector(*, panoptic: bool = False) -> Predictor:
    predictor = Predictor.__new__(Predictor)
    model = BaseDetector()
    model.panoptic = panoptic
    predictor.task = task(model, score=0)
    return predictor


def counts(path) -> dict[str, int]:
    """Instances of each image of a COCO file, which pycocotools reads."""
    coco = COCO(path)
    return {image['file_name']: len(coco.getAnnIds(image['id'])) for image in coco.loadImgs(coco.getImgIds())}


EXPECTED = {'0.png': 1, '2.png': 3, '4.png': 5, 'more/1.png': 2, 'more/3.png': 4, 'more/5.png': 6}


def test_one_file_holds_the_instances_of_all_images(images, tmp_path):
    summary = predict_folder(detector(), images, tmp_path / 'out', report=True)
    assert summary['failures'] == []
    assert counts(tmp_path / 'out/instances.json') == EXPECTED
    content = json.loads((tmp_path / 'out/instances.json').read_text())
    assert [category['name'] for category in content['categories']] == list(CLASSES)
    assert content['images'][0] == {'id': 1, 'file_name': '0.png', 'height': 40, 'width': 200}
    assert [annotation['id'] for annotation in content['annotations']] == list(range(1, 22))
    assert content['annotations'][0]['bbox'] == [5, 10, 10, 10]
    assert (tmp_path / 'out/instances/more/1.json').is_file()
    assert (tmp_path / 'out/overlays/more/1.jpg').is_file()
    assert not (tmp_path / 'out/panoptic.json').exists()


def test_a_resumed_run_has_what_was_done_before(images, tmp_path):
    predict_folder(detector(), images / '0.png', tmp_path / 'out')
    assert counts(tmp_path / 'out/instances.json') == {'0.png': 1}
    summary = predict_folder(detector(), images, tmp_path / 'out', resume=True)
    assert (summary['predicted'], summary['done before']) == (5, 1)
    assert counts(tmp_path / 'out/instances.json') == EXPECTED


def test_overwriting_forgets_what_was_there(images, tmp_path):
    predict_folder(detector(), images, tmp_path / 'out')
    predict_folder(detector(), images / '2.png', tmp_path / 'out', overwrite=True)
    assert counts(tmp_path / 'out/instances.json') == {'2.png': 3}


def test_who_shares_a_run_and_ends_last_writes_what_all_have_found(images, tmp_path):
    predict_folder(detector(), str(images / '*.png'), tmp_path / 'out', share=True)
    summary = predict_folder(detector(), images, tmp_path / 'out', share=True)
    assert (summary['predicted'], summary['done before']) == (3, 3)
    assert counts(tmp_path / 'out/instances.json') == EXPECTED


def test_the_file_waits_for_who_is_writing_it(images, tmp_path):
    run = threading.Thread(target=predict_folder, args=(detector(), images, tmp_path / 'out'), kwargs={'share': True})
    with lock_of(tmp_path / 'out'):
        run.start()
        run.join(timeout=2)
        assert run.is_alive()
        assert not (tmp_path / 'out/instances.json').exists()
    run.join()
    assert counts(tmp_path / 'out/instances.json') == EXPECTED


def test_images_that_failed_and_images_without_instances(images, tmp_path):
    (images / 'broken.png').write_bytes(b'')
    Image.new('RGB', (30, 20)).save(images / 'black.png')
    assert predict_folder(detector(), images, tmp_path / 'out')['failed'] == 1
    assert counts(tmp_path / 'out/instances.json') == {**EXPECTED, 'black.png': 0}


def test_one_file_lists_the_panoptic_maps(images, tmp_path):
    predict_folder(detector(panoptic=True), images, tmp_path / 'out')
    content = json.loads((tmp_path / 'out/panoptic.json').read_text())
    assert [category['isthing'] for category in content['categories']] == [1, 0]
    images_by_id = {image['id']: image for image in content['images']}
    for annotation in content['annotations']:
        map_ = Image.open(tmp_path / 'out/panoptic' / annotation['file_name'])
        image = images_by_id[annotation['image_id']]
        assert map_.size == (image['width'], image['height'])
        numbers = np.asarray(map_).astype(int) @ [1, 256, 65536]
        assert {s['id']: s['area'] for s in annotation['segments_info']} == dict(
            zip(*(a.tolist() for a in np.unique(numbers, return_counts=True)), strict=True)
        )
    assert len(content['annotations']) == 6

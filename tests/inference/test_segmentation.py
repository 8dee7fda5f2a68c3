"""Masks are those that the model's own test gives, on whole images, in tiles, and from files too large to read."""

import json

import numpy as np
import pytest
import tifffile
import torch
from mmengine.config import Config
from PIL import Image
from predicting import CONFIG, UTM, image_of, record
from torch.nn.functional import interpolate

from denseformer.config.loading import load_config
from denseformer.inference import Predictor, predict_folder
from denseformer.inference.segmentation import augmented_ratios, upsampled


def predictor_of(config, **options) -> Predictor:
    torch.manual_seed(0)
    return Predictor(config, device='cpu', **options)


@pytest.mark.parametrize('size', [(40, 60), (160, 160), (301, 223)])
def test_masks_are_those_of_the_models_own_test(predictor, size):
    picture = image_of(*size)
    sample = {'img': picture, 'img_shape': size, 'ori_shape': size, 'img_path': 'a'}
    packed = predictor.task.pipeline(sample)
    with torch.inference_mode():
        (theirs,) = predictor.model.test_step({'inputs': [packed['inputs']], 'data_samples': [packed['data_samples']]})
    (ours,) = predictor(picture)
    assert np.mean(ours.mask != theirs.pred_sem_seg.data[0].numpy()) < 1e-4


@pytest.mark.parametrize('align_corners', [False, True])
def test_scores_are_enlarged_as_pytorch_does(align_corners):
    scores = torch.rand(5, 13, 17)
    theirs = interpolate(scores[None], (150, 90), mode='bilinear', align_corners=align_corners)[0]
    ours = torch.cat(list(upsampled(scores, (150, 90), align_corners)), 1)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_tiles_give_the_mask_of_the_whole_image(short_sighted):
    picture = image_of(480, 416)
    (whole,) = predictor_of(short_sighted, native=True)(picture)
    (tiled,) = predictor_of(short_sighted, native=True, tile=192, overlap=60, batch_size=2)(picture)
    assert len(np.unique(whole.mask)) > 1
    assert np.mean(whole.mask != tiled.mask) < 1e-4


def test_scores_in_tiles_are_those_of_the_whole_image(short_sighted):
    from denseformer.inference.tiling import assemble, reader_of

    picture = image_of(480, 416)
    image = torch.from_numpy(picture).permute(2, 0, 1)
    task = predictor_of(short_sighted, native=True, tile=192, overlap=60).task
    with torch.inference_mode():
        whole = task.scores(image[None])[0]
        tiled = assemble(task.tiled.tiles(reader_of(image), (480, 416)), (480, 416))
    assert torch.allclose(whole, tiled, atol=1e-5, rtol=0)


def test_sizes_that_tiles_do_not_divide_are_predicted_whole_and_in_full(short_sighted):
    picture = image_of(512, 448)
    (result,) = predictor_of(short_sighted, native=True, tile=192, overlap=60)(picture[:487, :431].copy())
    (larger,) = predictor_of(short_sighted, native=True)(picture)
    assert result.mask.shape == (487, 431)
    assert np.mean(result.mask[:470, :410] != larger.mask[:470, :410]) < 1e-4


def test_a_file_too_large_to_read_gives_the_same_mask(short_sighted, tmp_path):
    picture = image_of(480, 416)
    (tmp_path / 'in').mkdir()
    tifffile.imwrite(
        tmp_path / 'in/large.tif',
        picture[..., ::-1],
        photometric='rgb',
        tile=(128, 128),
        extratags=UTM,
        compression='zlib',
    )
    streaming = predictor_of(short_sighted, native=True, tile=192, overlap=60, max_pixels=1000)
    summary = predict_folder(streaming, tmp_path / 'in', tmp_path / 'out')
    (whole,) = predictor_of(short_sighted, native=True)(picture)
    assert summary['failures'] == []
    with tifffile.TiffFile(tmp_path / 'out/masks/large.tif') as file:
        assert np.mean(file.asarray() != whole.mask) < 1e-4
        assert file.pages[0].tags[33922].value == UTM[1][3]
    assert record(tmp_path / 'out')['large.tif']['classes'] == whole.shares
    with pytest.raises(ValueError, match=r'large\.tif.* into a folder'):
        next(streaming(tmp_path / 'in'))


def test_a_georeference_is_carried_to_the_mask(predictor, tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', image_of(64, 80), photometric='rgb', extratags=UTM)
    predict_folder(predictor, tmp_path / 'a.tif', tmp_path / 'out')
    with tifffile.TiffFile(tmp_path / 'out/masks/a.tif') as file:
        assert file.pages[0].tags[33550].value == UTM[0][3]
        assert file.pages[0].tags[34735].value == UTM[2][3]


def test_images_of_one_size_go_together_and_give_the_same(checkpoint, tmp_path):
    for i in range(5):
        Image.fromarray(np.roll(image_of(64, 64), 9 * i, 1)).save(tmp_path / f'{i}.png')
    alone = [result.mask for result in Predictor(CONFIG, checkpoint, device='cpu')(tmp_path)]
    for batch_size in (3, None):
        predict_folder(
            Predictor(CONFIG, checkpoint, device='cpu', batch_size=batch_size),
            tmp_path,
            tmp_path / 'out',
            overwrite=True,
        )
        for i, mask in enumerate(alone):
            assert np.mean(np.asarray(Image.open(tmp_path / f'out/masks/{i}.png')) != mask) < 1e-3


def test_probabilities_add_up_to_one_and_agree_with_the_mask(checkpoint, tmp_path):
    predictor = Predictor(CONFIG, checkpoint, device='cpu', probabilities=True)
    predict_folder(predictor, image_of(50, 70), tmp_path / 'out')
    stored = np.load(tmp_path / 'out/probabilities/image.npz')
    assert stored['probabilities'].shape == (8, 50, 70)
    assert np.allclose(stored['probabilities'].astype(np.float32).sum(0), 1, atol=0.01)
    mask = np.asarray(Image.open(tmp_path / 'out/masks/image.png'))
    assert np.mean(stored['probabilities'].argmax(0) == mask) > 0.99


def test_augmented_prediction_is_mirrored_with_the_image(checkpoint):
    predictor = Predictor(CONFIG, checkpoint, device='cpu', tta=True, native=True)
    picture = image_of(64, 64)
    (result,), (mirrored,) = predictor(picture), predictor(np.ascontiguousarray(picture[:, ::-1]))
    assert np.mean(result.mask != mirrored.mask[:, ::-1]) < 1e-3


def test_augmented_scores_are_the_mean_over_the_sizes_of_the_config(short_sighted):
    task = predictor_of(short_sighted, tta=True).task
    assert task.ratios == (0.5, 0.75, 1, 1.25, 1.5, 1.75)
    image = torch.from_numpy(image_of(64, 96)).permute(2, 0, 1)[None]
    total = torch.zeros(1, len(task.classes), 64, 96)
    with torch.inference_mode():
        for ratio in task.ratios:
            for flipped in (False, True):
                seen = torch.nn.functional.interpolate(
                    image.float(), (int(64 * ratio), int(96 * ratio)), mode='bilinear'
                )
                scores = task._scores(seen.flip(3)).flip(3) if flipped else task._scores(seen)
                total += interpolate(scores, (64, 96), mode='bilinear').softmax(1) / 12
        assert torch.allclose(task.scores(image).exp(), total, atol=1e-5)


def test_without_sizes_in_the_config_only_mirrored_copies_are_averaged():
    assert augmented_ratios(Config()) == (1.0,)


def test_amp_predicts_under_autocast_and_nearly_the_same(short_sighted):
    seen = []
    fast, exact = predictor_of(short_sighted, amp=True), predictor_of(short_sighted)
    fast.model.backbone.layers[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    picture = image_of(96, 96)
    (result,), (expected,) = fast(picture), exact(picture)
    assert seen == [torch.bfloat16]
    assert np.mean(result.mask != expected.mask) < 0.1


def test_an_image_smaller_than_a_patch_is_refused_with_the_way_out():
    patches = {'_delete_': True, 'type': 'denseformer.ConvNeXt', 'arch': {'width': 8, 'depths': (1, 1, 1, 1)}}
    predictor = Predictor(load_config(CONFIG, {'backbone': patches}), device='cpu', native=True)
    with pytest.raises(ValueError, match=r'too small for the network.*Enlarge the image'):
        list(predictor(np.zeros((40, 1, 3), np.uint8)))


def test_compiled_networks_are_called_compiled(short_sighted):
    compiled = predictor_of(short_sighted, compile=True)
    backbone, calls = compiled.model.backbone, []
    assert backbone._compiled_call_impl is not None
    backbone._compiled_call_impl = lambda image: calls.append(1) or backbone._call_impl(image)  # compiling takes long
    (result,), (expected,) = compiled(image_of(64, 64)), predictor_of(short_sighted)(image_of(64, 64))
    assert calls == [1]
    assert np.array_equal(result.mask, expected.mask)


def test_what_a_model_says_of_an_image_stands_beside_its_mask(short_sighted, tmp_path):
    config = Config(short_sighted._cfg_dict.to_dict())
    config.model = dict(
        type='denseformer.FaceXFormer',
        data_preprocessor=config.model.data_preprocessor,
        backbone=dict(type='denseformer.ShortSighted'),
        decode_head=dict(
            type='denseformer.FaceXFormerHead', in_channels=[16], channels=16, heads=2, hidden=16,
            num_classes=config.num_classes, facts=dict(landmarks=4, gender=2),
        ),
        test_cfg=dict(mode='whole'),
    )  # fmt: skip
    (result,) = Predictor(config, device='cpu')(image_of(40, 60))
    assert result.mask.shape == (40, 60)
    assert set(result.facts) == {'landmarks', 'gender'}
    result.outputs()['facts'].write(tmp_path / 'facts.json')
    assert json.loads((tmp_path / 'facts.json').read_text()) == result.facts

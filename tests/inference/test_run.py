"""A folder is predicted whole: names mirrored, failures recorded, nothing overwritten."""

import json

import numpy as np
import pytest
from PIL import Image

from denseformer.cli import main
from denseformer.inference import Predictor, predict_folder

from .conftest import CONFIG


def record(root) -> dict[str, dict]:
    lines = [json.loads(line) for line in (root / 'results.jsonl').read_text().splitlines()]
    return {line['file']: line for line in lines}


def test_masks_and_overlays_mirror_the_source(predictor, folder, tmp_path):
    summary = predict_folder(predictor, folder, tmp_path / 'out')
    out = tmp_path / 'out'
    assert {str(p.relative_to(out / 'masks')) for p in (out / 'masks').rglob('*.png')} == {
        'a.png',
        'b/a.png',
        'b/c.png',
    }
    assert (out / 'overlays/b/a.jpg').is_file()
    assert Image.open(out / 'masks/b/a.png').size == (47, 33)
    assert (summary['predicted'], summary['failed']) == (3, 2)
    assert json.loads((out / 'summary.json').read_text()) == summary


def test_a_bad_image_is_recorded_and_does_not_end_the_run(predictor, folder, tmp_path):
    predict_folder(predictor, folder, tmp_path / 'out')
    entries = record(tmp_path / 'out')
    assert {name for name, entry in entries.items() if entry['status'] == 'failed'} == {'zero.png', 'text.jpg'}
    assert 'zero.png' in entries['zero.png']['error']
    assert entries['a.jpg']['classes']


def test_the_command_says_by_its_exit_code_that_images_failed(checkpoint, folder, tmp_path, capsys):
    command = ['infer', CONFIG, str(checkpoint), str(folder), '--out', str(tmp_path / 'out'), '--device', 'cpu']
    assert main(command) == 1
    assert 'zero.png' in capsys.readouterr().out
    (folder / 'zero.png').unlink()
    (folder / 'text.jpg').unlink()
    assert main(command) == 0
    assert (tmp_path / 'out_2/masks/a.png').is_file()


def test_wrong_usage_is_exit_code_2(checkpoint, tmp_path, capsys):
    assert main(['infer', CONFIG, str(checkpoint), str(tmp_path / 'nowhere'), '--out', str(tmp_path / 'out')]) == 2
    assert 'nowhere' in capsys.readouterr().err
    assert main(['infer', 'nowhere.py', str(checkpoint), str(tmp_path), '--out', str(tmp_path / 'out')]) == 2


def test_fail_fast_stops_at_the_first_failure(predictor, folder, tmp_path):
    with pytest.raises(ValueError, match=r'text\.jpg'):
        predict_folder(predictor, folder, tmp_path / 'out', fail_fast=True)


def test_a_second_run_gets_a_folder_of_its_own(predictor, folder, tmp_path):
    assert predict_folder(predictor, folder, tmp_path / 'out')['out'].endswith('out')
    assert predict_folder(predictor, folder, tmp_path / 'out')['out'].endswith('out_2')


def test_resuming_predicts_what_is_left(predictor, folder, tmp_path):
    out = tmp_path / 'out'
    predict_folder(predictor, folder / 'b', out)
    (folder / 'b/new.png').write_bytes((folder / 'b/c.png').read_bytes())
    with (out / 'results.jsonl').open('a') as lines:
        lines.write('{"file": "cut sho')  # as an interrupted run leaves it
    summary = predict_folder(predictor, folder / 'b', out, resume=True)
    assert (summary['predicted'], summary['done before']) == (1, 2)


def test_names_that_differ_in_their_suffix_do_not_collide(predictor, folder, tmp_path):
    Image.open(folder / 'a.jpg').save(folder / 'a.png')
    predict_folder(predictor, folder, tmp_path / 'out')
    entries = record(tmp_path / 'out')
    assert entries['a.jpg']['mask'] != entries['a.png']['mask']


def test_images_over_the_limit_are_refused_before_decoding(checkpoint, folder, tmp_path):
    small = Predictor(CONFIG, checkpoint, device='cpu', max_pixels=2000)
    predict_folder(small, folder, tmp_path / 'out')
    assert 'max_pixels' in record(tmp_path / 'out')['b/c.png']['error']


def test_results_are_typed_and_can_be_drawn(predictor, folder):
    (result,) = predictor(folder / 'a.jpg')
    assert result.mask.shape == result.image.shape[:2] == (40, 60)
    assert result.mask.dtype == np.uint8
    assert abs(sum(result.shares.values()) - 1) < 0.01
    picture = result.plot()
    assert picture.width == 60
    assert picture.height > 40


def test_a_prediction_does_not_depend_on_its_company(predictor, folder):
    alone = {r.name.name: r.mask for r in predictor(folder / 'b/c.png')}
    together = {r.name.name: r.mask for r in predictor(folder / 'b')}
    assert np.array_equal(alone['c.png'], together['c.png'])

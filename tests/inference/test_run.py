"""A folder is predicted whole: names mirrored, failures recorded, nothing overwritten."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from predicting import CONFIG, record

from denseformer.cli import main
from denseformer.inference import Predictor, predict_folder
from denseformer.inference.run import print_summary
from denseformer.inference.sources import find_items


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
    for i in range(20):
        (folder / f'z{i}.png').write_bytes((folder / 'b/c.png').read_bytes())
    summary = predict_folder(predictor, folder, tmp_path / 'out', fail_fast=True)
    assert summary['failures'][0]['file'] == 'text.jpg'
    assert 3 <= summary['predicted'] < 20
    assert len(record(tmp_path / 'out')) == summary['predicted'] + summary['failed']


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
    assert (entries['a.jpg']['mask'], entries['a.png']['mask']) == ('masks/a_jpg.png', 'masks/a_png.png')


def test_names_do_not_depend_on_what_is_left_to_do(predictor, folder, tmp_path):
    Image.open(folder / 'a.jpg').save(folder / 'a.png')
    predict_folder(predictor, folder / 'a.png', tmp_path / 'out')
    assert record(tmp_path / 'out')['a.png']['mask'] == 'masks/a_png.png'


def test_outputs_have_distinct_names_whatever_the_images_are_called(tmp_path):
    names = ('a.jpg', 'a.png', 'a.PNG', 'a_png.jpg', 'b/a.png', 'a.jpg.jpg', 'scan_page001.jpg')
    (tmp_path / 'b').mkdir()
    for name in names:
        (tmp_path / name).touch()
    pages = [Image.new('L', (8, 8)) for _ in range(2)]
    pages[0].save(tmp_path / 'scan.tif', save_all=True, append_images=pages[1:])
    stems = [str(item.stem) for item in find_items(tmp_path)]
    assert len(set(stems)) == len(stems) == 9
    assert 'b/a' in stems
    assert 'scan_page002' in stems
    everywhere = [item.stem for item in find_items([tmp_path, tmp_path / 'b', tmp_path / 'a_png.jpg'])]
    assert len(set(everywhere)) == len(everywhere) == 11


def test_a_folder_too_large_to_be_sorted_gives_the_same_names(folder, monkeypatch):
    Image.open(folder / 'a.jpg').save(folder / 'a.png')
    expected = {(str(item.name), str(item.stem)) for item in find_items(folder)}
    for module in ('denseformer.inference.sources', 'denseformer.images.folders'):
        monkeypatch.setattr(f'{module}.SORTED', 2)
    assert {(str(item.name), str(item.stem)) for item in find_items(folder)} == expected


def test_outputs_inside_the_source_are_not_predicted_again(predictor, folder):
    predict_folder(predictor, folder, folder / 'out')
    assert predict_folder(predictor, folder, folder / 'out', overwrite=True)['predicted'] == 3


def test_any_error_of_an_image_is_its_own(predictor, folder, tmp_path, monkeypatch):
    inside = predictor.task.predict

    def fragile(batch):
        return inside(batch) if batch[0].name.name != 'c.png' else {}['not this one']

    monkeypatch.setattr(predictor.task, 'predict', fragile)
    summary = predict_folder(predictor, folder / 'b', tmp_path / 'out')
    assert summary['failures'] == [{'file': 'c.png', 'error': "KeyError: 'not this one'"}]
    assert summary['predicted'] == 1


def test_images_over_the_limit_are_refused_before_decoding(checkpoint, folder, tmp_path):
    small = Predictor(CONFIG, checkpoint, device='cpu', max_pixels=2000)
    predict_folder(small, folder, tmp_path / 'out')
    assert 'max_pixels' in record(tmp_path / 'out')['b/c.png']['error']


def test_the_command_leaves_the_limit_of_pillow_as_it_was(checkpoint, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1234)
    main(['infer', CONFIG, str(checkpoint), str(folder / 'a.jpg'), '--out', str(tmp_path / 'out'), '--device', 'cpu'])
    assert Image.MAX_IMAGE_PIXELS == 1234
    assert record(tmp_path / 'out')['a.jpg']['status'] == 'ok'  # of 2400 pixels


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


def test_files_of_other_kinds_are_counted_and_said(predictor, folder, tmp_path, capsys):
    for name in ('b/photo.heic', 'b/sketch.tga', 'b/more.HEIC', '.hidden.tga'):
        (folder / name).touch()
    for _ in range(2):  # its own files, below the source, do not count
        summary = predict_folder(predictor, folder, folder / 'out', overwrite=True)
        assert summary['other files'] == {'.heic': 2, '.tga': 1, '.md': 1}
    print_summary(summary)
    assert '2 .heic, 1 .tga, 1 .md' in capsys.readouterr().out
    assert predict_folder(predictor, folder / 'a.jpg', tmp_path / 'one')['other files'] == {}


def test_an_output_may_be_named_from_the_current_folder(predictor, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    predict_folder(predictor, folder / 'a.jpg', 'out')
    predict_folder(predictor, folder / 'a.jpg', 'shards', shard='0/1')
    expected = ['masks', 'overlays', 'progress.json', 'results.jsonl', 'summary.json']
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == expected
    assert sorted(path.name for path in (tmp_path / 'shards').iterdir()) == ['masks', 'overlays', 'shards']


def test_an_empty_folder_is_free(predictor, folder, tmp_path):
    (tmp_path / 'out').mkdir()
    for name in ('out', 'out_2'):
        assert predict_folder(predictor, folder / 'a.jpg', tmp_path / 'out')['out'] == str(tmp_path / name)


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a GPU')
def test_a_gpu_that_is_not_there_is_one_line(checkpoint, folder, tmp_path, capsys):
    arguments = ['infer', CONFIG, str(checkpoint), str(folder / 'a.jpg'), '--out', str(tmp_path / 'out')]
    assert main([*arguments, '--device', 'cuda']) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].endswith('--device cuda: this PyTorch sees no GPU.')
    assert not (tmp_path / 'out').exists()

"""Sources stand for images, under distinct names."""

import os
import tarfile
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from denseformer.images.reading import read_image
from denseformer.inference import predict_folder
from denseformer.inference.shards import Shard
from denseformer.inference.sources import Selection, find_items


def names(source) -> list[str]:
    return [str(item.name) for item in find_items(source)]


def test_a_folder_gives_its_images_with_their_sub_folders(folder):
    assert names(folder) == ['a.jpg', 'b/a.png', 'b/c.png', 'text.jpg', 'zero.png']


def test_hidden_files_are_left_alone_and_broken_links_are_not(folder):
    (folder / '._a.jpg').write_bytes(b'of another system')
    (folder / '.thumbnails').mkdir()
    (folder / '.thumbnails/a.jpg').write_bytes(b'small')
    (folder / 'link.png').symlink_to(folder / 'nowhere.png')
    assert names(folder) == ['a.jpg', 'b/a.png', 'b/c.png', 'link.png', 'text.jpg', 'zero.png']


def test_sources_of_one_name_are_told_apart(folder):
    assert names([folder / 'a.jpg', folder, folder / 'b/a.png', folder / 'a.jpg'])[0] == 'a.jpg'
    found = names([folder, folder, folder / 'b'])
    assert len(set(found)) == len(found) == 12


def test_a_file_gives_itself(folder):
    assert names(folder / 'b/c.png') == ['c.png']


def test_a_glob_gives_names_below_its_fixed_part(folder):
    assert names(f'{folder}/**/*.png') == ['b/a.png', 'b/c.png', 'zero.png']


def test_a_list_names_files_relative_to_itself(folder):
    (folder / 'list.txt').write_text('b/c.png\n\n# not this: b/a.png\na.jpg\n')
    assert names(folder / 'list.txt') == ['b/c.png', 'a.jpg']


def test_a_list_may_leave_suffixes_out(folder):
    (folder / 'list.txt').write_text('b/c\n\n \na\nb/a.png\n')
    assert names(folder / 'list.txt') == ['b/c.png', 'a.jpg', 'b/a.png']


@pytest.mark.parametrize(('line', 'fault'), [('gone', 'no such file'), ('b/c.jpg', 'no such file'), ('a', '2 files')])
def test_an_error_in_a_list_names_the_list_and_the_line(folder, line, fault):
    (folder / 'a.png').write_bytes(b'')
    (folder / 'list.txt').write_text(f'b/a.png\n\n{line}\n')
    good, bad = find_items(folder / 'list.txt')
    assert good.file.is_file()
    with pytest.raises(ValueError, match=rf"list\.txt', line 3: '{line}': .*{fault}"):
        _ = bad.file


def test_a_list_comes_in_on_standard_input(folder, monkeypatch):
    (folder / 'list').write_text('b/c\na.jpg\n')
    monkeypatch.chdir(folder)
    kept = os.dup(0)
    with (folder / 'list').open() as lines:
        os.dup2(lines.fileno(), 0)
    try:
        assert names('-') == ['b/c.png', 'a.jpg']
    finally:
        os.dup2(kept, 0)


def test_a_listed_file_elsewhere_cannot_lead_out_of_the_output(folder):
    (folder / 'b/list.txt').write_text('../a.jpg\n')
    (name,) = names(folder / 'b/list.txt')
    assert '..' not in name
    assert not name.startswith('/')


def test_arrays_and_pillow_images_are_sources(folder):
    (item,) = find_items(np.zeros((4, 5), np.uint8))
    assert item.pixels.shape == (4, 5, 3)
    red = Image.new('RGB', (2, 2), (255, 0, 0))
    (item,) = find_items(red)
    assert item.pixels[0, 0].tolist() == [0, 0, 255]


def test_the_content_of_a_file_is_a_source(folder):
    content = (folder / 'a.jpg').read_bytes()
    (item,) = find_items(folder / 'a.jpg')
    for source in (content, BytesIO(content), (folder / 'a.jpg').open('rb')):
        (from_memory,) = find_items(source)
        assert np.array_equal(from_memory.pixels, read_image(item.file).as_bgr8())


@pytest.mark.parametrize('source', [torch.zeros(3, 4, 5), object(), 1.5, None])
def test_another_kind_of_source_is_told_which_are_supported(source):
    with pytest.raises(ValueError, match=r'not supported\. Supported are .*numpy array'):
        list(find_items(source))


@pytest.mark.parametrize('source', [1, '1'])
def test_a_number_is_a_camera(source):
    (item,) = find_items(source)
    assert (str(item.name), item.video, item.is_video) == ('camera1.mp4', 1, True)


def test_an_address_is_a_stream():
    (item,) = find_items('rtsp://camera.example/hall?channel=1')
    assert item.video == 'rtsp://camera.example/hall?channel=1'
    assert item.is_video


def test_several_sources_are_one(folder):
    assert len(names([folder / 'a.jpg', np.zeros((4, 5, 3), np.uint8), folder / 'b'])) == 4


@pytest.mark.parametrize('source', ['nowhere', 'nowhere/*.png'])
def test_a_missing_source_is_an_error(source, tmp_path):
    with pytest.raises(ValueError, match='nowhere'):
        names(str(tmp_path / source))


def test_an_array_of_another_kind_is_an_error():
    with pytest.raises(ValueError, match='float64'):
        names(np.zeros((4, 5, 3)))


@pytest.fixture
def archives(tmp_path, folder):
    """Two tar files in a folder; the second one ends too early."""
    root = tmp_path / 'archives'
    root.mkdir()
    for number in range(2):
        with tarfile.open(root / f'{number:03d}.tar', 'w') as archive:
            for name in ('a.jpg', 'a.seg.png', 'more/b.png', '../a.png', 'notes.json', '.hidden.png'):
                archive.add(folder / 'b/c.png', arcname=name)
    whole = (root / '001.tar').read_bytes()
    (root / '001.tar').write_bytes(whole[: len(whole) // 4])
    return root


def test_the_images_of_tar_files_are_named_below_them(archives):
    expected = ['000/a.jpg', '000/more/b.png', '000/a.png']
    items = list(find_items(archives))
    assert [str(item.name) for item in items] == [*expected, '001/a.jpg', '001.tar']
    assert len({item.stem for item in items}) == 5
    with pytest.raises(ValueError, match=r'001\.tar.*cannot be read to its end'):
        _ = items[-1].file
    (archives / 'list.txt').write_text('000.tar\n')
    for source in (archives / '000.tar', archives / 'list.txt', f'{archives}/*0.tar'):
        assert names(source) == expected


def test_a_tar_file_belongs_to_one_shard(archives):
    shards = [{item.name.parts[0] for item in find_items(archives, Selection(Shard(i, 2)))} for i in range(2)]
    assert not shards[0] & shards[1] - {'001.tar'}
    assert {'000', '001', '001.tar'} == shards[0] | shards[1]


def test_images_in_tar_files_are_predicted(archives, predictor, folder, tmp_path):
    summary = predict_folder(predictor, archives, tmp_path / 'out')
    assert (summary['predicted'], [fault['file'] for fault in summary['failures']]) == (4, ['001.tar'])
    predict_folder(predictor, folder / 'b/c.png', tmp_path / 'same')
    mask = (tmp_path / 'out/masks/000/more/b_png.png').read_bytes()
    assert mask == (tmp_path / 'same/masks/c.png').read_bytes()

"""Images, lists, weights and outputs may lie in an object store, also in one that is busy and cuts connections."""

import json
import signal
import tarfile
from io import BytesIO

import numpy as np
import pytest
import tifffile
from faulty_store import FaultyProxy
from forks import in_child
from PIL import Image

from denseformer import storage
from denseformer.checkpoints import read_checkpoint
from denseformer.cli import main
from denseformer.config.packing import write_shards
from denseformer.datasets import RestorationImages, TarShards
from denseformer.inference import Predictor, packs, predict_folder
from denseformer.inference.merging import merge
from denseformer.inference.packs import Pack
from denseformer.inference.sources import find_items
from denseformer.inference.writers import RunFolder, StoredJournal

from .test_segmentation import UTM
from .test_shards import die_at

needed = "pip install 'denseformer[storage]' 'moto[server]'"
pytest.importorskip('s3fs', reason=needed)
pytest.importorskip('upath', reason=needed)
moto = pytest.importorskip('moto.server', reason=needed)
NAMES = [f'{"more/" if i % 2 else ""}{i}.png' for i in range(8)]


@pytest.fixture(scope='module')
def server():
    """An S3 server behind a proxy, for s3:// addresses of this process."""
    store = moto.ThreadedMotoServer('127.0.0.1', port=0, verbose=False)
    store.start()
    proxy = FaultyProxy(store.get_host_and_port()[1])
    variables = {
        'AWS_ENDPOINT_URL': f'http://127.0.0.1:{proxy.server_address[1]}',
        'AWS_ACCESS_KEY_ID': 'anyone',
        'AWS_SECRET_ACCESS_KEY': 'anything',
        'AWS_DEFAULT_REGION': 'us-east-1',
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr(storage, 'FIRST_PAUSE', 0.01)
        yield proxy
    proxy.shutdown()
    store.stop()


@pytest.fixture
def bucket(server, tmp_path, weights):
    """Eight images, a list of them, a file of text, and weights."""
    server.each = 0
    root = storage.path_of('s3://images')
    root.fs.mkdirs('images', exist_ok=True)
    rng = np.random.default_rng(0)
    for name in NAMES:
        Image.fromarray(rng.integers(0, 255, (16, 24, 3), np.uint8)).save(tmp_path / 'image.png')
        (root / 'in' / name).write_bytes((tmp_path / 'image.png').read_bytes())
    (root / 'in/notes.md').write_bytes(b'not looked at')
    (root / 'in/list.txt').write_bytes(''.join(f'{name}\n' for name in NAMES).encode())
    (root / 'small.pth').write_bytes(weights.read_bytes())
    yield root
    server.each = 0
    root.fs.rm('images', recursive=True)


def content(root) -> dict[str, bytes]:
    """The objects of a run, without what its shards keep and what was measured."""
    found = {path.relative_to(root).as_posix(): path for path in root.glob('restored/**/*.png')}
    assert found
    lines = [json.loads(line) for line in (root / 'results.jsonl').read_text().splitlines()]
    timeless = [{key: value for key, value in entry.items() if key != 'ms'} for entry in lines]
    return {**{name: path.read_bytes() for name, path in found.items()}, 'results': json.dumps(timeless).encode()}


def test_addresses_of_stores_are_told_from_streams_and_files():
    images = frozenset({'.png'})
    assert all(storage.is_stored(path, images) for path in ('s3://a/b', 'gs://a', 'hf://datasets/a', 'https://a/b.png'))
    assert not any(storage.is_stored(path, images) for path in ('rtsp://a/b', 'http://a/live', 's3', 'a/b.png'))


def test_a_folder_and_a_list_in_a_store_are_sources(bucket, folder):
    assert sorted(str(item.name) for item in find_items('s3://images/in')) == sorted(NAMES)
    assert [str(item.name) for item in find_items('s3://images/in/list.txt')] == NAMES
    assert [str(item.stem) for item in find_items('s3://images/in/more/1.png')] == ['1_png']
    (folder / 'list.txt').write_text('s3://images/in/0.png\na.jpg\n')
    assert [str(item.name) for item in find_items(folder / 'list.txt')] == ['images/in/0.png', 'a.jpg']
    with pytest.raises(ValueError, match='holds no image'):
        list(find_items('s3://images/nothing'))


def test_weights_may_lie_in_a_store(bucket, server, tmp_path, monkeypatch, weights):
    monkeypatch.setenv('DENSEFORMER_CACHE', str(tmp_path))
    server.each = 3
    assert read_checkpoint('s3://images/small.pth').keys() == read_checkpoint(weights).keys()
    with pytest.raises(ValueError, match=r's3://images/none\.pth'):
        read_checkpoint('s3://images/none.pth')


def test_shards_in_a_faulty_store_that_are_killed_give_what_a_good_one_gives(bucket, server, weights, monkeypatch):
    predictor = Predictor(weights, device='cpu')
    whole = predict_folder(predictor, 's3://images/in', 's3://images/whole')
    assert (whole['predicted'], whole['failed']) == (8, 0)
    monkeypatch.setattr('denseformer.inference.writers.STORED_LINES', 2)
    server.each = 7
    for shard in ('0/2', '1/2'):

        def predict(shard=shard, place=None, number=0):
            if place:
                die_at(monkeypatch, place, *number)
            predict_folder(predictor, 's3://images/in/list.txt', 's3://images/out', shard=shard, resume=True)

        for place, number in ((RunFolder, ('log', 3)), (StoredJournal, ('_store', 2))):
            in_child(lambda place=place, number=number: predict(place=place, number=number))
        assert in_child(predict) == 0
    assert merge(bucket / 'out')['predicted'] == 8
    assert len(set(server.met)) == 5
    server.each = 0
    assert content(bucket / 'out') == content(bucket / 'whole')
    assert [path.name for path in (bucket / 'out/shards/00000-of-00002').glob('*.jsonl')] == ['results.jsonl']


def test_a_run_in_a_store_is_resumed_and_watched(bucket, weights, tmp_path, capsys):
    predictor = Predictor(weights, device='cpu')
    out = 's3://images/out'
    predict_folder(predictor, 's3://images/in/0.png', out, report=True)
    assert predict_folder(predictor, 's3://images/in/0.png', out)['out'] == 's3://images/out_2'
    assert predict_folder(predictor, 's3://images/in/list.txt', out, resume=True, report=True)['done before'] == 1
    assert (bucket / 'out/report.html').read_text().count('<figure>') == 8
    assert main(['status', out]) == 0
    assert capsys.readouterr().out.startswith('8 done')
    with pytest.raises(ValueError, match='--shard'):
        predict_folder(predictor, 's3://images/in', out, share=True)


def test_what_stores_cannot_give_is_said(bucket, weights):
    for name in ('clip.mp4', 'map.tif', 'empty.png'):
        (bucket / 'odd' / name).write_bytes(b'')
    summary = predict_folder(Predictor(weights, device='cpu'), 's3://images/odd', 's3://images/out')
    faults = {failure['file']: failure['error'] for failure in summary['failures']}
    assert 'copy it first' in faults['clip.mp4']
    assert 'map.tif' in faults['map.tif']
    assert 'empty.png' in faults['empty.png']


def test_pages_and_georeference_of_tiff_files_come_from_stores_and_archives(bucket, predictor, tmp_path):
    with tifffile.TiffWriter(tmp_path / 'map.tif') as file:
        for page in range(2):
            file.write(np.full((32, 40, 3), 60 * page, np.uint8), photometric='rgb', extratags=UTM)
    (bucket / 'maps/map.tif').write_bytes((tmp_path / 'map.tif').read_bytes())
    with tarfile.open(tmp_path / 'maps.tar', 'w') as archive:
        archive.add(tmp_path / 'map.tif', 'map.tif')
    results = []
    for source, name in ((tmp_path / 'map.tif', ''), ('s3://images/maps', ''), (tmp_path / 'maps.tar', 'maps/')):
        summary = predict_folder(predictor, source, tmp_path / 'out', overwrite=True)
        assert (summary['predicted'], summary['failures']) == (2, [])
        suffix = '' if source == tmp_path / 'map.tif' else '_tif'
        masks = [tmp_path / f'out/masks/{name}map_page00{page}{suffix}.tif' for page in (1, 2)]
        found = [tifffile.imread(mask) for mask in masks]
        results.append(found)
        with tifffile.TiffFile(masks[1]) as file:
            assert file.pages[0].tags[33922].value == UTM[1][3]
    np.testing.assert_array_equal(results[1:], results[:1] * 2)


def test_a_transfer_is_given_up_after_some_attempts(monkeypatch):
    monkeypatch.setattr(storage, 'FIRST_PAUSE', 0)
    calls = []

    def work(error):
        calls.append(1)
        raise error

    with pytest.raises(ConnectionError):
        storage.patiently(lambda: work(ConnectionError()))
    assert len(calls) == storage.ATTEMPTS
    with pytest.raises(FileNotFoundError):
        storage.patiently(lambda: work(FileNotFoundError()))
    assert len(calls) == storage.ATTEMPTS + 1


def test_tar_files_of_outputs_in_a_faulty_store_hold_everything_once(bucket, server, weights, monkeypatch):
    predictor = Predictor(weights, device='cpu')
    server.each = 13

    def predict(place=None, *number) -> None:
        if place:
            die_at(monkeypatch, place, *number)
        predict_folder(predictor, 's3://images/in/list.txt', 's3://images/out', shard='0/1', resume=True, pack=3)

    for death in ((Pack, 'add', 5), (StoredJournal, '_store', 1)):
        assert in_child(lambda death=death: predict(*death)) == -signal.SIGKILL
    assert in_child(predict) == 0
    assert merge(bucket / 'out')['predicted'] == 8
    server.each = 0
    entries = [json.loads(line) for line in (bucket / 'out/results.jsonl').read_text().splitlines()]
    assert len(entries) == 8
    for entry in entries:
        Image.open(BytesIO(packs.read_output(bucket / 'out', entry, 'restored'))).load()
    tars = sorted((bucket / 'out/tars').iterdir())
    assert len(tars) == len({entry['tar'] for entry in entries})
    tars[0].write_bytes(tars[0].read_bytes()[:-1])
    with pytest.raises(ValueError, match='is not what the record says'):
        merge(bucket / 'out')


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'upath', None)
    with pytest.raises(ValueError, match=r'denseformer\[storage\]'):
        storage.path_of('s3://a/b')


def test_training_samples_in_a_faulty_store_are_one_request_each(bucket, server, tmp_path):
    for name in NAMES[::2]:
        (tmp_path / name).write_bytes((bucket / 'in' / name).read_bytes())
    load = [dict(type='denseformer.LoadImagePair')]
    files = RestorationImages(data_prefix=dict(gt_path=str(tmp_path)), pipeline=load)
    server.each = 5
    write_shards(files, bucket / 'shards', 3)
    shards = TarShards(folder='s3://images/shards', pipeline=load)
    for number in (3, 0):
        np.testing.assert_array_equal(shards[number]['gt_img'], files[number]['gt_img'])
    server.each, before = 1000, next(server.requests)
    np.testing.assert_array_equal(shards[2]['gt_img'], files[2]['gt_img'])
    assert next(server.requests) - before == 1 + 1  # the sample's, and this look

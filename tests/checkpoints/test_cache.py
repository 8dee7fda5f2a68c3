"""Published weights in the cache: fetched once, pinned by hash, added by hand."""

import errno
import gzip
import hashlib
import json
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

import pytest
import torch
from safetensors.torch import save_file

from denseformer.backbones import Swin
from denseformer.checkpoints import CheckpointError, cache, catalog, read_checkpoint
from denseformer.checkpoints.catalog import WeightFile

ENTRY = WeightFile(
    name='tiny_net', network='Swin', arch='tiny', kind='imagenet', task='classification', data='ImageNet-1K',
    license='MIT', commercial=True, official=True, source='here:README.md', file='tiny_net.pth',
)  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """Serves `server.data`, as a web page where the path ends in .html."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(200)
        kind = 'text/html; charset=utf-8' if self.path.endswith('.html') else 'application/octet-stream'
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(self.server.data)))
        self.end_headers()
        self.wfile.write(self.server.data)

    def log_message(self, *arguments):
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setattr('denseformer.checkpoints.download.PAUSE', 0.01)
    monkeypatch.setenv('DENSEFORMER_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.chdir(tmp_path)
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    torch.save({'model': {'weight': torch.arange(3.0)}}, tmp_path / 'source.pth')
    server.data, server.asked = (tmp_path / 'source.pth').read_bytes(), []
    server.url = f'http://127.0.0.1:{server.server_port}'
    threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def entry(server, monkeypatch):
    """Puts entries into the catalog in place of the published ones."""

    def put(*urls: str, **changes) -> WeightFile:
        file = replace(ENTRY, urls=urls or (f'{server.url}/tiny_net.pth',), **changes)
        for module in (catalog, cache):
            monkeypatch.setattr(module, 'catalog', lambda: MappingProxyType({file.name: file}))
        return file

    return put


def test_a_file_is_fetched_once_and_then_read_by_its_name(server, entry):
    entry()
    for _ in range(2):
        assert torch.equal(read_checkpoint('weights:tiny_net')['model']['weight'], torch.arange(3.0))
    assert read_checkpoint('weights:Swin/tiny/tiny_net')['model'].keys() == {'weight'}
    assert len(server.asked) == 1


def test_a_first_fetch_pins_the_hash_and_a_replaced_file_is_refused_with_both(server, entry):
    file = entry()
    cache.fetch(file).unlink()
    pinned = hashlib.sha256(server.data).hexdigest()
    server.data = b'changed' + server.data[7:]
    found = hashlib.sha256(server.data).hexdigest()
    with pytest.raises(CheckpointError, match=f'(?s)(?=.*{pinned})(?=.*{found})'):
        cache.fetch(file)
    assert cache.present(file) is None


def test_of_a_published_archive_the_checkpoint_inside_is_cached_and_pinned(server, entry, tmp_path):
    inner = server.data
    with zipfile.ZipFile(tmp_path / 'tiny_net.zip', 'w') as archive:
        archive.writestr('tiny_net/tiny_net.pth.tar', inner)
    server.data = (tmp_path / 'tiny_net.zip').read_bytes()
    file = entry(f'{server.url}/tiny_net.zip', file='tiny_net.zip')
    path = cache.fetch(file)
    assert path.read_bytes() == inner
    assert cache.pin_of('tiny_net')[0].sha256 == hashlib.sha256(inner).hexdigest()
    assert [one.name for one in path.parent.iterdir() if 'zip' in one.name] == []
    path.unlink()
    server.data = server.data.replace(inner[200:240], inner[200:239] + b'?')
    with pytest.raises(CheckpointError, match=r'tiny_net.*not unpacked'):
        cache.fetch(file)
    assert cache.add(tmp_path / 'source.pth', 'tiny_net')[1] == path  # unpacked by hand


@pytest.fixture
def packed(server, entry, tmp_path):
    """An entry that is published as a .zip file, which is served."""
    with zipfile.ZipFile(tmp_path / 'tiny_net.zip', 'w') as archive:
        archive.writestr('tiny_net/tiny_net.pth', server.data)
    server.data = (tmp_path / 'tiny_net.zip').read_bytes()
    return entry(f'{server.url}/tiny_net.zip', file='tiny_net.zip')


@pytest.mark.parametrize('removed', [False, True])
def test_an_archive_that_was_cached_and_pinned_as_it_is_gives_way_to_the_checkpoint_inside(
    packed, server, tmp_path, removed
):
    path = cache.path_of(packed)
    path.parent.mkdir(parents=True)
    path.write_bytes(server.data)
    pin = cache.Pin(hashlib.sha256(server.data).hexdigest(), len(server.data), packed.urls[0])
    for lock in (path.parent / 'weights.lock', tmp_path / 'weights.lock'):
        cache.write_lock(lock, {'tiny_net': pin})
    if removed:
        cache.remove('tiny_net')
    assert cache.fetch(packed).read_bytes() == (tmp_path / 'source.pth').read_bytes()
    assert cache.verify() == {'tiny_net': ''}
    assert {cache.read_lock(lock)['tiny_net'].sha256 for lock in cache.lock_paths()} == {cache.file_hash(path)}
    assert len(server.asked) == removed


def test_a_published_archive_that_was_fetched_by_hand_is_added(packed, tmp_path):
    checked = []
    file, path = cache.add(tmp_path / 'tiny_net.zip', check=lambda _, path: checked.append(path.read_bytes()))
    assert file == packed
    assert checked == [path.read_bytes()] == [(tmp_path / 'source.pth').read_bytes()]
    assert cache.pin_of('tiny_net')[0].url == 'tiny_net.zip'
    assert [one.name for one in path.parent.iterdir() if not one.name.endswith('.lock')] == [path.name]


def test_an_archive_of_the_hub_is_unpacked_too(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, 'has_client', lambda: True)
    monkeypatch.setattr(cache, 'fetch_from_hub', lambda repo, file: tmp_path / file)
    path = cache.fetch(replace(packed, hub='owner/tiny_net'))
    assert path.read_bytes() == (tmp_path / 'source.pth').read_bytes()
    assert (tmp_path / 'tiny_net.zip').is_file()  # the hub client's own


def test_an_archive_for_which_there_was_no_room_is_not_fetched_again(packed, server, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patched:
        patched.setattr('denseformer.checkpoints.download.shutil.copyfileobj', full)
        with pytest.raises(CheckpointError, match=r'No space left.*Make room'):
            cache.fetch(packed)
    assert not list(cache.weights_folder().glob('*.part'))
    assert cache.fetch(packed).read_bytes() == (tmp_path / 'source.pth').read_bytes()
    assert len(server.asked) == 1
    assert not list(cache.weights_folder().glob('*.zip'))


def test_a_lock_file_in_the_working_directory_is_the_one_that_counts(server, entry, tmp_path):
    file = entry()
    (tmp_path / 'weights.lock').write_text('{}')
    cache.fetch(file)
    pins = json.loads((tmp_path / 'weights.lock').read_text())
    assert pins['tiny_net']['sha256'] == hashlib.sha256(server.data).hexdigest()
    assert pins['tiny_net']['url'].endswith('/tiny_net.pth')


def test_a_broken_lock_file_is_named(server, entry, tmp_path):
    (tmp_path / 'weights.lock').write_text('{"tiny_net": 3')
    with pytest.raises(CheckpointError, match=r'weights\.lock: not a lock file'):
        cache.fetch(entry())


def test_a_cached_file_is_held_against_a_projects_lock_file(server, entry, tmp_path):
    file = entry()
    cache.fetch(file)
    lock = tmp_path / 'weights.lock'
    lock.write_text('{}')
    cache.fetch(file)
    assert json.loads(lock.read_text())['tiny_net']['sha256'] == hashlib.sha256(server.data).hexdigest()
    assert cache.verify() == {'tiny_net': ''}
    lock.write_text(json.dumps({'tiny_net': {'sha256': '00', 'bytes': 1, 'url': ''}}))
    with pytest.raises(
        CheckpointError, match=r'tiny_net: .*weights\.lock says 00\. To fetch the pinned .*weights remove'
    ):
        cache.fetch(file)
    assert 'weights.lock says 00' in cache.verify()['tiny_net']
    lock.unlink()
    assert cache.fetch(file).is_file()
    assert cache.verify() == {'tiny_net': ''}


def test_a_lock_file_keeps_what_it_says_of_a_file_and_learns_no_folder_of_the_machine(server, entry, tmp_path):
    file, lock = entry(), tmp_path / 'weights.lock'
    cache.fetch(file)
    committed = json.dumps({'tiny_net': cache.pin_of('tiny_net')[0]._asdict() | {'url': 'https://authors.org/net'}})
    lock.write_text(committed)
    caches = cache.weights_folder() / 'weights.lock'
    caches.unlink()
    cache.fetch(file)
    assert lock.read_text() == committed
    assert json.loads(caches.read_text())['tiny_net']['url'] == 'tiny_net.pth'
    lock.write_text('{}')
    cache.add(tmp_path / 'source.pth', 'tiny_net')
    assert json.loads(lock.read_text())['tiny_net']['url'] == 'source.pth'


def test_a_broken_lock_file_of_the_cache_costs_no_download(server, entry, tmp_path):
    file = entry()
    cache.fetch(file).unlink()
    (tmp_path / 'weights.lock').write_text((cache.weights_folder() / 'weights.lock').read_text())
    (cache.weights_folder() / 'weights.lock').write_text('{"tiny_net": 3')
    server.asked.clear()
    with pytest.raises(CheckpointError, match=r'cache.weights.weights\.lock: not a lock file'):
        cache.fetch(file)
    assert server.asked == []


def test_a_cache_that_cannot_be_written_to_hashes_nothing_that_it_cannot_compare(server, entry, monkeypatch):
    path = cache.fetch(entry())
    (cache.weights_folder() / 'weights.lock').unlink()
    monkeypatch.setattr('os.access', lambda path, mode: False)
    hashed = []
    monkeypatch.setattr(cache, 'file_hash', lambda path: hashed.append(path) or '0' * 64)
    assert cache.fetch(entry()) == path
    assert hashed == []
    with pytest.raises(CheckpointError, match='its authors say 12345678'):
        cache.fetch(entry(sha256='12345678'))


def test_a_cache_that_cannot_be_written_to_is_named_and_read(server, entry, monkeypatch, tmp_path):
    path = cache.fetch(entry())
    monkeypatch.setattr('os.access', lambda path, mode: False)
    assert cache.fetch(entry()) == path
    with pytest.raises(CheckpointError, match=r'weights: cannot be written to\. Set DENSEFORMER_CACHE'):
        cache.fetch(entry(name='other_net'))
    (tmp_path / 'file').touch()
    monkeypatch.setenv('DENSEFORMER_CACHE', str(tmp_path / 'file'))
    with pytest.raises(CheckpointError, match='cannot be written to'):
        cache.fetch(entry())


def test_what_a_server_sends_in_a_files_place_is_not_kept(server, entry):
    for data, words in (
        (b'', 'empty'),
        (b'<!DOCTYPE html>', 'a web page'),
        (b'version https://git-lfs.github.com', 'Git LFS'),
        (server.data[:-100], 'not a complete file'),
    ):
        server.data = data
        with pytest.raises(CheckpointError, match=rf'tiny_net: .*{words}.* Fetch .*weights add FILE --name tiny_net'):
            cache.fetch(entry())
        assert cache.pin_of('tiny_net') is None
        assert cache.present(entry()) is None


def test_a_published_hash_has_to_match(server, entry):
    with pytest.raises(CheckpointError, match='not 0000000000'):
        cache.fetch(entry(sha256='0000000000'))


def test_a_file_of_the_hub_is_fetched_from_its_address_where_the_client_is_not_installed(server, entry, monkeypatch):
    monkeypatch.setattr(cache, 'has_client', lambda: False)
    assert cache.fetch(entry(hub='owner/tiny')).read_bytes() == server.data
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    with pytest.raises(CheckpointError, match='needs its client'):
        cache.fetch(entry('https://huggingface.co/owner/tiny', hub='owner/tiny', name='other_net'))


def test_a_second_address_serves_where_the_first_fails(server, entry):
    file = entry('http://127.0.0.1:9/gone.pth', f'{server.url}/tiny_net.pth')
    assert cache.fetch(file).read_bytes() == server.data


@pytest.mark.parametrize(
    'page',
    ['https://drive.google.com/file/d/1/view', 'https://pan.baidu.com/s/1', 'https://github.com/a/b/blob/main/x.pth'],
)
def test_a_share_page_says_which_file_to_fetch_and_how_to_add_it(entry, page):
    with pytest.raises(CheckpointError, match=rf"'tiny_net.pth' from {page}.*weights add FILE --name tiny_net"):
        cache.fetch(entry(page))


def test_a_web_page_in_answer_says_the_same(server, entry):
    with pytest.raises(CheckpointError, match=r'web page.*weights add FILE --name tiny_net'):
        cache.fetch(entry(f'{server.url}/view.html'))


def test_commercial_only_refuses_what_does_not_say_that_it_allows_it(entry):
    with pytest.raises(CheckpointError, match=r'CC-BY-NC-4\.0'):
        cache.fetch(entry(license='CC-BY-NC-4.0', commercial=False), commercial_only=True)


def test_a_file_fetched_elsewhere_is_recognized_and_added(entry, tmp_path):
    file = entry('https://pan.baidu.com/s/1')
    (tmp_path / 'source.pth').rename(tmp_path / 'tiny_net.pth')
    assert cache.add(tmp_path / 'tiny_net.pth')[0] == file
    assert cache.fetch(file).read_bytes() == (tmp_path / 'tiny_net.pth').read_bytes()


def test_an_unknown_file_is_added_under_a_name_only(entry, tmp_path):
    entry()
    with pytest.raises(CheckpointError, match='--name'):
        cache.add(tmp_path / 'source.pth')
    assert cache.add(tmp_path / 'source.pth', 'tiny_net')[1].name == 'tiny_net.pth'


def test_what_is_no_whole_checkpoint_is_not_added(server, entry, tmp_path):
    entry()
    (tmp_path / 'page.pth').write_text('<!DOCTYPE html>')
    (tmp_path / 'cut.pth').write_bytes(server.data[:-200])
    save_file({'a': torch.ones(9)}, tmp_path / 'whole.safetensors')
    (tmp_path / 'cut.safetensors').write_bytes((tmp_path / 'whole.safetensors').read_bytes()[:-4])
    for name, words in (
        ('page.pth', 'a web page'),
        ('cut.pth', 'not a complete file'),
        ('nets', 'name one of its files'),
    ):
        (tmp_path / 'nets').mkdir(exist_ok=True)
        (tmp_path / 'nets' / 'a.pth').touch()
        with pytest.raises(CheckpointError, match=words):
            cache.add(tmp_path / name, 'tiny_net')
    entry(file='tiny_net.safetensors')
    with pytest.raises(CheckpointError, match=r'cut\.safetensors: not a complete file'):
        cache.add(tmp_path / 'cut.safetensors', 'tiny_net')
    assert cache.pin_of('tiny_net') is None
    assert cache.add(tmp_path / 'whole.safetensors', 'tiny_net')[1].is_file()


def test_the_content_of_a_file_says_whether_it_is_an_archive(server, entry, tmp_path):
    file = entry(file='tiny_net.pth.tar')
    (tmp_path / 'page.pth.tar').write_text('<!DOCTYPE html>')
    (tmp_path / 'packed.tar.gz').write_bytes(gzip.compress(b'weights', mtime=0))
    (tmp_path / 'page.tar.gz').write_text('<!DOCTYPE html>')
    (tmp_path / 'source.pth.tar').write_bytes(server.data)
    with pytest.raises(CheckpointError, match=r'page\.pth\.tar: a web page'):
        cache.add(tmp_path / 'page.pth.tar', 'tiny_net')
    for source in ('source.pth.tar', 'source.pth'):
        assert cache.add(tmp_path / source, 'tiny_net')[1].name == 'tiny_net.pth'
    assert cache.fetch(file).read_bytes() == server.data
    entry(file='tf_net.tar.gz', name='tf_net')
    with pytest.raises(CheckpointError, match=r'page\.tar\.gz: a web page'):
        cache.add(tmp_path / 'page.tar.gz', 'tf_net')
    assert cache.add(tmp_path / 'packed.tar.gz', 'tf_net')[1].is_file()


@pytest.mark.parametrize('name', ['net.safetensors.index.json', 'net-00001-of-00002.safetensors'])
def test_a_model_in_parts_is_not_added_and_read_where_it_is(entry, tmp_path, name):
    entry(file='tiny_net.safetensors')
    (tmp_path / name).write_text('{"weight_map": {}}')
    with pytest.raises(CheckpointError, match=r'of a model in parts.* Name its \.index\.json where .* pretrained=FILE'):
        cache.add(tmp_path / name)


def test_verify_names_what_changed_on_the_disk(server, entry):
    path = cache.fetch(entry())
    assert cache.verify() == {'tiny_net': ''}
    path.write_bytes(b'damaged')
    assert 'remove and fetch again' in cache.verify()['tiny_net']
    assert cache.remove('tiny_net') == path
    assert cache.verify() == {}


FETCH = """
import sys
from dataclasses import replace
from denseformer.checkpoints import cache
from tests.checkpoints.test_cache import ENTRY
cache.fetch(replace(ENTRY, urls=(sys.argv[1],)))
"""


def test_processes_that_want_one_file_fetch_it_once(server, tmp_path, request):
    root = str(request.config.rootpath)
    command = [sys.executable, '-c', f'import sys; sys.path.insert(0, {root!r})\n{FETCH}', f'{server.url}/tiny_net.pth']
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(server.asked) == 1


def test_training_starts_from_the_weights_that_pretrained_names(server, entry, tmp_path):
    arch = Swin.truncated_arch()
    source = Swin(arch=arch)
    torch.save({'model': source.state_dict()}, tmp_path / 'source.pth')
    server.data = (tmp_path / 'source.pth').read_bytes()
    entry()
    network = Swin(arch=arch, pretrained='weights:tiny_net')
    network.init_weights()
    for name, value in network.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name

"""Fetching from a server that misbehaves."""

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import save

from denseformer.checkpoints import CheckpointError, download, read_checkpoint
from denseformer.checkpoints.download import local_copy, unpack, unpack_only

DATA = bytes(range(256)) * 400
HASH = hashlib.sha256(DATA).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files`; answers first with the errors in `server.busy`, and ends `server.cuts` answers early."""

    def do_GET(self):
        server = self.server
        data = server.files.get(self.path)
        first = int((self.headers.get('Range') or 'bytes=0-')[6:-1]) if server.ranges else 0
        first = first if self.headers.get('If-Range') in (None, server.version) else 0
        server.asked.append(first)
        if server.busy:
            self.send_error(server.busy.pop())
            return
        if data is None or first >= len(data):
            self.send_error(404 if data is None else 416)
            return
        self.send_response(206 if first else 200)
        if first:
            self.send_header('Content-Range', f'bytes {first}-{len(data) - 1}/{len(data)}')
        self.send_header('Content-Length', str(len(data) - first))
        if server.version:
            self.send_header('ETag', server.version)
        self.end_headers()
        cut = server.cuts > 0
        server.cuts -= cut
        self.wfile.write(data[first : first + len(data) // 3] if cut else data[first:])

    def log_message(self, *arguments):
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setattr('denseformer.checkpoints.download.PAUSE', 0.01)
    monkeypatch.setenv('DENSEFORMER_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('no_proxy', '*')
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.files, server.cuts, server.ranges, server.asked, server.version = {'/w.bin': DATA}, 0, True, [], ''
    server.busy = []
    server.url = f'http://127.0.0.1:{server.server_port}'
    threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def fetch(server, tmp_path, sha256=HASH):
    return download.download(f'{server.url}/w.bin', tmp_path / 'w.bin', sha256)


def test_a_file_is_fetched_once(server, tmp_path):
    assert fetch(server, tmp_path).read_bytes() == DATA
    fetch(server, tmp_path)
    assert server.asked == [0]


def test_a_broken_connection_is_continued(server, tmp_path):
    server.cuts = 2
    assert fetch(server, tmp_path).read_bytes() == DATA
    third = len(DATA) // 3
    assert server.asked == [0, third, 2 * third]


def test_what_an_earlier_run_left_is_continued(server, tmp_path):
    (tmp_path / 'w.bin.part').write_bytes(DATA[:1000])
    assert fetch(server, tmp_path).read_bytes() == DATA
    assert server.asked == [1000]


def test_a_part_of_another_version_is_fetched_from_scratch(server, tmp_path):
    server.cuts, server.version = 1, '"one"'
    with pytest.raises(CheckpointError):
        download.download(f'{server.url}/w.bin', tmp_path / 'w.bin', attempts=1)
    server.files['/w.bin'], server.version = DATA[::-1], '"two"'
    assert fetch(server, tmp_path, '').read_bytes() == DATA[::-1]
    assert [path.name for path in tmp_path.iterdir()] == ['w.bin']


def test_a_server_that_cannot_continue_sends_all_again(server, tmp_path):
    server.ranges = False
    (tmp_path / 'w.bin.part').write_bytes(b'rubbish')
    assert fetch(server, tmp_path).read_bytes() == DATA


def test_a_part_longer_than_the_file_is_dropped(server, tmp_path):
    (tmp_path / 'w.bin.part').write_bytes(DATA + b'more')
    assert fetch(server, tmp_path).read_bytes() == DATA


def test_another_hash_leaves_nothing(server, tmp_path):
    with pytest.raises(CheckpointError, match='is not used'):
        fetch(server, tmp_path, sha256='0' * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_not_asked_for_again(server, tmp_path):
    with pytest.raises(CheckpointError, match=r'404.*The server no longer has it'):
        download.download(f'{server.url}/nowhere', tmp_path / 'x', HASH)
    assert len(server.asked) == 1


@pytest.mark.parametrize('code', [408, 429])
def test_a_server_that_is_busy_is_asked_again(server, tmp_path, code):
    server.busy = [code, code]
    assert fetch(server, tmp_path).read_bytes() == DATA
    server.busy = [code, code]
    with pytest.raises(CheckpointError, match=rf'{code}.* Try again later'):
        download.download(f'{server.url}/w.bin', tmp_path / 'other.bin', HASH, attempts=2)


def test_a_safetensors_file_that_ends_early_is_not_kept(server, tmp_path):
    server.files['/w.safetensors'] = save({'w': torch.ones(9)})[:-4]
    with pytest.raises(CheckpointError, match='not a complete file'):
        download.download(f'{server.url}/w.safetensors', tmp_path / 'w.safetensors')
    with pytest.raises(CheckpointError, match='not a complete file'):
        download.download(f'{server.url}/w.safetensors', tmp_path / 'w')
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_always_breaks_off_is_named(server, tmp_path):
    server.cuts = 2
    with pytest.raises(CheckpointError, match=r'the connection ended after .*it resumes'):
        download.download(f'{server.url}/w.bin', tmp_path / 'w.bin', HASH, attempts=2)
    assert (tmp_path / 'w.bin.part').stat().st_size == 2 * (len(DATA) // 3)


@pytest.mark.parametrize('url', ['file:///etc/passwd', 'ftp://host/x', 'data:,x'])
def test_other_schemes_are_refused(tmp_path, url):
    with pytest.raises(CheckpointError, match='only http and https'):
        download.download(url, tmp_path / 'x', HASH)


def test_a_checkpoint_is_read_from_an_address_with_a_hash(server):
    buffer = io.BytesIO()
    torch.save({'w': torch.arange(3)}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    server.files |= {'/net.pth': buffer.getvalue(), f'/net-{digest[:8]}.pth': buffer.getvalue()}
    for address in (f'/net.pth#sha256={digest}', f'/net-{digest[:8]}.pth'):
        assert read_checkpoint(server.url + address)['w'].tolist() == [0, 1, 2]
    with pytest.raises(CheckpointError, match='is not used'):
        read_checkpoint(f'{server.url}/net.pth#sha256={HASH}')


def test_an_address_without_a_hash_is_refused(server):
    with pytest.raises(CheckpointError, match='Append #sha256='):
        local_copy(f'{server.url}/w.bin')
    assert server.asked == []


def make_zip(path, name, data=b'x'):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)


def make_tar(path, name, link=None):
    with tarfile.open(path, 'w') as archive:
        member = tarfile.TarInfo(name)
        member.size = 0 if link else 1
        if link:
            member.type, member.linkname = tarfile.SYMTYPE, link
        archive.addfile(member, io.BytesIO(b'x'))


@pytest.mark.parametrize('name', ['../out.txt', 'a/../../out.txt', '/tmp/denseformer_escaped.txt'])
@pytest.mark.parametrize('make', [make_zip, make_tar])
def test_archives_cannot_leave_their_folder(tmp_path, make, name):
    make(tmp_path / 'archive', name)
    try:
        unpack(tmp_path / 'archive', tmp_path / 'in' / 'folder')
    except CheckpointError as error:
        assert 'archive' in str(error)  # noqa: PT017 (an absolute name may also be made relative)
    inside = (tmp_path / 'in' / 'folder').rglob('*')
    outside = [path for path in tmp_path.rglob('*.txt') if path not in set(inside)]
    assert outside == []


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    make_tar(tmp_path / 'archive', 'link', link='/etc')
    with pytest.raises(CheckpointError, match='not unpacked'):
        unpack(tmp_path / 'archive', tmp_path / 'folder')


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    make_zip(tmp_path / 'archive', 'zeros', b'\0' * 10_000_000)
    with pytest.raises(CheckpointError, match='would become 10000000 bytes'):
        unpack(tmp_path / 'archive', tmp_path / 'folder', max_bytes=1_000_000)
    assert not (tmp_path / 'folder').exists()


@pytest.mark.parametrize('make', [make_zip, make_tar])
def test_a_sound_archive_is_unpacked(tmp_path, make):
    make(tmp_path / 'archive', 'a/b.txt')
    unpack(tmp_path / 'archive', tmp_path / 'folder')
    assert (tmp_path / 'folder/a/b.txt').read_bytes() == b'x'


def zip_of(path, **members):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_the_one_checkpoint_of_an_archive_is_unpacked_whatever_its_name(tmp_path):
    members = {'../../w.pth.tar': b'weights', 'README.txt': b'', '__MACOSX/._w.pth.tar': b''}
    archive = zip_of(tmp_path / 'a.zip', **members)
    unpack_only(archive, tmp_path / 'net.pth')
    assert (tmp_path / 'net.pth').read_bytes() == b'weights'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.zip', 'net.pth']


def test_an_archive_without_one_sound_checkpoint_is_refused_and_leaves_nothing(tmp_path):
    damaged = [tmp_path / f'{method}.zip' for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)]
    for path, method in zip(damaged, (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA), strict=True):
        with zipfile.ZipFile(path, 'w', method) as archive:
            archive.writestr('w.pth', bytes(range(256)) * 40)
        data = path.read_bytes()
        path.write_bytes(data[:50] + bytes(20) + data[70:])
    for archive, message in (
        (zip_of(tmp_path / 'a.zip', **{'w.txt': b''}), r'holds 0 checkpoints \(none\)'),
        (zip_of(tmp_path / 'b.zip', **{'a.pth': b'', 'b.pth': b''}), r'holds 2 checkpoints \(a.pth, b.pth\)'),
        (zip_of(tmp_path / 'c.zip', **{'w.pth': bytes(1_000_001)}), 'would become 1000001 bytes'),
        *((path, 'not unpacked') for path in damaged),
    ):
        with pytest.raises(CheckpointError, match=message):
            unpack_only(archive, tmp_path / 'net.pth', max_bytes=1_000_000)
    assert {path.suffix for path in tmp_path.iterdir()} == {'.zip'}


def test_what_is_no_archive_is_named(tmp_path):
    (tmp_path / 'archive').write_bytes(b'nothing')
    with pytest.raises(CheckpointError, match='archive: not unpacked'):
        unpack(tmp_path / 'archive', tmp_path / 'folder')

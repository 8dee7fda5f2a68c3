"""Other packages are quiet while they are imported, unless they fail."""

import logging
import subprocess
import sys

import pytest

from denseformer import importing
from denseformer.importing import ImportHook, Quiet, when_imported


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a package `talker`, with a module `talker.inner`, that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))

    def write(outer: str, inner: str = '') -> None:
        (tmp_path / 'talker').mkdir()
        (tmp_path / 'talker/__init__.py').write_text(outer)
        (tmp_path / 'talker/inner.py').write_text(inner)

    yield write
    for name in ('talker', 'talker.inner'):
        sys.modules.pop(name, None)


@pytest.fixture
def quiet(package):
    sys.meta_path.insert(0, ImportHook(lambda name: name.startswith('talker'), Quiet()))


def test_what_an_import_prints_and_warns_is_not_shown(package, quiet, capsys):
    package("import warnings\nprint('a')\nimport talker.inner\nwarnings.warn('b')", "print('c')")

    print('d')
    assert capsys.readouterr() == ('d\n', '')


def test_a_failing_import_shows_all_that_was_said(package, quiet, capsys):
    package("print('the reason')\nimport talker.inner", "raise ImportError('no luck')")
    with pytest.raises(ImportError, match='no luck'):
        import talker  # noqa: F401
    assert capsys.readouterr().err == 'the reason\n'


def test_a_log_handler_made_during_an_import_speaks_afterwards(package, quiet, capsys):
    package('import logging, sys\nhandler = logging.StreamHandler(sys.stdout)')
    import talker

    talker.handler.emit(logging.makeLogRecord({'msg': 'heard'}))
    assert capsys.readouterr().out == 'heard\n'


def test_an_action_waits_for_the_import(package):
    package('x = 1')
    done = []
    when_imported('talker', lambda: done.append(sys.modules['talker'].x))
    assert done == []
    import talker  # noqa: F401

    assert done == [1]
    when_imported('talker', lambda: done.append(2))
    assert done == [1, 2]


def test_commands_are_quiet_once(monkeypatch):
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    before = len(sys.meta_path)
    importing.quiet_imports()
    importing.quiet_imports()
    assert len(sys.meta_path) <= before + 1


def test_commands_import_mmdetection_and_mmsegmentation_without_a_word():
    code = (
        'from denseformer.importing import quiet_imports; quiet_imports();'
        'import mmdet.datasets, mmdet.evaluation, mmseg.datasets; print("done")'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ('done\n', '')

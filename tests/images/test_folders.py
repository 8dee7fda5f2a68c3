"""Folders give their files, also through links, and never go round in circles."""

import os

import pytest

from denseformer.images.folders import files_below


@pytest.fixture
def folder(tmp_path):
    """a.png, b/c.png, and, outside, elsewhere/d.png."""
    root = tmp_path / 'root'
    (root / 'b').mkdir(parents=True)
    (tmp_path / 'elsewhere').mkdir()
    for path in (root / 'a.png', root / 'b/c.png', tmp_path / 'elsewhere/d.png'):
        path.touch()
    return root


def names(root) -> list[str]:
    return [path.relative_to(root).as_posix() for path in files_below(root)]


def test_files_come_by_name_without_hidden_ones(folder):
    (folder / '._a.png').touch()
    (folder / '.hidden').mkdir()
    (folder / '.hidden/e.png').touch()
    assert names(folder) == ['a.png', 'b/c.png']


def test_linked_folders_are_followed_under_their_own_names(folder):
    (folder / 'link').symlink_to(folder.parent / 'elsewhere')
    assert names(folder) == ['a.png', 'b/c.png', 'link/d.png']


def test_links_that_lead_back_are_not_followed(folder):
    (folder / 'b/up').symlink_to(folder)
    (folder / 'b/here').symlink_to(folder / 'b')
    assert names(folder) == ['a.png', 'b/c.png']


@pytest.mark.skipif(os.geteuid() == 0, reason='nothing is closed to the superuser')
def test_a_folder_that_is_closed_is_named(folder):
    (folder / 'b').chmod(0)
    with pytest.raises(ValueError, match=r'root/b.* cannot be read'):
        names(folder)

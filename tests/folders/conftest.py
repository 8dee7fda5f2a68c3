"""Tests of folders build datasets without the collection of garbage that comes with each."""

import pytest


@pytest.fixture(autouse=True)
def _no_collections(monkeypatch):
    """That collection takes longer than all else here."""
    monkeypatch.setattr('mmengine.dataset.base_dataset.gc.collect', lambda: 0)

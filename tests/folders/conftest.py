"""What all tests of folders share."""

import pytest


@pytest.fixture(autouse=True)
def _no_collections(monkeypatch):
    """Each dataset that is built collects garbage, which takes longer than all else here."""
    monkeypatch.setattr('mmengine.dataset.base_dataset.gc.collect', lambda: 0)

"""Heads of mmsegmentation find their losses in its registry, whatever a test before them looked at."""

import pytest
from mmengine.registry import init_default_scope


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope('mmseg')

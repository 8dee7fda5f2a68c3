"""A printed network says which layers it is made of."""

import re
from pathlib import Path

import denseformer
from denseformer import layers

ROOT = Path(denseformer.__file__).parent


def test_no_other_class_has_the_name_of_a_layer():
    files = (path for path in ROOT.rglob('*.py') if path.parent != ROOT / 'layers')
    found = {name for path in files for name in re.findall(r'^class (\w+)', path.read_text(), re.MULTILINE)}
    assert found & {*layers.__all__} == set()

"""The catalogue of operators has them all."""

import re
from pathlib import Path

from denseformer import attention, backbones


def test_every_operator_is_listed_with_networks_that_there_are():
    rows = re.findall(r'^    (\w+) {2,}.*\): (.+)$', attention.__doc__, re.MULTILINE)
    built_from = re.findall(r'`(\w+)`', attention.__doc__)
    operators = {path.stem for path in Path(attention.__file__).parent.iterdir() if not path.name.startswith('__')}
    assert {name for name, _ in rows} | {*built_from} == operators
    source = ''.join(path.read_text() for path in Path(backbones.__file__).parents[1].rglob('*.py'))
    users = {user for _, named in rows for user in re.findall(r'\w{3,}', named)}
    assert [user for user in users if not re.search(rf'^class {user}\w*\(', source, re.MULTILINE)] == []

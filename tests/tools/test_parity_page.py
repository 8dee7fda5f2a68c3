"""The parity page goes on where it was stopped."""

from tools.docs import parity
from tools.docs.parity import HEAD, main

SPECS = {
    'a': {'type': 'Swin', 'arch': 'tiny'},
    'b': {'type': 'Swin', 'arch': 'base'},
    'c': {'type': 'NAT', 'arch': 'mini'},
}


def test_rows_that_the_page_has_are_kept_and_the_others_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(parity, 'references', lambda: iter(SPECS.items()))
    monkeypatch.setattr(parity, 'row', lambda name, spec: f'{parity.cells(spec)}{name} |')
    page = tmp_path / 'parity.md'
    page.write_text(f"{HEAD}| Swin | arch='base' | old |\n| CvT | arch='13' | gone |\n")
    main(page, missing=True)
    rows = ["| Swin | arch='tiny' | a |", "| Swin | arch='base' | old |", "| NAT | arch='mini' | c |"]
    assert page.read_text() == HEAD + '\n'.join(rows) + '\n'
    main(page, missing=False)
    assert page.read_text() == HEAD + '\n'.join([rows[0], "| Swin | arch='base' | b |", rows[2]]) + '\n'

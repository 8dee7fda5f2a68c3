"""The pictures that rank backbones: who is at the front, whose name stands where, and what it leads to."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.ranking import RANKINGS
from denseformer.config.shipped import config_folder
from tools.docs import ranking
from tools.docs.ranking import Model, draw, front, models, overlap, placed


def entries(*rows: tuple[str, str, float, float]) -> dict:
    """By recipe: backbone, milliseconds and published value, in the first ranking."""
    return {
        recipe: {'backbone': backbone, 'ms': ms, 'value': value, 'ranking': RANKINGS[0].title}
        for recipe, backbone, ms, value in rows
    }


MEASURED = entries(
    ('upernet_swin_ade20k', 'Swin-tiny', 300, 44.5),
    ('upernet_swin_base_ade20k', 'Swin-base', 900, 48.1),
    ('upernet_nat_ade20k', 'NAT-tiny', 200, 47.1),
    ('upernet_vssd_ade20k', 'VSSD-micro', 400, 45.6),
)


def test_a_name_leads_to_its_recipe_and_its_family_to_a_color():
    found = {model.name: model for model in models(MEASURED, RANKINGS[0], 'ms')}
    assert [(name, model.kind) for name, model in found.items()] == [
        ('nat', 'neighborhood'),
        ('swin', 'windows'),
        ('vssd', 'state_space'),
        ('swin_base', 'windows'),
    ]
    assert all((config_folder() / RANKINGS[0].pattern.replace('*', name)).is_file() for name in found)
    assert models(MEASURED, RANKINGS[1], 'ms') == []


def test_the_front_is_what_no_cheaper_model_beats():
    dots = [
        Model(str(i), 'F', 'light', cost, value) for i, (cost, value) in enumerate([(1, 40), (2, 39), (3, 42), (4, 42)])
    ]
    assert [dot.name for dot in front(dots)] == ['0', '2']


@pytest.mark.parametrize('count', [5, 60])
def test_labels_cover_neither_each_other_nor_a_dot(count):
    rng = np.random.default_rng(0)
    dots, sizes, bounds = rng.uniform(50, 550, (count, 2)), np.array([[70.0, 10.0]] * count), (0, 0, 600, 600)
    boxes = [box for box in placed(dots, sizes, [135] * count, dots, 4, bounds) if box]
    assert len(boxes) > 0.9 * count
    boxes = np.array(boxes)
    assert not (overlap(boxes, boxes) & ~np.eye(len(boxes), dtype=bool)).any()
    assert not overlap(boxes, np.concatenate((dots - 4, dots + 4), 1)).any()
    assert (boxes >= 0).all()
    assert (boxes <= 600).all()


def test_a_label_without_a_free_place_is_left_out():
    crowd = np.stack(np.meshgrid(np.arange(0, 100, 5.0), np.arange(0, 100, 5.0)), -1).reshape(-1, 2)
    assert placed(np.array([[50.0, 50.0]]), np.array([[30.0, 10.0]]), [135], crowd, 4, (0, 0, 100, 100)) == [None]


def test_the_picture_has_a_panel_for_each_ranking_with_results(tmp_path, monkeypatch):
    monkeypatch.setattr(ranking, 'RESULTS', tmp_path / 'ranking.json')
    ranking.RESULTS.write_text(json.dumps(MEASURED))
    for name in ('a', 'b'):
        draw(tmp_path / f'{name}.svg', 'ms')
    assert (tmp_path / 'a.svg').read_bytes() == (tmp_path / 'b.svg').read_bytes()
    ElementTree.parse(tmp_path / 'a.svg')
    texts = re.findall(r'<text[^>]*>([^<]*)</text>', (tmp_path / 'a.svg').read_text())
    assert 'UPerNet, ADE20K   (denseformer train upernet_NAME_ade20k)' in texts
    assert not any(other.title in text for other in RANKINGS[1:] for text in texts)
    assert {'nat', 'swin_base', 'vssd'} <= set(texts)
    assert 'swin' not in texts

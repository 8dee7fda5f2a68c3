"""The config audit, the annotation check and the duration parser meet arbitrary input for a bounded time."""

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from denseformer.config.audit import audit
from denseformer.config.loading import ConfigError, load_config
from denseformer.engine.hooks.preemption import parse_duration
from denseformer.inspection.coco_check import check_annotations

CONFIG = 'configs/upernet_dinat_ade20k.py'
BOUNDED = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner), max_leaves=8
)
KEYS = st.sampled_from(['num_classes', 'load_from', 'data_root', 'param_scheduler', 'work_dir', 'published', 'typo'])


@BOUNDED
@given(st.dictionaries(KEYS, SCALARS, max_size=2))
def test_any_override_is_a_finding_a_config_error_or_accepted(overrides):
    try:
        findings = list(audit(load_config(CONFIG, overrides), data=False))
    except ConfigError:
        return
    assert all(str(finding) for finding in findings)


ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(('id', 'image_id', 'category_id', 'width', 'height'), JSON),
            'file_name': JSON,
            'bbox': st.lists(st.integers() | st.floats() | st.none(), max_size=5) | JSON,
            'segmentation': st.lists(JSON, max_size=2) | JSON,
        },
    ),
    max_size=3,
)


@settings(BOUNDED, max_examples=60)
@given(st.fixed_dictionaries({'images': ROWS | JSON, 'annotations': ROWS | JSON}, optional={'categories': ROWS | JSON}))
def test_any_annotation_file_gets_sentences(tmp_path, content):
    path = Path(tmp_path / 'ann.json')
    path.write_text(json.dumps(content))
    assert all(isinstance(text, str) and text for text in check_annotations(path, tmp_path))


@settings(BOUNDED, max_examples=100)
@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_refused(text):
    try:
        assert parse_duration(text) >= 0
    except ValueError as error:
        assert 'is no duration' in str(error)  # noqa: PT017 (both outcomes are right)

"""Old names work, and say once which name to use."""

import pytest

from denseformer import deprecation
from denseformer.config import overrides
from denseformer.config.audit import audit
from denseformer.config.components import find_component
from denseformer.config.loading import load_config
from denseformer.config.overrides import rename_keys
from denseformer.deprecation import COMPONENTS, current_name, renamed_arguments


@pytest.fixture
def said(monkeypatch):
    """The warnings of this test, (old name, new name); whatever was said before is forgotten."""
    pairs = []
    for module in (deprecation, overrides):
        monkeypatch.setattr(module, 'warn_renamed', lambda old, new: pairs.append((old, new)))
    return pairs


@pytest.mark.parametrize('old', COMPONENTS)
def test_an_old_component_name_finds_the_renamed_component(old, said):
    found = find_component(f'denseformer.{old}')
    assert found.__name__ == COMPONENTS[old]
    assert (old, COMPONENTS[old]) in said


def test_names_of_other_scopes_are_left_alone(said):
    assert [current_name(name) for name in ('mmdet.LoadPair', 'PreemptionHook')] == ['mmdet.LoadPair', 'PreemptionHook']
    assert not said


def test_the_log_says_it_once(monkeypatch):
    lines = []
    monkeypatch.setattr('mmengine.logging.print_log', lambda text, *_: lines.append(text))
    deprecation.warn_renamed.cache_clear()
    for _ in range(2):
        current_name('denseformer.LoadPair')
    assert lines == ["'LoadPair' is now called 'LoadImagePair'; the old name works until the next release."]


def test_an_old_argument_reaches_the_new_one(said):
    @renamed_arguments(augment='tta')
    def predict(tta=False):
        return tta

    assert predict(augment=True)
    assert said == [('augment', 'tta')]
    with pytest.raises(TypeError, match="'augment' is the old name of 'tta'"):
        predict(augment=True, tta=True)


def test_an_old_key_is_merged_into_what_a_base_says_under_the_new_one(said):
    config = {'default_hooks': {'nan_guard': {'type': 'Guard', 'skip': 0}, 'nonfinite': {'skip': 10}}, 'model': None}
    rename_keys(config)
    assert config == {'default_hooks': {'nan_guard': {'type': 'Guard', 'skip': 10}}, 'model': None}
    assert said == [('default_hooks.nonfinite', 'default_hooks.nan_guard')]


def test_an_old_key_that_switches_off_or_replaces_does_so(said):
    config = {'default_hooks': {'nan_guard': {'type': 'Guard'}, 'nonfinite': None, 'preemption': {'a': 1}}}
    config['default_hooks']['interruption'] = {'_delete_': True, 'type': 'Mine'}
    rename_keys(config)
    assert config['default_hooks'] == {'nan_guard': None, 'preemption': {'type': 'Mine'}}


def test_a_config_in_the_old_names_passes_the_audit_and_means_the_same(tmp_path, said):
    text = """
_base_ = '{root}/configs/swinir_light_x3_div2k.py'
start_from = None
custom = '${{start_from}}'
default_hooks = dict(nonfinite=dict(skip=3))
"""
    file = tmp_path / 'old.py'
    file.write_text(text.format(root=__file__.rpartition('/tests/')[0]))
    config = load_config(file, {'model.start_from': 'weights.pth'})
    assert config.model.pretrained == 'weights.pth'
    assert config.default_hooks.nan_guard.skip == 3
    assert {finding.key for finding in audit(config, data=False)} == {'custom'}

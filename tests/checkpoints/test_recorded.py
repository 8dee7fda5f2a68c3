"""A config that came with weights is read as literals, and runs no code but this package's and what its configs use."""

import ast
import os
import pickle
import re
import shutil
from itertools import chain
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from denseformer.backbones import DiNAT
from denseformer.checkpoints import CheckpointError
from denseformer.checkpoints.catalog import BUNDLED
from denseformer.checkpoints.recorded import COMPONENTS, config_in, for_prediction, recorded_config
from denseformer.checkpoints.sharing import save_model, saved_parts
from denseformer.inference import Predictor
from denseformer.inspection.choices import config_of
from denseformer.inspection.identify import at_most, identify, identify_content
from denseformer.inspection.identity import Identity
from denseformer.network import without_weights
from denseformer.registry import MODELS

BASES = Path(__file__).parents[2] / 'configs' / '_base_'
ARCH = {'width': 8, 'depths': (1, 1, 1, 1), 'heads': (1, 1, 2, 2), 'mlp_ratio': 2}
NETWORK = {'type': 'denseformer.DiNAT', 'arch': ARCH, 'dilations': ((2,), (1,), (1,), (1,))}


@pytest.fixture
def marker(tmp_path):
    return tmp_path / 'made'


@pytest.fixture
def program(tmp_path, marker):
    """A file of Python that makes the marker when it runs."""
    path = tmp_path / 'program.py'
    path.write_text(f"open({str(marker)!r}, 'w').close()\nmodel = dict(type='mmdet.ATSS')\n")
    return path


@pytest.fixture
def shared(tmp_path):
    """A copy of a shared detector, whose config may be changed."""
    return Path(shutil.copytree(BUNDLED / 'mask_rcnn_dinat_pico_sample', tmp_path / 'shared'))


def rewritten(folder: Path, **changes) -> Path:
    config = recorded_config((folder / 'config.py').read_text(), folder)
    config.merge_from_dict({key.replace('__', '.'): value for key, value in changes.items()})
    config.dump(folder / 'config.py')
    return folder


def test_the_type_of_a_suppression_is_not_evaluated(shared, marker):
    kind = f'getattr(__import__("os"),"system")("touch {marker}") or nms'
    rewritten(shared, model__test_cfg__rcnn__nms={'type': kind, 'iou_threshold': 0.5})
    with pytest.raises(CheckpointError, match=r'config\.py: type=.*getattr.* infer CONFIG CHECKPOINT'):
        Predictor.from_pretrained(shared, device='cpu')
    assert not marker.exists()


def test_a_statement_that_sets_nothing_is_refused(shared, marker):
    path = shared / 'config.py'
    path.write_text(path.read_text() + f"import os; os.system('touch {marker}')\n")
    with pytest.raises(CheckpointError, match=r'line \d+ of its config is no literal'):
        Predictor.from_pretrained(shared, device='cpu')
    assert identify(shared).settings['type'] == 'denseformer.DiNAT'
    assert not marker.exists()


@pytest.mark.parametrize(
    'text',
    [
        "model = dict(type=open('x', 'w'))",
        'model = dict(**dict(type="X"))',
        'model = {**{}}',
        'def f(): pass',
        'a, b = 1, 2',
        'a.b = 1',
        'a += 1',
        "filename = 'x'",
        'a = (',
    ],
)
def test_a_recorded_config_is_names_and_literals(text):
    with pytest.raises(CheckpointError, match=r'x\.pth: line 1 of its config'):
        recorded_config(text, 'x.pth')


def test_the_config_that_a_run_recorded_is_read():
    config = Config({'model': {'type': 'X', 'parts': [{'a': (1, 2)}]}, 'default_scope': 'mmseg'})
    assert recorded_config(config.pretty_text, 'x.pth').model.parts == [{'a': (1, 2)}]
    assert config_in({'meta': {}}, 'x.pth') is None


def foreign_models(program: Path) -> list[dict]:
    """Models that would run a program, import a module, call a function, or read a file."""
    detector = {'type': 'mmdet.KnowledgeDistillationSingleStageDetector', 'teacher_config': str(program)}
    loss = {'type': 'CrossEntropyLoss', 'class_weight': str(program.with_suffix('.pkl'))}
    kinds = ['os.system', 'program', 'denseformer.program', 'denseformer.registry.import_module', 'torch.nn.SyncBN']
    return [
        detector,
        {'type': 'denseformer.Segmentor', 'backbone': detector},
        {'type': 'EncoderDecoder', 'decode_head': {'type': 'FCNHead', 'loss_decode': loss}},
        {'type': 'EncoderDecoder', '_scope_': 'program'},
        {'type': 'EncoderDecoder', 'warp': {'type': 3}},
        *({'type': 'denseformer.Segmentor', 'parts': [({'type': kind, 'a': 'b'},)]} for kind in kinds),
    ]


def test_a_foreign_model_is_refused_by_name_before_it_is_built(program, marker, monkeypatch):
    monkeypatch.syspath_prepend(str(program.parent))
    for model in foreign_models(program):
        with pytest.raises(CheckpointError, match=r'type=|_scope_=|program\.pkl'):
            for_prediction(Config({'model': model}), 'x')
    assert not marker.exists()


def test_what_else_imports_a_module_is_refused(program, marker, monkeypatch):
    monkeypatch.syspath_prepend(str(program.parent))
    for parts in (
        {'custom_imports': {'imports': ['program']}},
        {'custom_imports': 'program'},
        {'default_scope': 'program'},
        {'test_pipeline': [{'type': 'program'}]},
        {'tta_pipeline': [{'type': 'TestTimeAug', 'transforms': [[{'type': 'program'}]]}]},
        {'test_dataloader': {'dataset': {'type': 'ConcatDataset', 'datasets': [{'type': 'program'}]}}},
    ):
        with pytest.raises(CheckpointError, match='program'):
            for_prediction(Config({'model': {'type': 'EncoderDecoder'}, **parts}), 'x')
    assert not marker.exists()


class Runs:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


def test_weights_that_a_shared_config_starts_from_are_not_read(shared, tmp_path, marker):
    (tmp_path / 'start.pth').write_bytes(pickle.dumps(Runs(marker)))
    start = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'start.pth')}
    rewritten(shared, model__init_cfg=start, model__backbone__init_cfg=start)
    predictor = Predictor.from_pretrained(shared, device='cpu')
    assert 'init_cfg' not in str(predictor.config.model)
    assert not marker.exists()


def test_what_only_training_uses_may_be_of_anybody():
    parts = {
        'optim_wrapper': {'optimizer': {'type': 'torch.optim.AdamW'}},
        'custom_hooks': [{'type': 'myproj.Hook'}],
        'model': {'type': 'EncoderDecoder', 'auxiliary_head': {'type': 'myproj.Head'}},
    }
    config = for_prediction(Config(parts), 'x')
    assert config.optim_wrapper.optimizer.type == 'torch.optim.AdamW'
    assert config.model == {'type': 'EncoderDecoder'}


def test_words_are_no_files():
    words = ['person/rider', 'St. Mary', 'data/vocab.txt', 'v1.5', 'whole']
    config = for_prediction(Config({'model': {'type': 'EncoderDecoder', 'class_names': words}}), 'x')
    assert config.model.class_names == words
    for name in ('start.pth', 'C:\\a.yaml', 'https://host/vocab.txt'):
        with pytest.raises(CheckpointError, match='came with weights'):
            for_prediction(Config({'model': {'type': 'EncoderDecoder', 'class_names': [name]}}), 'x')


def test_a_checkpoint_with_a_refused_config_is_not_predicted_with_a_shipped_one():
    meta = {'cfg': "model = dict(type='EncoderDecoder', backbone=dict(type='myproj.Net'))"}
    identity = Identity(path='mine.pth', tensors=1, numbers=1, configs=('upernet_swin_ade20k',))
    with pytest.raises(CheckpointError, match=r"mine\.pth: type='myproj\.Net' .* infer CONFIG CHECKPOINT"):
        config_of(identity, {'meta': meta})


def test_identify_builds_networks_alone(program, marker):
    weights = DiNAT(**{key: value for key, value in NETWORK.items() if key != 'type'}).state_dict()
    for network in foreign_models(program):
        identity = identify_content({'meta': {'cfg': f'model = dict(backbone={network!r})'}, **weights}, 'x.pth')
        assert 'program' not in str(identity.settings)
    assert not marker.exists()
    meta = {'cfg': f"optimizer = dict(type='torch.optim.SGD')\nmodel = dict(backbone={NETWORK!r})"}
    found = identify_content({'meta': meta, 'state_dict': weights}, 'x.pth')
    assert not found.open
    assert found.settings['arch']['width'] == ARCH['width']


def test_a_network_much_larger_than_its_file_is_not_made():
    made = []
    hook = torch.nn.modules.module.register_module_parameter_registration_hook(lambda *_: made.append(1))
    try:
        with pytest.raises(ValueError, match='more than 300 parameters'), at_most(300):
            without_weights({'type': 'denseformer.NAT', 'arch': {**ARCH, 'depths': (1, 1, 3000, 1)}})
    finally:
        hook.remove()
    assert len(made) < 310


def test_a_folder_that_names_a_foreign_component_is_identified_by_its_network(tmp_path):
    network = MODELS.build(NETWORK)
    text = {'backbone': NETWORK, 'model': {'type': 'myproj.Model'}, 'custom_imports': {'imports': ['myproj']}}
    folder = save_model(network, Config(text), tmp_path / 'folder')
    assert identify(folder).settings['type'] == 'denseformer.DiNAT'


def kinds_in(node: ast.AST):
    """The strings that stand as `type` in an expression."""
    for part in ast.walk(node):
        pairs = zip(part.keys, part.values, strict=True) if isinstance(part, ast.Dict) else ()
        found = [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == 'type']
        if isinstance(part, ast.keyword) and part.arg == 'type':
            found = [part.value]
        yield from (value.value for value in found if isinstance(value, ast.Constant))


def test_the_components_are_those_that_bases_use():
    """Bases are what `fit` puts its configs together from; tests of the configs that ship check each as a whole."""
    files = [ast.parse(path.read_text()) for path in chain(BASES.rglob('*.py'), BASES.parent.glob('*.py'))]
    statements = [each for file in files for each in file.body if isinstance(each, ast.Assign)]
    found = [(ast.unparse(each.targets[0]), set(kinds_in(each.value))) for each in statements]
    predicted = ('model', 'backbone', 'network', 'neck', 'pixel_loss', 'multiscale', 'test_pipeline', 'tta_pipeline')
    built = set().union(*(kinds for name, kinds in found if name in predicted)) - {'Pretrained'}
    assert {kind.rpartition('.')[2] for kind in built if not kind.startswith('denseformer.')} <= set(COMPONENTS)
    assert set(COMPONENTS) <= {kind.rpartition('.')[2] for _, kinds in found for kind in kinds}
    assert list(COMPONENTS) == sorted(set(COMPONENTS))
    assert all(re.fullmatch(r'\w+', name) for name in COMPONENTS)


@pytest.mark.parametrize('folder', sorted(BUNDLED.glob('*/config.py')), ids=lambda path: path.parent.name)
def test_the_configs_of_bundled_models_are_allowed(folder):
    config, _ = saved_parts(folder.parent)
    assert for_prediction(config, folder).model.type == config.model.type

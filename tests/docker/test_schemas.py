"""The jobs in docker/kubernetes, but for Ray's, have the fields that the APIs of Kubernetes and Kubeflow declare."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

needed = "pip install 'denseformer[dev]'"
kubernetes = pytest.importorskip('kubernetes.client.models', reason=needed)
kubeflow = pytest.importorskip('kubeflow.training.models', reason=needed)
KINDS = {'Job': 'V1Job', 'PersistentVolumeClaim': 'V1PersistentVolumeClaim', 'PyTorchJob': 'KubeflowOrgV1PyTorchJob'}
SCALARS = {'str': str, 'int': int, 'bool': bool, 'object': object}
QUANTITIES = ('limits', 'requests')
FREE = (*QUANTITIES, 'pytorchReplicaSpecs')
"""Mappings whose keys are names that the user chooses."""
FOLDER = Path(__file__).parents[2] / 'docker/kubernetes'
OBJECTS = [
    (path.name, content)
    for path in sorted(FOLDER.glob('*.yaml'))
    for content in yaml.safe_load_all(path.read_text())
    if content['kind'] in KINDS
]


def faults(value: Any, kind: str, place: str) -> Iterator[str]:
    """Fields that a type of the APIs does not have, and values of another type."""
    if kind.startswith('list['):
        assert isinstance(value, list), place
        for i, item in enumerate(value):
            yield from faults(item, kind[len('list[') : -1], f'{place}[{i}]')
    elif kind.startswith('dict('):
        inner = kind[:-1].partition(', ')[2]
        for name, item in value.items():
            yield from faults(item, inner, f'{place}.{name}')
    elif kind in SCALARS:
        quantity = any(f'.{name}.' in place for name in QUANTITIES)
        if not isinstance(value, (int, str) if quantity else SCALARS[kind]):
            yield f'{place} is {value!r}, and not of type {kind}'
    else:
        cls = getattr(kubeflow, kind, None) or getattr(kubernetes, kind)
        names = {theirs: ours for ours, theirs in cls.attribute_map.items()}
        for name, item in value.items():
            if name in names:
                yield from faults(item, cls.openapi_types[names[name]], f'{place}.{name}')
            else:
                yield f'{place} has no field {name}'


def faults_of(content: dict) -> list[str]:
    return list(faults(content, KINDS[content['kind']], content['kind']))


@pytest.mark.parametrize(('name', 'content'), OBJECTS, ids=[f'{name}:{content["kind"]}' for name, content in OBJECTS])
def test_jobs_are_what_the_apis_declare(name, content):
    assert faults_of(content) == []


def mappings(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Paths of the mappings in an object whose fields the API names."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if (
        isinstance(value, dict)
        and not {'limits', 'requests'} & set(path[-1:])
        and path[-1:] != ('pytorchReplicaSpecs',)
    ):
        yield path
    for key, item in items:
        yield from mappings(item, (*path, key))


@pytest.mark.parametrize(('name', 'content'), OBJECTS, ids=[f'{name}:{content["kind"]}' for name, content in OBJECTS])
def test_a_misspelt_field_is_found_wherever_it_is(name, content):
    for path in mappings(content):
        wrong = copy.deepcopy(content)
        place = wrong
        for key in path:
            place = place[key]
        place['misspelt'] = 1
        assert any('no field misspelt' in fault for fault in faults_of(wrong)), path


def test_a_value_of_another_type_is_found():
    job = copy.deepcopy(next(content for name, content in OBJECTS if name == 'infer.yaml'))
    job['spec']['completions'] = '64'
    assert faults_of(job) == ["Job.spec.completions is '64', and not of type int"]

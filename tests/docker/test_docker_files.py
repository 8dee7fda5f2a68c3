"""The images, the compose file and the Kubernetes job agree with the project and with one another."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml

from denseformer.cli import build_parser
from denseformer.engine.hooks.preemption import EXIT_STATUS

pytest.importorskip('dockerfile_parse', reason='dockerfile-parse is not installed: pip install denseformer[dev]')
ROOT = Path(__file__).parents[2]
DOCKERFILES = [ROOT / 'docker/Dockerfile', ROOT / 'docker/Dockerfile.cpu']
JOB = list(yaml.safe_load_all((ROOT / 'docker/kubernetes/job.yaml').read_text()))
COMPOSE = yaml.safe_load((ROOT / 'docker/compose.yaml').read_text())


def load_check():
    spec = importlib.util.spec_from_file_location('docker_check', ROOT / 'docker/check.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check = load_check()


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.name)
def dockerfile(request) -> list[tuple[str, str]]:
    return list(check.instructions(request.param))


def test_every_copied_file_is_there_and_let_through(dockerfile):
    sources = [
        source
        for name, value in dockerfile
        if name == 'COPY' and not value.startswith('--')
        for source in value.split()[:-1]
    ]
    assert {'constraints.txt', 'pyproject.toml', 'setup.py', 'denseformer', 'configs', 'tools'} <= set(sources)
    for source in sources:
        assert list(check.files_of_context(ROOT, source))


def test_nothing_else_enters_an_image():
    rules = (ROOT / '.dockerignore').read_text().splitlines()
    kept_out = ['.git/config', '.venv/bin/python', 'data/sample/x.png', 'work_dirs/a.pth', 'tests/conftest.py']
    kept_out += ['denseformer/__pycache__/cli.pyc', 'docs/running.md']
    assert [path for path in kept_out if check.enters(ROOT / path, ROOT, rules)] == []
    assert check.enters(ROOT / 'denseformer/cli.py', ROOT, rules)


def test_all_packages_have_the_versions_of_the_constraints(dockerfile):
    for name, value in dockerfile:
        for command in value.split('&&') if name == 'RUN' else ():
            if 'pip install' in command:
                assert '--constraint constraints.txt' in command
                assert '==' not in command


def test_the_image_runs_the_command_as_a_user_without_rights(dockerfile):
    last = dict(dockerfile)
    assert last['USER'].isdigit()
    assert last['USER'] != '0'
    assert last['ENTRYPOINT'] == '["denseformer"]'
    names = [name for name, _ in dockerfile]
    assert names.index('USER') > max(i for i, name in enumerate(names) if name == 'RUN')


def test_the_gpu_image_takes_built_operators_from_the_first_stage():
    steps = list(check.instructions(DOCKERFILES[0]))
    stages = [value for name, value in steps if name == 'FROM']
    assert [stage.split()[0].rpartition('-')[0].rpartition('-')[2] for stage in stages] == ['devel', 'base']
    assert ('COPY', '--from=builder /opt/venv /opt/venv') in steps
    (build,) = [value for name, value in steps if name == 'RUN' and 'onedl-mmcv' in value]
    assert 'FORCE_CUDA=1' in build
    assert 'import mmcv._ext' in build
    cuda = dict(value.split('=', 1) for name, value in steps if name == 'ARG')['CUDA']
    if torch.version.cuda:
        assert cuda.startswith(torch.version.cuda)


def test_the_check_carries_out_what_an_engine_would(tmp_path):
    stage = check.Stage(tmp_path, ROOT, earlier={}, given={'JOBS': '1'})
    for instruction, value in (
        ('ENV', 'PATH=/opt/bin:$PATH'),
        ('ARG', 'JOBS=8'),
        ('ARG', 'CUDA=13'),
        ('WORKDIR', '/a'),
        ('COPY', 'tools tools'),
        ('USER', '7'),
    ):
        stage.follow(instruction, value)
    assert stage.environment['PATH'].startswith('/opt/bin:/usr/local/sbin')
    assert (stage.environment['JOBS'], stage.environment['CUDA']) == ('1', '13')
    assert (tmp_path / 'a/tools/train.py').read_text() == (ROOT / 'tools/train.py').read_text()
    with pytest.raises(ValueError, match='not among what'):
        stage.follow('ADD', 'x y')
    with pytest.raises(ValueError, match='lets no such file through'):
        stage.follow('COPY', 'tests tests')


STAGES = [
    ('ARG', 'VERSION=1'),
    ('FROM', 'one:${VERSION} AS builder'),
    ('ENV', 'KIND=built'),
    ('FROM', 'two'),
    ('ARG', 'JOBS=8'),
    ('COPY', '--from=builder /opt/venv /opt/venv'),
]


def test_a_later_stage_gets_only_what_it_copies_from_an_earlier_one(tmp_path):
    built = tmp_path / 'one/opt/venv/bin'
    built.mkdir(parents=True)
    (built / 'tool').write_text('#!/bin/sh')
    (built / 'tool').chmod(0o755)
    (built / 'python').symlink_to('/usr/bin/python3')
    (tmp_path / 'one/left').touch()
    (tmp_path / 'two').mkdir()
    last = check.carry_out(STAGES, [tmp_path / 'one', tmp_path / 'two'], ROOT, {'JOBS': '1'})
    assert (last.environment['JOBS'], 'KIND' in last.environment) == ('1', False)
    copied = tmp_path / 'two/opt/venv/bin'
    assert (copied / 'tool').stat().st_mode & 0o111
    assert (copied / 'python').readlink() == Path('/usr/bin/python3')
    assert not (tmp_path / 'two/left').exists()


@pytest.mark.parametrize(
    ('roots', 'given', 'steps', 'words'),
    [
        (1, {}, [], '2 stages, and 1 folders'),
        (2, {'JOB': '1'}, [], 'JOB: the Dockerfile has no such ARG'),
        (3, {}, [('FROM', 'builder')], 'FROM builder: not among what'),
        (2, {}, [('COPY', '--from=image /a /a')], 'COPY --from=image /a /a: not among what'),
    ],
)
def test_stages_that_the_check_cannot_carry_out_are_refused(tmp_path, roots, given, steps, words):
    with pytest.raises(ValueError, match=words):
        check.carry_out([*STAGES[:-1], *steps], [tmp_path] * roots, ROOT, given)


def parse(arguments: list[str]):
    return build_parser().parse_args(arguments)


def test_the_job_starts_a_run_that_goes_on_after_pre_emption():
    claim, job = JOB
    pod = job['spec']['template']['spec']
    (container,) = pod['containers']
    options = parse(container['args'])
    assert options.resume is True
    assert (ROOT / options.config).is_file()
    assert pod['restartPolicy'] == 'Never'
    assert pod['terminationGracePeriodSeconds'] >= 60
    actions = {
        tuple(rule['onExitCodes']['values']): rule['action']
        for rule in job['spec']['podFailurePolicy']['rules']
        if 'onExitCodes' in rule
    }
    assert actions == {(EXIT_STATUS,): 'Ignore', (2,): 'FailJob'}
    names = {rule['onExitCodes']['containerName'] for rule in job['spec']['podFailurePolicy']['rules'][1:]}
    assert names == {container['name']}
    volumes = {volume['name']: volume for volume in pod['volumes']}
    assert {mount['name'] for mount in container['volumeMounts']} == set(volumes)
    assert volumes['storage']['persistentVolumeClaim']['claimName'] == claim['metadata']['name']


def test_folders_and_users_are_those_of_the_images(dockerfile):
    last = dict(dockerfile)
    (container,) = JOB[1]['spec']['template']['spec']['containers']
    mounted = {mount['mountPath'] for mount in container['volumeMounts']} - {'/dev/shm'}
    assert mounted == {f'{last["WORKDIR"]}/{folder}' for folder in ('data', 'work_dirs')}
    assert mounted == {volume.partition(':')[2] for volume in COMPOSE['x-run']['volumes']}
    assert JOB[1]['spec']['template']['spec']['securityContext']['fsGroup'] == int(last['USER'])


@pytest.mark.parametrize('service', ['train', 'train-cpu'])
def test_the_compose_file_starts_a_run_that_can_be_stopped(service):
    found = COMPOSE['services'][service]
    assert (ROOT / found['build']['dockerfile']).is_file()
    built = re.search(r'docker build -f (\S+) -t (\S+) \.', (ROOT / found['build']['dockerfile']).read_text())
    assert built.groups() == (found['build']['dockerfile'], found['image'])
    command = [re.sub(r'\$\{.*\}', 'configs/x.py', word) for word in found['command']]
    assert parse(command).resume is True
    assert found['init'] is True
    assert found['stop_grace_period'] == '5m'


def test_the_slurm_script_is_started_with_flags_that_exist():
    script = (ROOT / 'docker/slurm/train.sh').read_text()
    (line,) = [line for line in script.splitlines() if line.startswith('srun')]
    arguments = shlex.split(line.rstrip('& '))
    assert parse(['train', 'config.py', *arguments[arguments.index('$@') + 1 :]]).launcher == 'slurm'

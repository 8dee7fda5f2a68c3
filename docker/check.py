"""Carry out a Dockerfile without an engine: each of its stages in a folder that holds a fresh Debian.

    debootstrap --variant=minbase bookworm ROOT
    python docker/check.py docker/Dockerfile.cpu ROOT -- train configs/upernet_dinat_nano_sample.py

The folders stand for the images that FROM names: what else those bring is put there before, such as CUDA's compiler in
/usr/local/cuda. COPY copies from the current folder what .dockerignore lets through, or from an earlier stage. RUN runs
by chroot in namespaces of its own, and at the end the entry point runs, as the image's user, with the arguments behind
`--` or those of CMD. Needs to be root.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from dockerfile_parse import DockerfileParser

PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
COPY_FOLDER = re.compile(r'--from=(?P<stage>\w+) (?P<source>\S+) (?P<target>\S+)')


class Stage:
    """The state that instructions so far have set, beside what they changed in `root`.

    earlier: the stages before this one, by name; given: build arguments, instead of the defaults that ARG has.
    """

    def __init__(self, root: Path, context: Path, earlier: Mapping[str, 'Stage'], given: Mapping[str, str]):
        self.root, self.context, self.earlier, self.given = root, context, earlier, given
        self.environment = {'PATH': PATH}
        self.folder, self.user = '/', 'root'
        self.entry_point: list[str] = []
        self.arguments: list[str] = []

    def follow(self, instruction: str, value: str) -> None:
        """Carry out one instruction. Raises ValueError for one that this script does not know."""
        match instruction:
            case 'ENV' | 'ARG' if '=' in value:
                name, _, text = value.partition('=')
                given = self.given.get(name) if instruction == 'ARG' else None
                self.environment[name] = self._filled(text.strip('"')) if given is None else given
            case 'WORKDIR':
                self.folder = value
                self.inside(value).mkdir(parents=True, exist_ok=True)
            case 'COPY' if not value.startswith('--'):
                *sources, target = value.split()
                for source in sources:
                    self._copy(source, target)
            case 'COPY' if (match := COPY_FOLDER.fullmatch(value)) and match['stage'] in self.earlier:
                source = self.earlier[match['stage']].inside(match['source'])
                shutil.copytree(source, self.inside(match['target']), symlinks=True, dirs_exist_ok=True)
            case 'RUN':
                self.run(['/bin/sh', '-c', value])
            case 'USER':
                self.user = value
            case 'ENTRYPOINT':
                self.entry_point = json.loads(value)
            case 'CMD':
                self.arguments = json.loads(value)
            case _:
                raise ValueError(f'{instruction} {value}: not among what docker/check.py carries out.')

    def run(self, command: list[str]) -> None:
        """Run a command inside. Raises CalledProcessError when it fails."""
        separate = ['unshare', '--mount', '--pid', '--fork', '--kill-child', f'--mount-proc={self.root}/proc']
        memory = ['/bin/sh', '-c', 'mount -t tmpfs shm "$0/dev/shm" && exec chroot "$@"', str(self.root)]
        # env looks the program up in the image's PATH, after it has changed the folder.
        enter = [*memory, '--userspec', self.user, str(self.root), 'env', '--chdir', self.folder]
        home = {'HOME': '/root' if self.user == 'root' else '/tmp'}
        subprocess.run([*separate, *enter, *command], env={**home, **self.environment}, check=True)

    def inside(self, path: str) -> Path:
        """Where `path` of the image is on this machine."""
        return self.root / Path(self.folder, path).relative_to('/')

    def _filled(self, value: str) -> str:
        return re.sub(r'\$\{?(\w+)\}?', lambda match: self.environment.get(match[1], ''), value)

    def _copy(self, source: str, target: str) -> None:
        place = self.inside(target)
        for path in files_of_context(self.context, source):
            inner = path.relative_to(self.context / source)
            copy = place / inner if inner.parts else place / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)


def files_of_context(context: Path, source: str) -> Iterator[Path]:
    """The files at and below `source` that .dockerignore lets through. Raises ValueError when there is none."""
    rules = [line for line in (context / '.dockerignore').read_text().splitlines() if line and line[0] != '#']
    top = context / source
    found = [path for path in [top, *sorted(top.rglob('*'))] if path.is_file() and enters(path, context, rules)]
    if not found:
        raise ValueError(f'COPY {source}: .dockerignore lets no such file through.')
    yield from found


def enters(path: Path, context: Path, rules: list[str]) -> bool:
    """Whether a file belongs to the context: the last rule that matches it or a folder above it decides."""
    inner = path.relative_to(context)
    names = [str(part) for part in (inner, *inner.parents)]
    allowed = True
    for rule in rules:
        pattern = rule.lstrip('!')
        if any(fnmatch(name, pattern) or fnmatch(f'/{name}', pattern.replace('**', '*')) for name in names):
            allowed = rule.startswith('!')
    return allowed


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """(instruction, value) of each, without comments."""
    with dockerfile.open('rb') as file:
        for entry in DockerfileParser(fileobj=file).structure:
            if entry['instruction'] != 'COMMENT':
                yield entry['instruction'], entry['value']


def carry_out(
    steps: Iterable[tuple[str, str]], roots: Sequence[Path], context: Path, given: Mapping[str, str]
) -> Stage:
    """Follow all instructions; the last stage.

    roots: a folder per stage. Raises ValueError for what this script does not know, and where the Dockerfile has
    another number of stages or no ARG for a build argument; CalledProcessError for a RUN that fails.
    """
    steps = list(steps)
    names = [value.partition(' AS ')[2] or str(i) for i, value in enumerate(v for k, v in steps if k == 'FROM')]
    if len(names) != len(roots):
        raise ValueError(f'The Dockerfile has {len(names)} stages, and {len(roots)} folders are given: one for each.')
    unknown = set(given) - {value.partition('=')[0] for name, value in steps if name == 'ARG'}
    if unknown:
        raise ValueError(f'--build-arg {", ".join(sorted(unknown))}: the Dockerfile has no such ARG.')
    stages: dict[str, Stage] = {}
    for instruction, value in steps:
        print(f'{instruction} {value}', flush=True)
        if instruction == 'FROM':
            if value.split()[0] in stages:
                raise ValueError(f'FROM {value}: not among what docker/check.py carries out.')
            stage = Stage(roots[len(stages)].resolve(), context, dict(stages), given)
            stages[names[len(stages)]] = stage
        elif stages:  # an ARG before them is for the names of images
            stage.follow(instruction, value)
    return stage


def main() -> int:
    place = sys.argv.index('--') if '--' in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('dockerfile', type=Path)
    parser.add_argument('roots', type=Path, nargs='+', help='folders that debootstrap filled; they are changed')
    parser.add_argument('--build-arg', action='append', default=[], metavar='NAME=VALUE')
    parser.epilog = 'Behind -- stand arguments of the entry point, instead of CMD.'
    options = parser.parse_args(sys.argv[1:place])
    given = dict(text.split('=', 1) for text in options.build_arg)
    try:
        image = carry_out(instructions(options.dockerfile), options.roots, Path.cwd(), given)
        image.run([*image.entry_point, *(sys.argv[place + 1 :] or image.arguments)])
    except (ValueError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""Carry out a Dockerfile without an engine: in a folder that holds a fresh Debian, as its only stage.

    debootstrap --variant=minbase bookworm ROOT
    python docker/check.py docker/Dockerfile.cpu ROOT -- train configs/upernet_dinat_nano_sample.py

COPY copies from the current folder what .dockerignore lets through, RUN runs by chroot in namespaces of its own, and at
the end the entry point runs, as the image's user, with the arguments behind `--` or those of CMD. Needs to be root.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from dockerfile_parse import DockerfileParser

PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


class Stage:
    """What instructions so far have decided, beside what they changed in `root`."""

    def __init__(self, root: Path, context: Path):
        self.root, self.context = root, context
        self.environment = {'PATH': PATH}
        self.folder, self.user = '/', 'root'
        self.entry_point: list[str] = []
        self.arguments: list[str] = []

    def follow(self, instruction: str, value: str) -> None:
        """Carry out one instruction. Raises ValueError for one that this script does not know."""
        match instruction:
            case 'FROM' if ' ' not in value:
                pass
            case 'ENV' | 'ARG' if '=' in value:
                name, _, given = value.partition('=')
                self.environment[name] = self._filled(given.strip('"'))
            case 'WORKDIR':
                self.folder = value
                self._inside(value).mkdir(parents=True, exist_ok=True)
            case 'COPY' if not value.startswith('--'):
                *sources, target = value.split()
                for source in sources:
                    self._copy(source, target)
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

    def _filled(self, value: str) -> str:
        return re.sub(r'\$\{?(\w+)\}?', lambda match: self.environment.get(match[1], ''), value)

    def _inside(self, path: str) -> Path:
        return self.root / Path(self.folder, path).relative_to('/')

    def _copy(self, source: str, target: str) -> None:
        place = self._inside(target)
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('dockerfile', type=Path)
    parser.add_argument('root', type=Path, help='a folder that debootstrap filled; it is changed')
    parser.add_argument('arguments', nargs='*', help='of the entry point, instead of CMD')
    options = parser.parse_args()
    stage = Stage(options.root.resolve(), Path.cwd())
    try:
        for instruction, value in instructions(options.dockerfile):
            print(f'{instruction} {value}', flush=True)
            stage.follow(instruction, value)
        stage.run([*stage.entry_point, *(options.arguments or stage.arguments)])
    except (ValueError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""The catalog of published weights: one table a family in `tables/`, one entry a file, found by name.

An entry says where a file is, which network it belongs to, what its license allows and where each fact was read.
Adding a file is adding an entry; `tests/checkpoints/test_catalog.py` holds the tables against the code.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlparse

from denseformer.checkpoints.common import CheckpointError

TABLES = Path(__file__).parent / 'tables'
BUNDLED = Path(__file__).parent / 'bundled'
"""The folder of the models that come with the package, each as `save_pretrained` writes it."""
KINDS = ('imagenet', 'ssl', 'dense', 'restoration')
SHARE_HOSTS = (
    *('drive.google.com', 'pan.baidu.com', '1drv.ms', 'api.onedrive.com', 'onedrive.live.com', 'sharepoint.com'),
    *('box.com', 'mega.nz', 'console.cloud.google.com'),
)
"""Hosts whose addresses open a page in a browser instead of sending the file."""
FIRST_CHOICE = 224
"""Side of the training images, in pixels, of the file that a name without a resolution stands for."""


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """A published file of weights.

    name: the entry's; network, arch: the class here and its variant, or the published name where there is none; kind:
    one of `KINDS`; data: what it was trained on; resolution: side of its training images in pixels; system, schedule,
    pretrain: of a dense model, its head, its schedule and what its backbone started from; urls: direct addresses and
    share pages, the authors' first; hub: the repository on the Hugging Face hub; bytes, sha256: of the file, or of the
    one in it where it is a .zip, the hash or its first digits; license, commercial: of the weights, and whether it
    allows commercial use, None where that is unclear; key: the entry of the file that holds the weights; layout: whose
    names they have; metric: as published; config: the shipped config that it belongs to; official: whether its authors
    published it; source: the repository and file in which the facts were read; bundled: whether it comes with the
    package, in `BUNDLED`.
    """

    name: str
    network: str
    kind: str
    task: str
    data: str
    license: str
    official: bool
    source: str
    arch: str | None = None
    variant: str | None = None
    resolution: int | None = None
    system: str | None = None
    schedule: str | None = None
    pretrain: str | None = None
    urls: tuple[str, ...] = ()
    hub: str | None = None
    file: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    commercial: bool | None = None
    key: str | None = None
    layout: str | None = None
    metric: Mapping[str, float] = field(default_factory=dict)
    config: str | None = None
    note: str | None = None
    bundled: bool = False

    @property
    def direct_urls(self) -> tuple[str, ...]:
        """The addresses that answer with the file itself."""
        return tuple(url for url in self.urls if not is_share_page(url))

    @property
    def zipped(self) -> bool:
        """Whether it is published as a .zip file with the checkpoint inside."""
        return (self.file or '').endswith('.zip')

    @property
    def is_whole(self) -> bool:
        """Whether the file holds a network or a model, not a head alone."""
        return 'head only' not in self.task

    @property
    def label(self) -> str:
        """The part of the name that tells the files of one variant apart, as `pretrained=` takes it."""
        return self.name.removeprefix(stem_of(self.network, self.arch)).strip('_')

    def __str__(self) -> str:
        return self.name


def is_share_page(url: str) -> bool:
    host = urlparse(url).hostname or ''
    of_repository = host == 'huggingface.co' and '/resolve/' not in url
    pages = url.endswith('/') or '/releases/tag/' in url or '/blob/' in urlparse(url).path or of_repository
    return pages or any(host == known or host.endswith('.' + known) for known in SHARE_HOSTS)


def stem_of(network: str, arch: str | None) -> str:
    """The beginning of the names of a variant's files."""
    return re.sub(r'[^a-z0-9]+', '_', f'{network}_{arch or ""}'.lower()).strip('_')


def read_table(path: Path) -> list[WeightFile]:
    """The entries of one table. Raises CheckpointError naming the table and the entry that is not right."""
    try:
        table = tomllib.loads(path.read_text(encoding='utf-8'))
    except tomllib.TOMLDecodeError as error:
        raise CheckpointError(f'{path}: not a table of weights ({error}).') from error
    known = {entry.name for entry in fields(WeightFile)}
    files = []
    for name, entry in table.items():
        unknown = sorted(set(entry) - known)
        if unknown:
            raise CheckpointError(f'{path}: [{name}] has the unknown key {unknown[0]}. Known: {", ".join(known)}.')
        urls = tuple(entry.pop('urls', ()))
        try:
            files.append(WeightFile(name=name, urls=urls, **entry))
        except TypeError as error:
            raise CheckpointError(f'{path}: [{name}] is incomplete: {error}.') from error
    return files


@lru_cache(1)
def catalog() -> Mapping[str, WeightFile]:
    """All files by their names. Raises CheckpointError where two entries share a name."""
    files: dict[str, WeightFile] = {}
    for path in sorted(TABLES.glob('*.toml')):
        for file in read_table(path):
            if file.name in files:
                raise CheckpointError(f'{path}: [{file.name}] stands in another table too.')
            files[file.name] = file
    return MappingProxyType(files)


def by_name(name: str) -> WeightFile:
    """The file of that name. Raises CheckpointError that lists the nearest names."""
    found = catalog().get(name)
    if found is None:
        near = get_close_matches(name, catalog(), n=3)
        hint = f' Did you mean {" or ".join(near)}?' if near else ''
        raise CheckpointError(f"no published weights are called '{name}'.{hint} `denseformer weights list` shows all.")
    return found


def search(words: tuple[str, ...] = ()) -> list[WeightFile]:
    """The files in whose entry every one of `words` occurs, whatever its case."""
    lowered = [word.lower() for word in words]

    def text(file: WeightFile) -> str:
        known = (file.name, file.network, file.arch, file.variant, file.kind, file.task, file.data, file.system)
        return ' '.join(filter(None, (*known, file.license, file.config))).lower()

    return [file for file in catalog().values() if all(word in text(file) for word in lowered)]


def of_variant(network: str, arch: str) -> list[WeightFile]:
    """Files that a variant of a backbone can start from: whole ones, of classification or self-supervision."""
    return [
        file
        for file in catalog().values()
        if (file.network, file.arch) == (network, arch) and file.kind in ('imagenet', 'ssl') and file.is_whole
    ]


def starting_weights(network: str, arch: str, label: str) -> WeightFile:
    """The file that `pretrained=label` names for a variant: 'imagenet1k', 'imagenet22k_384', or an entry's whole name.

    A label without a resolution stands for the authors' own file at the resolution nearest to 224 pixels. Raises
    CheckpointError that lists what there is.
    """
    if label in catalog():
        return by_name(label)
    files = of_variant(network, arch)
    found = [file for file in files if file.label == label]
    if not found:
        found = [file for file in files if re.sub(r'_\d{3}$', '', file.label) == label and file.official]
        found.sort(key=lambda file: abs((file.resolution or FIRST_CHOICE) - FIRST_CHOICE))
    if found:
        return found[0]
    labels = ', '.join(sorted({file.label for file in files})) or 'none'
    raise CheckpointError(
        f"no published weights '{label}' for {network} '{arch}'. There are: {labels}. To start from nothing, say "
        'pretrained=None (--pretrained none); to start from a file of your own, init_cfg=dict('
        "type='denseformer.Pretrained', checkpoint=PATH)."
    )


def of_config(config: str) -> WeightFile | None:
    """The finished model that was published for a shipped config, the authors' before others; None without one."""
    found = [file for file in catalog().values() if file.config == config and file.is_whole]
    found.sort(key=lambda file: (not file.official, not file.direct_urls and not file.hub))
    return found[0] if found else None

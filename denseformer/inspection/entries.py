"""Files compared with the entries of the catalog that they are said to be."""

from pathlib import Path

from denseformer.checkpoints.catalog import WeightFile
from denseformer.checkpoints.common import CheckpointError, UntrustedError
from denseformer.checkpoints.other_kinds import is_archive
from denseformer.checkpoints.signatures import known_names, table
from denseformer.inspection.fits import trials
from denseformer.inspection.identify import identify
from denseformer.inspection.identity import Identity, short


def compared(file: WeightFile, path: Path) -> str:
    """A sentence on the network in the file at `path`, which is said to be the entry's.

    Raises CheckpointError where it is another network or variant than the entry's, or holds no weights. Nothing is
    compared with an entry that is no whole network, or none that is known here.
    """
    if is_archive(path):
        return 'Not compared with the entry: it is an archive.'
    if not file.is_whole:
        return 'Not compared with the entry: that is a head alone.'
    try:
        identity = identify(path)
    except UntrustedError as error:
        return f'Not compared with the entry: {error}'
    if identity.settings is None:
        return 'Not compared with the entry: its network is none that is known here.'
    if is_known(file) and disagrees(file, identity):
        raise CheckpointError(
            f'{path}: holds {network_in(identity)}, and {file.name} is {variant_of(file)}. Name the entry of its '
            'network with --name; `weights list` shows all.'
        )
    return f'It holds {network_in(identity)}.'


def is_known(file: WeightFile) -> bool:
    """Whether an entry names a variant that files are recognized as."""
    network = f'denseformer.{file.network}'
    return network in known_names() and any(settings.get('arch') == file.arch for settings in trials(network))


def disagrees(file: WeightFile, identity: Identity) -> bool:
    """Whether all tensors of a file agree with another network, and with that of the entry some do not."""
    assert identity.settings is not None
    types = [short(name) for name in identity.open.get('type', [identity.settings['type']])]
    archs = identity.open.get('arch', [identity.settings.get('arch')])
    same = file.network in types and file.arch in archs and scale_of(file) in (None, identity.settings.get('scale'))
    return not (same or identity.missing or identity.other)


def scale_of(file: WeightFile) -> int | None:
    """The factor by which the network of an entry enlarges, as its config says; None where there is none."""
    return table()['configs'].get(file.config, {'network': {}})['network'].get('scale')


def network_in(identity: Identity) -> str:
    """The network of a file, and its head, in words."""
    head = identity.head
    classes = f', {head.classes} classes' if head and head.classes else ''
    return identity.network + (f' with {head.name}{classes}' if head else '')


def variant_of(file: WeightFile) -> str:
    scale = scale_of(file)
    options = [f'arch={file.arch!r}'] * bool(file.arch) + [f'scale={scale}'] * bool(scale)
    return f'{file.network}({", ".join(options)})'

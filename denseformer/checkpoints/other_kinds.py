"""Files and folders that stand in a checkpoint's place, told by how they begin, and what to do with each."""

import re
import zipfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from safetensors import SafetensorError, safe_open

SUFFIXES = ('.safetensors', '.pth', '.pt', '.pkl', '.bin', '.ckpt', '.npz', '.onnx', '.tar', '.gz')
"""How the names of published files end."""
GZIP = b'\x1f\x8b'
BEGINNINGS = (
    (b'version https://git-lfs', 'a pointer of Git LFS, not the file itself. Fetch it with: git lfs pull'),
    (b'<', 'a web page, not a checkpoint. Open its address in a browser and save the file itself.'),
    (b'{', 'a text in JSON, not a checkpoint. Name the file with the weights that lies beside it.'),
    (GZIP, 'compressed. Unpack it with gunzip, and name what comes out.'),
    (b'BZh', 'compressed. Unpack it with bunzip2, and name what comes out.'),
    (b'\xfd7zXZ', 'compressed. Unpack it with unxz, and name what comes out.'),
    (b'(\xb5/\xfd', 'compressed. Unpack it with unzstd, and name what comes out.'),
    (b'7z\xbc\xaf', 'a 7z archive. Unpack it, and name the checkpoint that comes out.'),
    (b'\x89HDF', 'an HDF5 file, as Keras writes. Save its arrays by name as .npz.'),
    (b'\x93NUMPY', 'one array without a name. Save all arrays by name as .npz.'),
    (b'GGUF', 'a GGUF file, whose weights are rounded. Ask for the .safetensors file that it was made from.'),
)
PART = re.compile(r'-(\d{5})-of-(\d{5})\.[a-z]+$')
"""How the name of one part of a model ends; fewer digits count folds or stages."""
INDEX = '.index.json'
"""How the name of the file ends that lists the parts of a model."""
TAR = 257, b'ustar'
"""Where a tar archive says that it is one."""


def begins_as_safetensors(start: bytes) -> bool:
    """Whether a file of these first bytes is of safetensors: the length of its header in 8 bytes, and a brace."""
    return start[3:9] == b'\0\0\0\0\0{'


def other_kind(path: Path) -> str:
    """A sentence on a file that is no checkpoint, and what to do; empty where it begins as one does."""
    with path.open('rb') as file:
        start = file.read(512)
    if begins_as_safetensors(start):
        return ''
    if _begins_as_tar(start):
        return 'a tar archive. Unpack it with tar -xf, and name the checkpoint that comes out.'
    if start.startswith(b'PK'):
        return _other_archive(names_in_zip(path))
    return next((kind for beginning, kind in BEGINNINGS if start.lstrip().startswith(beginning)), '')


def is_archive(path: Path) -> bool:
    """Whether a file is a tar archive, or compressed with gzip, as such archives are."""
    with path.open('rb') as file:
        start = file.read(512)
    return _begins_as_tar(start) or start.startswith(GZIP)


def _begins_as_tar(start: bytes) -> bool:
    at, mark = TAR
    return start[at : at + len(mark)] == mark


def part_of_model(path: Path) -> str:
    """A sentence on a file whose name says that it is one of several parts of a model; empty for any other."""
    found = PART.search(path.name)
    if found is None or int(found[2]) == 1:
        return ''
    return f'part {int(found[1])} of {int(found[2])} of a model. Name the {INDEX} beside it, by which all are read.'


def not_sent(path: Path) -> str:
    """A sentence on what a server sent in a file's place, or of it in part; empty where it may be the file."""
    with path.open('rb') as file:
        start = file.read(64).lstrip()
    if not start:
        return 'empty. Fetch it again.'
    in_place = (kind for beginning, kind in BEGINNINGS[:2] if start.startswith(beginning))
    return next(in_place, '') or truncated(path)


def truncated(path: Path) -> str:
    """A sentence on a zip archive or safetensors file whose end is missing, as after a broken transfer."""
    with path.open('rb') as file:
        start = file.read(16)
    archive = start.startswith(b'PK')
    named_so = path.name.removesuffix('.part').endswith('.safetensors')
    safetensors = begins_as_safetensors(start) or (named_so and not archive)
    broken = (archive and not names_in_zip(path)) or (safetensors and not _is_safetensors(path))
    return 'not a complete file. Fetch it again.' if broken else ''


def _is_safetensors(path: Path) -> bool:
    try:
        with safe_open(path, framework='np'):
            return True
    except SafetensorError:
        return False


def names_in_zip(path: Path) -> list[str]:
    """The names in a zip archive; none of a damaged one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        return []


def is_zip_of_files(path: Path) -> bool:
    """Whether a file is a zip archive of other files, not one of the parts of a checkpoint, as PyTorch writes it."""
    return _are_files(names_in_zip(path))


def _are_files(names: Sequence[str]) -> bool:
    return bool(names) and not any(name.endswith(('data.pkl', '.npy')) for name in names)


def _other_archive(names: Sequence[str]) -> str:
    """The kind of a zip archive of these files: PyTorch's has data.pkl, numpy's .npy files, a damaged one nothing."""
    if any(re.search(r'(^|/)code/.*\.py$', name) for name in names):
        return (
            'a TorchScript program, not a checkpoint. If you trust it, save its weights: '
            "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')."
        )
    if any(name.endswith('models/model.json') for name in names):
        return 'an exported program, not a checkpoint. It predicts under a name that ends in .pt2.'
    if _are_files(names):
        return f'an archive of {", ".join(names[:4])}. Unpack it, and name the checkpoint that comes out.'
    return ''


def inside(folder: Path) -> str:
    """A sentence on a folder that is no shared model: which of its files to name instead."""
    paths = sorted(path for path in chain(folder.glob('*'), folder.glob('*/*')) if path.suffix in SUFFIXES)
    files = [str(path.relative_to(folder)) for path in paths]
    states = [file for file in files if file.endswith('model_states.pt')]
    if states:
        return (
            f'DeepSpeed wrote it. Name {states[-1]}, or, where each process kept a part of the weights (ZeRO 3), what '
            'its zero_to_fp32.py makes of them.'
        )
    parts = [file for file in files if PART.search(file)]
    if len(parts) > 1:
        index = next((str(path.relative_to(folder)) for path in folder.rglob(f'*{INDEX}')), '')
        mend = (
            f'Name {index}, which lists them.' if index else f'Fetch the {INDEX} that lists them, too, and name that.'
        )
        return f'it holds a model in {len(parts)} parts ({parts[0]}, ...). {mend}'
    return f'name one of its files: {", ".join(files[:8])}.' if files else 'it holds no checkpoint.'

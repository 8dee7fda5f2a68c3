"""Datasets of image restoration: folders of degraded images and their targets, or of targets alone."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from denseformer.datasets.restoration.lmdb_store import SUFFIX, names_in
from denseformer.images.folders import IMAGES, files_below
from denseformer.registry import DATASETS


@DATASETS.register_module()
class RestorationImages(BaseDataset):
    """Images of one folder as targets, and of another, where there is one, as what they are to be restored from.

    A degraded image has the path of its target, suffixes aside; its name may end in `x2` besides, the scale, as those
    of DIV2K and Set5 do, or in DIV2K's `x4m`, `x4d` and `x4w`. Every target needs one; of DIV2K's wild images, `x4w1`
    to `x4w4`, each is a sample with the target that they share. Folders are searched with all that is below them; one
    whose name ends in `.lmdb` is a database, as `denseformer prepare lmdb` makes it.

    Args:
        data_root: folder that the others are in.
        data_prefix: {'gt_path': folder of the targets, 'img_path': folder of the degraded images}; without the second
            the pipeline makes the degraded images.
        scale: how many times larger targets are.
        pipeline: configs of transforms.
        suffixes: of the files that are images.
        only: targets that are taken, by their paths below their folder, without suffix; None takes all.
        without: targets that are left out, named in the same way.
        indices: mmengine's: the first so many images, or those of these numbers.
        test_mode: mmengine's.

    Raises ValueError for a folder that is missing or without images, and for targets without a degraded image, or
    with some of their wild images and not all.
    """

    def __init__(
        self,
        *,
        data_root: str = '',
        data_prefix: Mapping[str, str],
        scale: int = 1,
        pipeline: Sequence[dict] = (),
        suffixes: Collection[str] = IMAGES,
        only: Sequence[str] | None = None,
        without: Sequence[str] = (),
        indices: int | Sequence[int] | None = None,
        test_mode: bool = False,
    ):
        data_prefix = {key: folder for key, folder in data_prefix.items() if folder is not None}
        if 'gt_path' not in data_prefix or set(data_prefix) - {'gt_path', 'img_path'}:
            raise ValueError(f'data_prefix has gt_path and, for pairs, img_path; got {sorted(data_prefix)}.')
        self.scale = scale
        self.suffixes = tuple(suffixes)
        self.only = only
        self.without = without
        super().__init__(
            data_root=data_root,
            data_prefix=dict(data_prefix),
            pipeline=list(pipeline),
            indices=indices,
            test_mode=test_mode,
        )

    def load_data_list(self) -> list[dict[str, str]]:
        """[{'gt_path': ..., 'img_path': ...}], by name."""
        targets = self._chosen(image_files(self.data_prefix['gt_path'], self.suffixes))
        if 'img_path' not in self.data_prefix:
            return [{'gt_path': str(path)} for path in targets.values()]
        folder = self.data_prefix['img_path']
        degraded = image_files(folder, self.suffixes)
        partners = {name: self._partners(name, degraded) for name in targets}
        missing = [name for name in targets if not partners[name]]
        if missing:
            raise ValueError(
                f"{len(missing)} of {len(targets)} targets in '{self.data_prefix['gt_path']}' have no image of that "
                f"name, or of that and x{self.scale}, in '{folder}': {', '.join(missing[:5])}. Complete the folder, or "
                'leave data_prefix.img_path out and let the pipeline make the degraded images.'
            )
        wild = [each for name in targets for each in missing_wild(name, self.scale, degraded)]
        if wild:
            raise ValueError(
                f"{len(wild)} wild images are missing in '{folder}', while others of their targets are there: "
                f'{", ".join(wild[:5])}. Complete the folder, or name their targets in `without`.'
            )
        return [
            {'gt_path': str(path), 'img_path': str(partner)}
            for name, path in targets.items()
            for partner in partners[name]
        ]

    def _partners(self, name: str, degraded: Mapping[str, Path]) -> list[Path]:
        """The degraded image of a target, or all wild ones."""
        one = [degraded[each] for each in degraded_names(name, self.scale) if each in degraded]
        wild = [degraded[each] for each in wild_names(name, self.scale) if each in degraded]
        return one[:1] or wild

    def _chosen(self, files: dict[str, Path]) -> dict[str, Path]:
        named = {*(self.only or ()), *self.without}
        if named - set(files):
            absent = ', '.join(sorted(named - set(files))[:5])
            raise ValueError(f"There is no image of these names in '{self.data_prefix['gt_path']}': {absent}.")
        chosen = set(files if self.only is None else self.only) - set(self.without)
        return {name: path for name, path in files.items() if name in chosen}


def degraded_names(target: str, scale: int) -> tuple[str, ...]:
    """Names that the one degraded image of a target may have: DIV2K adds the scale, and 'm' for mild, 'd' for
    difficult, 'w' for wild."""
    return (target, *(f'{target}x{scale}{kind}' for kind in ('', 'm', 'd', 'w')))


def wild_names(target: str, scale: int) -> tuple[str, ...]:
    """Names of the degraded images of a target where it has several, DIV2K's wild ones."""
    return tuple(f'{target}x{scale}w{number}' for number in range(1, 5))


def missing_wild(target: str, scale: int, degraded: Collection[str]) -> list[str]:
    """The wild images of a target that are not among the names `degraded`, where others of it are."""
    names = wild_names(target, scale)
    missing = [name for name in names if name not in degraded]
    return missing if len(missing) < len(names) else []


def image_files(folder: str, suffixes: Collection[str] = IMAGES) -> dict[str, Path]:
    """The images below a folder, or in an LMDB database: {path below it, without suffix: file}, by name.

    The log says how many files are left out by their suffix.
    """
    if folder.endswith(SUFFIX):
        return {name: Path(folder, name) for name in names_in(folder)}
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"There is no folder '{folder}'; data/README.md says how to lay the data out.")
    everything = list(files_below(root))
    files = [path for path in everything if path.suffix.lower() in suffixes]
    others = Counter(path.suffix.lower() or 'without suffix' for path in everything) - Counter(
        path.suffix.lower() for path in files
    )
    found = {path.relative_to(root).with_suffix('').as_posix(): path for path in files}
    if not found:
        raise ValueError(f"There is no image in '{folder}' ({', '.join(sorted(suffixes))}).")
    if len(found) < len(files):
        raise ValueError(f"'{folder}' holds images whose names differ only in their suffix; keep one of each.")
    if others:
        kinds = ', '.join(f'{count} {suffix}' for suffix, count in others.most_common())
        print_log(f"'{folder}': {len(found)} images; left out by their suffix: {kinds}.", 'current')
    return found

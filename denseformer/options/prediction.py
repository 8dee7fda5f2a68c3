"""Options of `denseformer infer`, `Predictor` and `predict_folder`."""

from collections.abc import Sequence
from dataclasses import dataclass

from denseformer.images.limits import MAX_PIXELS
from denseformer.options.engine import EngineOptions
from denseformer.options.fields import option


def number_or_auto(text: str) -> int | None:
    return None if text == 'auto' else int(text)


@dataclass(frozen=True, kw_only=True)
class PredictionOptions:
    """Options of prediction, for any task. Raises ValueError for sizes below the least."""

    device: str = option('auto', "'auto' (a GPU if there is one), 'cpu', 'cuda', 'cuda:1' ...")
    amp: bool = option(False, 'predict under bfloat16 autocast')
    compile: bool = option(False, 'torch.compile the network, which takes a while for each new image size')
    batch_size: int | None = option(
        1,
        'images of one size, or tiles of an image, that go through the network together; auto (None in Python): as '
        'many as free memory holds',
        parse=number_or_auto,
        metavar='N',
    )
    tile: int | None = option(
        None,
        'side of the tiles that larger images are cut into; auto (None in Python), the default: by free memory',
        parse=number_or_auto,
        metavar='PIXELS',
    )
    overlap: int | None = option(
        None, 'overlap of neighboring tiles; default: as much as the network needs', parse=int, metavar='PIXELS'
    )
    native: bool = option(False, "predict at the image's own size, whatever the config resizes to")
    tta: bool = option(
        False,
        'test-time augmentation: segmentation and detection take the sizes of the config and flip, restoration flips '
        'and rotates (x8 self-ensemble)',
    )
    probabilities: bool = option(False, 'keep the probability of each class (segmentation)')
    score: float = option(0.3, 'leave out instances of a lower score (detection)', parse=float)
    classes: Sequence[str] = option((), 'find these classes only (detection); default: all', metavar='NAME')
    format: str | None = option(
        None, "format of restored images, such as 'png'; default: that of their source", metavar='SUFFIX'
    )
    max_pixels: int = option(MAX_PIXELS, 'refuse larger images before decoding them', parse=int, metavar='N')
    trust_checkpoint: bool = option(False, 'let the checkpoint execute code while it loads')

    def __post_init__(self) -> None:
        sizes = (self.batch_size, self.tile, self.max_pixels)
        if any(size is not None and size < 1 for size in sizes) or (self.overlap or 0) < 0:
            raise ValueError('batch_size, tile and max_pixels must be at least 1, and overlap not negative.')


@dataclass(frozen=True, kw_only=True)
class RunOptions(EngineOptions):
    """Options of predicting a folder into another one. Raises ValueError for options that do not go together."""

    resume: bool = option(False, 'continue the run, or the shard, in OUT: predict what is not there yet')
    overwrite: bool = option(False, 'write over OUT; without this, --resume, --share or --shard, OUT_2 ... are made')
    shard: str | None = option(
        None,
        "predict shard I of N, counted from 0, into an OUT that all of them have; 'auto': the one of this Slurm array "
        "task, srun, torchrun or MPI process; 'auto/N': of a Kubernetes pod; `denseformer merge OUT` joins them",
        metavar='I/N',
    )
    share: bool = option(False, 'divide the images among all processes of this machine that are started like this')
    fail_fast: bool = option(False, 'stop at the first image that fails; without it, failures are recorded')
    report: bool = option(False, 'write report.html, a page about the run')
    parquet: bool = option(False, 'write results.parquet, the record as a table')
    pack: int | None = option(
        None, 'put outputs into tar files of N images each, instead of a file for each', parse=int, metavar='N'
    )
    gpus_per_worker: float | None = option(
        None,
        'GPUs of each process of --engine ray, also a fraction, such as 0.25, where several share one; default: 1 if '
        'the cluster has any',
        parse=float,
        metavar='GPUS',
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gpus_per_worker is not None and (self.engine != 'ray' or self.gpus_per_worker < 0):
            raise ValueError('--gpus-per-worker is for --engine ray, and not negative.')

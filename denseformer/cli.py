"""The command `denseformer`; `tools/*.py` are its commands under their own names."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction

from denseformer.signals import exit_on_signal

CHECKPOINT = 'a checkpoint of a run here, or one its authors published (.pth, .safetensors)'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    0: done, 1: some images failed, 2: wrong usage, 130: interrupted.
    """
    options = build_parser().parse_args(arguments)
    try:
        return options.run(options)
    except ValueError as error:
        print(f'denseformer {options.command}: {error}', file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f'denseformer {options.command}: {error}', file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='denseformer', description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest='command', required=True)
    add_train(commands)
    add_test(commands)
    add_infer(commands)
    add_export(commands)
    add_doctor(commands)
    add_browse(commands)
    add_prepare(commands)
    return parser


def add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--work-dir', help='folder of this run; default: work_dirs/<name of the config>')
    add_device(parser)
    parser.add_argument('--launcher', default='none', choices=('none', 'pytorch', 'slurm', 'mpi'))
    add_trust(parser)
    add_overrides(parser)
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)  # of old launchers


def add_overrides(parser) -> None:
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='override keys of the config',
    )


def add_trust(parser) -> None:
    parser.add_argument(
        '--trust-checkpoint', action='store_true', help='let the checkpoint execute code while it loads'
    )


def add_device(parser) -> None:
    parser.add_argument('--device', default='auto', help="'auto' (a GPU if there is one), 'cpu', 'cuda', 'cuda:1' ...")


def add_train(commands) -> None:
    parser = commands.add_parser('train', help='train a config')
    parser.set_defaults(run=run_train)
    parser.add_argument('config')
    parser.add_argument(
        '--resume',
        nargs='?',
        const=True,
        default=False,
        metavar='PATH',
        help='go on from the newest checkpoint, or PATH',
    )
    parser.add_argument('--load-from', metavar='PATH', help=f'start from the weights of {CHECKPOINT}')
    parser.add_argument('--amp', nargs='?', const='bf16', choices=('bf16', 'fp16'), help='mixed precision')
    parser.add_argument('--compile', action='store_true', help='torch.compile the model')
    parser.add_argument('--fsdp', action='store_true', help='divide the model, not only the batch, among the processes')
    parser.add_argument('--auto-scale-lr', action='store_true', help="scale the learning rate to the run's batch size")
    parser.add_argument('--seed', type=int)
    parser.add_argument('--deterministic', action='store_true', help='only deterministic GPU operators')
    parser.add_argument('--time-limit', metavar='11h30m', help='save and stop before so much time is over (status 75)')
    parser.add_argument('--dry-run', action='store_true', help='build, check the data, run one iteration, say the cost')
    add_common(parser)


def add_test(commands) -> None:
    parser = commands.add_parser('test', help='score a checkpoint')
    parser.set_defaults(run=run_test)
    parser.add_argument('config')
    parser.add_argument('checkpoint', help=CHECKPOINT)
    parser.add_argument('--out', metavar='FILE.json', help='write the scores here')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation: several scales, flipped')
    parser.add_argument('--show-dir', metavar='FOLDER', help='draw the predictions')
    add_common(parser)


def add_infer(commands) -> None:
    parser = commands.add_parser('infer', help='predict on images')
    parser.set_defaults(run=run_infer)
    parser.usage = 'denseformer infer [CONFIG] CHECKPOINT SOURCE --out FOLDER [options]'
    parser.add_argument(
        'paths',
        nargs='+',
        metavar='[CONFIG] CHECKPOINT SOURCE',
        help=f'CHECKPOINT: {CHECKPOINT}; a restoration network needs no CONFIG. SOURCE: an image, a folder, '
        'a video, a glob in quotes, or a .txt file that lists images',
    )
    parser.add_argument('--out', required=True, metavar='FOLDER', help='where predictions and the record go')
    add_run_flags(parser.add_argument_group('the run'))
    add_prediction_flags(parser.add_argument_group('the prediction'))


def add_run_flags(parser) -> None:
    parser.add_argument('--resume', action='store_true', help='go on with what is not in OUT yet')
    parser.add_argument('--overwrite', action='store_true', help='write over OUT; without it OUT_2, OUT_3 ... are made')
    parser.add_argument('--share', action='store_true', help='divide the images among all processes started like this')
    parser.add_argument('--fail-fast', action='store_true', help='stop at the first image that fails')
    parser.add_argument('--report', action='store_true', help='make report.html, a page to look at the run with')
    parser.add_argument(
        '--max-pixels', type=int, default=178_956_970, help='refuse larger images, before decoding them'
    )
    add_trust(parser)
    add_overrides(parser)


def add_prediction_flags(parser) -> None:
    add_device(parser)
    parser.add_argument('--amp', action='store_true', help='predict in bfloat16')
    parser.add_argument('--compile', action='store_true', help='torch.compile the network')
    parser.add_argument(
        '--batch-size',
        type=number_or_auto,
        default=1,
        help="images of one size that go together; 'auto' by free memory",
    )
    parser.add_argument(
        '--tile', type=number_or_auto, metavar='PIXELS', help='cut larger images into windows; default: by free memory'
    )
    parser.add_argument('--overlap', type=int, metavar='PIXELS', help='of windows; default: what the network needs')
    parser.add_argument('--native', action='store_true', help="at the image's own size, whatever the config resizes to")
    parser.add_argument(
        '--tta',
        action='store_true',
        help='average over copies: sizes, mirrored; restoration: turned, mirrored',
    )
    parser.add_argument('--probabilities', action='store_true', help='write the probability of each class')
    parser.add_argument('--score', type=float, default=0.3, help='leave out instances of a lower score')
    parser.add_argument('--classes', nargs='+', default=(), metavar='NAME', help='find these only; default: all')
    parser.add_argument('--format', metavar='SUFFIX', help="of restored images, as 'png'; default: the source's")


def add_export(commands) -> None:
    parser = commands.add_parser('export', help='write a model as one file that runs without its code')
    parser.set_defaults(run=run_export)
    parser.usage = 'denseformer export [CONFIG] CHECKPOINT --out FILE.onnx [options]'
    parser.add_argument('paths', nargs='+', metavar='[CONFIG] CHECKPOINT', help=f'CHECKPOINT: {CHECKPOINT}')
    parser.add_argument('--out', required=True, metavar='FILE', help='FILE.onnx, or FILE.pt2 for torch.export')
    parser.add_argument(
        '--size',
        type=int,
        metavar='PIXELS',
        help='side of the windows that it takes; default: images of any size, windows of 512 where that cannot be',
    )
    add_overrides(parser)


def number_or_auto(text: str) -> int | None:
    return None if text == 'auto' else int(text)


def add_doctor(commands) -> None:
    parser = commands.add_parser('doctor', help="look for what is wrong in a config's data")
    parser.set_defaults(run=run_doctor)
    parser.add_argument('config')
    parser.add_argument('--limit', type=int, metavar='N', help='look at N samples of each split instead of all')
    parser.add_argument('--json', metavar='FILE.json', help='write everything that was found here')
    add_overrides(parser)


def add_browse(commands) -> None:
    parser = commands.add_parser('browse', help='draw what the network will see, after augmentation')
    parser.set_defaults(run=run_browse)
    parser.add_argument('config')
    parser.add_argument('--out', required=True, metavar='FILE.png', help='where the contact sheet goes')
    parser.add_argument('--count', type=int, default=16, metavar='N', help='how many samples, spread over the split')
    parser.add_argument('--split', default='train', choices=('train', 'val', 'test'))
    parser.add_argument('--seed', type=int, default=0, help='another one draws other augmentations')
    add_overrides(parser)


def common_options(options: argparse.Namespace, *names: str) -> dict:
    names = ('work_dir', 'device', 'launcher', 'trust_checkpoint', 'cfg_options', *names)
    return {name: getattr(options, name) for name in names}


def add_prepare(commands) -> None:
    help_text = (
        'make training images quick to read (sub-images, LMDB data bases), or a model of what is natural for NIQE'
    )
    parser = commands.add_parser('prepare', help=help_text)
    kinds = parser.add_subparsers(dest='kind', required=True)
    cut = kinds.add_parser('sub-images', help='cut the images of a folder into overlapping squares')
    cut.add_argument('--size', type=int, default=480, help='side of the squares')
    cut.add_argument('--step', type=int, default=240, help='from one square to the next')
    pack = kinds.add_parser('lmdb', help='pack the images of a folder into one data base')
    natural = kinds.add_parser('niqe', help='fit the model of NIQE to sharp photographs')
    for kind in (cut, pack, natural):
        kind.add_argument('source', help='a folder of images')
        kind.add_argument('out', help='a new folder; for lmdb its name ends in .lmdb; for niqe a .npz file')
        kind.set_defaults(run=run_prepare)


def run_train(options: argparse.Namespace) -> int:
    with exit_on_signal():  # until training begins, which saves first
        from denseformer.engine import launch
        from denseformer.engine.dry_run import dry_run

        names = (
            'resume',
            'load_from',
            'amp',
            'compile',
            'fsdp',
            'auto_scale_lr',
            'seed',
            'deterministic',
            'time_limit',
        )
        flags = common_options(options, *names)
        command = dry_run if options.dry_run else launch.train
        command(options.config, launch.Options(**flags))
    return 0


def run_test(options: argparse.Namespace) -> int:
    from denseformer.engine import launch

    launch.evaluate(
        options.config,
        options.checkpoint,
        launch.Options(**common_options(options)),
        out=options.out,
        tta=options.tta,
        show_dir=options.show_dir,
    )
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    from denseformer.config.audit import check_config
    from denseformer.engine import load_config
    from denseformer.inspection import doctor

    config = load_config(options.config, options.cfg_options)
    check_config(config)
    reports = doctor.examine(config, limit=options.limit)
    doctor.print_reports(reports)
    if options.json:
        doctor.write_reports(reports, options.json)
    return 1 if doctor.count_errors(reports) else 0


def run_prepare(options: argparse.Namespace) -> int:
    from denseformer.datasets.restoration.image_folders import image_files
    from denseformer.datasets.restoration.lmdb_store import write_store
    from denseformer.datasets.restoration.sub_images import cut_folder
    from denseformer.datasets.restoration.transforms import read_image, to_tensor
    from denseformer.restoration.metrics.niqe import rounded_luma, write_model

    files = image_files(options.source)
    if options.kind == 'lmdb':
        size = write_store(files, Path(options.out))
        print(f'{len(files)} images, {size / 2**20:.1f} MiB -> {options.out}')
    elif options.kind == 'niqe':
        write_model(Path(options.out), (rounded_luma(to_tensor(read_image(str(file), 3))) for file in files.values()))
        print(f'a model of {len(files)} images -> {options.out}')
    else:
        count = cut_folder(files, Path(options.out), size=options.size, step=options.step)
        print(f'{len(files)} images, {count} squares of {options.size} pixels -> {options.out}')
    return 0


def run_browse(options: argparse.Namespace) -> int:
    from denseformer.config.audit import check_config
    from denseformer.engine import load_config
    from denseformer.inspection.browse import write_sheet

    config = load_config(options.config, options.cfg_options)
    check_config(config)
    write_sheet(config, options.out, count=options.count, split=options.split, seed=options.seed)
    return 0


def run_infer(options: argparse.Namespace) -> int:
    import cv2
    from PIL import Image

    from denseformer.engine import load_config
    from denseformer.images.formats import checked_suffix
    from denseformer.inference.predictor import Predictor
    from denseformer.inference.run import predict_folder, print_summary

    if len(options.paths) not in (2, 3):
        raise ValueError('expected [CONFIG] CHECKPOINT SOURCE; put a glob in quotes.')
    Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit; --max-pixels is looked up before it
    cv2.setLogLevel(0)  # silent: what it says of broken files, the record says
    *config, checkpoint, source = options.paths
    names = [
        'device',
        'amp',
        'compile',
        'batch_size',
        'tile',
        'overlap',
        'native',
        'probabilities',
        'score',
        'classes',
        'max_pixels',
    ]
    predictor = Predictor(
        *([load_config(config[0], options.cfg_options), checkpoint] if config else [checkpoint]),
        **{name: getattr(options, name) for name in [*names, 'trust_checkpoint']},
        augment=options.tta,
        suffix=checked_suffix(options.format) if options.format else None,
    )
    flags = {name: getattr(options, name) for name in ('resume', 'overwrite', 'share', 'fail_fast', 'report')}
    summary = predict_folder(predictor, source, options.out, **flags)
    print_summary(summary)
    return 130 if summary['interrupted'] else 1 if summary['failed'] else 0


def run_export(options: argparse.Namespace) -> int:
    from denseformer.engine import load_config
    from denseformer.export.exporting import export
    from denseformer.inference.predictor import Predictor

    if len(options.paths) not in (1, 2):
        raise ValueError('expected [CONFIG] CHECKPOINT.')
    *config, checkpoint = options.paths
    model = [load_config(config[0], options.cfg_options), checkpoint] if config else [checkpoint]
    print(export(Predictor(*model, device='cpu'), options.out, options.size))
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""The command `denseformer`; `tools/*.py` are its commands under their own names.

A command's functions import what they need when they run: the line is parsed, and the number of threads chosen, before
PyTorch is loaded.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import denseformer
from denseformer import threads
from denseformer.importing import quiet_imports
from denseformer.options import (
    EvaluationOptions,
    LaunchOptions,
    PredictionOptions,
    RunOptions,
    TrainOptions,
    add_options,
    options_from,
)
from denseformer.options.training import ParseOverrides
from denseformer.signals import exit_on_signal
from denseformer.storage import path_of

CHECKPOINT = 'a checkpoint of a run here, or one its authors published (.pth, .safetensors)'
Command = Callable[[argparse.Namespace], int]
Commands = argparse._SubParsersAction


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    0: done, 1: some images failed, or a NaN or infinite loss, 2: wrong usage, 130: interrupted.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    quiet_imports()
    try:
        if 'threads' in options:
            threads.choose(options.threads)
        return options.run(options)
    except ValueError as error:
        print(f'denseformer {options.command}: {error}', file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f'denseformer {options.command}: {error}', file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    about = 'Attention backbones and restoration networks for dense prediction.'
    parser = argparse.ArgumentParser(prog='denseformer', description=about)
    parser.add_argument('--version', action='version', version=f'denseformer {denseformer.__version__}')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND')
    add_fit(commands)
    add_train(commands)
    add_test(commands)
    add_infer(commands)
    add_merge(commands)
    add_status(commands)
    add_export(commands)
    add_doctor(commands)
    add_browse(commands)
    add_plot(commands)
    add_explain(commands)
    add_prepare(commands)
    add_list(commands)
    add_weights(commands)
    add_identify(commands)
    return parser


def add_command(commands: Commands, name: str, run: Command, help: str) -> argparse.ArgumentParser:
    """A parser for one command, which `run` carries out."""
    parser = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + '.')
    parser.set_defaults(run=run)
    parser.add_argument('--threads', type=int, metavar='N', help='threads that compute; default: as cores are free')
    return parser


def add_overrides(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ParseOverrides,
        default={},
        metavar='KEY=VALUE',
        help='set keys of the config, dotted from the top',
    )


def add_fit(commands: Commands) -> None:
    parser = add_command(commands, 'fit', run_fit, 'train on a folder of images and labels, by rules')
    parser.add_argument('data', metavar='DATA', help='a folder, or a data.yaml')
    parser.add_argument(
        '--task',
        default='auto',
        help='segmentation, detection, instances, panoptic, restoration, super-resolution or video; default: what the '
        'folder is labelled for',
    )
    parser.add_argument(
        '--model', metavar='NAME', help='a system, such as rtdetr, or a backbone or restoration network, such as swin'
    )
    parser.add_argument('--out', metavar='RUN', help='folder of the run; default: work_dirs/<name of DATA>')
    parser.add_argument('--explain', action='store_true', help='print what would be chosen, and why, and stop')
    add_options(parser, TrainOptions, leave_out=('work_dir', 'launcher'))


def add_train(commands: Commands) -> None:
    parser = add_command(commands, 'train', run_train, 'train a config')
    parser.add_argument('config')
    parser.add_argument('--dry-run', action='store_true', help='build, check the data, run one iteration, say the cost')
    add_launch_options(parser, TrainOptions)


def add_test(commands: Commands) -> None:
    parser = add_command(commands, 'test', run_test, 'score a checkpoint')
    parser.add_argument('config')
    parser.add_argument('checkpoint', nargs='?', help=f'{CHECKPOINT}; default: the one published for CONFIG')
    add_launch_options(parser, EvaluationOptions)


def add_launch_options(parser: argparse.ArgumentParser, options: type[LaunchOptions]) -> None:
    add_options(parser, options)
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)  # of old launchers


def add_infer(commands: Commands) -> None:
    parser = add_command(commands, 'infer', run_infer, 'predict on images')
    parser.usage = 'denseformer infer [CONFIG] CHECKPOINT SOURCE --out FOLDER [options]'
    parser.add_argument(
        'paths',
        nargs='+',
        metavar='[CONFIG] CHECKPOINT SOURCE',
        help=f'CHECKPOINT: {CHECKPOINT}; one that tells what it is needs no CONFIG, and the name of a '
        'shipped CONFIG alone takes the published one. SOURCE: an image, a folder, '
        'a video, a glob in quotes, or a .txt file that lists images',
    )
    parser.add_argument('--out', required=True, metavar='FOLDER', help='where predictions and the record go')
    run = parser.add_argument_group('the run')
    add_options(run, RunOptions)
    add_overrides(run)
    add_options(parser.add_argument_group('the prediction'), PredictionOptions)


def add_merge(commands: Commands) -> None:
    parser = add_command(commands, 'merge', run_merge, 'make one record of the shards of a prediction, and check it')
    parser.add_argument('out', metavar='OUT', help='the --out of `denseformer infer --shard`')
    parser.add_argument('--parquet', action='store_true', help='write results.parquet, the record as a table')


def add_status(commands: Commands) -> None:
    parser = add_command(commands, 'status', run_status, 'say how far a prediction is, over all its shards')
    parser.add_argument('out', metavar='OUT', help='the --out of `denseformer infer`')
    parser.add_argument('--html', metavar='FILE.html', help='write a page with a line per shard')
    parser.add_argument(
        '--prometheus', metavar='FILE.prom', help="write metrics for node_exporter's textfile collector"
    )


def add_export(commands: Commands) -> None:
    parser = add_command(commands, 'export', run_export, 'write a model as one file that runs without its code')
    parser.usage = 'denseformer export [CONFIG] CHECKPOINT --out FILE.onnx [options]'
    parser.add_argument('paths', nargs='+', metavar='[CONFIG] CHECKPOINT', help=f'CHECKPOINT: {CHECKPOINT}')
    parser.add_argument('--out', required=True, metavar='FILE', help='FILE.onnx, or FILE.pt2 for torch.export')
    parser.add_argument(
        '--size',
        type=int,
        metavar='PIXELS',
        help='side of the tiles that it takes; default: images of any size, tiles of 512 where that cannot be',
    )
    add_overrides(parser)


def add_doctor(commands: Commands) -> None:
    parser = add_command(commands, 'doctor', run_doctor, "look for errors in a config's data")
    parser.add_argument('config')
    parser.add_argument('--limit', type=int, metavar='N', help='look at N samples of each split instead of all')
    parser.add_argument('--json', metavar='FILE.json', help='write everything that was found here')
    add_overrides(parser)


def add_browse(commands: Commands) -> None:
    parser = add_command(commands, 'browse', run_browse, 'draw what the network will see, after augmentation')
    parser.add_argument('config')
    parser.add_argument('--out', required=True, metavar='FILE.png', help='where the contact sheet goes')
    parser.add_argument('--count', type=int, default=16, metavar='N', help='how many samples, spread over the split')
    parser.add_argument('--split', default='train', choices=('train', 'val', 'test'))
    parser.add_argument('--seed', type=int, default=0, help='another one draws other augmentations')
    add_overrides(parser)


def add_plot(commands: Commands) -> None:
    parser = commands.add_parser('plot', help='draw losses, learning rate and scores of runs')
    parser.set_defaults(run=run_plot)
    parser.add_argument('runs', nargs='+', metavar='RUN', help='the --work-dir of a run')
    parser.add_argument('--keys', nargs='+', help='what to draw; default: losses, lr and the scores of validation')
    parser.add_argument('--out', required=True, metavar='FILE', help='.png, .svg, .pdf or .html')


def add_explain(commands: Commands) -> None:
    help_text = "say where a run's model is wrong, which labels may be, and whether another run is better"
    parser = add_command(commands, 'explain', run_explain, help_text)
    parser.usage = 'denseformer explain RUN [RUN2] [options]'
    parser.add_argument(
        'runs', nargs='+', metavar='RUN', help='the --work-dir of a run, and of one that is compared with it'
    )
    parser.add_argument('--out', metavar='FILE.html', help='the page; default: RUN/explain.html')
    add_options(parser, LaunchOptions, leave_out=('work_dir', 'launcher'))


def add_prepare(commands: Commands) -> None:
    help_text = 'make training data quick to read (tar shards, sub-images, LMDB), or fit a model of NIQE to photographs'
    parser = add_command(commands, 'prepare', run_prepare, help_text)
    kinds = parser.add_subparsers(dest='kind', required=True)
    cut = kinds.add_parser('sub-images', help='cut the images of a folder into overlapping squares')
    cut.add_argument('--size', type=int, default=480, help='side of the squares')
    cut.add_argument('--step', type=int, default=240, help='from one square to the next')
    pack = kinds.add_parser('lmdb', help='pack the images of a folder into one database')
    natural = kinds.add_parser('niqe', help='fit the model of NIQE to sharp photographs')
    for kind in (cut, pack, natural):
        kind.add_argument('source', help='a folder of images')
        kind.add_argument('out', help='a new folder; for lmdb its name ends in .lmdb; for niqe a .npz file')
    shards = kinds.add_parser(
        'shards', help="write a config's datasets into tar files, and a config of the run on them"
    )
    shards.add_argument('source', metavar='config')
    shards.add_argument('out', help='a new folder, or one in an object store, such as s3://bucket/folder')
    shards.add_argument('--per-shard', type=int, default=1000, metavar='N', help='samples in a tar file (1000)')
    add_overrides(shards)


def add_list(commands: Commands) -> None:
    parser = commands.add_parser('list', help='list what ships: configs by name, task, data and published result')
    kinds = parser.add_subparsers(dest='kind', required=True)
    configs = kinds.add_parser('configs', help='configs, which train, test and infer take by their names')
    configs.add_argument('words', nargs='*', metavar='WORD', help='only lines with each of these: dinat coco')
    configs.set_defaults(run=run_list)


def add_weights(commands: Commands) -> None:
    parser = commands.add_parser('weights', help='list, fetch and keep published weights')
    kinds = parser.add_subparsers(dest='kind', required=True)
    listing = kinds.add_parser('list', help='print the published files')
    listing.add_argument('words', nargs='*', metavar='WORD', help='only entries with each of these: swin ade20k')
    fetching = kinds.add_parser('fetch', help='fetch files into the cache')
    fetching.add_argument('--commercial-only', action='store_true', help='refuse licenses without commercial use')
    removing = kinds.add_parser('remove', help='delete files from the cache')
    for kind in (fetching, removing):
        kind.add_argument('names', nargs='+', metavar='NAME')
    adding = kinds.add_parser('add', help='put a file that was fetched otherwise into the cache')
    adding.add_argument('file', metavar='FILE')
    adding.add_argument('--name', help='the entry that it belongs to; default: by its hash or its name')
    kinds.add_parser('verify', help='check the hashes of the files in the cache')
    for kind in kinds.choices.values():
        kind.set_defaults(run=run_weights)


def add_identify(commands: Commands) -> None:
    help_text = 'say of a checkpoint which network, head and layout it has, and which config fits'
    parser = commands.add_parser('identify', help=help_text)
    parser.set_defaults(run=run_identify)
    parser.add_argument('files', nargs='+', metavar='FILE', help=f'{CHECKPOINT}, or an ONNX file')


def run_fit(options: argparse.Namespace) -> int:
    with exit_on_signal():  # until training begins, which saves first
        from denseformer.fitting import fit

        own = {name: getattr(options, name) for name in ('task', 'model', 'out', 'explain')}
        fit(options.data, options_from(TrainOptions, options), **own)
    return 0


def run_train(options: argparse.Namespace) -> int:
    with exit_on_signal():  # until training begins, which saves first
        from denseformer.engine import launch
        from denseformer.engine.dry_run import dry_run

        command = dry_run if options.dry_run else launch.train
        command(options.config, options_from(TrainOptions, options))
    return 0


def run_test(options: argparse.Namespace) -> int:
    from denseformer.engine import launch
    from denseformer.inference.published import published_checkpoint

    checkpoint = options.checkpoint or published_checkpoint(options.config)
    launch.evaluate(options.config, checkpoint, options_from(EvaluationOptions, options))
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
    if options.kind == 'shards':
        return run_prepare_shards(options)
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


def run_prepare_shards(options: argparse.Namespace) -> int:
    from denseformer.config.audit import check_config
    from denseformer.config.packing import pack_config
    from denseformer.engine import load_config

    config = load_config(options.source, options.cfg_options)
    check_config(config)
    out = path_of(options.out)
    for packed in pack_config(config, out, options.per_shard):
        print(f'{packed.samples} samples, {packed.size / 2**20:.1f} MiB -> {packed.folder}', flush=True)
    print(f'the same run on them: denseformer train {out / "config.py"}')
    return 0


def run_browse(options: argparse.Namespace) -> int:
    from denseformer.config.audit import check_config
    from denseformer.engine import load_config
    from denseformer.inspection.browse import write_sheet

    config = load_config(options.config, options.cfg_options)
    check_config(config)
    write_sheet(config, options.out, count=options.count, split=options.split, seed=options.seed)
    return 0


def run_list(options: argparse.Namespace) -> int:
    from denseformer.config.shipped import as_table, shipped_configs

    configs = list(shipped_configs(options.words))
    if not configs:
        raise ValueError(f'no shipped config has all of {", ".join(options.words)} in its line.')
    print(as_table(configs))
    return 0


def run_weights(options: argparse.Namespace) -> int:
    from denseformer.checkpoints import command

    if options.kind == 'list':
        command.print_list(options.words)
    elif options.kind == 'fetch':
        command.fetch_all(options.names, commercial_only=options.commercial_only)
    elif options.kind == 'add':
        from denseformer.inspection.entries import compared

        command.add_file(options.file, options.name, compared)
    elif options.kind == 'remove':
        command.remove_all(options.names)
    else:
        return 1 if command.print_faults() else 0
    return 0


def run_identify(options: argparse.Namespace) -> int:
    from denseformer.inspection.identify import identify

    print('\n\n'.join(str(identify(file)) for file in options.files))
    return 0


def run_plot(options: argparse.Namespace) -> int:
    from denseformer.inspection.plot_log import plot

    plot(options.runs, options.out, options.keys)
    return 0


def run_explain(options: argparse.Namespace) -> int:
    from denseformer.explain.page import explain

    if len(options.runs) > 2:
        raise ValueError('expected RUN [RUN2]: two runs are compared at most.')
    print(explain(*options.runs, out=options.out, options=options_from(LaunchOptions, options)))
    return 0


def run_infer(options: argparse.Namespace) -> int:
    import cv2
    import torch

    from denseformer.engine import load_config
    from denseformer.images.reading import without_pillows_limit
    from denseformer.inference.predictor import Predictor
    from denseformer.inference.run import predict_folder, print_summary
    from denseformer.inference.shards import local_device

    if len(options.paths) not in (2, 3):
        raise ValueError('expected [CONFIG] CHECKPOINT SOURCE; put a glob in quotes.')
    cv2.setLogLevel(0)  # silent: what it says of broken files, the record says
    *config, checkpoint, source = options.paths
    model = [load_config(config[0], options.cfg_options), checkpoint] if config else [checkpoint]
    prediction, run = options_from(PredictionOptions, options), options_from(RunOptions, options)
    if run.engine == 'ray':  # whose processes have GPUs of their own
        if prediction.device not in ('auto', 'cpu', 'cuda'):
            raise ValueError(f'--device {prediction.device}: Ray chooses the GPUs; --gpus-per-worker says how many.')
        if prediction.device == 'cpu':
            run = replace(run, gpus_per_worker=0)
        prediction = replace(prediction, device='cpu')
    if options.shard and prediction.device == 'auto':
        prediction = replace(prediction, device=local_device(os.environ, torch.cuda.device_count()))
    predictor = Predictor(*model, options=prediction)
    with without_pillows_limit():
        summary = predict_folder(predictor, source, options.out, run)
    print_summary(summary)
    return 130 if summary['interrupted'] else 1 if summary['failed'] else 0


def run_merge(options: argparse.Namespace) -> int:
    from denseformer.inference.merging import merge
    from denseformer.inference.run import print_summary

    summary = merge(path_of(options.out), parquet=options.parquet)
    print_summary(summary)
    return 1 if summary['failed'] else 0


def run_status(options: argparse.Namespace) -> int:
    from denseformer.inference import status

    found = status.status_of(path_of(options.out))
    print(status.line_of(found))
    if options.html:
        status.write_page(Path(options.html), found)
    if options.prometheus:
        status.replace_file(Path(options.prometheus), status.metrics_of(found))
    return 0


def run_export(options: argparse.Namespace) -> int:
    from denseformer.engine import load_config
    from denseformer.export import export
    from denseformer.inference.predictor import Predictor

    if len(options.paths) not in (1, 2):
        raise ValueError('expected [CONFIG] CHECKPOINT.')
    *config, checkpoint = options.paths
    model = [load_config(config[0], options.cfg_options), checkpoint] if config else [checkpoint]
    print(export(Predictor(*model, device='cpu'), options.out, options.size))
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""The command `python -m benchmarks`."""

import argparse
import fnmatch
import importlib
import pkgutil
import shlex
import sys
from functools import partial

import torch

import benchmarks
from benchmarks import harness, tables

NO_COMPARISONS = (
    '__main__',
    'authors',
    'flops',
    'harness',
    'memory',
    'plan',
    'precision',
    'ranking',
    'scale',
    'tables',
    'threads',
    'views',
)


def main() -> None:
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    names = [name for name in names if name not in NO_COMPARISONS]
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description=harness.__doc__)
    parser.add_argument('benchmark', nargs='*', default=names, help=f'which of {", ".join(names)}; all by default')
    parser.add_argument('--only', default='*', help='pattern of comparison titles')
    parser.add_argument('--missing', action='store_true', help='only comparisons that the results do not hold yet')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--results', help="name of the result files; the benchmark's by default")
    parser.add_argument('--no-memory', action='store_true', help='do not measure peak memory')
    args = parser.parse_args()
    if unknown := set(args.benchmark) - set(names):
        parser.error(f'no benchmark {", ".join(sorted(unknown))}; there are {", ".join(names)}')
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    command = shlex.join(['python', '-m', 'benchmarks', *sys.argv[1:]])
    for name in args.benchmark:
        run(name, command, args)


def run(name: str, command: str, args: argparse.Namespace) -> None:
    module = f'benchmarks.{name}'
    comparisons = list(importlib.import_module(module).comparisons())
    titles = [comparison.title for comparison in comparisons]
    results = args.results or name
    known = tables.kept_results(results) if args.missing else {}
    for comparison in comparisons:
        if fnmatch.fnmatch(comparison.title, args.only) and comparison.title not in known:
            memory = None if args.no_memory else partial(harness.peak_memory, module, comparison.title)
            measured = harness.measure(comparison, rounds=args.rounds, memory=memory)
            tables.print_table(comparison.title, measured)
            tables.keep_results(results, command, {comparison.title: measured}, titles)


if __name__ == '__main__':
    main()

"""The command `python -m benchmarks`."""

import argparse
import fnmatch
import importlib
import pkgutil
import shlex
import sys

import torch

import benchmarks
from benchmarks import harness


def main() -> None:
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    names = [name for name in names if name not in ('harness', 'memory', '__main__')]
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description=harness.__doc__)
    parser.add_argument('benchmark', nargs='*', default=names, help=f'which of {", ".join(names)}; all by default')
    parser.add_argument('--only', default='*', help='pattern of comparison titles')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--results', help="name of the result files; the benchmark's by default")
    parser.add_argument('--no-memory', action='store_true', help='do not measure peak memory')
    parser.add_argument(
        '--memory-of', nargs=2, metavar=('TITLE', 'NAME'), help='print the peak memory of one contender'
    )
    args = parser.parse_args()
    if unknown := set(args.benchmark) - set(names):
        parser.error(f'no benchmark {", ".join(sorted(unknown))}; there are {", ".join(names)}')
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    modules = {name: importlib.import_module(f'benchmarks.{name}') for name in args.benchmark}
    if args.memory_of:
        print_memory(modules, *args.memory_of)
        return
    command = shlex.join(['python', '-m', 'benchmarks', *sys.argv[1:]])
    for name, module in modules.items():
        groups = {}
        for comparison in module.comparisons():
            if fnmatch.fnmatch(comparison.title, args.only):
                groups[comparison.title] = harness.measure(comparison, rounds=args.rounds, memory=not args.no_memory)
                harness.print_table(comparison.title, groups[comparison.title])
                harness.write_results(args.results or name, command, groups)


def print_memory(modules: dict, title: str, name: str) -> None:
    for module in modules.values():
        for comparison in module.comparisons():
            for contender in comparison.contenders:
                if (comparison.title, contender.name) == (title, name):
                    print(harness.working_memory(contender))
                    return
    raise SystemExit(f'no contender {name} in a comparison {title}')


if __name__ == '__main__':
    main()

"""`denseformer plot` under its own name: python tools/plot_log.py --help."""

import sys

from denseformer.cli import main

if __name__ == '__main__':
    sys.exit(main(['plot', *sys.argv[1:]]))

"""`denseformer export` under its own name: python tools/export.py --help."""

import sys

from denseformer.cli import main

if __name__ == '__main__':
    sys.exit(main(['export', *sys.argv[1:]]))

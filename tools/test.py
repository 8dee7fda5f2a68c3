"""`denseformer test` under its own name: python tools/test.py --help."""

import sys

from denseformer.cli import main

if __name__ == '__main__':
    sys.exit(main(['test', *sys.argv[1:]]))

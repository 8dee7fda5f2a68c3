"""`denseformer train` under its own name: python tools/train.py --help."""

import sys

from denseformer.cli import main

if __name__ == '__main__':
    sys.exit(main(['train', *sys.argv[1:]]))

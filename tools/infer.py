"""`denseformer infer` under its own name: python tools/infer.py --help."""

import sys

from denseformer.cli import main

if __name__ == '__main__':
    sys.exit(main(['infer', *sys.argv[1:]]))

"""Draw losses and scores of one or more runs: python tools/plot_log.py RUN [RUN ...] --out curves.png."""

import sys

from denseformer.engine.plot_log import main

if __name__ == '__main__':
    sys.exit(main())

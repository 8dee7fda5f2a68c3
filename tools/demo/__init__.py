"""The modules that `make demo`, `make demo-detection`, `make demo-restoration` and `make weights` run."""

from denseformer.importing import quiet_imports

quiet_imports()  # before the modules here import anything

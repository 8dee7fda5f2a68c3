"""The one step of a build that pyproject.toml cannot say: a wheel carries configs/ inside the package, as `_configs`.

An editable install finds the folder of its checkout.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Build the package, and copy the configs into it."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            shutil.copytree('configs', Path(self.build_lib, 'denseformer/_configs'), dirs_exist_ok=True)


setup(cmdclass={'build_py': BuildWithConfigs})

"""The record of a run that it takes to repeat it, written into its folder beside the log and the config."""

import json
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import Runner

PACKAGES = (
    *('denseformer', 'torch', 'torchvision', 'numpy', 'opencv-python', 'pillow', 'albumentations', 'safetensors'),
    *('onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation', 'onedl-mmdetection'),
)


def write_run_report(runner: Runner) -> Path:
    """Write `run.json` into the folder of this start of the run: command, seed, code, packages, machine."""
    folder = Path(runner.work_dir) / runner.timestamp
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'run.json'
    path.write_text(json.dumps(describe(runner), indent=2) + '\n')
    return path


def describe(runner: Runner) -> dict[str, Any]:
    """The content of `run.json`."""
    return {
        'run': getattr(runner, 'run_id', None),
        'command': sys.argv,
        'config': runner.cfg.filename,
        'seed': runner.seed,
        'deterministic': runner.deterministic,
        'resumed from': runner.cfg.get('load_from') if runner.cfg.get('resume') else None,
        'processes': runner.world_size,
        'threads': torch.get_num_threads(),
        'code': code_version(),
        'packages': {name: installed for name in PACKAGES if (installed := installed_version(name))},
        'python': sys.version,
        'machine': {'name': platform.node(), 'system': platform.platform(), 'cuda': torch.version.cuda},
        'gpus': [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def installed_version(package: str) -> str | None:
    """The version of an installed distribution; None when it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def code_version() -> dict[str, Any] | None:
    """The commit this code stands at and the files that differ from it; None when it is not in a repository."""
    here = Path(__file__).parent
    try:
        answers = [
            subprocess.run(['git', *question], cwd=here, capture_output=True, text=True, check=True, timeout=20).stdout
            for question in (('rev-parse', 'HEAD'), ('status', '--porcelain', '--untracked-files=no', '.'))
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return {'commit': answers[0].strip(), 'changed': [line[3:] for line in answers[1].splitlines()]}

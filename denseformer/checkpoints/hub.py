"""Files of the Hugging Face hub, through its own client: its tokens, mirrors, caches and offline switches hold."""

import importlib.util
import re
from pathlib import Path

from denseformer.checkpoints.common import CheckpointError

ADDRESS = re.compile(r'hf://(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?(?:/(?P<file>.+))?')
DEFAULT_FILES = ('model.safetensors', 'pytorch_model.bin')
"""Names of the file in repositories of one model, in the order in which they are tried."""


def fetch_hub_address(address: str) -> Path:
    """The file at `hf://owner/name[@revision][/file]`. Raises CheckpointError when it cannot be had."""
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise CheckpointError(f"{address}: a hub address reads 'hf://owner/name@revision/file'.")
    return fetch_from_hub(match['repo'], match['file'], match['revision'])


def has_client() -> bool:
    return importlib.util.find_spec('huggingface_hub') is not None


def fetch_from_hub(repo: str, file: str | None = None, revision: str | None = None) -> Path:
    """A file of a repository, `DEFAULT_FILES` without a name, in the hub client's own cache."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise CheckpointError(
            f'hf://{repo}: fetching from the hub needs its client: pip install "denseformer[hub]".'
        ) from error
    names = (file,) if file else DEFAULT_FILES
    for name in names:
        try:
            return Path(hf_hub_download(repo, name, revision=revision))
        except LocalEntryNotFoundError as error:
            raise CheckpointError(
                f'hf://{repo}/{name}: not cached, and the hub cannot be reached ({error}).'
            ) from error
        except EntryNotFoundError as error:
            if name == names[-1]:
                raise CheckpointError(f'hf://{repo}: holds no {" or ".join(names)}; name the file.') from error
        except (HfHubHTTPError, OSError) as error:
            raise CheckpointError(
                f'hf://{repo}/{name}: could not be fetched ({error}). A gated repository wants `huggingface-cli login` '
                'after you accepted its terms.'
            ) from error
    raise AssertionError('every name either returns or raises')

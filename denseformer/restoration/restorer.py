"""The model that the Runner trains and tests: a restoration network and its losses."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmengine.model import BaseModel, ModuleDict
from torch import Tensor, nn

from denseformer.checkpoints.common import WEIGHTS
from denseformer.checkpoints.files import read_checkpoint
from denseformer.checkpoints.fitting import without_prefix
from denseformer.checkpoints.keys import StateDict
from denseformer.checkpoints.writing import pointed_checkpoint
from denseformer.deprecation import renamed_arguments
from denseformer.registry import MODELS
from denseformer.restoration.checkpoint import weights_in
from denseformer.restoration.data_sample import RestorationSample
from denseformer.restoration.preprocessor import stack_images
from denseformer.restoration.self_ensemble import self_ensemble

PREFIX = 'network.'


@MODELS.register_module()
class Restorer(BaseModel):
    """A restoration network with the losses it is trained by.

    Its state dict holds the network's under `network.`; it also takes a bare one, ours or the authors'.

    Args:
        network: config of a restoration network.
        losses: configs of losses, which are added; each is logged under its type.
        self_ensemble: predict the mean over the eight rotated and flipped copies of the image.
        pretrained: weights that training starts from, often of another scale: what has another shape there, such as
            the upsampling, keeps its random weights. A file, or the folder of a run, whose last checkpoint is meant.
        data_preprocessor: config of what makes batches.
        init_cfg: mmengine's.
    """

    @renamed_arguments(start_from='pretrained')
    def __init__(
        self,
        *,
        network: dict,
        losses: Sequence[dict] = (),
        self_ensemble: bool = False,
        pretrained: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor or dict(type='denseformer.RestorationPreprocessor'), init_cfg)
        self.network = MODELS.build(network)
        self.losses = ModuleDict({loss_name(loss): MODELS.build(loss) for loss in losses})
        if len(self.losses) < len(losses):
            raise ValueError(f'Each loss can stand in `losses` once, got {[loss["type"] for loss in losses]}.')
        self.self_ensemble = self_ensemble
        self.pretrained = pretrained

    def forward(
        self, inputs: Tensor, data_samples: list[RestorationSample] | None = None, mode: str = 'tensor'
    ) -> Tensor | dict[str, Tensor] | list[RestorationSample]:
        """inputs: (B, C, H, W) in [0, 1].

        mode: 'tensor' -> (B, C, s H, s W); 'loss' -> {name: scalar}; 'predict' -> the samples, with `pred_img` set.
        """
        if mode == 'tensor':
            return self.network(inputs)
        if mode == 'loss':
            return self.loss(inputs, data_samples or [])
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        raise ValueError(f"mode is 'tensor', 'loss' or 'predict', not '{mode}'.")

    def loss(self, inputs: Tensor, data_samples: Sequence[RestorationSample]) -> dict[str, Tensor]:
        """Each loss of the batch; the samples hold `gt_img`."""
        if not self.losses:
            raise ValueError(
                "This model has no losses: set model.losses, as in losses=[dict(type='denseformer.L1Loss')]."
            )
        restored, targets = self.network(inputs), targets_of(data_samples)
        return {f'loss_{name}': loss(restored, targets) for name, loss in self.losses.items()}

    def predict(self, inputs: Tensor, data_samples: list[RestorationSample] | None = None) -> list[RestorationSample]:
        """The samples, new ones where none are given, with `pred_img` (C, s H, s W), not clipped."""
        samples = data_samples or [RestorationSample() for _ in inputs]
        restored_images = self_ensemble(self.network, inputs) if self.self_ensemble else self.network(inputs)
        for sample, restored in zip(samples, restored_images, strict=True):
            sample.pred_img = restored.float()
        return samples

    def init_weights(self) -> None:
        """Initial weights, as training starts from them."""
        super().init_weights()
        if self.pretrained is not None:
            load_matching(self.network, checkpoint_in(self.pretrained))

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        if state_dict and not any(key.startswith(PREFIX) for key in state_dict):
            state_dict = {PREFIX + key: value for key, value in state_dict.items()}
        return super().load_state_dict(state_dict, strict, assign)


def loss_name(loss: Mapping[str, Any]) -> str:
    """The name a loss is logged under: 'denseformer.L1Loss' -> 'l1'."""
    return loss['type'].rpartition('.')[2].removesuffix('Loss').lower()


def targets_of(data_samples: Sequence[RestorationSample]) -> Tensor:
    """The targets of a batch, (B, C, H, W), float32 in [0, 1]."""
    if not data_samples or not all('gt_img' in sample for sample in data_samples):
        raise ValueError('Training needs a target, `gt_img`, in every sample: does the dataset have gt_path?')
    return stack_images([sample.gt_img for sample in data_samples])


def checkpoint_in(path: str) -> Path:
    """The checkpoint file that `path` means: itself, the folder of a saved model, or a run's, its last one."""
    file = Path(path)
    if file.is_dir():
        if (file / WEIGHTS).is_file():
            return file / WEIGHTS
        last = pointed_checkpoint(file)
        if last is None:
            raise ValueError(f"pretrained: the folder '{path}' holds no finished run (no file last_checkpoint).")
        file = last
    if not file.is_file():
        raise ValueError(
            f"pretrained: there is no '{file}'. Train the config of that name first, give the weights with "
            '--cfg-options model.pretrained=FILE, or start from random ones with model.pretrained=None.'
        )
    return file


def load_matching(network: nn.Module, path: Path) -> None:
    """Load the tensors of a file whose shapes are the network's; the others are named in the log.

    Raises ValueError where that is less than half of the network.
    """
    own = network.state_dict()
    weights = network.own_names(without_prefix(weights_in(read_checkpoint(path), path), network)[0])
    fitting: StateDict = {key: value for key, value in weights.items() if key in own and value.shape == own[key].shape}
    set_here = sum(value.numel() for value in fitting.values())
    if 2 * set_here < sum(value.numel() for value in own.values()):
        raise ValueError(f'pretrained: {path} holds too little of this network; is it of another variant?')
    network.load_state_dict(fitting, strict=False)
    left = sorted({key.rpartition('.')[0] for key, _ in network.named_parameters() if key not in fitting})
    logger = MMLogger.get_current_instance()
    logger.info(
        f'{path}: set {len(fitting)} of {len(own)} tensors. Keep their random weights: {", ".join(left) or "none"}'
    )

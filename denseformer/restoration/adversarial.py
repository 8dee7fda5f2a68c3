"""Training against a discriminator: the model, and an optimizer for each of its two parts."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapperDict
from torch import Tensor, nn

from denseformer.deprecation import renamed_arguments
from denseformer.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from denseformer.restoration.data_sample import RestorationSample
from denseformer.restoration.gaussian_blur import blur_valid, gaussian_kernel
from denseformer.restoration.restorer import Restorer, targets_of

BLUR = 51
"""The side in pixels of the kernel that targets are compared with their blur by."""


@MODELS.register_module()
class AdversarialRestorer(Restorer):
    """A restorer that is trained against a discriminator, each by an optimizer of its own.

    Its optim_wrapper has constructor='denseformer.GANOptimWrapperConstructor' and one entry for `network` and one for
    `discriminator`.

    Args:
        discriminator: config of a network that judges images.
        gan_loss: config of a GANLoss.
        sharpen: strength of the unsharp mask on the targets of the other losses, 0.5 in Real-ESRGAN; 0 leaves them.
        The others are those of `Restorer`.
    """

    @renamed_arguments(start_from='pretrained')
    def __init__(
        self,
        *,
        network: dict,
        discriminator: dict,
        gan_loss: dict,
        losses: Sequence[dict] = (),
        sharpen: float = 0.0,
        self_ensemble: bool = False,
        pretrained: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(
            network=network,
            losses=losses,
            self_ensemble=self_ensemble,
            pretrained=pretrained,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.discriminator = MODELS.build(discriminator)
        self.gan_loss = MODELS.build(gan_loss)
        self.sharpen = sharpen

    def train_step(self, data: dict[str, Any], optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """One step of the network, then one of the discriminator."""
        data = self.data_preprocessor(data, True)
        inputs, targets = data['inputs'], targets_of(data['data_samples'])
        optimizers = optim_wrapper['network'], optim_wrapper['discriminator']
        self.discriminator.requires_grad_(False)
        with optimizers[0].optim_context(self):
            made, losses = self.network_step(inputs, targets, data['data_samples'])
            losses['loss_gan'] = self.gan_loss(self.discriminator(made))
        total, log = self.parse_losses(losses)
        optimizers[0].update_params(total)
        self.discriminator.requires_grad_(True)
        with optimizers[1].optim_context(self):
            verdicts = self.discriminator(torch.cat((self.to_discriminator_range(targets), made.detach())))
            real, fake = verdicts.chunk(2)
            judged = {
                'real': self.gan_loss.discriminate(real, real=True),
                'fake': self.gan_loss.discriminate(fake, real=False),
            }
        optimizers[1].update_params(judged['real'] + judged['fake'])
        return {**log, **{f'discriminator_{name}': value.detach() for name, value in judged.items()}}

    def network_step(
        self, inputs: Tensor, targets: Tensor, data_samples: Sequence[RestorationSample]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The restored images for the discriminator, and the other losses."""
        restored = self.network(inputs)
        wanted = unsharp_mask(targets, self.sharpen) if self.sharpen else targets
        return restored, {f'loss_{name}': loss(restored, wanted) for name, loss in self.losses.items()}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take keys with and without `module.`, which distributed training puts before those of each part."""
        for part in ('network', 'discriminator'):
            stem, wrapper = f'{prefix}{part}.', 'module.' if is_model_wrapper(getattr(self, part)) else ''
            for key in [key for key in state_dict if key.startswith(stem)]:
                bare = key.removeprefix(stem).removeprefix('module.')
                state_dict[stem + wrapper + bare] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def to_discriminator_range(self, targets: Tensor) -> Tensor:
        """Targets in the range in which the discriminator sees images."""
        return targets


class GANOptimWrapperDict(OptimWrapperDict):
    """An optimizer for each part of a model, which are stepped together."""

    def should_update(self) -> bool:
        """True if the last step changed the weights, rather than accumulating gradients."""
        return all(wrapper.should_update() for wrapper in self.values())


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GANOptimWrapperConstructor:
    """An optimizer for each of a model's parts: {part: {'type': ..., 'optimizer': ...}}."""

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        if paramwise_cfg is not None:
            raise ValueError('GANOptimWrapperConstructor takes no paramwise_cfg; set it within a part.')
        self.parts = {name: dict(part) for name, part in optim_wrapper_cfg.items()}

    def __call__(self, model: BaseModel) -> GANOptimWrapperDict:
        model = getattr(model, 'module', model)
        wrappers = {}
        for name, part in self.parts.items():
            if not isinstance(getattr(model, name, None), nn.Module):
                raise ValueError(f"optim_wrapper.{name}: {type(model).__name__} has no part '{name}'.")
            paramwise = part.pop('paramwise_cfg', None)
            wrappers[name] = DefaultOptimWrapperConstructor(part, paramwise)(getattr(model, name))
        return GANOptimWrapperDict(**wrappers)


def unsharp_mask(image: Tensor, strength: float) -> Tensor:
    """Sharpen where an image differs from its blur by more than 10 of 255, softly: (B, C, H, W) -> same."""
    deviation = 0.3 * ((BLUR - 1) * 0.5 - 1) + 0.8  # as OpenCV gives it to a size
    kernel = gaussian_kernel(BLUR, deviation, image)

    def blurred(x: Tensor) -> Tensor:
        return blur_valid(F.pad(x, (BLUR // 2,) * 4, mode='reflect'), kernel)

    difference = image - blurred(image)
    mask = blurred(((difference.abs() * 255) > 10).to(image.dtype))
    return mask * (image + strength * difference).clamp(0, 1) + (1 - mask) * image

"""Training against a discriminator: the model, its loss, the discriminator of Real-ESRGAN, and two optimisers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapperDict
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from denseformer.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from denseformer.restoration.blur import blur_inside, gaussian_taps
from denseformer.restoration.data_sample import RestorationSample
from denseformer.restoration.restorer import Restorer, targets_of


@MODELS.register_module()
class GANLoss(nn.Module):
    """How far verdicts, of any shape, are from what they should be; a scalar.

    Args:
        kind: 'vanilla', binary cross-entropy; 'lsgan', squared distance from 0 and 1; 'hinge'.
        weight: what the generator's loss is multiplied by; the discriminator's is not.
    """

    def __init__(self, *, kind: str = 'vanilla', weight: float = 0.1):
        super().__init__()
        if kind not in ('vanilla', 'lsgan', 'hinge'):
            raise ValueError(f"kind is 'vanilla', 'lsgan' or 'hinge', not '{kind}'.")
        self.kind, self.weight = kind, weight

    def forward(self, verdict: Tensor) -> Tensor:
        """The generator's loss for verdicts on what it made."""
        return self.weight * (-verdict.mean() if self.kind == 'hinge' else self.distance(verdict, real=True))

    def discriminate(self, verdict: Tensor, *, real: bool) -> Tensor:
        """The discriminator's loss for verdicts on images that are `real`, or that are not."""
        if self.kind == 'hinge':
            return F.relu(1 - verdict if real else 1 + verdict).mean()
        return self.distance(verdict, real=real)

    def distance(self, verdict: Tensor, *, real: bool) -> Tensor:
        wanted = torch.full_like(verdict, float(real))
        return (
            F.binary_cross_entropy_with_logits(verdict, wanted)
            if self.kind == 'vanilla'
            else F.mse_loss(verdict, wanted)
        )


@MODELS.register_module()
class UNetDiscriminator(nn.Module):
    """Real-ESRGAN's discriminator (BSD-3-Clause): a U-Net with spectral norm that judges every pixel.

    Args:
        in_channels: of the images.
        width: channels at full size.

    (B, C, H, W), sides of multiples of 8 -> (B, 1, H, W).
    """

    def __init__(self, *, in_channels: int = 3, width: int = 64):
        super().__init__()
        self.conv_first = nn.Conv2d(in_channels, width, 3, padding=1)
        widths = [width, 2 * width, 4 * width, 8 * width]
        steps = list(pairwise(widths))
        self.down = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, 2, 1, bias=False)) for a, b in steps)
        self.up = nn.ModuleList(spectral_norm(nn.Conv2d(b, a, 3, padding=1, bias=False)) for a, b in reversed(steps))
        self.refine = nn.ModuleList(spectral_norm(nn.Conv2d(width, width, 3, padding=1, bias=False)) for _ in range(2))
        self.conv_last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv_first(image), 0.2)
        maps = []
        for conv in self.down:
            maps.append(x)
            x = F.leaky_relu(conv(x), 0.2)
        for conv in self.up:
            x = F.interpolate(x, scale_factor=2.0, mode='bilinear', align_corners=False)
            x = F.leaky_relu(conv(x), 0.2) + maps.pop()
        for conv in self.refine:
            x = F.leaky_relu(conv(x), 0.2)
        return self.conv_last(x)


@MODELS.register_module()
class AdversarialRestorer(Restorer):
    """A restorer that is trained against a discriminator, each by an optimiser of its own.

    Its optim_wrapper has constructor='denseformer.GANOptimWrapperConstructor' and one entry for `network` and one for
    `discriminator`.

    Args:
        discriminator: config of a network that judges images.
        gan_loss: config of a GANLoss.
        sharpen: strength of the unsharp mask on the targets of the other losses, 0.5 in Real-ESRGAN; 0 leaves them.
        The others are those of `Restorer`.
    """

    def __init__(
        self,
        *,
        network: dict,
        discriminator: dict,
        gan_loss: dict,
        losses: Sequence[dict] = (),
        sharpen: float = 0.0,
        self_ensemble: bool = False,
        start_from: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(
            network=network,
            losses=losses,
            self_ensemble=self_ensemble,
            start_from=start_from,
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
            verdicts = self.discriminator(torch.cat((self.as_judged(targets), made.detach())))
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
        """What the discriminator is to judge, and the other losses."""
        restored = self.network(inputs)
        wanted = unsharp_mask(targets, self.sharpen) if self.sharpen else targets
        return restored, {f'loss_{name}': loss(restored, wanted) for name, loss in self.losses.items()}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args) -> None:
        """Several processes synchronise each part by itself, which puts `module.` before its keys: either is taken."""
        for part in ('network', 'discriminator'):
            stem, wrapper = f'{prefix}{part}.', 'module.' if is_model_wrapper(getattr(self, part)) else ''
            for key in [key for key in state_dict if key.startswith(stem)]:
                bare = key.removeprefix(stem).removeprefix('module.')
                state_dict[stem + wrapper + bare] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def as_judged(self, targets: Tensor) -> Tensor:
        """Targets in the range in which the discriminator sees images."""
        return targets


class PartOptimizers(OptimWrapperDict):
    """An optimiser for each part of a model, which are stepped together."""

    def should_update(self) -> bool:
        """Whether the step that was taken last changed the weights, rather than gathering gradients."""
        return all(wrapper.should_update() for wrapper in self.values())


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GANOptimWrapperConstructor:
    """An optimiser for each of a model's parts: {part: {'type': ..., 'optimizer': ...}}."""

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        if paramwise_cfg is not None:
            raise ValueError('GANOptimWrapperConstructor takes no paramwise_cfg; set it within a part.')
        self.parts = {name: dict(part) for name, part in optim_wrapper_cfg.items()}

    def __call__(self, model: BaseModel) -> PartOptimizers:
        model = getattr(model, 'module', model)
        wrappers = {}
        for name, part in self.parts.items():
            if not isinstance(getattr(model, name, None), nn.Module):
                raise ValueError(f"optim_wrapper.{name}: {type(model).__name__} has no part '{name}'.")
            paramwise = part.pop('paramwise_cfg', None)
            wrappers[name] = DefaultOptimWrapperConstructor(part, paramwise)(getattr(model, name))
        return PartOptimizers(**wrappers)


def unsharp_mask(image: Tensor, strength: float, radius: int = 50, threshold: float = 10.0) -> Tensor:
    """Sharpen where an image differs from its blur by more than `threshold` of 255, softly: (B, C, H, W) -> same."""
    size = radius + 1 - radius % 2
    taps = gaussian_taps(size, 0.3 * ((size - 1) * 0.5 - 1) + 0.8, image)  # the deviation that OpenCV gives a size

    def blurred(x: Tensor) -> Tensor:
        return blur_inside(F.pad(x, (size // 2,) * 4, mode='reflect'), taps)

    difference = image - blurred(image)
    mask = blurred(((difference.abs() * 255) > threshold).to(image.dtype))
    return mask * (image + strength * difference).clamp(0, 1) + (1 - mask) * image

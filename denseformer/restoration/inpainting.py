"""Training PEPSI: a coarse and a refined image, and a discriminator that looks at every region."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.deprecation import renamed_arguments
from denseformer.registry import MODELS
from denseformer.restoration.adversarial import AdversarialRestorer
from denseformer.restoration.data_sample import RestorationSample


@MODELS.register_module()
class InpaintingRestorer(AdversarialRestorer):
    """PEPSI and what it is trained by: absolute differences of both its images, in [-1, 1], and a discriminator.

    The samples hold `mask`, (1, H, W), 1 where the image is known. The weight of the coarse image's loss falls from
    `coarse_weight` to zero over `coarse_steps` steps.

    Args:
        refined_weight, coarse_weight: of the two images' losses.
        coarse_steps: when the coarse image's loss has faded.
        The others are those of `AdversarialRestorer`.
    """

    @renamed_arguments(start_from='pretrained')
    def __init__(
        self,
        *,
        network: dict,
        discriminator: dict,
        gan_loss: dict,
        refined_weight: float = 10.0,
        coarse_weight: float = 5.0,
        coarse_steps: int = 1_000_000,
        pretrained: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(
            network=network,
            discriminator=discriminator,
            gan_loss=gan_loss,
            pretrained=pretrained,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.refined_weight = refined_weight
        self.coarse_weight = coarse_weight
        self.coarse_steps = coarse_steps
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))

    def network_step(
        self, inputs: Tensor, targets: Tensor, data_samples: Sequence[RestorationSample]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        mask, wanted = masks_of(data_samples), self.to_discriminator_range(targets)
        made = self.network.generate(inputs, mask)
        fading = self.coarse_weight * (1 - self.steps / self.coarse_steps).clamp(min=0)
        self.steps += 1
        losses = {
            'loss_refined': self.refined_weight * F.l1_loss(made.refined, wanted),
            'loss_coarse': fading * F.l1_loss(made.coarse, wanted),
        }
        return torch.where(mask > 0.5, wanted, made.refined), losses

    def to_discriminator_range(self, targets: Tensor) -> Tensor:
        return 2 * targets - 1

    def predict(self, inputs: Tensor, data_samples: list[RestorationSample] | None = None) -> list[RestorationSample]:
        """The samples with `pred_img`: known pixels as they are, holes filled."""
        samples = data_samples or []
        for sample, restored in zip(samples, self.network(inputs, masks_of(samples)), strict=True):
            sample.pred_img = restored.float()
        return samples


def masks_of(data_samples: Sequence[RestorationSample]) -> Tensor:
    """The masks of a batch, (B, 1, H, W), float32."""
    if not data_samples or not all('mask' in sample for sample in data_samples):
        raise ValueError('Inpainting needs a `mask` in every sample: does the pipeline have denseformer.FreeFormMask?')
    return torch.stack([sample.mask for sample in data_samples]).float()

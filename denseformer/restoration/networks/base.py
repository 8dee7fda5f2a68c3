"""The contract of a restoration network, and what all of them share: sizes, channels, checkpointing, recognition."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from typing_extensions import Unpack

from denseformer.checkpoints.keys import StateDict
from denseformer.layers import reflect_image_to_multiple
from denseformer.network import Checkpointing, Description, Network, NetworkOptions

RGB_MEAN = (0.4488, 0.4371, 0.4040)
"""The mean of DIV2K's training images, which most networks subtract from an RGB image, and from no other."""


class RestorationOptions(NetworkOptions, total=False):
    """The options that every network hands on to `RestorationNetwork`, which documents them and has their defaults."""

    scale: int | None
    in_channels: int | None
    with_cp: bool


class RestorationNetwork(Checkpointing, Network):
    """A degraded image to a restored one, `scale` times as large.

    A subclass's constructor is keyword-only: `arch`, its own options, and `**common: Unpack[RestorationOptions]`. It
    calls `super().__init__(arch=arch, **common)`. The subclass implements `restore`, which is only ever given images
    whose sides are multiples of `size_multiple`; a network whose authors pad otherwise overrides `pad`.

    Args of every network:
        arch: a published variant's name, or a dict of the fields of its arch record.
        scale: how many times larger the output is; one of `scales`, None for `default_scale`.
        in_channels: channels of the image, and of the output; None for `default_channels`.
        with_cp: recompute each block in the backward pass instead of storing its activations.
        init_cfg: mmengine's, usually dict(type='Pretrained', checkpoint=...).
    """

    head_layers: ClassVar[tuple[str, ...]] = ('upsample', 'upsampler', 'conv_last')
    scales: ClassVar[tuple[int, ...]] = (2, 3, 4)
    """The scales that the network can be built for."""
    default_scale: ClassVar[int] = 4
    default_channels: ClassVar[int] = 3
    size_multiple: int = 1
    """The sides of an image are padded to a multiple of this."""
    tile_overlap: int = 16
    """Pixels by which neighboring tiles should overlap when an image is restored tile by tile."""

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any],
        scale: int | None = None,
        in_channels: int | None = None,
        with_cp: bool = False,
        **common: Unpack[NetworkOptions],
    ):
        super().__init__(arch=arch, **common)
        scale = self.default_scale if scale is None else scale
        in_channels = self.default_channels if in_channels is None else in_channels
        if scale not in self.scales:
            legal = ', '.join(str(legal) for legal in self.scales)
            raise ValueError(f'{type(self).__name__} has scale {legal}, not {scale}.')
        if in_channels < 1:
            raise ValueError(f'in_channels must be at least 1, got {in_channels}.')
        self.scale = scale
        self.in_channels = in_channels
        self.with_cp = with_cp

    def forward(self, image: Tensor) -> Tensor:
        """image: (B, in_channels, H, W) in [0, 1], H and W >= 1 -> (B, in_channels, scale * H, scale * W)."""
        self.check_image(image)
        H, W = image.shape[2:]
        return self.restore(self.pad(image))[..., : self.scale * H, : self.scale * W]

    def restore(self, image: Tensor) -> Tensor:
        """The network between padding and cropping: (B, C, H, W) -> (B, C, scale * H, scale * W)."""
        raise NotImplementedError

    def pad(self, image: Tensor) -> Tensor:
        """Reflect the image on the right and at the bottom, up to multiples of `size_multiple`."""
        return reflect_image_to_multiple(image, self.size_multiple)

    def check_image(self, image: Tensor) -> None:
        if image.ndim != 4 or image.shape[1] != self.in_channels or 0 in image.shape:
            raise ValueError(
                f'{type(self).__name__} takes images (B, {self.in_channels}, H, W), got {tuple(image.shape)}. '
                'Build it with in_channels=... for another number of channels.'
            )

    @classmethod
    def infer_options(cls, state_dict: StateDict) -> dict[str, Any] | None:
        """The constructor's options, read from the names and shapes of a bare state dict; None if it is not of cls.

        state_dict: in our key layout or in the authors'.
        """
        raise NotImplementedError

    @classmethod
    def name_arch(cls, fields: dict[str, Any]) -> str | dict[str, Any]:
        """The name of the published variant with these fields of an arch record, or the fields where there is none."""
        record = cls.resolve_arch(fields)
        return next((name for name, published in cls.archs.items() if published == record), fields)

    def _saved_config(self) -> dict[str, Any]:
        return {'model': {'type': 'denseformer.Restorer', 'network': super()._saved_config()['backbone']}}

    def _describe(self, name: str) -> Description:
        return super()._describe(name if self.scale == 1 else f'{name} x{self.scale}')

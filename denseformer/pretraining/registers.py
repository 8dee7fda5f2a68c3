"""PH-Reg: registers for a trained vision transformer, by distillation from its own cleaned maps.

Paper: "Vision Transformers with Self-Distilled Registers", https://arxiv.org/abs/2505.21501.
Official code: https://github.com/0raiser0/PH-Reg (Apache-2.0).

Artifacts of a map stay at their place while the image moves under them. The frozen network looks at shifted and flipped
views; its maps, put back, are averaged, and that is the target of the same network with registers, of which the
registers, the positions, the patch embedding and the last block are trained.

Legend: B batch, V views, C channels, H W map in patches, N = H * W.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn

from denseformer.backbones.plain.base import PlainBackbone
from denseformer.registry import MODELS

Offset = tuple[int, int]
FILL = (2.25, 2.43, 2.64)
"""Normalised red, green and blue of what an image that is moved leaves open."""


def shift(x: Tensor, offset: Offset, fill: float | Tensor = 0.0) -> Tensor:
    """(..., H, W), moved up and to the left by `offset` rows and columns, or down and right where it is negative."""
    H, W = x.shape[-2:]
    out = torch.zeros_like(x) + fill
    (to_rows, from_rows), (to_columns, from_columns) = (
        overlap(by, side) for by, side in zip(offset, (H, W), strict=True)
    )
    out[..., to_rows, to_columns] = x[..., from_rows, from_columns]
    return out


def overlap(by: int, side: int) -> tuple[slice, slice]:
    """Where on an axis something lies after it was moved back by `by`, and where it came from."""
    return slice(max(-by, 0), side - max(by, 0)), slice(max(by, 0), side - max(-by, 0))


def view_of(x: Tensor, offset: Offset, flipped: bool, fill: float | Tensor = 0.0) -> Tensor:
    """(..., H, W), shifted and then flipped from left to right."""
    x = shift(x, offset, fill)
    return x.flip(-1) if flipped else x


def aggregate(views: Tensor, offsets: Sequence[Offset], flips: Sequence[bool]) -> tuple[Tensor, Tensor]:
    """The mean of all views at each place of the image they were made of, and how many saw it.

    views: (V, ..., H, W) maps of `view_of` with offsets in patches -> (..., H, W) and (H, W).
    """
    total = torch.zeros_like(views[0])
    count = views.new_zeros(views.shape[-2:])
    for view, (rows, columns), flipped in zip(views, offsets, flips, strict=True):
        back = -rows, -columns
        total += shift(view.flip(-1) if flipped else view, back)
        count += shift(torch.ones_like(count), back)
    return total / count.clamp(min=1), count


def spread_offsets(count: int, limit: Offset) -> list[Offset]:
    """So many offsets up to `limit` rows and columns either way: (0, 0), then each as far from the others as can be."""
    rows, columns = (torch.arange(-by, by + 1) for by in limit)
    places = torch.cartesian_prod(rows, columns).float()
    noise = 1e-3 * torch.rand(len(places))  # decides between equals
    chosen = [torch.zeros(2)]
    nearest = places.norm(dim=1)
    while len(chosen) < count:
        chosen.append(places[int((nearest + noise).argmax())])
        nearest = torch.minimum(nearest, (places - chosen[-1]).norm(dim=1))
    return [(int(row), int(column)) for row, column in chosen]


def distance(found: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """One minus the mean cosine of tokens (..., N, C), and their mean squared error."""
    return 1 - F.cosine_similarity(found, target, dim=-1).mean(), F.mse_loss(found, target)


@MODELS.register_module()
class RegisterDistillation(BaseModel):
    """A plain backbone learns to do without artifacts, from itself.

    Args:
        backbone: config of a plain backbone with registers, of weights that have none: `registers=16`.
        views: how many the frozen network looks at; the first one is the image itself.
        largest_shift: of a view, as a share of the map's sides.
        data_preprocessor, init_cfg: mmengine's.

    Labels of the images are not read, nor what does not fill a patch. The frozen network is the same one without
    registers, and the student starts from its weights. Raises ValueError for what has no registers.
    """

    def __init__(
        self,
        *,
        backbone: Mapping[str, Any],
        views: int = 10,
        largest_shift: float = 0.15,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor, init_cfg)
        kind = MODELS.get(backbone['type'])
        if not (isinstance(kind, type) and issubclass(kind, PlainBackbone) and backbone.get('registers')):
            raise ValueError('PH-Reg trains registers: backbone must be a plain one with `registers`, such as DINOv2.')
        if backbone.get('in_channels', 3) != 3:
            raise ValueError('PH-Reg fills what an image leaves open with white: it takes images of three channels.')
        last = kind.resolve_arch(backbone['arch']).blocks - 1
        settings = {**backbone, 'out_indices': (last,), 'norm_outputs': True}
        self.teacher = MODELS.build({**settings, 'registers': 0}).requires_grad_(False)
        self.backbone = MODELS.build({**settings, 'pretrained': None, 'init_cfg': None})
        self.views = views
        self.largest_shift = largest_shift
        width = self.backbone.out_channels[-1]
        nn.init.normal_(self.backbone.patch_embed.register_tokens, std=width**-0.5)
        self.backbone.requires_grad_(False)
        for part in (self.backbone.patch_embed, self.backbone.blocks[-1]):
            part.requires_grad_(True)
        if self.backbone.patch_embed.cls_token is not None:
            self.backbone.patch_embed.cls_token.requires_grad_(False)

    def init_weights(self) -> None:
        """Load the teacher's weights, and give them to the student."""
        super().init_weights()
        left = self.backbone.load_state_dict(self.teacher.state_dict(), strict=False)
        assert set(left.missing_keys) == {'patch_embed.register_tokens'}, left

    def train(self, mode: bool = True) -> 'RegisterDistillation':
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
        """inputs: (B, 3, height, width), normalised -> losses in mode 'loss', else the map of the student."""
        patch = self.teacher.patch_size
        H, W = (side // patch * patch for side in inputs.shape[2:])
        image = inputs[..., :H, :W]  # a flipped view of parts of patches would have its map at other places
        (found,) = self.backbone(image)
        if mode != 'loss':
            return found
        cosine, squared = distance(*(x.flatten(2).transpose(1, 2) for x in (found, self.target(image))))
        return {'loss_cosine': cosine, 'loss_squared': squared}

    @torch.no_grad()
    def target(self, image: Tensor) -> Tensor:
        """The mean map (B, C, H, W) of the views of each image."""
        patch = self.teacher.patch_size
        limit = [round(self.largest_shift * (side // patch)) for side in image.shape[2:]]
        offsets = spread_offsets(self.views, (limit[0], limit[1]))
        flips = [False, *(bool(flip) for flip in torch.rand(self.views - 1) < 0.5)]
        fill = image.new_tensor(FILL)[:, None, None]
        maps = [
            self.teacher(view_of(image, (rows * patch, columns * patch), flipped, fill))[0]
            for (rows, columns), flipped in zip(offsets, flips, strict=True)
        ]
        return aggregate(torch.stack(maps), offsets, flips)[0]

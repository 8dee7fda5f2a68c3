"""Patch embeddings and downsampling layers."""

from torch import Tensor, nn

from denseformer.layers.linear import Linear
from denseformer.layers.padding import pad_image_to_multiple, pad_to_multiple


class PatchEmbed(nn.Module):
    """Patches to tokens, then LayerNorm: (B, C, H, W) -> (B, ceil(H/p), ceil(W/p), dim).

    The image is zero-padded on the right and at the bottom to a multiple of the patch; without `pad`, what does not
    fill a patch is left out. Patches do not overlap unless given a `kernel_size` and its `padding`, in pixels.
    """

    def __init__(
        self,
        in_channels: int,
        dim: int,
        patch: int = 4,
        *,
        kernel_size: int | None = None,
        padding: int = 0,
        pad: bool = True,
        eps: float = 1e-5,
    ):
        super().__init__()
        self.multiple = patch if pad else 1
        self.proj = nn.Conv2d(in_channels, dim, kernel_size or patch, patch, padding)
        self.norm = nn.LayerNorm(dim, eps)

    def forward(self, image: Tensor) -> Tensor:
        x = self.proj(pad_image_to_multiple(image, self.multiple))
        return self.norm(x.permute(0, 2, 3, 1))  # (B, H, W, C)


class PatchDownsample(PatchEmbed):
    """Patches of a channel-last map, embedded: (B, H, W, C) -> (B, ceil(H/p), ceil(W/p), dim)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 3, 1, 2))  # (B, C, H, W)


class PatchMerging(nn.Module):
    """2 x 2 neighbors to one token: (B, H, W, C) -> (B, ceil(H/2), ceil(W/2), out_dim).

    Neighbors are concatenated in the order (0,0), (1,0), (0,1), (1,1) (row, column). LayerNorm before the linear
    layer, as in Swin; `norm_after` puts it behind, as in Swin V2.
    """

    def __init__(self, dim: int, out_dim: int, norm_after: bool = False):
        super().__init__()
        self.norm_after = norm_after
        self.reduction = Linear(4 * dim, out_dim, bias=False)
        self.norm = nn.LayerNorm(out_dim if norm_after else 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = pad_to_multiple(x, 2)
        B, H, W, C = x.shape
        x = x.view(B, H // 2, 2, W // 2, 2, C).permute(0, 1, 3, 4, 2, 5).reshape(B, H // 2, W // 2, 4 * C)
        return self.norm(self.reduction(x)) if self.norm_after else self.reduction(self.norm(x))


class ConvDownsample(nn.Module):
    """3 x 3 stride-2 convolution, then LayerNorm: (B, H, W, C) -> (B, ceil(H/2), ceil(W/2), out_dim)."""

    def __init__(self, dim: int, out_dim: int, bias: bool = False, eps: float = 1e-5):
        super().__init__()
        self.reduction = nn.Conv2d(dim, out_dim, 3, 2, 1, bias=bias)
        self.norm = nn.LayerNorm(out_dim, eps)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduction(x.permute(0, 3, 1, 2))  # (B, C, H, W)
        return self.norm(x.permute(0, 2, 3, 1))  # (B, H, W, C)


class NormedPatchDownsample(nn.Module):
    """LayerNorm, then a 2 x 2 stride-2 convolution: (B, H, W, C) -> (B, H // 2, W // 2, out_dim), as in ConvNeXt.

    With `pad`, an odd side is zero-padded behind the norm, so that it becomes ceil(side / 2).
    """

    def __init__(self, dim: int, out_dim: int, eps: float = 1e-6, *, pad: bool = False):
        super().__init__()
        self.multiple = 2 if pad else 1
        self.norm = nn.LayerNorm(dim, eps)
        self.reduction = nn.Conv2d(dim, out_dim, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = pad_to_multiple(self.norm(x), self.multiple)
        return self.reduction(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, H // 2, W // 2, out_dim)


class OverlapPatchEmbed(nn.Module):
    """Overlapping patches to tokens, then LayerNorm: (B, C, H, W) -> (B, ceil(H/s), ceil(W/s), dim), as in PVT v2."""

    def __init__(self, in_channels: int, dim: int, kernel_size: int = 7, stride: int = 4):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, kernel_size, stride, kernel_size // 2)
        self.norm = nn.LayerNorm(dim)

    def forward(self, image: Tensor) -> Tensor:
        return self.norm(self.proj(image).permute(0, 2, 3, 1))  # (B, H/s, W/s, dim)

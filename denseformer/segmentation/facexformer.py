"""FaceXFormer's decoder: tokens for the parts of a face and for seven facts about it, which exchange with its pixels.

Paper: "FaceXFormer: A Unified Transformer for Facial Analysis", https://arxiv.org/abs/2403.12960. Official:
https://github.com/Kartik-3004/facexformer (MIT), whose two-way transformer is Segment Anything's.

Particular: all parts of the face share one hypernetwork, and the random frequencies of the positions are part of the
weights. The maps of the backbone come without norms. The authors publish weights and no training code: the losses are
the paper's, but for landmarks, where it has STAR, which needs heat maps, and which are compared by coordinates here.

Legend: B batch, K classes of pixels, T tokens of facts and classes, N pixels of the fused map, C channels.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.checkpoints.keys import Rule, StateDict, rename
from denseformer.checkpoints.layouts.torchvision import facexformer
from denseformer.dynamic_shapes import same_size
from denseformer.layers import LayerNorm2d, Linear
from denseformer.layers.two_way import TwoWayTransformer
from denseformer.registry import MODELS
from denseformer.segmentation.segmentor import DeepSupervisionHead, Segmentor


class Fact(NamedTuple):
    """size: numbers that the published network predicts; loss: of predictions (n, size) and what is true."""

    size: int
    loss: Callable[[Tensor, Tensor], Tensor]


def binary_loss(found: Tensor, truth: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(found, truth.to(found.dtype))


def class_loss(found: Tensor, truth: Tensor) -> Tensor:
    return F.cross_entropy(found, truth.long())


def distance_loss(found: Tensor, truth: Tensor) -> Tensor:
    return F.l1_loss(found, truth.to(found.dtype).flatten(1))


def rotations(angles: Tensor) -> Tensor:
    """Pitch, yaw and roll (n, 3) -> matrices (n, 3, 3) whose columns are the axes of the head, as the authors draw
    them: rolled about z, then turned about y by the yaw, then about x by the pitch."""
    (sx, sy, sz), (cx, cy, cz) = (part.unbind(1) for part in (angles.sin(), angles.cos()))
    rows = (
        *(cy * cz, -cy * sz, sy),
        *(cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy),
        *(sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy),
    )
    return torch.stack(rows, 1).unflatten(1, (3, 3))


def rotation_loss(found: Tensor, truth: Tensor) -> Tensor:
    """The mean angle between rotations, in radians, whatever turns of pitch, yaw and roll make them up."""
    wide = torch.promote_types(found.dtype, torch.float32)
    apart = (rotations(found.to(wide)) - rotations(truth.to(wide))).flatten(1)
    half_sine = torch.linalg.vector_norm(apart, dim=1) / 8**0.5
    return 2 * half_sine.clamp(max=1 - 1e-6).asin().mean()  # the slope of asin has no bound at 1


FACTS = {
    'landmarks': Fact(136, distance_loss),
    'head_pose': Fact(3, rotation_loss),
    'attributes': Fact(40, binary_loss),
    'visibility': Fact(29, binary_loss),
    'age': Fact(8, class_loss),
    'gender': Fact(2, class_loss),
    'race': Fact(5, class_loss),
}
"""In the order of the official tokens. Landmarks are x, y, x, y, ... in -1 .. 1 from one border of the image to the
other, the pose is pitch, yaw and roll in radians, the others are logits: of attributes, of visible landmarks, of one
class."""


def fourier_positions(frequencies: Tensor, size: Sequence[int]) -> Tensor:
    """Sines and cosines of pixels' centers, -1 .. 1 over a map of `size`, at frequencies (2, C / 2) -> (N, C)."""
    y, x = ((2 * torch.arange(n, device=frequencies.device).to(frequencies) + 1) / n - 1 for n in size)
    phases = 2 * math.pi * (x[None, :, None] * frequencies[0] + y[:, None, None] * frequencies[1])  # (h, w, C / 2)
    return torch.cat([phases.sin(), phases.cos()], -1).flatten(0, 1)


def mlp(dim: int, out_dim: int) -> nn.Sequential:
    return nn.Sequential(Linear(dim, dim), nn.ReLU(), Linear(dim, dim), nn.ReLU(), Linear(dim, out_dim))


@MODELS.register_module()
class FaceXFormerHead(DeepSupervisionHead):
    """The decoder, for the maps of any backbone, finest first, which are fused at the size of the first.

    Scores of pixels are four times as fine as the first map. Facts are learned from the images whose meta key `face`
    has them, a dict as `FACTS` says, as they are in the augmented image.

    Args:
        in_channels, num_classes, options: as in `DeepSupervisionHead`; there are no auxiliary outputs.
        channels: C, a multiple of 8 and of 2 * heads.
        depth, heads, hidden: blocks of the two-way transformer, heads of attention, width of its MLPs.
        facts: name -> how many numbers; None for the published ones, `{}` for pixels alone.

    Raises ValueError for channels that do not fit, and for facts that there are not.
    """

    official: ClassVar[tuple[Rule, ...]] = ((r'^(pe_layer|face_decoder|linear_c|linear_fuse)\.', r'decode_head.\1.'),)
    names: ClassVar[tuple[Rule, ...]] = (
        (r'^pe_layer\.positional_encoding_gaussian_matrix$', 'frequencies'),
        (r'^linear_c\.(\d)\.proj\.', r'laterals.\1.'),
        (r'^linear_fuse\.', 'fuse.'),
        (r'^face_decoder\.', ''),
        (r'^pose_', 'head_pose_'),
        (r'^attribute_', 'attributes_'),
        (r'^mask_tokens\.weight$', 'class_tokens'),
        (r'^(\w+)_token\.weight$', r'fact_tokens.\1'),
        (r'^(\w+)_prediction_head\.layers\.(\d)\.', lambda match: f'fact_heads.{match[1]}.{2 * int(match[2])}.'),
        (r'^output_hypernetwork_mlps\.layers\.(\d)\.', lambda match: f'hypernetwork.{2 * int(match[1])}.'),
        (r'^output_upscaling\.', 'upscale.'),
        (r'\.mlp\.lin', '.mlp.fc'),
    )

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        channels: int = 256,
        depth: int = 2,
        heads: int = 8,
        hidden: int = 2048,
        facts: Mapping[str, int] | None = None,
        **options: Any,
    ):
        if channels % 8 or channels % (2 * heads):
            raise ValueError(f'channels={channels} must be a multiple of 8 and of twice heads={heads}.')
        facts = {name: fact.size for name, fact in FACTS.items()} if facts is None else facts
        if unknown := set(facts) - set(FACTS):
            raise ValueError(f'There are no facts {sorted(unknown)}; there are {", ".join(FACTS)}.')
        super().__init__(in_channels=in_channels, channels=channels, **{'init_cfg': None, **options})
        del self.conv_seg  # classes are read by the hypernetwork
        self.laterals = nn.ModuleList(Linear(dim, channels) for dim in in_channels)
        self.fuse = nn.Conv2d(len(in_channels) * channels, channels, 1, bias=False)
        self.register_buffer('frequencies', torch.randn(2, channels // 2))
        self.fact_tokens = nn.ParameterDict({name: nn.Parameter(torch.randn(1, channels)) for name in facts})
        self.class_tokens = nn.Parameter(torch.randn(self.out_channels, channels))
        self.transformer = TwoWayTransformer(channels, heads, hidden, depth)
        self.fact_heads = nn.ModuleDict({name: mlp(channels, size) for name, size in facts.items()})
        self.hypernetwork = mlp(channels, channels // 8)
        self.upscale = nn.Sequential(
            nn.ConvTranspose2d(channels, channels // 4, 2, 2),
            LayerNorm2d(channels // 4, 1e-6),
            nn.GELU(),
            nn.ConvTranspose2d(channels // 4, channels // 8, 2, 2),
            nn.GELU(),
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Scores of pixels alone, (B, K, 4 h, 4 w)."""
        return self.analyze(inputs)['parsing']

    def analyze(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        """Maps -> every fact, (B, size), and `parsing`, the scores of pixels, (B, K, 4 h, 4 w)."""
        x = self.fused(self._transform_inputs(inputs))
        size = x.shape[2:]
        names = list(self.fact_heads)
        tokens = torch.cat([*(self.fact_tokens[name] for name in names), self.class_tokens])  # (T, C)
        places = fourier_positions(self.frequencies, size).to(x.dtype)
        tokens, pixels = self.transformer(tokens.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2), places)
        found = {name: self.fact_heads[name](tokens[:, i]) for i, name in enumerate(names)}
        fine = self.upscale(pixels.transpose(1, 2).unflatten(2, size))  # (B, C / 8, 4 h, 4 w)
        found['parsing'] = torch.einsum('bkc,bchw->bkhw', self.hypernetwork(tokens[:, len(names) :]), fine)
        return found

    def fused(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps -> (B, C, h, w) at the size of the first."""
        size = maps[0].shape[2:]
        levels = [
            lateral(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for lateral, x in zip(self.laterals, maps, strict=True)
        ]
        levels = [x if same_size(x.shape[2:], size) else F.interpolate(x, size, mode='bilinear') for x in levels]
        return self.fuse(torch.cat(levels[::-1], 1))

    def loss(self, inputs: Sequence[Tensor], batch_data_samples: list, train_cfg: Any) -> dict[str, Tensor]:
        """The losses of pixels, and one of every fact, 0 where no image of the batch has it."""
        found = self.analyze(inputs)
        losses = self.loss_by_feat((found.pop('parsing'),), batch_data_samples)
        known = [sample.metainfo.get('face') or {} for sample in batch_data_samples]
        return {**losses, **{f'loss_{name}': fact_loss(name, found[name], known) for name in found}}

    @classmethod
    def remap_official_keys(cls, state_dict: StateDict) -> StateDict:
        """From the authors' names of the whole network, whose backbone is torchvision's Swin-B."""
        return rename(facexformer(state_dict), *cls.official)


def fact_loss(name: str, found: Tensor, known: Sequence[Mapping[str, Any]]) -> Tensor:
    """The loss of a fact, found (B, size), over the images that have it."""
    having = [i for i, face in enumerate(known) if name in face]
    if not having:
        return 0 * found.sum()
    truth = torch.stack([torch.as_tensor(known[i][name], device=found.device) for i in having])
    return FACTS[name].loss(found[having], truth)


@MODELS.register_module()
class FaceXFormer(Segmentor):
    """A segmentor whose decode head, `FaceXFormerHead`, also finds facts about the face that fills the image."""

    @torch.no_grad()
    def describe(self, images: Tensor, sizes: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
        """The facts about each image, as a reader wants them.

        Args:
            images: (B, 3, h, w), normalised.
            sizes: (H, W) of the images, in whose pixels landmarks are given.
        """
        found = self.decode_head.analyze(self.extract_feat(images))
        return [
            readable({name: found[name][i].double().cpu() for name in FACTS if name in found}, size)
            for i, size in enumerate(sizes)
        ]


def readable(found: Mapping[str, Tensor], size: tuple[float, float]) -> dict[str, Any]:
    """Facts as numbers: landmarks in pixels, the pose in degrees, probabilities, and the class with its probability."""
    facts: dict[str, Any] = {}
    for name, values in found.items():
        if name == 'landmarks':
            H, W = size
            facts[name] = (
                (((values.unflatten(0, (-1, 2)) + 1) * torch.tensor([W, H]) - 1) / 2).round(decimals=2).tolist()
            )
        elif name == 'head_pose':
            angles = values.rad2deg().round(decimals=2).tolist()
            facts[name] = dict(zip(('pitch', 'yaw', 'roll'), angles, strict=True))
        elif FACTS[name].loss is binary_loss:
            facts[name] = values.sigmoid().round(decimals=4).tolist()
        else:
            chance, label = values.softmax(0).max(0)
            facts[name] = {'class': int(label), 'probability': round(float(chance), 4)}
    return facts

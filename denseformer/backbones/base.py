"""The contract of a backbone, and what all of them share: stages, freezing, checkpointing, output maps."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import Unpack

from denseformer.checkpoints.keys import StateDict
from denseformer.layers.initializers import linears
from denseformer.network import Checkpointing, Description, Network, NetworkOptions
from denseformer.registry import MODELS


@dataclass(frozen=True, kw_only=True)
class BackboneDescription(Description):
    """channels, strides: of the maps, finest first; input_size: the square input it was published at, in pixels."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    input_size: int


@dataclass(frozen=True)
class ParamGroup:
    """The treatment of one parameter by an optimizer.

    decay: whether weight decay applies; depth: 0 for the stem, then one more per block, for layer-wise rate decay.
    """

    decay: bool
    depth: int


class BackboneOptions(NetworkOptions, total=False):
    """The options that every backbone hands on to `Backbone`, which documents them and holds their defaults."""

    in_channels: int
    out_indices: Sequence[int] | None
    frozen_stages: int
    norm_eval: bool
    with_cp: bool
    plugins: Sequence[Mapping[str, Any]]


class Stage(Checkpointing, nn.Module):
    """An optional `downsample`, then `blocks` one after the other.

    A family whose blocks need something computed once per stage (a mask, a decay, tokens) overrides `forward` and
    calls each block through `run`, which checkpoints it when the backbone was built `with_cp`.
    """

    def __init__(self, blocks: Iterable[nn.Module], downsample: nn.Module | None = None):
        super().__init__()
        self.downsample = nn.Identity() if downsample is None else downsample
        self.blocks = nn.ModuleList(blocks)
        self.with_cp = False

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        for block in self.blocks:
            x = self.run(block, x)
        return x


class StageWithLosses(Stage):
    """A stage whose blocks return a map and a loss or None; in training it holds the losses until `collect`."""

    def __init__(self, blocks: Iterable[nn.Module], downsample: nn.Module | None = None):
        super().__init__(blocks, downsample)
        self.losses: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        losses = []
        for block in self.blocks:
            x, loss = self.run(block, x)
            if loss is not None:
                losses.append(loss)
        if self.training:
            if self.losses and not torch.compiler.is_compiling():
                warnings.warn(
                    "A backbone's own losses are left out of training: nobody calls `auxiliary_losses`. Add "
                    "dict(type='denseformer.AuxiliaryLossHook') to custom_hooks, or add them to the loss yourself.",
                    stacklevel=2,
                )
            self.losses = losses
        return x

    def collect(self) -> list[Tensor]:
        """The losses of the last training forward pass, once: they are forgotten when read."""
        losses, self.losses = self.losses, []
        return losses

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), 'losses': []}


class MapNetwork(Network):
    """An image to feature maps: a `Backbone`, or a network that is made of backbones.

    out_channels, out_strides: of the maps, in their order; input_size: the square input it was published at, in pixels.
    """

    input_size: ClassVar[int] = 224
    out_channels: tuple[int, ...]
    out_strides: tuple[int, ...]

    @property
    def reader(self) -> nn.Module:
        """The part that reads the image alone, whose maps `--cache-features` keeps where it is frozen: the whole."""
        return self

    @classmethod
    def describe(cls, arch: Any, **options: Any) -> BackboneDescription:
        """Channels, strides, parameters and source of a variant; nothing is allocated."""
        return cast(BackboneDescription, super().describe(arch, **options))

    def _describe(self, name: str) -> BackboneDescription:
        return BackboneDescription(
            **vars(super()._describe(name)),
            channels=self.out_channels,
            strides=self.out_strides,
            input_size=self.input_size,
        )


class Backbone(MapNetwork):
    """An image to a pyramid of feature maps.

    A subclass's constructor is keyword-only: `arch`, `drop_path_rate`, what is the paper's own, and
    `**common: Unpack[BackboneOptions]`. It calls `super().__init__(arch=arch, **common)` and hands its parts to
    `assemble`. Its arch records have a field or property `widths`, the channels of the stages.

    Args of every backbone:
        arch: a published variant's name, or a dict of the fields of its arch record.
        in_channels: channels of the image.
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0 at the first.
        out_indices: the stages whose maps are returned, ascending, None for all; stages after the last one are not
            built.
        frozen_stages: -1 trains all; n >= 0 freezes the patch embedding and the stages 0 .. n-1.
        norm_eval: keep BatchNorm statistics fixed while training.
        with_cp: recompute each block in the backward pass instead of storing its activations.
        plugins: what comes behind stages, in the form of mmcv's ResNets: dict(cfg=dict(type='denseformer.ELA'),
            stages=(False, True, True, True)), all stages unless told; each works on (B, C, H, W) and has
            `in_channels`.
        init_cfg: mmengine's, usually dict(type='Pretrained', checkpoint=...).
    """

    strides: ClassVar[tuple[int, ...]] = (4, 8, 16, 32)
    channels_last: ClassVar[bool] = True
    """Whether blocks work on (B, H, W, C) maps; False for (B, C, H, W)."""
    embeds_parts: ClassVar[bool] = False
    """Whether `patch_embed` makes more than one map of whole patches: words inside them, or tokens of tokens."""
    norm_feeds_next: ClassVar[bool] = False
    """Whether the normalised map, rather than the raw one, enters the next stage."""
    no_weight_decay: ClassVar[tuple[str, ...]] = ('norm',)
    """Fragments of parameter names that the authors' recipe takes no weight decay on."""
    initial_weights = staticmethod(linears)
    """The rule of `layers.initializers` by which the authors draw the weights that training starts from."""

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any],
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        plugins: Sequence[Mapping[str, Any]] = (),
        **common: Unpack[NetworkOptions],
    ):
        super().__init__(arch=arch, **common)
        stages = len(self.arch.widths)
        out_indices = range(stages) if out_indices is None else out_indices
        if not out_indices or list(out_indices) != sorted(set(out_indices)) or not 0 <= out_indices[-1] < stages:
            raise ValueError(f'out_indices must be ascending stages out of 0..{stages - 1}, got {tuple(out_indices)}.')
        if not -1 <= frozen_stages <= stages:
            raise ValueError(f'frozen_stages must be -1..{stages}, got {frozen_stages}.')
        if in_channels < 1:
            raise ValueError(f'in_channels must be at least 1, got {in_channels}.')
        self.in_channels = in_channels
        self.out_indices = tuple(out_indices)
        self.out_channels = tuple(self.arch.widths[i] for i in out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.plugins = nn.ModuleList(
            nn.Sequential(
                *(
                    MODELS.build({**plugin['cfg'], 'in_channels': width})
                    for plugin in plugins
                    if plugin.get('stages', (True,) * stages)[i]
                )
            )
            for i, width in enumerate(self.arch.widths[: out_indices[-1] + 1])
        )

    @property
    def out_strides(self) -> tuple[int, ...]:
        """The strides of the returned maps."""
        return tuple(self.strides[i] for i in self.out_indices)

    def assemble(
        self, *, patch_embed: nn.Module, stages: Sequence[Stage], out_norms: Sequence[nn.Module] | None = None
    ) -> None:
        """Take the parts over, drop the ones no output needs, draw the initial weights, and freeze what was asked for.

        out_norms: one per stage; None where the authors' code returns the maps as they are.
        """
        last = self.out_indices[-1]
        self.patch_embed = patch_embed
        self.stages = nn.ModuleList(stages[: last + 1])
        norms = [nn.Identity() for _ in stages] if out_norms is None else out_norms
        used = range(last + 1) if self.norm_feeds_next else self.out_indices
        self.out_norms = nn.ModuleList(norms[i] if i in used else nn.Identity() for i in range(last + 1))
        self.apply(self.initial_weights)
        for stage in self.stages:
            stage.with_cp = self.with_cp
        for module in self._frozen_modules():
            module.requires_grad_(False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: (B, in_channels, H, W), normalised, H and W >= 32 -> one (B, C_i, H_i, W_i) per out index.

        Raises ValueError for an image of other channels.
        """
        self.check_image(image)
        return self.run_stages(self.patch_embed(image))

    def run_stages(self, x: Tensor) -> tuple[Tensor, ...]:
        """The output of the patch embedding -> one (B, C_i, H_i, W_i) per out index."""
        outs = []
        for i, (stage, norm) in enumerate(zip(self.stages, self.out_norms, strict=True)):
            x = self.plug_in(i, stage(x))
            out = norm(x) if self.norm_feeds_next or i in self.out_indices else x
            x = out if self.norm_feeds_next else x
            if i in self.out_indices:
                outs.append(out.permute(0, 3, 1, 2) if self.channels_last else out)  # (B, C, H, W)
        return tuple(outs)

    def check_image(self, image: Tensor) -> None:
        if image.ndim != 4 or image.shape[1] != self.in_channels:
            raise ValueError(
                f'{type(self).__name__} takes images (B, {self.in_channels}, H, W), got {tuple(image.shape)}. Build it '
                "with in_channels=... for images of other channels; a config's data_preprocessor has as many in mean "
                'and std.'
            )

    def plug_in(self, stage: int, x: Tensor) -> Tensor:
        """The output of a stage after its plugins, in the layout of the blocks."""
        if not len(self.plugins[stage]) or not self.channels_last:
            return self.plugins[stage](x)
        return self.plugins[stage](x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    def train(self, mode: bool = True) -> 'Backbone':
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        norms = [norm for i, norm in enumerate(self.out_norms) if i < self.frozen_stages]
        frozen = slice(self.frozen_stages)
        return [self.patch_embed, *self.stages[frozen], *self.plugins[frozen], *norms]

    def drop_keys_of_unbuilt_parts(self, state_dict: StateDict) -> StateDict:
        unbuilt = [f'stages.{i}.' for i in range(len(self.stages), len(self.arch.widths))]
        plain = [i for i in range(len(self.arch.widths)) if i >= len(self.stages) or i not in self._normed()]
        unbuilt += [f'out_norms.{i}.' for i in plain]
        return {key: value for key, value in state_dict.items() if not key.startswith(tuple(unbuilt))}

    def _normed(self) -> set[int]:
        return {i for i, norm in enumerate(self.out_norms) if not isinstance(norm, nn.Identity)}

    @property
    def depth(self) -> int:
        """The depth of the last block, counting from 1; the output norms lie one deeper."""
        return sum(len(stage.blocks) for stage in self.stages)

    def param_groups(self) -> dict[str, ParamGroup]:
        """The treatment of each parameter by the optimizer constructor, by name: one rule for all families."""
        first_block = [sum(len(stage.blocks) for stage in self.stages[:i]) for i in range(len(self.stages))]

        def depth_of(name: str) -> int:
            part, *rest = name.split('.')
            if part == 'stages':
                block = int(rest[2]) if rest[1] == 'blocks' else 0
                return first_block[int(rest[0])] + block + 1
            if part == 'plugins':
                return first_block[int(rest[0])] + len(self.stages[int(rest[0])].blocks)
            return self.depth + 1 if part.startswith('out_') else 0

        return {
            name: ParamGroup(decay=not any(part in name for part in self.no_weight_decay), depth=depth_of(name))
            for name, _ in self.named_parameters()
        }

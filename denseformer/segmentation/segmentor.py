"""The segmentor of published systems: mmsegmentation's, which also loads a whole system under its authors' names.

A system is a backbone and a decode head. Its head says in `remap_official_keys` how the authors' names become
`backbone.` and `decode_head.`; a checkpoint in our names passes as it is.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.losses import OhemCrossEntropy, accuracy
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, Rule, StateDict, rename
from denseformer.dynamic_shapes import same_size
from denseformer.registry import MODELS


@MODELS.register_module()
class Segmentor(EncoderDecoder):
    """mmsegmentation's `EncoderDecoder`, which takes the authors' weights of the system that its decode head is of."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        remap = getattr(self.decode_head, 'remap_official_keys', None)
        if remap is not None and not any(key.startswith(f'{prefix}decode_head.') for key in state_dict):
            own = {key[len(prefix) :]: state_dict.pop(key) for key in list(state_dict) if key.startswith(prefix)}
            state_dict.update({prefix + key: value for key, value in remap(own).items()})
        super()._load_from_state_dict(state_dict, prefix, *args)


class SystemHead:
    """Mixed in before a decode head: the authors' names of the whole system that it belongs to."""

    official: ClassVar[tuple[Rule, ...]] = ()
    """Rules from the authors' names of the whole system to `backbone.` and `decode_head.`."""

    @classmethod
    def remap_official_keys(cls, state_dict: StateDict) -> StateDict:
        """`state_dict` of the whole system, without parts of another name; pure."""
        return rename(state_dict, *cls.official)


class DeepSupervisionHead(SystemHead, RenamesKeys, BaseDecodeHead):
    """A decode head of several maps that has further outputs while training.

    A subclass's `forward` returns the scores of classes, (B, K, h, w); while training, a tuple of these and of the
    outputs of its auxiliary branches.

    Args:
        in_channels: of the maps, finest first.
        channels: of the map that classes are read from.
        num_classes: K.
        loss_auxiliary: mmsegmentation's settings of the loss that every auxiliary output has.
        in_index: numbers of the maps among the backbone's; None for as many as in_channels, from the first on.
        options: `loss_decode`, `align_corners` and the others of mmsegmentation's `BaseDecodeHead`.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        channels: int,
        num_classes: int,
        loss_auxiliary: dict | None = None,
        in_index: Sequence[int] | None = None,
        **options: Any,
    ):
        super().__init__(
            list(in_channels),
            channels,
            num_classes=num_classes,
            in_index=list(range(len(in_channels)) if in_index is None else in_index),
            input_transform='multiple_select',
            dropout_ratio=options.pop('dropout_ratio', 0.0),
            **options,
        )
        self.loss_auxiliary = MODELS.build(loss_auxiliary or dict(type='mmseg.CrossEntropyLoss', loss_weight=0.4))

    def loss_by_feat(self, seg_logits: Tensor | Sequence[Tensor], batch_data_samples: list) -> dict[str, Tensor]:
        """The losses of the main output and of the auxiliary ones, at the size of the labels.

        In validation there is the main output alone, which comes as a tensor.
        """
        labels = self._stack_batch_gt(batch_data_samples).squeeze(1)  # (B, H, W)
        outputs = [seg_logits] if isinstance(seg_logits, Tensor) else seg_logits
        main, *auxiliary = (self.resized(scores, labels.shape[1:]) for scores in outputs)
        decode = self.loss_decode if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]
        losses = {loss.loss_name: self.compare(loss, main, labels) for loss in decode}
        for i, scores in enumerate(auxiliary):
            losses[f'auxiliary_{i}_{self.loss_auxiliary.loss_name}'] = self.compare(self.loss_auxiliary, scores, labels)
        return {**losses, 'acc_seg': accuracy(main, labels, ignore_index=self.ignore_index)}

    def resized(self, scores: Tensor, size: Sequence[int]) -> Tensor:
        return resize(scores, size=tuple(size), mode='bilinear', align_corners=self.align_corners)

    def compare(self, loss: nn.Module, scores: Tensor, labels: Tensor) -> Tensor:
        if isinstance(loss, OhemCrossEntropy):  # has the label to ignore among its own settings
            return loss(scores, labels)
        return loss(scores, labels, ignore_index=self.ignore_index)


def fitted(x: Tensor, like: Tensor) -> Tensor:
    """A map at the size of another that is about as large: odd sides of maps do not double exactly."""
    if same_size(x.shape[2:], like.shape[2:]):
        return x
    return nn.functional.interpolate(x, like.shape[2:], mode='bilinear')


def label_borders(labels: Tensor) -> Tensor:
    """Where labels change: (B, H, W) classes -> (B, H, W) of 0 and 1, in lines of 4 pixels.

    Borders with unlabelled pixels count like all others.
    """
    edges = torch.zeros_like(labels, dtype=torch.float)
    edges[:, 1:] += labels[:, 1:] != labels[:, :-1]
    edges[:, :, 1:] += labels[:, :, 1:] != labels[:, :, :-1]
    padded = nn.functional.pad(edges[:, None].clamp(max=1), (1, 2, 1, 2))
    return nn.functional.max_pool2d(padded, 4, stride=1)[:, 0]

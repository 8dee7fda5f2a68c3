"""State-dict keys and class order of Mask2Former weights trained with Detectron2, its authors' among them.

Facts read off https://github.com/facebookresearch/Mask2Former (MIT) and the lists of classes in
https://github.com/facebookresearch/detectron2 (Apache 2.0). The heads of DINOv3's and DINOv2's segmentors descend from
these and from mmdetection 2, and differ in names.
"""

import re
from collections.abc import Sequence
from functools import reduce
from typing import Any

from mmengine.logging import MMLogger

from denseformer.checkpoints.keys import StateDict

ENCODER, CROSS, SELF, FFN = (
    rf'{stem}\.(\d+)'
    for stem in (
        r'pixel_decoder\.transformer\.encoder\.layers',
        r'predictor\.transformer_cross_attention_layers',
        r'predictor\.transformer_self_attention_layers',
        r'predictor\.transformer_ffn_layers',
    )
)
NAMES = (
    (r'(?!pixel_decoder\.|predictor\.)', 'pixel_decoder.'),  # a prefix that older files lack
    (r'pixel_decoder\.encoder\.encoder\.', 'pixel_decoder.transformer.encoder.'),  # DINOv3's names, to Detectron2's
    (r'pixel_decoder\.encoder\.level_encoding', 'pixel_decoder.transformer.level_embed'),
    (r'pixel_decoder\.input_convs\.', 'pixel_decoder.input_proj.'),
    (r'pixel_decoder\.lateral_convs\.0', 'pixel_decoder.adapter_1'),
    (r'pixel_decoder\.output_convs\.0', 'pixel_decoder.layer_1'),
    (r'pixel_decoder\.mask_feature\.', 'pixel_decoder.mask_features.'),
    (r'predictor\.post_norm', 'predictor.decoder_norm'),
    (r'pixel_decoder\.input_proj\.(\d)\.0', r'pixel_decoder.input_convs.\1.conv'),
    (r'pixel_decoder\.input_proj\.(\d)\.1', r'pixel_decoder.input_convs.\1.gn'),
    (r'pixel_decoder\.transformer\.level_embed', 'pixel_decoder.level_encoding.weight'),
    (rf'{ENCODER}\.self_attn', r'pixel_decoder.encoder.layers.\1.self_attn'),
    (rf'{ENCODER}\.norm1', r'pixel_decoder.encoder.layers.\1.norms.0'),
    (rf'{ENCODER}\.linear1', r'pixel_decoder.encoder.layers.\1.ffn.layers.0.0'),
    (rf'{ENCODER}\.linear2', r'pixel_decoder.encoder.layers.\1.ffn.layers.1'),
    (rf'{ENCODER}\.norm2', r'pixel_decoder.encoder.layers.\1.norms.1'),
    (r'pixel_decoder\.adapter_1\.norm', 'pixel_decoder.lateral_convs.0.gn'),
    (r'pixel_decoder\.adapter_1', 'pixel_decoder.lateral_convs.0.conv'),
    (r'pixel_decoder\.layer_1\.norm', 'pixel_decoder.output_convs.0.gn'),
    (r'pixel_decoder\.layer_1', 'pixel_decoder.output_convs.0.conv'),
    (r'pixel_decoder\.mask_features', 'pixel_decoder.mask_feature'),
    (rf'{CROSS}\.multihead_attn', r'transformer_decoder.layers.\1.cross_attn.attn'),
    (rf'{CROSS}\.norm', r'transformer_decoder.layers.\1.norms.0'),
    (rf'{SELF}\.self_attn', r'transformer_decoder.layers.\1.self_attn.attn'),
    (rf'{SELF}\.norm', r'transformer_decoder.layers.\1.norms.1'),
    (rf'{FFN}\.linear1', r'transformer_decoder.layers.\1.ffn.layers.0.0'),
    (rf'{FFN}\.linear2', r'transformer_decoder.layers.\1.ffn.layers.1'),
    (rf'{FFN}\.norm', r'transformer_decoder.layers.\1.norms.2'),
    (r'predictor\.decoder_norm', 'transformer_decoder.post_norm'),
    (r'predictor\.static_query', 'query_feat'),  # in older files
    (r'predictor\.(query_feat|query_embed|level_embed)', r'\1'),
    (r'predictor\.class_embed', 'cls_embed'),
    (r'predictor\.mask_embed\.layers\.0', 'mask_embed.0'),
    (r'predictor\.mask_embed\.layers\.1', 'mask_embed.2'),
    (r'predictor\.mask_embed\.layers\.2', 'mask_embed.4'),
)
"""Patterns of Detectron2's names below `sem_seg_head.` and ours below the head; all are applied in order."""

MMDETECTION_2 = (
    (r'(pixel_decoder\.encoder\.layers\.\d+)\.attentions\.0\.', r'\1.self_attn.'),
    (r'(transformer_decoder\.layers\.\d+)\.attentions\.0\.', r'\1.cross_attn.'),
    (r'(transformer_decoder\.layers\.\d+)\.attentions\.1\.', r'\1.self_attn.'),
    (r'((?:pixel_decoder\.encoder|transformer_decoder)\.layers\.\d+)\.ffns\.0\.', r'\1.ffn.'),
)
"""Patterns of mmdetection 2's names and of today's, which ours are."""

STUFF = {
    (133, 53): ('COCO', range(80, 133)),
    (19, 11): ('Cityscapes', range(11)),
    (150, 50): (
        'ADE20K',
        (
            *(0, 1, 2, 3, 4, 5, 6, 9, 11, 13, 16, 17, 21, 25, 26, 28, 29, 34, 40, 46, 48, 51, 52, 54, 59, 60, 61, 63),
            *(68, 77, 79, 84, 91, 94, 96, 99, 100, 101, 105, 106, 109, 113, 114, 117, 122, 128, 131, 140, 141, 145),
        ),
    ),
}
"""Numbers of classes and of stuff -> the dataset that has them, and which of its classes are stuff in Detectron2."""


def remap_official_keys(state_dict: StateDict, head: Any) -> StateDict:
    """A head's `state_dict`, in mmdetection's names or in Detectron2's, in mmdetection's and with things before stuff.

    Names of mmdetection 2 are taken, too. Does not change `state_dict`; that classes change places is logged.

    Args:
        head: has `num_classes` and `num_stuff`.

    Raises ValueError for names of Detectron2 where it is not known how it mixes that many things and stuff.
    """
    if not any(key.startswith('predictor.') for key in state_dict):
        older = any('.attentions.' in key for key in state_dict)
        return {rename_key(key, MMDETECTION_2): value for key, value in state_dict.items()} if older else state_dict
    state_dict = {rename_key(key): value for key, value in state_dict.items()}
    return in_our_order(state_dict, r'^cls_embed\.', head.num_classes, head.num_stuff)


def in_our_order(state_dict: StateDict, classifier: str, num_classes: int, num_stuff: int) -> StateDict:
    """`state_dict` with the rows of its classifier, whose keys match a pattern (`re.search`), things first; pure.

    Without a classifier, or with one of other classes, it stays as it is. Raises ValueError where it is not known how
    the authors mix that many things and stuff.
    """
    rows = {key: value for key, value in state_dict.items() if re.search(classifier, key)}
    mixed = 0 < num_stuff < num_classes
    if not mixed or not rows or any(len(value) != num_classes + 1 for value in rows.values()):
        return state_dict
    order = [*things_first(num_classes, num_stuff), num_classes]
    return {**state_dict, **{key: value[order] for key, value in rows.items()}}


def rename_key(key: str, names: Sequence[tuple[str, str]] = NAMES) -> str:
    return reduce(lambda name, line: re.sub(f'^{line[0]}', line[1], name), names, key)


def things_first(num_classes: int, num_stuff: int) -> list[int]:
    """The number that each of our classes, things, then stuff, has in Detectron2 and with EoMT's authors."""
    if (num_classes, num_stuff) not in STUFF:
        known = ', '.join(f'{name} ({k - stuff} and {stuff})' for (k, stuff), (name, _) in STUFF.items())
        raise ValueError(
            f'weights of Detectron2 or of EoMT for {num_classes - num_stuff} classes of things and {num_stuff} of '
            f'stuff. Here things stand before stuff; how they are mixed there is known for {known}. Give the weights '
            'our names (the `keys` of the head in denseformer.detection) and the rows of their classifiers the order '
            'of your classes.'
        )
    name, stuff = STUFF[num_classes, num_stuff]
    order = [*(i for i in range(num_classes) if i not in stuff), *stuff]
    if order != sorted(order):
        MMLogger.get_current_instance().info(f"{name}'s classes are put in order, things first.")
    return order

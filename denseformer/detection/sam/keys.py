"""SAM's decoder and USIS-SAM under the names of their authors and of transformers."""

from denseformer.checkpoints.keys import Rule, StateDict, drop, linear_from_pointwise, rename

TRANSFORMER: tuple[Rule, ...] = (
    (r'(transformer\.layers\.\d+)\.layer_norm(\d)\.', r'\1.norm\2.'),
    (r'(transformer\.layers\.\d+\.mlp)\.lin1\.', r'\1.fc1.'),
    (r'(transformer\.layers\.\d+\.mlp)\.lin2\.', r'\1.fc2.'),
    (r'transformer\.layer_norm_final_attn\.', 'transformer.norm_final_attn.'),
)
UPSCALING: tuple[Rule, ...] = (
    (r'upscale_conv1\.', 'output_upscaling.0.'),
    (r'upscale_layer_norm\.', 'output_upscaling.1.'),
    (r'upscale_conv2\.', 'output_upscaling.3.'),
)
MLPS: tuple[Rule, ...] = (
    (r'(output_hypernetworks_mlps\.\d|iou_prediction_head)\.layers\.0\.', r'\1.layers.1.'),
    (r'(output_hypernetworks_mlps\.\d|iou_prediction_head)\.proj_in\.', r'\1.layers.0.'),
    (r'(output_hypernetworks_mlps\.\d|iou_prediction_head)\.proj_out\.', r'\1.layers.2.'),
)
"""Transformers numbers only the layers between the first and the last."""


def remap_decoder_keys(state_dict: StateDict) -> StateDict:
    """The keys of a mask decoder, whatever stands in front of them, in our names."""
    theirs = any('iou_prediction_head.proj_in.' in key for key in state_dict)
    return rename(state_dict, *TRANSFORMER, *UPSCALING, *(MLPS if theirs else ()))


def remap_detector_keys(state_dict: StateDict) -> StateDict:
    """The keys of USIS-SAM, or of SAM as its authors or transformers name it, in those of `USISSAM`."""
    head = 'roi_head.mask_head.'
    state_dict = rename(
        drop(state_dict, r'^prompt_encoder\.(point_embed|not_a_point|mask_(embed|downscaling)|shared)'),
        (r'^(image|vision)_encoder\.', 'backbone.'),
        (r'^backbone\.vision_encoder\.', 'backbone.'),
        (r'^adapter\.', 'backbone.adapter.'),
        (r'^(shared_image_embedding\.)+positional_embedding$', head + 'positions.directions'),
        (r'^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$', head + 'positions.directions'),
        (r'^prompt_encoder\.no_mask_embed\.', head + 'no_mask_embed.'),
        (r'^(roi_head\.mask_head\.)?(mask_decoder\.)+', head + 'decoder.'),
        (r'^(roi_head\.mask_head\.)?point_emb\.', head + 'tokens.'),
        (r'^(neck\.feature_aggregator|aggregator)\.', 'neck.'),
        (r'^neck\.ca_adapter\.', 'neck.gate.'),
        (r'^neck\.downconvs\.', 'neck.narrow.'),
        (r'^neck\.hidden_convs\.', 'neck.smooth.'),
        (r'^neck\.fusion_conv\.', 'neck.widen.'),
        (r'^(neck\.feature_spliter|fpn)\.', 'neck.pyramid.'),
    )
    return linear_from_pointwise(remap_decoder_keys(state_dict), r'^neck\.gate\.')

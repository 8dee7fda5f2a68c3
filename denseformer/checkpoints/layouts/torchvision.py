"""torchvision's layout of Swin, https://github.com/pytorch/vision (BSD-3-Clause), whose children are numbered.

FaceXFormer's authors keep its features as `backbone.0`, and as `backbone.1` its last norm, which their maps do not
pass.
"""

from denseformer.checkpoints.keys import Rule, StateDict, drop, rename
from denseformer.checkpoints.layouts.layout import Layout

SWIN_OF_FACEXFORMER: tuple[Rule, ...] = (
    (r'^backbone\.0\.0\.0\.', 'backbone.swin.patch_embed.proj.'),
    (r'^backbone\.0\.0\.2\.', 'backbone.swin.patch_embed.norm.'),
    (r'^backbone\.0\.([1357])\.', lambda match: f'backbone.swin.stages.{int(match[1]) // 2}.blocks.'),
    (r'^backbone\.0\.([246])\.', lambda match: f'backbone.swin.stages.{int(match[1]) // 2}.downsample.'),
    (r'^(backbone\.swin\..*\.mlp)\.0\.', r'\1.fc1.'),
    (r'^(backbone\.swin\..*\.mlp)\.3\.', r'\1.fc2.'),
    (r'^(backbone\.swin\..*)\.relative_position_bias_table$', r'\1.bias.table'),
)
"""From torchvision's names to ours below `UNetSwin`."""


def facexformer(state_dict: StateDict) -> StateDict:
    """The backbone of FaceXFormer's authors under our names; other keys as they are."""
    return rename(drop(state_dict, r'^backbone\.1\.', r'\.relative_position_index$'), *SWIN_OF_FACEXFORMER)


FACEXFORMER = Layout(r'^face_decoder\.', facexformer)

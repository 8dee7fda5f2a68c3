"""torchvision's layout of Swin, https://github.com/pytorch/vision (BSD-3-Clause), whose children are numbered.

Blocks of stage i are `features.{2i + 1}`, the merging behind them `features.{2i + 2}`. FaceXFormer's authors keep these
features as `backbone.0`, and as `backbone.1` its last norm, which their maps do not pass.
"""

from denseformer.checkpoints.keys import Rule, StateDict, drop, rename, stages_from
from denseformer.checkpoints.layouts.layout import Layout

NUMBERED: tuple[Rule, ...] = (
    (r'^features\.0\.0\.', 'patch_embed.proj.'),
    (r'^features\.0\.2\.', 'patch_embed.norm.'),
    (r'^features\.([1357])\.', lambda match: f'layers.{int(match[1]) // 2}.blocks.'),
    (r'^features\.([246])\.', lambda match: f'layers.{int(match[1]) // 2 - 1}.downsample.'),
    (r'\.mlp\.0\.', '.mlp.fc1.'),
    (r'\.mlp\.3\.', '.mlp.fc2.'),
)
"""From torchvision's names to those of Swin's authors."""
FEATURES = 'backbone.0.'


def swin(state_dict: StateDict) -> StateDict:
    return rename(drop(state_dict, r'\.relative_position_index$'), *NUMBERED)


def swinv2(state_dict: StateDict) -> StateDict:
    """The bias of the keys is left out: torchvision holds numbers there and computes without them."""
    found = swin(state_dict)
    for key in [key for key in found if key.endswith('.qkv.bias')]:
        query, _, value = found.pop(key).chunk(3)
        found |= {key.replace('.qkv.bias', '.q_bias'): query, key.replace('.qkv.bias', '.v_bias'): value}
    return found


def facexformer(state_dict: StateDict) -> StateDict:
    """The backbone of FaceXFormer's authors under our names; other keys as they are."""
    features = {key.replace(FEATURES, 'features.', 1): v for key, v in state_dict.items() if key.startswith(FEATURES)}
    ours = rename(swin(features), *stages_from('layers'), (r'\.relative_position_bias_table$', '.bias.table'))
    others = {key: v for key, v in drop(state_dict, r'^backbone\.1\.').items() if not key.startswith(FEATURES)}
    return {**{f'backbone.swin.{key}': value for key, value in ours.items()}, **others}


FACEXFORMER = Layout(r'^face_decoder\.', facexformer)
MARK = r'^features\.1\.0\.attn\.qkv\.'
LAYOUTS = {'Swin': Layout(MARK, swin), 'SwinV2': Layout(MARK, swinv2)}

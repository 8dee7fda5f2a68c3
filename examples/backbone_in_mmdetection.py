"""A backbone of this project in a detector that mmdetection configures, builds and runs.

python examples/backbone_in_mmdetection.py retinanet/retinanet_r50_fpn_1x_coco.py DaViT data/photographs/cat.jpg

The config is one that mmdetection ships. Its backbone is replaced, and its neck told how wide the new one's maps are;
the rest stays. The weights are random here; `init_cfg=dict(type='Pretrained', checkpoint=...)` in the backbone's dict
loads those of its authors, under their own key names.
"""

import sys

import denseformer  # noqa: F401  makes the scope known; in a config: custom_imports = dict(imports='denseformer')

# isort: split
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS


def with_backbone(config: Config, name: str) -> Config:
    """The config with the smallest variant of a family, by its registered name."""
    family = MODELS.get(f'denseformer.{name}')
    arch = family.smallest()
    config.model.backbone = dict(type=f'denseformer.{name}', arch=arch, drop_path_rate=0.1)
    config.model.neck.in_channels = list(family.describe(arch).channels)
    return config


def with_image_size(config: Config, longest: int) -> Config:
    """The config that resizes images to `longest` pixels: COCO's 1333 take a while on CPU."""
    for step in config.test_dataloader.dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (longest, longest)
    return config


def main(base: str, backbone: str, image: str) -> None:
    config = with_image_size(with_backbone(get_config(f'mmdet::{base}'), backbone), longest=320)
    detector = init_detector(config, device='cpu')
    parameters = sum(p.numel() for p in detector.backbone.parameters())
    print(f'{type(detector).__name__} on {backbone}, {parameters / 1e6:.1f} million parameters in the backbone')
    found = inference_detector(detector, image).pred_instances
    print(f'{image}: {len(found)} boxes, the best score is {found.scores.max():.3f}' if len(found) else 'no boxes')


if __name__ == '__main__':
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])

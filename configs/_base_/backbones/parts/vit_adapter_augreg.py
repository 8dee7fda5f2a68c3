# ViT-Adapter-L of detectors, from AugReg's weights: five blocks of six attend in windows.
_base_ = '../vit_adapter.py'
backbone = dict(
    arch='large',
    last_map=True,
    pretrained='vit_large_augreg_imagenet22k_1k_384',
    image_size=384,
    drop_path_rate=0.4,
    windows=[14, 14, 14, 14, 14, None] * 4,
)

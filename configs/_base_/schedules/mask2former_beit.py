# ViT-Adapter's recipe of Mask2Former on BEiT: classifiers and queries have the rate of the patches' embedding.
_base_ = './beit_160k.py'
_lowest = ('mask_embed', 'cls_embed', 'level_embed', 'query_')
optim_wrapper = dict(optimizer=dict(lr=2e-5), paramwise_cfg=dict(layer_decay=0.9, head_stem_rate=_lowest))

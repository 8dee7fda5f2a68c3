# SN-Net between DeiT III's anchors; a route is drawn in every step.
_base_ = '../snnet.py'
anchors = ('weights:vit_deit3_small_imagenet22k_1k', 'weights:vit_deit3_large_imagenet22k_1k')
backbone = dict(drop_path_rate=0.1, anchors_pretrained='${anchors}')
find_unused_parameters = True

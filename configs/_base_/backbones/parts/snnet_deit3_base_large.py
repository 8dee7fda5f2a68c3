# The same with DeiT III-B as the small anchor.
_base_ = './snnet_deit3.py'
anchors = ('weights:vit_deit3_base_imagenet22k_1k', 'weights:vit_deit3_large_imagenet22k_1k')
backbone = dict(arch='base_large')

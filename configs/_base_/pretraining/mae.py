# MAE, https://arxiv.org/abs/2111.06377: the backbone sees a quarter of the patches and tells the others.
# Needs of the other bases: backbone, a dataset (images.py, or one for semantic segmentation).
_base_ = './parts/images.py'
model = dict(type='denseformer.MAE', backbone='${backbone}', share=0.75)

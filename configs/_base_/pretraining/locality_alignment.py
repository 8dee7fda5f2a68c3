# Locality alignment, https://arxiv.org/abs/2410.11087: each token learns to say what its patch holds.
# Needs of the other bases: backbone (a plain one with weights), a dataset (images.py, or one for semantic segmentation).
_base_ = './parts/images.py'
model = dict(type='denseformer.LocalityAlignment', backbone='${backbone}', masks='uniform')

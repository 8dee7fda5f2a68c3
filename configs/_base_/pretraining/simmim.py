# SimMIM, https://arxiv.org/abs/2111.09886: the backbone paints in hidden cells of images, whose labels are not read.
# Needs of the other bases: backbone, a dataset (images.py, or one for semantic segmentation).
_base_ = './parts/images.py'
model = dict(type='denseformer.SimMIM', backbone='${backbone}', cell=32, share=0.6)

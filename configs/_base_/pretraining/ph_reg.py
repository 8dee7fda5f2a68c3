# PH-Reg, https://arxiv.org/abs/2505.21501: registers for a trained transformer, from its own maps of shifted views.
# Needs of the other bases: backbone (a plain one with registers), a dataset (images.py, or one for semantic segmentation).
_base_ = './parts/images.py'
model = dict(type='denseformer.RegisterDistillation', backbone='${backbone}', views=10, largest_shift=0.15)

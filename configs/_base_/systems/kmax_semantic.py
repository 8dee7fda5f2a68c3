# kMaX-DeepLab for semantic segmentation, in mmsegmentation's terms. Needs of the other bases: backbone of four maps
# (channels follow from it), num_classes, crop_size.
_base_ = ['../heads/parts/segmentor.py', './parts/kmax_head.py']
image_mean = [127.5, 127.5, 127.5]
image_std = [127.5, 127.5, 127.5]
head = dict(type='denseformer.KMaXSemanticHead')
model = dict(type='denseformer.KMaXSegmentor', decode_head='${head}')

# EoMT for semantic segmentation, in mmsegmentation's terms.
# Needs of the other bases: backbone (a plain one), num_classes, crop_size.
_base_ = ['./parts/segmentor.py', './parts/eomt_encoder.py']
encoder = dict(num_queries=100)
head = dict(type='denseformer.EoMTSemanticHead')
model = dict(type='denseformer.EoMTSegmentor', backbone='${encoder}', decode_head='${head}')

# Mask2Former for semantic segmentation, in mmsegmentation's terms.
# Needs of the other bases: backbone (channels follow from it), num_classes, crop_size.
_base_ = ['./parts/segmentor.py', './parts/mask2former_head.py']
head = dict(type='denseformer.Mask2FormerSemanticHead')
model = dict(type='denseformer.Mask2FormerSegmentor', decode_head='${head}')

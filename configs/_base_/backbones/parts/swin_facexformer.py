# FaceXFormer's encoder: a Swin-B that classifies, whose maps leave the stages without norms.
backbone = dict(type='denseformer.UNetSwin', arch='base', drop_path_rate=0.1, pretrained='swin_base_imagenet1k')
channels = (128, 256, 512, 1024)
strides = (4, 8, 16, 32)

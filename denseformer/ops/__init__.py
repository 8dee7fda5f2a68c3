"""The operators that mmcv compiles, in plain PyTorch, and the choice between mmcv's, torchvision's and these.

`import denseformer` is enough for mmdetection and mmsegmentation to import where mmcv was installed without a compiler:
`finder` then answers for the missing `mmcv._ext`, `extension` speaks its calling convention, `choice` decides whose
operator runs, and the others are the operators, differentiable functions of tensors that need torch only.
"""

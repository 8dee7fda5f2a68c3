"""The operators that mmcv compiles, in plain PyTorch, and the choice between mmcv's, torchvision's and these.

`import denseformer` is enough for mmdetection and mmsegmentation to import where mmcv was installed without a compiler:
`mmcv_import` then finds the missing `mmcv._ext`, `mmcv_ext` speaks its calling convention, `dispatch` chooses the
implementation, and the other modules are the operators, differentiable functions of tensors that need torch only.
"""

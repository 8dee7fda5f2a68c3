# SwinIR's denoising and artefact reduction: 8 GPUs of 1 patch.
_base_ = './adam_500k.py'
max_iters = 1_600_000
milestones = (800_000, 1_200_000, 1_400_000, 1_500_000)

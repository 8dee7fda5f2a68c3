"""A catalogue of operators that mix tokens: pure functions in torch, one published operator a file.

File, operator (paper, arXiv number) and the networks that use it:

    agent                agent attention (Agent Attention, 2312.08874): AgentPVT, AgentSwin
    aggregation          token aggregation by centers (CATANet, 2503.06896): CATANet
    axial                attention along rows and columns (Axial Attention, 1912.12180): PPMA, RMT
    binary               one-bit queries and keys (BinaryAttention): BinaryAttention
    channel              attention among channels (XCiT, 2106.09681; DaViT, 2204.03645): DaViT, DLGSANet ...
    contextual           contextual attention (Generative Image Inpainting, 1801.07892): PEPSI
    dilated_windows      dilated windows (CrossFormer, 2108.00154) and grids (MaxViT, 2204.01697): CrossFormer, MaxViT
    dynamic_conv         dynamic depth-wise convolution (2106.04263): DLGSANet
    foveal               aggregated pixel-focused attention (TransNeXt, 2311.17132): TransNeXt, MoH
    haar                 Haar wavelet transform (MobileMamba, 2411.15941): MobileMamba
    halo                 halo attention (HaloNet, 2103.12731): HaloNet
    hashing              hashed attention (EcoFormer, 2209.09004): EcoFormer
    linear               linear attention (2006.16236) and its injective form (InLine, 2412.06590): L2ViT, InLine, CARE
    neighborhood         neighborhood attention (NAT, 2204.07143), dilated (DiNAT, 2209.15001): NAT, DiNAT(s), A2Mamba
    outlook              outlook attention (VOLO, 2106.13112): VOLO
    overlapping          overlapping windows (HAT, 2205.04437): HAT, STViTR
    rotary               rotary position embedding (RoFormer, 2104.09864): RMT, Vim, A2Mamba, DINOv3, CroCo, ILLaMA
    routing              bi-level routing attention (BiFormer, 2303.08810): BiFormer
    selective_scan       selective scan (Mamba, 2312.00752): Vim, MobileMamba, A2Mamba, VCMamba, MambaYOLO
    shifted              attention in shifted windows (Swin, 2103.14030): Swin, SwinV2, DaViT, SwinIR, HAT, DRCT ...
    significance         tokens merged by the attention they receive (SG-Former, 2308.12216): SGFormer
    small_kernel         small-kernel aggregation (LSNet, 2503.23135): LSNet
    snake                walks through a map without a jump (PlainMamba, 2403.17695): VCMamba
    softmax_free         softmax-free attention (SOFT, 2110.11945): SOFT
    spectral             global filters (GFNet, 2107.00645): HorNet, SpectFormer
    state_space_duality  state-space duality (Mamba-2, 2405.21060; VSSD, 2407.18559): VSSD
    super_tokens         super token attention (STViT, 2211.11167): STViT
    wavelets             dual-tree complex wavelet transform (SVT, 2311.01310): SVT

They are built from `windows` (maps cut into windows, relative positions), `patches` (overlapping cuts), `neighbors_3x3`
(3 x 3 neighborhoods) and `softmax` (softmax attention over many windows). How they are computed faster than by their
definitions is told in `denseformer.kernels`.
"""

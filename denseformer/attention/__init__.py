"""A catalogue of operators that mix tokens: pure functions in torch, one published operator a file.

| file | operator | published with | used by |
|---|---|---|---|
| `agent` | agent attention | Agent Attention, arXiv 2312.08874 | AgentPVT, AgentSwin |
| `aggregation` | token aggregation by centers | CATANet, arXiv 2503.06896 | CATANet |
| `axial` | attention along rows and columns | Axial Attention, arXiv 1912.12180 | PPMA, RMT |
| `channel` | attention among channels | XCiT, arXiv 2106.09681; DaViT, arXiv 2204.03645 | DaViT, DLGSANet, DRSformer, ESSAformer |
| `contextual` | contextual attention | Generative Image Inpainting, arXiv 1801.07892 | PEPSI |
| `dilated_windows` | dilated windows, grid attention | CrossFormer, arXiv 2108.00154; MaxViT, arXiv 2204.01697 | CrossFormer, MaxViT |
| `dynamic_conv` | dynamic depth-wise convolution | arXiv 2106.04263 | DLGSANet |
| `foveal` | aggregated pixel-focused attention | TransNeXt, arXiv 2311.17132 | TransNeXt |
| `halo` | halo attention | HaloNet, arXiv 2103.12731 | HaloNet |
| `linear` | linear and injective linear attention | arXiv 2006.16236; InLine, arXiv 2412.06590 | L2ViT, InLine |
| `neighborhood` | (dilated) neighborhood attention | NAT, arXiv 2204.07143; DiNAT, arXiv 2209.15001 | NAT, DiNAT, DiNATs |
| `overlapping` | overlapping windows | HAT, arXiv 2205.04437 | HAT |
| `rotary` | rotary position embedding | RoFormer, arXiv 2104.09864 | RMT |
| `routing` | bi-level routing attention | BiFormer, arXiv 2303.08810 | BiFormer |
| `shifted` | attention in shifted windows | Swin, arXiv 2103.14030 | Swin, SwinV2, DaViT, L2ViT, UniFormer, SwinIR, HAT, DRCT, RGT |
| `significance` | tokens merged by the attention they receive | SG-Former, arXiv 2308.12216 | SGFormer |
| `softmax_free` | softmax-free attention | SOFT, arXiv 2110.11945 | SOFT |
| `super_tokens` | super token attention | STViT, arXiv 2211.11167 | STViT |

They are built from `windows` (maps cut into windows, relative positions), `patches` (overlapping cuts), `neighbors_3x3`
(3 x 3 neighborhoods) and `softmax` (softmax attention over many windows). How they are computed faster than by their
definitions is told in `denseformer.kernels`.
"""

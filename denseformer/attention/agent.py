"""Agent attention: few agents collect from all tokens, then all tokens ask the agents.

Legend: B batch, h heads, N tokens, A agents, d head width.
"""

import torch.nn.functional as F
from torch import Tensor


def agent_attention(q: Tensor, k: Tensor, v: Tensor, agents: Tensor, collect_bias: Tensor, ask_bias: Tensor) -> Tensor:
    """Softmax attention of the agents to the tokens, then of the tokens to the agents: linear in the tokens.

    q, k, v: (B, h, N, d); agents: (B, h, A, d), queries in the first step, keys in the second; collect_bias (h, A, N)
    and ask_bias (h, N, A): added to the logits -> (B, h, N, d).
    """
    collected = F.scaled_dot_product_attention(agents, k, v, attn_mask=collect_bias[None].to(q.dtype))
    return F.scaled_dot_product_attention(q, agents, collected, attn_mask=ask_bias[None].to(q.dtype))

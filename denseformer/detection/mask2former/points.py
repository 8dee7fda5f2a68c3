"""Matching of queries with labels, and losses of masks, at sampled points.

Mask2Former, https://arxiv.org/abs/2112.01527, after PointRend, https://arxiv.org/abs/1912.08193. Unlike mmdetection's,
which samples for one query at a time, keeps gradients of the matching and sorts the points, this does all queries at
once, and on NaN it reaches a NaN loss where mmdetection's matching stops.

Legend: Q queries, K classes, G labels, n masks, P points, h w masks, H W labels; points are x and y in 0 .. 1.
"""

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

CLASS, MASK, DICE = 2.0, 5.0, 5.0
"""Weights of classes, of the cross-entropy of masks and of their dice loss, in matching and in training."""
OVERSAMPLED = 3
UNCERTAIN = 0.75
"""Share of a loss's points that are the least certain ones of OVERSAMPLED times as many candidates."""


def point_sample(maps: Tensor, points: Tensor) -> Tensor:
    """Maps (n, h, w) at points that they share, (P, 2), or at their own, (n, P, 2), bilinearly -> (n, P)."""
    grid = 2 * points - 1
    if points.ndim == 2:
        return F.grid_sample(maps[None], grid[None, None], align_corners=False)[0, :, 0]
    return F.grid_sample(maps[:, None], grid[:, None], align_corners=False)[:, 0, 0]


def match_queries(
    scores: Tensor, masks: Tensor, labels: Tensor, targets: Tensor, points: Tensor
) -> tuple[Tensor, Tensor]:
    """Assign one query to each label at the least total cost -> the queries, ascending, and the label of each.

    Args:
        scores: (Q, K + 1) before the softmax.
        masks: (Q, h, w) before the sigmoid.
        labels: (G,) classes.
        targets: (G, H, W), 0 or 1.
        points: (P, 2), at which they are compared.
    """
    if not len(labels):
        nothing = labels.new_zeros(0)
        return nothing, nothing
    found, truth = point_sample(masks.float(), points), point_sample(targets.float(), points)  # (Q, P), (G, P)
    chances = found.sigmoid()
    overlap = chances @ truth.T  # (Q, G)
    dice = 1 - (2 * overlap + 1) / (chances.sum(1)[:, None] + truth.sum(1) + 1)
    cross_entropy = (F.softplus(found).sum(1)[:, None] - found @ truth.T) / len(points)
    cost = MASK * cross_entropy + DICE * dice - CLASS * scores.float().softmax(1)[:, labels]
    queries, matched = linear_sum_assignment(cost.nan_to_num(1e6, 1e6, -1e6).cpu())
    return torch.from_numpy(queries).to(labels.device), torch.from_numpy(matched).to(labels.device)


def sample_uncertain_points(masks: Tensor, count: int) -> Tensor:
    """Points for each of the masks (n, h, w), most of them where it is close to 0 -> (n, count, 2)."""
    candidates = torch.rand(len(masks), OVERSAMPLED * count, 2, device=masks.device)
    chosen = int(UNCERTAIN * count)
    closest = point_sample(masks, candidates).abs().topk(chosen, largest=False, sorted=False).indices
    uncertain = candidates.gather(1, closest[..., None].expand(-1, -1, 2))
    anywhere = torch.rand(len(masks), count - chosen, 2, device=masks.device)
    return torch.cat([uncertain, anywhere], 1)

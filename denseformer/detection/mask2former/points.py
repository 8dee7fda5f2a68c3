"""Masks compared with labels at points: which query is to find which label, and where a mask is least certain.

Mask2Former, https://arxiv.org/abs/2112.01527, after PointRend, https://arxiv.org/abs/1912.08193. mmdetection looks
points up for one query at a time, keeps the gradients of the matching and sorts the points; this does not, and on NaN
it goes on to a loss that is NaN, where mmdetection's matching stops.

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
"""Of the points of a loss, the share that lies where the mask is least certain, out of so many times as many points."""


def at_points(maps: Tensor, points: Tensor) -> Tensor:
    """Maps (n, h, w) at points that they share, (P, 2), or at their own, (n, P, 2), bilinearly -> (n, P)."""
    grid = 2 * points - 1
    if points.ndim == 2:
        return F.grid_sample(maps[None], grid[None, None], align_corners=False)[0, :, 0]
    return F.grid_sample(maps[:, None], grid[:, None], align_corners=False)[:, 0, 0]


def matching(scores: Tensor, masks: Tensor, labels: Tensor, targets: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """One query for each label, at the least cost -> the queries, ascending, and the label of each.

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
    found, truth = at_points(masks.float(), points), at_points(targets.float(), points)  # (Q, P), (G, P)
    chances = found.sigmoid()
    overlap = chances @ truth.T  # (Q, G)
    dice = 1 - (2 * overlap + 1) / (chances.sum(1)[:, None] + truth.sum(1) + 1)
    cross_entropy = (F.softplus(found).sum(1)[:, None] - found @ truth.T) / len(points)
    cost = MASK * cross_entropy + DICE * dice - CLASS * scores.float().softmax(1)[:, labels]
    queries, matched = linear_sum_assignment(cost.nan_to_num(1e6, 1e6, -1e6).cpu())
    return torch.from_numpy(queries).to(labels.device), torch.from_numpy(matched).to(labels.device)


def uncertain_points(masks: Tensor, count: int) -> Tensor:
    """Points for each of the masks (n, h, w), most of them where it is close to 0 -> (n, count, 2)."""
    candidates = torch.rand(len(masks), OVERSAMPLED * count, 2, device=masks.device)
    chosen = int(UNCERTAIN * count)
    closest = at_points(masks, candidates).abs().topk(chosen, largest=False, sorted=False).indices
    uncertain = candidates.gather(1, closest[..., None].expand(-1, -1, 2))
    anywhere = torch.rand(len(masks), count - chosen, 2, device=masks.device)
    return torch.cat([uncertain, anywhere], 1)

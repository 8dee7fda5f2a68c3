"""Non-maximum suppression.

Legend: N boxes, K boxes of one block.
"""

import torch
from torch import Tensor

BLOCK = 128  # rows of overlaps computed at once: enough to fill vector units, few enough for the CPU cache


def overlaps(boxes: Tensor, others: Tensor, offset: int = 0) -> Tensor:
    """Intersection over union of each of `boxes`, (K, 4) x1 y1 x2 y2, with each of `others`, (N, 4): (K, N).

    offset: 1 where coordinates name pixels, so that a box from x1 to x2 is x2 - x1 + 1 wide.
    """
    x1, y1, x2, y2 = boxes[:, :, None].unbind(1)  # (K, 1) each
    u1, v1, u2, v2 = others.T.contiguous().unbind(0)  # (N,) each
    width = torch.minimum(x2, u2).sub_(torch.maximum(x1, u1)).add_(offset).clamp_(min=0)
    height = torch.minimum(y2, v2).sub_(torch.maximum(y1, v1)).add_(offset).clamp_(min=0)
    shared = width.mul_(height)
    areas = (x2 - x1 + offset) * (y2 - y1 + offset)
    other_areas = (u2 - u1 + offset) * (v2 - v1 + offset)
    return shared / (areas + other_areas).sub_(shared)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Indices of the boxes that no box of a higher score overlaps by more than `iou_threshold`, best first.

    boxes: (N, 4) x1 y1 x2 y2; scores: (N,) -> (M,) int64. Blocks of boxes are settled in the order of their scores, and
    each takes out at once what it overlaps among the boxes behind it.
    """
    order = scores.argsort(descending=True)
    boxes = boxes.float()[order]
    left = torch.arange(len(boxes), device=boxes.device)
    kept = []
    while len(left):
        block, left = left[:BLOCK], left[BLOCK:]
        block = block[first_come(overlaps(boxes[block], boxes[block], offset) > iou_threshold)]
        kept.append(block)
        covered = (overlaps(boxes[block], boxes[left], offset) > iou_threshold).any(0)
        left = left[~covered]
    return order[torch.cat(kept)] if kept else order


def first_come(conflicts: Tensor) -> Tensor:
    """Greedy selection: mask of the K candidates that are taken in order if each excludes those it conflicts with.

    conflicts: (K, K) bool -> (K,) bool. A candidate is taken if it is in conflict with none that is taken before it.
    The rule is applied to all at once until nothing changes; after n rounds the first n are settled, so this ends.
    """
    earlier = conflicts.triu(1)  # [i, j]: i comes before j and excludes it
    taken = torch.ones(len(conflicts), dtype=torch.bool, device=conflicts.device)
    while True:
        settled = ~(earlier & taken[:, None]).any(0)
        if torch.equal(settled, taken):
            return taken
        taken = settled


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    min_score: float = 1e-3,
    method: str = 'linear',
    offset: int = 0,
) -> tuple[Tensor, Tensor]:
    """Soft-NMS, https://arxiv.org/abs/1704.04503: scores are lowered by overlap rather than boxes dropped.

    boxes: (N, 4); scores: (N,); method: 'naive' (ordinary suppression), 'linear' or 'gaussian' -> dets (M, 5), boxes
    and lowered scores, best first, and their indices (M,). Boxes whose score falls below `min_score` are dropped.
    """
    if method not in ('naive', 'linear', 'gaussian'):
        raise ValueError(f"soft_nms has no method '{method}'; there are 'naive', 'linear' and 'gaussian'.")
    corners = boxes.float().T * torch.tensor([[1.0], [1], [-1], [-1]], device=boxes.device)  # x1 y1 -x2 -y2, (4, N)
    areas = (boxes[:, 2:].float() - boxes[:, :2].float() + offset).prod(1)
    scores = scores.float().clone()
    order: list[int] = []
    lowered: list[float] = []
    for _ in range(len(boxes)):
        best = int(scores.argmax())
        score = float(scores[best])
        if order and score < min_score:
            break
        order.append(best)
        lowered.append(score)
        inner = torch.maximum(corners, corners[:, best, None])  # the corners of what each box shares with the best
        shared = (inner[:2] + inner[2:]).sub_(offset).clamp_(max=0).prod(0)  # both sides are negative
        iou = (shared / (areas + areas[best]).sub_(shared)).nan_to_num_(0.0)  # flat boxes overlap nothing
        if method == 'gaussian':
            scores *= iou.square_().div_(-sigma).exp_()
        else:
            scores *= torch.where(iou >= iou_threshold, 1 - iou if method == 'linear' else 0.0, 1.0)
        scores[best], corners[:, best] = -torch.inf, torch.inf  # out of the way
    inds = torch.tensor(order, dtype=torch.long, device=boxes.device)
    dets = torch.cat([boxes[inds], boxes.new_tensor(lowered)[:, None]], 1)
    return dets, inds


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """The boxes that `nms` removes, by the box that removes them: a list of indices per kept box, the kept one first.

    dets: (N, 5), boxes and scores. Here a box goes that overlaps by `iou_threshold` exactly, as in mmcv.
    """
    left = dets[:, 4].argsort(descending=True)
    groups = []
    while len(left):
        best, left = left[0], left[1:]
        covered = overlaps(dets[best, None, :4], dets[left, :4])[0] >= iou_threshold
        groups.append([int(best), *left[covered].tolist()])
        left = left[~covered]
    return groups

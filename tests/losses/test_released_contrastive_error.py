# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the released code of the group contrastive loss does otherwise, in a few lines, and ours beside it."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from monai_al.losses import GroupContrastiveLoss
from monai_al.losses._contrastive import group

# Two patients of two volumes of three slices, the first two of them adjacent.
PATIENTS = torch.tensor([0] * 6 + [1] * 6)
VOLUMES = torch.tensor([0] * 3 + [1] * 3 + [2] * 3 + [3] * 3)
SLICES = torch.tensor([0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7])
KINDS = {"patient": PATIENTS, "volume": VOLUMES, "slice": SLICES}
N = len(PATIENTS)
each_kind = pytest.mark.parametrize("kind", KINDS)


def views(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(N, 4, generator=generator, dtype=torch.float64) for _ in range(2)]


def released_positives(groups: torch.Tensor, *, start: bool = True) -> torch.Tensor:
    """Which pairs of the 2N views are positive: all of them from the start, so that adding the groups adds nothing."""
    twice = groups.repeat(2)
    positives = torch.full((len(twice), len(twice)), start) | (twice[:, None] == twice)
    return positives.fill_diagonal_(False)


def released_loss(view_a, view_b, groups, patients, *, start=True):
    """Each positive against the views of other patients and no others, as a mean over the positives of all 2N views."""
    unit = F.normalize(torch.cat([view_a, view_b]), dim=1)
    similar = (unit @ unit.T / 0.5).exp()
    owners = patients.repeat(2)
    negative = (similar * (owners[:, None] != owners)).sum(1, keepdim=True)
    positives = released_positives(groups, start=start)
    return -(similar / (similar + negative)).log()[positives].sum() / positives.sum()


def differences(losses) -> list[float]:
    return [abs(a - b).item() for a, b in itertools.combinations(losses, 2)]


@pytest.mark.parametrize("seed", range(5))
def test_each_kind_of_group_has_a_loss_of_its_own(seed):
    given = views(seed)
    assert differences([released_loss(*given, groups, PATIENTS) for groups in KINDS.values()]) == [0, 0, 0]
    ours = [GroupContrastiveLoss()(*given, groups, PATIENTS) for groups in KINDS.values()]
    assert min(differences(ours)) > 0.02


@each_kind
def test_positives_and_denominator_are_those_of_the_definition(kind):
    """At equal similarities a positive lowers the loss, the rest of its denominator raises it, nothing else counts."""
    groups = KINDS[kind]
    logits = torch.zeros(N, 2 * N, dtype=torch.float64)
    logits.diagonal().fill_(-math.inf)
    logits.requires_grad_()
    group(groups, PATIENTS)(logits, range(N)).backward()
    g, p = 2 * groups.tolist(), 2 * PATIENTS.tolist()
    for i, k in itertools.product(range(N), range(2 * N)):
        positive = k >= N and g[k] == g[i]
        in_denominator = k != i and (g[k] == g[i] or p[k] != p[i])
        assert torch.sign(logits.grad[i, k]) == (-1 if positive else int(in_denominator))
    assert released_positives(groups).sum() == 2 * N * (2 * N - 1)  # of any kind: every pair


@each_kind
def test_views_of_the_group_stand_in_the_denominator(kind):
    """With a right mask of positives the released loss is not the same either."""
    given = *views(), KINDS[kind], PATIENTS
    released = released_loss(*given, start=False)
    for two_sided in (False, True):
        assert abs(GroupContrastiveLoss(two_sided=two_sided)(*given) - released) > 0.05


@each_kind
def test_a_batch_of_one_patient_teaches_something(kind):
    groups, patients = KINDS[kind][:6], PATIENTS[:6]
    norms = []
    for loss in (lambda *given: released_loss(*given, start=False), GroupContrastiveLoss()):
        view_a, view_b = (view[:6].requires_grad_() for view in views())
        found = loss(view_a, view_b, groups, patients)
        found.backward()
        norms.append((found.item(), view_a.grad.norm().item()))
    assert norms[0] == pytest.approx((0, 0), abs=1e-12)
    assert min(norms[1]) > 0.05

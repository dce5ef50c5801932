# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Selection: arrays in, indices out.

Every function has the form ``f(..., budget, labeled=(), rng=None)`` and returns exactly ``budget`` distinct int64
indices, none of them in ``labeled``, in pick order.
"""

from monai_al.selection.check import (
    candidates,
    check_budget,
    check_labeled,
    check_scores,
    tie_rng,
)
from monai_al.selection.class_shares import check_share, class_shares
from monai_al.selection.cluster_quota import (
    centroid_distances,
    cluster_quota,
    clusters_of_all,
    fewer_clusters,
    nearest_by_quota,
)
from monai_al.selection.coverage import Coverage, check_groups, spread
from monai_al.selection.embeddings import check_embeddings, unit_vectors
from monai_al.selection.k_center import k_center_greedy
from monai_al.selection.k_means import k_means
from monai_al.selection.merge_alternating import merge_alternating
from monai_al.selection.power_noise import check_beta, geometric, power_noise
from monai_al.selection.prob_cover import newly_held, prob_cover, pure_radius, radius_of_clusters
from monai_al.selection.ranks import ranks
from monai_al.selection.score_bins import (
    check_quotas,
    largest_remainder,
    last_bin,
    lowest_highest_middle,
    modal_bin,
)
from monai_al.selection.stochastic_batches import stochastic_batches
from monai_al.selection.stratified import stratified
from monai_al.selection.top_k import top_k
from monai_al.selection.typical_of_clusters import check_small_clusters, typical_of_clusters

__all__ = [
    "Coverage",
    "candidates",
    "centroid_distances",
    "check_beta",
    "check_budget",
    "check_embeddings",
    "check_groups",
    "check_labeled",
    "check_quotas",
    "check_scores",
    "check_share",
    "check_small_clusters",
    "class_shares",
    "cluster_quota",
    "clusters_of_all",
    "fewer_clusters",
    "geometric",
    "k_center_greedy",
    "k_means",
    "largest_remainder",
    "last_bin",
    "lowest_highest_middle",
    "merge_alternating",
    "nearest_by_quota",
    "modal_bin",
    "newly_held",
    "power_noise",
    "prob_cover",
    "pure_radius",
    "radius_of_clusters",
    "ranks",
    "spread",
    "stochastic_batches",
    "stratified",
    "tie_rng",
    "top_k",
    "typical_of_clusters",
    "unit_vectors",
]

# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What is asked, labeled and known: items, pools, queries, rounds, run folders. No torch, no voxels."""

from monai_al.records.budget import round_sizes
from monai_al.records.errors import DataError
from monai_al.records.held_out import held_out
from monai_al.records.identity import (
    config_difference,
    config_hash,
    pool_difference,
    pool_from_json,
    pool_record,
    pool_to_json,
)
from monai_al.records.item import CLASS_NUMBERS, STORED_CODES, Item, slice_id, slices_of
from monai_al.records.label_values import NOT_ANNOTATED, whole_label_values
from monai_al.records.labels import (
    FULL,
    GROUND_TRUTH,
    KINDS,
    ORACLE,
    PSEUDO,
    UNANNOTATED,
    WEAK,
    Label,
    LabelReturn,
    Labels,
    is_oracle,
    kind_of,
)
from monai_al.records.pool import SPLITS, Pool, split_by_patient
from monai_al.records.pseudo_labels import read_pseudo_labels
from monai_al.records.query import TEST, Query, QueryItem, round_name, round_numbers, round_title
from monai_al.records.randomness import derived_seed, rng
from monai_al.records.round import Round
from monai_al.records.run_folder import RunFolder, RunFolderError, read_labels
from monai_al.records.stored_files import content_hash, file_identity
from monai_al.records.undefined import UNDEFINED, shown
from monai_al.records.whole_volumes import whole_volumes

__all__ = [
    "CLASS_NUMBERS",
    "FULL",
    "GROUND_TRUTH",
    "KINDS",
    "NOT_ANNOTATED",
    "ORACLE",
    "PSEUDO",
    "SPLITS",
    "STORED_CODES",
    "TEST",
    "UNANNOTATED",
    "UNDEFINED",
    "WEAK",
    "DataError",
    "Item",
    "Label",
    "LabelReturn",
    "Labels",
    "Pool",
    "Query",
    "QueryItem",
    "Round",
    "RunFolder",
    "RunFolderError",
    "config_difference",
    "config_hash",
    "content_hash",
    "derived_seed",
    "file_identity",
    "held_out",
    "is_oracle",
    "kind_of",
    "pool_difference",
    "pool_from_json",
    "pool_record",
    "pool_to_json",
    "rng",
    "read_labels",
    "read_pseudo_labels",
    "round_name",
    "round_numbers",
    "round_sizes",
    "round_title",
    "shown",
    "slice_id",
    "slices_of",
    "split_by_patient",
    "whole_label_values",
    "whole_volumes",
]

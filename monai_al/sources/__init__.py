# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a loop knows of its data: a pool with cached volumes, or the entries of a foreign bundle."""

from monai_al.sources.annotation_cost import annotation_cost
from monai_al.sources.base import EvaluationPass, KeepsScores, Source
from monai_al.sources.entry_settings import EntrySettings
from monai_al.sources.entry_source import EntrySource
from monai_al.sources.slice_source import SliceSource
from monai_al.sources.source_of import source_of
from monai_al.sources.summary import summary_of

__all__ = [
    "EntrySettings",
    "EntrySource",
    "EvaluationPass",
    "KeepsScores",
    "SliceSource",
    "Source",
    "annotation_cost",
    "source_of",
    "summary_of",
]

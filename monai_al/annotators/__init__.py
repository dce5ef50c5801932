# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Who answers queries."""

from monai_al.annotators.base import Annotator, Answer, ask
from monai_al.annotators.drawing_oracle import DrawingOracle
from monai_al.annotators.folder import Folder
from monai_al.annotators.oracle import Oracle
from monai_al.annotators.scribble_oracle import ScribbleOracle
from monai_al.annotators.weak_oracle import WeakOracle
from monai_al.annotators.work import Work

__all__ = ["Annotator", "Answer", "DrawingOracle", "Folder", "Oracle", "ScribbleOracle", "WeakOracle", "Work", "ask"]

# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI Label asks a run for the next image, and gives it the labels: a strategy, a scoring method and an app."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from monai_al.assets import docs_page
from monai_al.integrations.run_desk import FACTS, ImageStore, RunDesk
from monai_al.records import DataError

try:
    from fastapi import HTTPException
    from monailabel.interfaces.app import MONAILabelApp
    from monailabel.interfaces.tasks.scoring import ScoringMethod
    from monailabel.interfaces.tasks.strategy import Strategy
except ImportError as error:
    raise ImportError(
        f"monai_al.integrations.monailabel needs MONAI Label ({error}): install it into an environment of its own, "
        'pip install --constraint constraints-monailabel.txt "monai_al[monailabel]", as '
        f"{docs_page('monailabel.md')} tells"
    ) from error

__all__ = ["NextSlices", "RunApp", "SliceRanks", "label_saved"]

logger = logging.getLogger(__name__)

NEXT_SLICES, SLICE_RANKS = "next_slices", "slice_ranks"
WAITING, EMPTY = "waiting", "empty"


class NextSlices(Strategy):
    """Gives the image whose slices the run waits for, in the order of its query.

    Each call first takes into the run what was saved since. The image's id comes with the key ``monai_al``: the round,
    and the slices that wait as array index, as ITK-SNAP counts them and as 3D Slicer shows them, with the reason. The
    same is noted with the image. Nothing comes where nothing waits; the log says what goes on.

    Args:
        run: the run folder, of a run with the overlay ``annotators/folder``.
        empty_slices: what a requested slice without any label is, in a label that is sent: ``"waiting"`` until
            somebody says that nothing is there, or ``"empty"``. A client may choose ``"empty"`` for what it sent.

    Raises:
        ValueError: ``empty_slices`` is neither.
        DataError: it is no run folder.

    Example:
        >>> NextSlices("no/such/run")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no/such/run is no run folder: it holds no run.json; give the output_dir ...
    """

    def __init__(self, run: str | Path, empty_slices: str = WAITING) -> None:
        super().__init__("The slices that monai_al waits for")
        if empty_slices not in (WAITING, EMPTY):
            raise ValueError(f"empty_slices={empty_slices!r} is neither {WAITING!r} nor {EMPTY!r}")
        self.choices = sorted((WAITING, EMPTY), key=lambda one: one != empty_slices)
        self.desk = RunDesk(run, empty=empty_slices == EMPTY)

    def info(self) -> dict[str, Any]:
        """The description, and the option that clients show."""
        return super().info() | {"config": {"empty_slices": list(self.choices)}}

    def __call__(self, request: dict[str, Any], datastore: ImageStore) -> dict[str, Any]:
        """The next image.

        Args:
            request: ``client_id``, who asks, and ``empty_slices``.
            datastore: the server's images and labels.

        Raises:
            HTTPException: the images of the server are not those of the run, or a file of the run is broken; clients
                show the reason.
        """
        client = str(request.get("client_id") or "")
        try:
            if client and request.get("empty_slices") == EMPTY:
                self.desk.say_empty(client)
            done = self.desk.collect(datastore)
            found = self.desk.next_image(datastore, client)
        except DataError as error:
            logger.error(error)
            raise HTTPException(status_code=500, detail=str(error)) from error
        if found is None:
            return {}
        image, facts = found
        return {"id": image, FACTS: facts, **({"import": done.to_json()} if done.to_json() else {})}


class SliceRanks(ScoringMethod):
    """Notes with each image how it ranks in the query, its score, and the slices that the run waits for.

    Args:
        run: the run folder, of a run with the overlay ``annotators/folder``.

    Raises:
        DataError: it is no run folder.

    Example:
        >>> SliceRanks("no/such/run")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no/such/run is no run folder: it holds no run.json; give the output_dir ...
    """

    def __init__(self, run: str | Path) -> None:
        super().__init__("Rank of each image in the query of monai_al")
        self.desk = RunDesk(run)

    def __call__(self, request: dict[str, Any], datastore: ImageStore) -> dict[str, Any]:
        """Note it.

        Args:
            request: nothing of it is used.
            datastore: the server's images and labels.

        Returns:
            The image's id -> how many of its slices wait.
        """
        return {image: facts["waiting"] for image, facts in self.desk.facts(datastore).items()}


def label_saved(desk: RunDesk, datastore: ImageStore, image_id: str) -> dict[str, Any]:
    """Take a label into the run that was just saved, for ``on_save_label`` of an app.

    Args:
        desk: of the run.
        datastore: the server's images and labels.
        image_id: whose label was saved.

    Returns:
        What became of it, which clients show.

    Example:
        >>> label_saved.__name__
        'label_saved'
    """
    try:
        return {FACTS: desk.receive(datastore, image_id).to_json()}
    except DataError as error:
        logger.warning(error)
        return {FACTS: {"problems": {image_id: str(error)}}}


class RunApp(MONAILabelApp):
    """An app without models: it hands out the slices of a run, and takes in their labels.

    Args:
        app_dir: the app's folder.
        studies: the folder with the images.
        conf: ``run``, the run folder; optionally ``empty_slices``, see :class:`NextSlices`.

    Raises:
        DataError: no run folder is given, or the studies are no folder.

    Example:
        >>> RunApp("app", "studies", {})
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: the app needs a run folder: start the server with --conf run RUN_FOLDER
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        if not conf.get("run"):
            raise DataError("the app needs a run folder: start the server with --conf run RUN_FOLDER")
        if studies.startswith(("http://", "https://")):
            raise DataError(f"{studies}: the app hands out images that lie in a folder; give one by --studies")
        self.run = conf["run"]
        self.empty_slices = conf.get("empty_slices", WAITING)
        self.desk = RunDesk(self.run, empty=self.empty_slices == EMPTY)
        super().__init__(
            app_dir,
            studies,
            conf,
            name="monai_al",
            description="The slices that a run of monai_al waits for",
            labels=self.desk.classes[1:],
        )

    def init_strategies(self) -> dict[str, Strategy]:
        """The one strategy."""
        return {NEXT_SLICES: NextSlices(self.run, self.empty_slices)}

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """The one scoring method."""
        return {SLICE_RANKS: SliceRanks(self.run)}

    def on_save_label(self, image_id: str, label_id: str) -> dict[str, Any]:
        """Take a label into the run, and tell the client what became of it."""
        super().on_save_label(image_id, label_id)
        return label_saved(self.desk, self.datastore(), image_id)

    def async_scoring(self, method: str | None, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Score in this process, at once: one of its own would write the server's list of images at the same time."""
        try:
            result = self.scoring({"method": method or SLICE_RANKS})
        except DataError as error:
            logger.warning(error)
            return {}
        return result if method else {SLICE_RANKS: result}

# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run's network, or the one that a bundle comes with, applied: to new scans, or to labeled data."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monai_al.bundle.errors import BundleConfigError
from monai_al.bundle.run_record import plain
from monai_al.bundle.training_config import TrainingConfig
from monai_al.data import SliceDataset
from monai_al.datasets.unlabeled import image_folder, unlabeled_images
from monai_al.engines.bundle_model import BundleModel
from monai_al.engines.threads import torch_threads
from monai_al.engines.trained_run import TrainedRun
from monai_al.inferers import TrainedNetwork
from monai_al.options import literal
from monai_al.records import SPLITS, DataError, Item, Pool
from monai_al.records.stored_files import common_channel, stored_channels
from monai_al.sources import SliceSource
from monai_al.sources.first_try import output_channels
from monai_al.sources.source_of import CACHE_ID, POOL_ID

__all__ = ["AppliedRun", "apply_to_part", "apply_to_scans"]

PARTS = (*SPLITS, "all")
LISTED_IDS = ("pool::pool", "datalist", POOL_ID)  # the data set before it is split, as far as a config tells it apart
# which data, where they lie and how fast; all else stays as the network was trained
FREE_IDS = {
    "batch_size", "cache_dir", "datalist", "dataset_dir", "device", "num_workers", "phantom", "progress", "split_seed",
    "test_fraction", "validation_fraction",
}  # fmt: skip

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AppliedRun:
    """A trained network and the items it is applied to.

    Args:
        run: the run that trained it, or the bundle that came with it.
        data: where the items' volumes lie.
        items: all slices of every volume.
        trained: the network of one round.
        round: the round; None of a bundle's own network.
        part: name of these items.

    Example:
        >>> data = SliceSource(Pool([]), cache=None)
        >>> AppliedRun(run=None, data=data, items=(), trained=None, round=0, part="all").prepare()
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: there are no items: the part 'all' is empty
    """

    run: TrainedRun | BundleModel
    data: SliceSource
    items: Sequence[Item]
    trained: TrainedNetwork
    round: int | None
    part: str

    @property
    def settings(self) -> dict[str, Any]:
        """The loop's settings, such as ``empty_policy``."""
        return self.run.settings

    def prepare(self) -> None:
        """Read and check all volumes, and try the network on one of each kind.

        Raises:
            DataError: there are no items; or images or labels that cannot be used (all are listed); or the network
                cannot predict an image.
        """
        if not self.items:
            raise DataError(f"there are no items: the part {self.part!r} is empty")
        self.data.prepare(self.items)
        n_classes = len(self.data.data.classes)
        for item in self._one_of_each_kind():
            image = SliceDataset([item], self.data.cache, with_label=False)[0]["image"]
            channels = output_channels(self.trained, image, item.image)
            if channels != n_classes and not (channels == 1 and n_classes == 2):
                raise DataError(f"the network has {channels} output channels for {n_classes} classes")

    def _one_of_each_kind(self) -> Iterable[Item]:
        kinds: dict[tuple[int, ...], Item] = {}
        for item in self.items:
            shape = self.data.cache.get(item).image.shape
            plane = item.slice is not None or shape[0] == 1  # a try costs next to nothing
            kinds.setdefault(shape[1:] if plane else shape[1:2], item)
        return kinds.values()

    def run_evaluator(self, evaluator: Any, threads: int | None = None) -> None:
        """Run an evaluator and say over what.

        Args:
            evaluator: a ``SupervisedEvaluator`` over the items.
            threads: CPU threads of torch; None leaves them as they are.
        """
        volumes = {item.volume for item in self.items}
        network = self.run.path if self.round is None else f"round {self.round} of {self.run.path}"
        logger.info("%s on %s: %d volumes", network, self.part, len(volumes))
        with torch_threads(threads):
            evaluator.run()


def apply_to_scans(
    run_dir: str | Path | None,
    dataset_dir: str | Path | None = None,
    round: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    trust: bool = False,
    bundle: str | Path | None = None,
) -> AppliedRun:
    """A run's network for images whose labels are never read.

    Args:
        run_dir: the run folder; None takes the network that ``bundle`` comes with.
        dataset_dir: an image; or a folder of images, or one with ``imagesTs`` or ``images``, see
            :func:`monai_al.datasets.unlabeled.unlabeled_images`; or the root of a data set, as the run's own
            ``datalist`` reads it: all its images, of the run's own data set the test part. None: the run's own data.
        round: a round of the run; None takes the last one.
        overrides: id -> value over the recorded training config, for which data and where; what else differs from
            the record is told and stays as recorded. ``output_dir`` is not meant for it.
        trust: execute the recorded config although the user did not make the folder on this machine.
        bundle: the folder of a bundle with a ``models/model.pt``, for where no run is given.

    Raises:
        RunFolderError: a file of the run differs from what was written, or the run is not known and not trusted.
        DataError: there is no such run, no such round, or no images; or neither a run nor a bundle with a network.
        BundleConfigError: the run belongs to a bundle that knows nothing of this package.

    Example:
        >>> apply_to_scans("no/run")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no/run is no run folder: it holds no run.json; give the output_dir of a run
    """
    path = None if dataset_dir is None else Path(str(dataset_dir)).expanduser()
    asked = {**(overrides or {}), **({} if path is None else {"dataset_dir": literal(str(path))})}
    run = _own_run(run_dir, asked, trust, bundle)
    pool, part = _scans(run, path, overrides or {})
    _config_of(run).share(**{POOL_ID: pool})
    return _applied(run, pool.items, round, part)


def apply_to_part(
    run_dir: str | Path | None,
    part: str | None = None,
    round: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    trust: bool = False,
    bundle: str | Path | None = None,
) -> AppliedRun:
    """A run's network for labeled data.

    Args:
        run_dir: the run folder, or None, as for :func:`apply_to_scans`.
        part: ``train``, ``validation``, ``test`` or ``all``. None: the test part of the run's own data set, all of
            another one.
        round: a round of the run; None takes the last one.
        overrides: as for :func:`apply_to_scans`.
        trust: the same.
        bundle: the same.

    Raises:
        RunFolderError: as for :func:`apply_to_scans`.
        DataError: there is no such run or round, or the data cannot be used.
        BundleConfigError: the run belongs to a bundle that knows nothing of this package, there is no such part, or the
            part has to be told.

    Example:
        >>> apply_to_part("no/run")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no/run is no run folder: it holds no run.json; give the output_dir of a run
    """
    if part is not None and part not in PARTS:
        raise BundleConfigError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
    run = _own_run(run_dir, overrides, trust, bundle)
    recorded, listed = run.pool, _listed(run)
    if listed.classes != recorded.classes:
        who = "the run" if isinstance(run, TrainedRun) else "the bundle's network"
        raise DataError(
            f"the data set has the classes {', '.join(listed.classes)}, {who} {', '.join(recorded.classes)}: one "
            "network scores one set of classes; give them to the data set (such as --datalist#classes)"
        )
    part = part or _usual_part(listed, recorded)
    if part == "all":
        _config_of(run).share(**{POOL_ID: listed})
        items = listed.items
    else:
        items = _data_of(run).data.part(part).items
    applied = _applied(run, items, round, part)
    _tell_labeled(applied)
    return applied


# -- the run -----------------------------------------------------------------------------------------------------------


def _own_run(
    run_dir: str | Path | None, overrides: Mapping[str, Any] | None, trust: bool, bundle: str | Path | None
) -> TrainedRun | BundleModel:
    asked = {id: value for id, value in (overrides or {}).items() if id != "output_dir"}
    run = _found(run_dir, asked, trust, bundle)  # finds misspelled ids
    if not (run.training.declares(POOL_ID) and run.training.declares(CACHE_ID)):
        raise BundleConfigError(
            f"{run_dir} is a run of a bundle with its own way of reading images: use that bundle's own inference "
            "config with the weights round_NN/model_0.pt of the run, which hold {'model': state_dict}"
        )
    fixed = [id for id in asked if re.split("#|::", id)[0] not in FREE_IDS]
    if fixed:
        run = run.with_overrides({id: value for id, value in asked.items() if id not in fixed})
        _tell_kept(run, {id: asked[id] for id in fixed})
    return run


def _found(
    run_dir: str | Path | None, asked: Mapping[str, Any], trust: bool, bundle: str | Path | None
) -> TrainedRun | BundleModel:
    if run_dir is not None:
        return TrainedRun(Path(str(run_dir)).expanduser(), asked, trust=trust)
    if bundle is not None:
        return BundleModel(bundle, asked)
    raise DataError("no run is given: say with --run_dir where its folder lies")


def _config_of(run: TrainedRun | BundleModel) -> TrainingConfig:
    assert isinstance(run.training, TrainingConfig)  # as it declares a pool and a cache
    return run.training


def _tell_kept(run: TrainedRun | BundleModel, asked: Mapping[str, Any]) -> None:
    recorded = _config_of(run).parser({})
    kept = [id for id, value in asked.items() if id not in recorded or plain(recorded[id]) != plain(value)]
    if kept:
        logger.warning("%s stay%s as the run was trained", ", ".join(kept), "s" if len(kept) == 1 else "")


def _applied(run: TrainedRun | BundleModel, items: Sequence[Item], round: int | None, part: str) -> AppliedRun:
    number = run.last_round if round is None and isinstance(run, TrainedRun) else round
    return AppliedRun(run, _data_of(run), items, run.network(number), number, part)


def _data_of(run: TrainedRun | BundleModel) -> SliceSource:
    source = run.source
    assert isinstance(source, SliceSource)  # as it declares a pool and a cache
    return source


def _listed(run: TrainedRun | BundleModel) -> Pool:
    """The data set, before it is split."""
    id = next(id for id in LISTED_IDS if run.training.declares(id))
    (pool,) = _config_of(run).resolve(id)
    _config_of(run).share(**{id: pool})
    return pool


def _ids(pool: Pool) -> set[str]:
    return {item.id for item in pool}


# -- which items -------------------------------------------------------------------------------------------------------


def _scans(run: TrainedRun | BundleModel, path: Path | None, asked: Mapping[str, Any]) -> tuple[Pool, str]:
    """The images to segment, and what they are called."""
    recorded = run.pool
    kind = "slice" if any(item.slice is not None for item in recorded) or not len(recorded) else "volume"
    images = functools.partial(
        unlabeled_images,
        classes=recorded.classes,
        label_values=recorded.label_values,
        item=kind,
        channel=common_channel(item.image for item in recorded),
        slice_axis=_slice_axis(asked, recorded),
        channel_files=any(len(stored_channels(item.image)) > 1 for item in recorded),
    )
    part = str(path)
    listed_there = path is not None and path.suffix.lower() == ".json"
    if path is not None and not listed_there and not (path.is_dir() and image_folder(path) is None):
        return _told(images(path)), part
    try:
        listed = _listed(run)
    except DataError:
        if path is None or listed_there:
            raise
        return _told(images(path)), part  # folders in folders
    _told(listed)
    if _ids(listed) == _ids(recorded):
        listed, part = _config_of(run).resolve(POOL_ID)[0].part("test"), "the test part of the run's own data"
    items = [replace(item, label=None) for item in listed]
    return Pool(items, recorded.classes, recorded.label_values, listed.root), part


def _slice_axis(asked: Mapping[str, Any], recorded: Pool) -> int | str:
    """The slice axis of new images: that of the run, unless another one is asked for."""
    datalist = asked.get("datalist")
    of_overlay = datalist.get("slice_axis") if isinstance(datalist, Mapping) else None
    given = asked.get("datalist#slice_axis", of_overlay)
    return recorded.slice_axis if given is None else given


def _told(pool: Pool) -> Pool:
    for note in pool.notes:
        logger.info("note: %s", note)
    return pool


def _usual_part(listed: Pool, recorded: Pool) -> str:
    found, known = _ids(listed), _ids(recorded)
    if found & known and found != known:
        raise BundleConfigError(
            f"the data set has {len(found & known)} of its {len(found)} items in common with the run's, so the network "
            f"may have been trained on some: give --part, one of {', '.join(PARTS)}"
        )
    return "test" if found == known else "all"


def _tell_labeled(applied: AppliedRun) -> None:
    labeled = set(applied.run.labeled(applied.round)) & {item.id for item in applied.items}
    if labeled:
        logger.info("note: %d of these %d items are labeled in the run", len(labeled), len(applied.items))

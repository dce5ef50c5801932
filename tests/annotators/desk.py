# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Work that was handed out, and a person who does it with SimpleITK."""

from __future__ import annotations

import csv

import nibabel
import numpy as np
import SimpleITK

from monai_al.annotators import Folder, Work
from monai_al.data import VolumeCache
from monai_al.datasets import phantom
from monai_al.engines.answers import record_answer
from monai_al.records import Query, QueryItem, RunFolder, pool_to_json
from monai_al.records.files import write_json
from monai_al.records.work_list import work_path
from monai_al.sources import SliceSource


class Desk:
    """Four slices of two volumes, handed out; what a person does with them, and what the run then holds."""

    def __init__(self, path, predicted=True, scribbles=False):
        self.annotator = Folder(scribbles=scribbles)
        self.pool = phantom(
            path / "data", patients=2, volumes_per_patient=1, shape=(16, 18, 6), classes=["background", "organ"]
        )
        self.source = SliceSource(
            self.pool, VolumeCache(path / "cache", label_values=self.pool.label_values, progress=False)
        )
        first, second = self.pool.volumes
        self.ids = (f"{first}/0002", f"{first}/0003", f"{second}/0001", f"{second}/0004")
        self.query = Query(0, "random", 0, tuple(QueryItem(id, 0.5, "random") for id in self.ids))
        self.run = RunFolder(path / "run")
        self.run.write_query(self.query)
        config = {"learner": {"annotator_settings": vars(self.annotator)}}
        write_json(self.run.path / "run.json", {"annotator": "folder", "sizes": [4, 4], "config": config})
        write_json(self.run.path / "pool.json", pool_to_json(self.pool, self.source.hashes()))
        self.place = work_path(self.run.path, 0)
        self.predicted = predicted

    def item(self, id):
        return self.pool[self.pool.index(id)]

    def truth(self, id):
        """The whole volume of an item, with something on every slice."""
        classes = np.asarray(nibabel.load(self.item(id).label).dataobj).astype(np.uint8)
        classes[3:5, 4:8] = 1
        return classes

    def annotation(self, id):
        return next(self.place.glob(f"*{self.item(id).volume}*/annotation.nii.gz"))

    def paint(self, *ids, change=lambda plane: plane):
        """Paint the truth of some slices into their annotation files, and save as ITK-SNAP does."""
        for id in ids:
            image = SimpleITK.ReadImage(str(self.annotation(id)))
            voxels = SimpleITK.GetArrayFromImage(image).astype(np.uint16)
            z = self.item(id).slice
            voxels[z] = change(self.truth(id)[..., z].copy()).T
            saved = SimpleITK.GetImageFromArray(voxels)
            saved.CopyInformation(image)
            SimpleITK.WriteImage(saved, str(self.annotation(id)), useCompression=True)

    def say(self, **states):
        """Set states in the work list, by the last digits of the ids."""
        path = self.place / "worklist.csv"
        rows = list(csv.DictReader(path.open(newline="")))
        for row in rows:
            row["state"] = states.get(f"z{row['id'][-1]}", row["state"])
        with path.open("w", newline="", encoding="utf-8-sig") as file:  # as spreadsheets save it
            writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
            writer.writeheader()
            writer.writerows(rows)

    def ask(self):
        """One start of the run: ask for what is not labeled yet, and record it."""
        labels = self.run.labels(self.query.round)
        missing = tuple(item for item in self.query.items if item.id not in labels)
        query = Query(self.query.round, "random", 0, missing)
        predict = None
        if self.predicted:
            predict = lambda item: (self.truth(item.id) * 0 + np.arange(18)[:, None] // 12).astype(np.uint8)  # noqa: E731
        answer = self.annotator.annotate(query, self.pool, Work(self.run.path, self.source, labels, predict))
        waiting, _ = record_answer(self.run, query, answer, "folder", self.source)
        assert set(answer.problems) <= set(waiting)
        return answer

    def taken(self):
        return sorted(self.run.labels(0))

    def check(self, *ids):
        """That the run holds these labels and no others, voxel by voxel."""
        labels = self.run.labels(0)
        assert sorted(labels) == sorted(ids)
        for id in ids:
            plane = np.asarray(nibabel.load(labels[id].under(self.run.round_path(0)).where).dataobj)
            np.testing.assert_array_equal(plane[..., self.item(id).slice], self.truth(id)[..., self.item(id).slice])

    def notes(self):
        path = self.place / "worklist.csv"
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {row["id"]: row["note"] for row in csv.DictReader(file)}

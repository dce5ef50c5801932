# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""JSON lists: MONAI's, with every key they may have, and nnU-Net's folders."""

from __future__ import annotations

import json
from pathlib import Path

import monai.bundle
import numpy as np
import pytest

from monai_al.data import DataError, read_volume
from monai_al.datasets import datalist, decathlon, describe

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "bundles" / "selective_uncertainty_spleen" / "configs"
CLASSES = ("background", "organ")


@pytest.fixture
def listed(write, tmp_path):
    """Write a JSON file and the files that it names, relative to it."""

    def make(content, name="dataset.json", *, files=True):
        for text in texts(content) if files else ():
            write(text, np.full((4, 5, 3), int("seg" in text), np.uint8))
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        return tmp_path

    def texts(value):
        if isinstance(value, str):
            return [value] if value.endswith((".nii", ".nii.gz")) else []
        values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [text for one in values for text in texts(one)]

    return make


def entry(name, **more):
    return {"image": f"images/{name}.nii.gz", "label": f"labels/{name}_seg.nii.gz", **more}


def parts(pool):
    return {volume: next(item.split for item in pool if item.volume == volume) for volume in pool.volumes}


@pytest.mark.parametrize("test", ["test", "testing"])
def test_parts(listed, test):
    content = {"training": [entry("a"), entry("b")], "validation": [entry("c")], test: [entry("d"), "images/e.nii.gz"]}
    pool = datalist(listed(content), classes=CLASSES)
    assert parts(pool) == {"a": "train", "b": "train", "c": "validation", "d": "test"}
    assert "1 images of the test list have no label and are left out." in pool.notes


@pytest.mark.parametrize("where", ["a file", "a folder", "a list elsewhere", "its only file"])
def test_where_the_list_lies(listed, tmp_path, where):
    name = {"a file": "any name.json", "a folder": "dataset.json", "a list elsewhere": "lists/x.json"}.get(
        where, "q.json"
    )
    root = listed({"training": [entry("a")]}, name)
    place, options = {"a file": root / name}.get(where, root), {"file": name} if "elsewhere" in where else {}
    assert datalist(place, classes=CLASSES, **options).volumes == ("a",)


def test_absolute_paths_and_paths_above(listed, write, tmp_path):
    above, absolute = write("other/a.nii"), write("b.nii")
    listed({"training": [{"image": "../other/a.nii"}, {"image": str(absolute)}]}, "lists/list.json", files=False)
    pool = datalist(tmp_path / "lists/list.json", require_labels=False)
    assert [pool[0].image, pool[-1].image] == [str(above), str(absolute)]


def test_several_images_are_channels(listed):
    images = ["p1_t1.nii", "p1_t2.nii"]
    pool = datalist(listed({"training": [{"image": images, "label": "p1_seg.nii"}]}), classes=CLASSES)
    assert (pool.volumes, describe(pool)["channels"]) == (("p1",), [2])
    keyed = listed({"training": [{"t1": "p1_t1.nii", "t2": "p1_t2.nii", "seg": "p1_seg.nii"}]})
    again = datalist(keyed, classes=CLASSES, image_key=["t1", "t2"], label_key="seg")
    assert again.items == pool.items


def test_names_are_unique(listed):
    content = [{"image": f"p{n}/t1.nii", "label": f"p{n}/seg.nii"} for n in (1, 2)]
    pool = datalist(listed(content), classes=CLASSES, patient=r"^(p\d)/")
    assert (pool.volumes, pool.patients) == (("p1_t1", "p2_t1"), ("p1", "p2"))


def test_folds(listed):
    root = listed({"training": [entry(name, fold=n % 2) for n, name in enumerate("abc")]})
    assert parts(datalist(root, classes=CLASSES, fold=1)) == {"a": "train", "b": "validation", "c": "train"}
    assert any("folds 0, 1" in note for note in datalist(root, classes=CLASSES).notes)
    with pytest.raises(DataError, match="no entry has the fold 7; there are 0, 1"):
        datalist(root, fold=7)


def test_labels_that_are_missing(listed, tmp_path):
    root = listed({"training": [entry("a"), {"image": "images/b.nii.gz"}, entry("c", label="")]})
    with pytest.raises(DataError, match=r"2 entries(.|\n)*entry 1: images/b\.nii\.gz has no label(.|\n)*entry 2"):
        datalist(root)
    assert [item.label is None for item in datalist(root, item="volume", require_labels=False)] == [False, True, True]
    assert datalist(root, skip_incomplete=True).volumes == ("a",)
    (tmp_path / "images/a.nii.gz").unlink()
    with pytest.raises(DataError, match=r"training entry 0: there is no images/a\.nii\.gz"):
        datalist(root)


@pytest.mark.parametrize(
    ("labels", "classes", "values"),
    [
        ({"0": "background", "2": "liver"}, ("background", "liver"), {0: 0, 2: 1}),
        ({"background": 0, "liver": 1}, ("background", "liver"), {0: 0, 1: 1}),
        ({"background": 0, "liver": 1, "ignore": 2}, ("background", "liver"), {0: 0, 1: 1, 2: 255}),
        (None, ("background", "foreground"), {0: 0, 1: 1}),
    ],
)
def test_classes(listed, labels, classes, values):
    pool = datalist(listed({"training": [entry("a")], "labels": labels}))
    assert (pool.classes, pool.label_values) == (classes, values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": []}, "has no list 'training'"),
        ({"training": [{"scan": "a.nii"}]}, "training entry 0 has no 'image'; it has 'scan'"),
        ({"training": [{"image": 3}]}, "the 'image' of training entry 0 is 3"),
        ({"training": [7]}, "training entry 0 is no path"),
        ({"training": [entry("a", label=["x.nii", "y.nii"])]}, "has 2 labels"),
        ({"training": [entry("a", fold="one")]}, "its 'fold' is 'one'"),
        ({"training": [entry("a")], "labels": {"background": 0, "whole": [1, 2]}}, "region 'whole' .* no classes"),
        ({"training": [entry("a"), entry("a")]}, "listed more than once"),
        ({"training": [entry("sub-1_ses-1")], "test": [entry("sub-1_ses-2")]}, "sub-1 lies in two parts"),
    ],
)
def test_mistakes(listed, content, message):
    with pytest.raises(DataError, match=message):
        datalist(listed(content), **({} if "labels" in content else {"classes": CLASSES}))


class TestNnunet:
    @pytest.fixture
    def root(self, write, tmp_path):
        def make(cases=("liver_2", "liver_10"), channels=2, **more):
            for case in cases:
                for channel in range(channels):
                    write(f"imagesTr/{case}_{channel:04d}.nii.gz")
                write(f"labelsTr/{case}.nii.gz")
            content = {"channel_names": {str(k): f"c{k}" for k in range(2)}, "file_ending": ".nii.gz"}
            content |= {"labels": {"background": 0, "liver": 1}, "numTraining": len(cases), **more}
            (tmp_path / "dataset.json").write_text(json.dumps(content))
            return tmp_path

        return make

    @pytest.mark.parametrize("read", [datalist, decathlon])
    def test_cases_and_channels(self, root, write, read):
        place = root()
        for name in ("imagesTs/liver_3_0000", "imagesTs/liver_3_0001", "labelsTs/liver_3"):
            write(f"{name}.nii.gz")
        pool = read(place)
        assert parts(pool) == {"liver_2": "train", "liver_10": "train", "liver_3": "test"}
        assert (pool.classes, describe(pool)["channels"]) == (("background", "liver"), [2])

    def test_a_missing_channel_or_label(self, root, tmp_path):
        place = root()
        (tmp_path / "imagesTr/liver_2_0001.nii.gz").unlink()
        (tmp_path / "labelsTr/liver_10.nii.gz").unlink()
        with pytest.raises(DataError, match=r"no imagesTr/liver_2_0001(.|\n)*liver_10_0000\.nii\.gz has no label"):
            datalist(place)

    def test_one_file_with_all_channels(self, root):
        assert datalist(root(channels=1)).volumes == ("liver_2", "liver_10")

    def test_the_list_of_the_first_version(self, root):
        cases = [
            {"image": f"./imagesTr/{c}.nii.gz", "label": f"./labelsTr/{c}.nii.gz"} for c in ("liver_2", "liver_10")
        ]
        labels = {"0": "background", "1": "liver"}
        for read in (datalist, decathlon):
            pool = read(root(training=cases, labels=labels))
            assert (pool.volumes, pool[0].image.count("|")) == (("liver_2", "liver_10"), 1)

    @pytest.mark.parametrize("gone", ["0000", "0001"])
    def test_the_list_of_the_first_version_lacks_a_channel(self, root, tmp_path, gone):
        case = {"image": "./imagesTr/liver_2.nii.gz", "label": "./labelsTr/liver_2.nii.gz"}
        place = root(("liver_2",), channels=3, training=[case], labels={"0": "background", "1": "liver"})
        (tmp_path / f"imagesTr/liver_2_{gone}.nii.gz").unlink()
        for read in (datalist, decathlon):
            with pytest.raises(DataError, match=rf"imagesTr/liver_2_{gone}\.nii\.gz"):
                read(place)

    def test_files_by_name(self, root, tmp_path, write):
        one = {"images": ["imagesTr/liver_2_0000.nii.gz"], "label": "labelsTr/liver_2.nii.gz"}
        assert datalist(root(dataset={"x": one})).volumes == ("x",)

    def test_without_a_list(self, root, tmp_path):
        root()
        (tmp_path / "dataset.json").unlink()
        pool = decathlon(tmp_path)
        assert (pool.volumes, pool[0].image.count("|")) == (("liver_2", "liver_10"), 1)

    def test_an_ending_that_cannot_be_read(self, root):
        with pytest.raises(DataError, match="file_ending '.b2nd' cannot be read"):
            datalist(root(file_ending=".b2nd"))


def test_channels_on_different_grids(listed, write):
    root = listed({"training": [{"image": ["t1.nii", "t2.nii"], "label": "seg.nii"}]})
    write("t2.nii", (4, 5, 4))
    with pytest.raises(DataError, match=r"t2\.nii and .*t1\.nii are channels of one image but have different shapes"):
        datalist(root, classes=CLASSES)
    with pytest.raises(DataError, match="different shapes"):
        read_volume("|".join(str(root / name) for name in ("t1.nii", "t2.nii")))


def test_two_rounds_inside_the_folder(write, tmp_path, one_thread):
    rng = np.random.default_rng(0)
    for case in range(4):
        label = np.zeros((20, 16, 3), np.uint8)
        label[4:9, 5:12] = 1
        write(f"labelsTr/case_{case}.nii.gz", label)
        for channel in range(2):
            write(f"imagesTr/case_{case}_{channel:04d}.nii.gz", 90 * label + rng.integers(0, 60, label.shape))
    labels, names = {"background": 0, "lesion": 1}, {"0": "T1", "1": "T2"}
    content = {"channel_names": names, "labels": labels, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    for rounds in (1, 2):
        monai.bundle.run(
            config_file=[str(CONFIGS / "active_learning.yaml"), str(ROOT / "configs/datasets/datalist.yaml")],
            dataset_dir=str(tmp_path),
            output_dir=str(tmp_path / "run"),
            in_channels=2,
            image_size=[16, 16],
            rounds=rounds,
            budget=3,
            steps=2,
            progress=False,
        )
    assert json.loads((tmp_path / "run/round_01/metrics.json").read_text())["labeled"] == 6
    pool = json.loads((tmp_path / "run/pool.json").read_text())
    assert pool["items"][0]["image"] == "imagesTr/case_0_0000.nii.gz|imagesTr/case_0_0001.nii.gz"
    write("new/x_0000.nii.gz", (20, 16, 2))
    write("new/x_0001.nii.gz", (20, 16, 2))
    monai.bundle.run(
        config_file=str(CONFIGS / "inference.yaml"),
        run_dir=str(tmp_path / "run"),
        dataset_dir=str(tmp_path / "new"),
        output_dir=str(tmp_path / "segmented"),
        progress=False,
    )
    assert [path.name for path in (tmp_path / "segmented").iterdir()] == ["x_seg.nii.gz"]

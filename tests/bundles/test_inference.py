# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""inference.yaml: a run's network segments new volumes on their own grid, with one command."""

from __future__ import annotations

import gzip
import json
import logging
import re
import shutil
from pathlib import Path

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.bundle import ConfigWorkflow
from monai.data import MetaTensor
from monai.transforms import Compose, Resized, ResizeWithPadOrCropd, ScaleIntensityRangePercentilesd
from PIL import Image
from scipy.ndimage import map_coordinates

from monai_al.bundle import BundleConfigError
from monai_al.data import DataError, read_volume
from monai_al.engines import TrainedRun, apply_to_scans

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "bundles" / "selective_uncertainty_spleen" / "configs"
OVERLAY = str(ROOT / "configs" / "datasets" / "folder.yaml")
SETTINGS = {
    "image_size": [24, 32], "spacing": "$None", "channels": [8, 16], "steps": 60, "learning_rate": 0.02,
    "batch_size": 8, "rounds": 1, "budget": 16, "threads": 1, "progress": False, "device": "cpu",
}  # fmt: skip
ANGLE = np.deg2rad(20)
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1]])
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3], OBLIQUE[:3, 3] = TURN @ np.diag([0.8, 1.4, 4.0]), (-31.5, 12.25, 7.0)
CROPPED = {
    "_target_": "Compose",
    "transforms": [
        {"_target_": "ScaleIntensityRangePercentilesd", "keys": "image", "lower": 1, "upper": 99, "b_min": 0,
         "b_max": 1, "clip": True},
        {"_target_": "ResizeWithPadOrCropd", "keys": ["image", "label"], "spatial_size": [16, 40, -1],
         "allow_missing_keys": True},
    ],
}  # fmt: skip


def draw(number, shape=(20, 26, 5)):
    """An image of two discs, and their label map with the values 2 and 7."""
    random = np.random.default_rng(number)
    rows, columns, _ = np.meshgrid(*map(np.arange, shape), indexing="ij")
    image, label = random.normal(0, 3, shape), np.zeros(shape, np.uint8)
    for value, place in ((2, (0.35, 0.3)), (7, (0.6, 0.7))):
        center = np.array(place) * shape[:2] + random.integers(-2, 3, 2)
        disc = (rows - center[0]) ** 2 + (columns - center[1]) ** 2 < 20
        label[disc] = value
        image[disc] += 20 * value
    return image.astype(np.float32), label


def command(**overrides):
    files = overrides.pop("config_file", [str(CONFIGS / "inference.yaml")])
    monai.bundle.run(config_file=files, **{"progress": False, "device": "cpu", **overrides})


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run on a folder of oblique volumes with label values 0, 2 and 7."""
    root = tmp_path_factory.mktemp("folder")
    for number in range(6):
        for kind, array in zip(("images", "labels"), draw(number), strict=True):
            (root / "data" / kind).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, OBLIQUE), root / "data" / kind / f"case_{number}.nii.gz")
    monai.bundle.run(
        config_file=[str(CONFIGS / "active_learning.yaml"), OVERLAY],
        dataset_dir=str(root / "data"),
        output_dir=str(root / "run"),
        **SETTINGS,
    )
    return root / "run"


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """New volumes of several shapes, one in a sub-folder."""
    folder = tmp_path_factory.mktemp("scans")
    (folder / "late").mkdir()
    for name, shape in {"x": (20, 26, 5), "y.v2": (33, 21, 3), "late/x": (17, 40, 4)}.items():
        image = nib.Nifti1Image(draw(len(name) + 50, shape)[0], OBLIQUE)
        image.set_qform(OBLIQUE, 1)
        image.set_sform(OBLIQUE, 4)
        nib.save(image, folder / f"{name}.nii.gz")
    return folder


def slow_segmentation(run_dir, path, preprocessing):
    """Preprocess with MONAI alone, predict slice by slice, go back through millimetres with SciPy.

    Returns the stored values, and where the two best classes are too close to tell.
    """
    stored = nib.load(path)
    image = MetaTensor(torch.from_numpy(stored.get_fdata(dtype=np.float32))[None], affine=stored.affine)
    image = preprocessing({"image": image})["image"]
    network = TrainedRun(run_dir).network()
    planes = torch.as_tensor(np.asarray(image)).permute(3, 0, 1, 2)
    with torch.no_grad():
        logits = torch.cat([network.network.eval()(plane[None]) for plane in planes])
    probs = logits.softmax(1).double().numpy().transpose(1, 2, 3, 0)
    grid = np.stack(np.meshgrid(*map(np.arange, stored.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    matrix = np.linalg.inv(np.asarray(image.affine, dtype=float)) @ stored.affine
    points = grid @ matrix[:3, :3].T + matrix[:3, 3]
    inside = ((points >= -0.5) & (points <= np.array(probs.shape[1:]) - 0.5)).all(axis=1)
    found = np.stack([map_coordinates(p, points.T, order=1, mode="nearest") for p in probs]) * inside
    classes, best = np.array([0, 2, 7])[found.argmax(0)], np.sort(found, axis=0)
    return classes.reshape(stored.shape), (inside & (best[-1] - best[-2] < 1e-3)).reshape(stored.shape)


PERCENTILES = ScaleIntensityRangePercentilesd("image", 1, 99, 0, 1, clip=True)


@pytest.mark.parametrize("way", ["resized", "cropped"])
def test_segmentations_of_a_plain_route_on_the_inputs_grid(run_dir, scans, tmp_path, way, begun_otherwise):
    if way == "cropped":  # its record says that its network was trained on crops
        change = {"preprocessing": CROPPED}
        run_dir = begun_otherwise(run_dir, tmp_path / "run", lambda record: record["config"]["training"].update(change))
    command(run_dir=str(run_dir), dataset_dir=str(scans), output_dir=str(tmp_path / "out"))
    names = ["late/x", "x", "y.v2"]
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")) == [
        f"{name}_seg.nii.gz" for name in names
    ]
    for name in names:
        image, found = nib.load(scans / f"{name}.nii.gz"), nib.load(tmp_path / "out" / f"{name}_seg.nii.gz")
        spatial = (
            ResizeWithPadOrCropd("image", (16, 40, -1))
            if way == "cropped"
            else Resized("image", (24, 32, -1), mode="trilinear", anti_aliasing=True)
        )
        expected, unsure = slow_segmentation(run_dir, scans / f"{name}.nii.gz", Compose([PERCENTILES, spatial]))
        values = np.asarray(found.dataobj)
        assert set(np.unique(expected)) == {0, 2, 7}, "the network finds something"
        assert unsure.mean() < 0.02
        np.testing.assert_array_equal(values[~unsure], expected[~unsure])
        assert found.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(found.affine, image.affine)
        assert [int(found.header[code]) for code in ("qform_code", "sform_code")] == [1, 4]


def test_the_segmentation_is_good(run_dir, tmp_path):
    image, label = draw(99)
    nib.save(nib.Nifti1Image(image, OBLIQUE), tmp_path / "one.nii")
    command(run_dir=str(run_dir), dataset_dir=str(tmp_path / "one.nii"), output_dir=str(tmp_path / "out"))
    found = np.asarray(nib.load(tmp_path / "out" / "one_seg.nii.gz").dataobj)
    for value in (2, 7):
        assert 2 * ((found == value) & (label == value)).sum() > 0.6 * ((found == value).sum() + (label == value).sum())


def test_other_formats(run_dir, scans, tmp_path):
    (tmp_path / "in").mkdir()
    stored = sitk.ReadImage(str(scans / "x.nii.gz"))
    sitk.WriteImage(stored, str(tmp_path / "in" / "volume.mha"))
    plane = draw(7)[0][:, :, 2]
    grey = ((plane - plane.min()) / np.ptp(plane) * 255).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "in" / "picture.png")
    command(run_dir=str(run_dir), dataset_dir=str(tmp_path / "in"), output_dir=str(tmp_path / "out"))
    command(run_dir=str(run_dir), dataset_dir=str(scans / "x.nii.gz"), output_dir=str(tmp_path / "out"))
    volume, picture = (nib.load(tmp_path / "out" / f"{name}_seg.nii.gz") for name in ("volume", "picture"))
    np.testing.assert_array_equal(volume.dataobj, nib.load(tmp_path / "out" / "x_seg.nii.gz").dataobj)
    again = sitk.ReadImage(str(tmp_path / "out" / "volume_seg.nii.gz"))
    for get in ("GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(getattr(again, get)(), getattr(stored, get)(), atol=1e-4)
    assert picture.shape == plane.shape
    assert set(np.unique(np.asarray(picture.dataobj))) == {0, 2, 7}


def test_the_run_may_have_moved_and_its_data_be_gone(run_dir, scans, tmp_path, begun_otherwise):
    gone = {"dataset_dir": str(tmp_path / "gone")}
    begun_otherwise(run_dir, tmp_path / "copy" / "run", lambda record: record["places"].update(gone))
    for run in (run_dir, tmp_path / "copy" / "run"):
        command(run_dir=str(run), dataset_dir=str(scans), output_dir=str(tmp_path / run.parent.name))
    first, second = (tmp_path / name / "late" / "x_seg.nii.gz" for name in (run_dir.parent.name, "copy"))
    assert first.read_bytes() == second.read_bytes()
    assert (tmp_path / "copy" / "cache").is_dir()  # beside the run as it lies now


def test_which_images_are_taken(run_dir, scans, tmp_path):
    def volumes(folder):
        return [*dict.fromkeys(item.volume for item in apply_to_scans(run_dir, folder).items)]

    assert volumes(scans) == ["late/x", "x", "y.v2"]
    assert volumes(scans / "late" / "x.nii.gz") == ["x"]
    (tmp_path / "task" / "labelsTr").mkdir(parents=True)
    shutil.copytree(scans, tmp_path / "task" / "imagesTs")
    shutil.copy(scans / "x.nii.gz", tmp_path / "task" / "labelsTr" / "z.nii.gz")
    assert volumes(tmp_path / "task") == ["late/x", "x", "y.v2"]
    (tmp_path / "patients").mkdir()
    for name in ("p1", "p2"):
        shutil.copytree(scans / "late", tmp_path / "patients" / name)
    assert volumes(tmp_path / "patients") == ["p1/x", "p2/x"]  # folders in folders
    shutil.copytree(tmp_path / "patients", tmp_path / "mixed")
    for name in ("x", "x_seg", "x_gt"):
        shutil.copy(scans / "x.nii.gz", tmp_path / "mixed" / f"{name}.nii.gz")
    assert volumes(tmp_path / "mixed") == ["p1/x", "p2/x", "x"]  # what is named like a label is none


def test_the_runs_own_data(run_dir, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "monai_al"):
        command(run_dir=str(run_dir), output_dir=str(tmp_path / "out"), logging_file=False)
    pool = json.loads((run_dir / "pool.json").read_text())
    tested = {item["volume"] for item in pool["items"] if item["split"] == "test"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == {f"{volume}_seg.nii.gz" for volume in tested}
    assert "on the test part of the run's own data: 2 volumes" in caplog.text
    assert f"2 segmentations written to {tmp_path / 'out'}" in caplog.text
    applied = apply_to_scans(run_dir)
    assert all(item.label is None for item in applied.items)


def test_a_root_that_the_datalist_reads(run_dir, tmp_path):
    """Another data set, read as the run reads its own: all of its images."""
    data = run_dir.parent / "data"
    for name in ("scans", "truth"):
        (tmp_path / name).mkdir()
    for number in (0, 1):
        shutil.copy(data / "images" / f"case_{number}.nii.gz", tmp_path / "scans" / f"new_{number}.nii.gz")
        shutil.copy(data / "labels" / f"case_{number}.nii.gz", tmp_path / "truth" / f"new_{number}.nii.gz")
    listing = {
        "_target_": "monai_al.datasets.folder", "root": "@dataset_dir", "images": "scans", "labels": "truth",
    }  # fmt: skip
    applied = apply_to_scans(run_dir, tmp_path, overrides={"datalist": listing})
    assert {item.volume for item in applied.items} == {"new_0", "new_1"}
    assert all(item.label is None for item in applied.items)


def warnings_of(caplog):
    records = (record for record in caplog.records if record.name.startswith("monai_al"))
    return [record.getMessage() for record in records if record.levelno == logging.WARNING]


OF_THE_OVERLAYS = {
    "acdc": ["image_size", "intensity", "spacing"],
    "chaos": ["image_size", "intensity", "padding_value", "spacing"],
    "davis": ["image_size", "in_channels", "intensity", "preprocessing"],
    "folder": ["image_size", "spacing"],
    "hippocampus": ["image_size", "spacing"],
    "isic": ["colours", "image_size", "in_channels", "intensity", "preprocessing"],
    "lgg": ["image_size", "intensity"],
    "ms_cmr": ["image_size", "intensity", "spacing"],
    "promise12": ["image_size", "spacing"],
    "spleen": ["image_size", "intensity", "spacing"],
}


@pytest.mark.parametrize("overlay", OF_THE_OVERLAYS)
def test_an_overlay_gives_the_data_and_never_the_preprocessing(run_dir, scans, overlay, caplog):
    files = [str(CONFIGS / "inference.yaml"), str(ROOT / "configs" / "datasets" / f"{overlay}.yaml")]
    workflow = ConfigWorkflow(
        files, workflow_type="infer", logging_file=False, run_dir=str(run_dir), dataset_dir=str(scans)
    )
    workflow.initialize()
    applied = workflow.parser.get_parsed_content("applied")
    raw, recorded = applied.run.training.raw(), TrainedRun(run_dir).training.raw()
    listed = monai.bundle.ConfigParser.load_config_file(files[1])["datalist"]
    assert raw == {**recorded, "datalist": listed, "dataset_dir": str(scans), "bundle_root": raw["bundle_root"]}
    assert raw["image_size"] == SETTINGS["image_size"]
    assert applied.data.cache.get(applied.items[0]).image.shape[2:] == tuple(SETTINGS["image_size"])
    (told,) = warnings_of(caplog)
    ids, end = told.split(" stay", 1)
    assert sorted(ids.split(", ")) == OF_THE_OVERLAYS[overlay]
    assert end == ("s as the run was trained" if len(OF_THE_OVERLAYS[overlay]) == 1 else " as the run was trained")


def test_options_of_network_and_preprocessing_change_nothing(run_dir, scans, tmp_path, caplog):
    asked = {"run_dir": str(run_dir), "dataset_dir": str(scans / "late"), "logging_file": False}
    command(**asked, output_dir=str(tmp_path / "plain"))
    options = {"channels": [4, 4], "preprocessing": CROPPED, "batch_size": 3, "num_workers": 0, "steps": 60}
    options |= {"network_def": {"_target_": "UNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 3,
                                "channels": [4, 8], "strides": [2]}}  # fmt: skip
    command(**asked, output_dir=str(tmp_path / "other"), **options)
    first, second = (tmp_path / name / "x_seg.nii.gz" for name in ("plain", "other"))
    assert first.read_bytes() == second.read_bytes()
    (told,) = warnings_of(caplog)
    assert set(told.removesuffix(" stay as the run was trained").split(", ")) == {
        "channels", "preprocessing", "network_def",
    }  # fmt: skip


def test_equal_values_need_no_word(run_dir, scans, caplog):
    recorded = TrainedRun(run_dir).training.raw()
    same = {id: recorded[id] for id in ("preprocessing", "network_def", "augmentation", "channels")}
    apply_to_scans(run_dir, scans, overrides={**same, "image_size": tuple(SETTINGS["image_size"])})
    assert warnings_of(caplog) == []
    apply_to_scans(run_dir, scans, overrides={"image_size#1": 40, "datalist#patient": "(.*)"})
    assert warnings_of(caplog) == ["image_size#1 stays as the run was trained"]


def test_it_is_a_standard_inference_config(run_dir, scans):
    workflow = ConfigWorkflow(
        str(CONFIGS / "inference.yaml"),
        workflow_type="infer",
        logging_file=False,
        run_dir=str(run_dir),
        dataset_dir=str(scans),
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    assert isinstance(workflow.network_def, torch.nn.Module)
    assert len(workflow.dataset) == len(workflow.dataset_data) == 12
    assert isinstance(workflow.evaluator, monai.engines.SupervisedEvaluator)
    entry = workflow.dataset[0]
    logits = workflow.inferer(entry["image"][None], workflow.network_def.eval())[0]
    probs = workflow.postprocessing({"pred": logits.detach()})["pred"]
    np.testing.assert_allclose(probs.sum(0), 1, atol=1e-5)
    forwarded = workflow.parser.get_parsed_content("running").forwarded("train.yaml", own="inference.yaml")
    assert forwarded == {"dataset_dir": str(scans)}  # nothing of its own


def test_overlays_of_the_handlers_score_new_scans(run_dir, scans, tmp_path):
    overlays = [str(ROOT / "configs" / "handlers" / f"{name}.yaml") for name in ("uncertainty", "inference")]
    command(
        config_file=[str(CONFIGS / "inference.yaml"), *overlays],
        run_dir=str(run_dir),
        dataset_dir=str(scans),
        output_dir=str(tmp_path / "out"),
        scores_file=str(tmp_path / "scores.json"),
    )
    assert "late/x/0000" in (tmp_path / "scores.json").read_text()
    assert (tmp_path / "out" / "x_seg.nii.gz").is_file()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"roundz": 3}, "--roundz: nothing in the bundle refers to it; did you mean round"),
        ({"run_dir": None}, "no run is given: say with --run_dir"),
        ({"run_dir": "nowhere"}, "nowhere is no run folder"),
        ({"round": 7}, "round_07/model_0.pt: no such weights; round 7 is not trained"),
        ({"dataset_dir": "no/such/folder"}, "no/such/folder: there is no such file or folder"),
        ({"dataset_dir": "EMPTY"}, "empty: holds no images; readable are"),
        ({"dataset_dir": "LABELS"}, "labels: holds no images.*its 1 files are named like labels"),
        ({"dataset_dir": "TEXT"}, "notes.txt: unknown kind of file"),
        ({"dataset_dir": "BROKEN"}, "1 of 2 .*cut.nii.gz.* cannot be read"),
        ({"dataset_dir": "COLOURS"}, r"colours.nii', an image of shape \(3, 24, 32\).*in_channels"),
        ({"dataset_dir": "TWICE"}, "occur more than once"),
        ({"dataset_dir": "IN", "output_dir": "IN"}, "holds the images.*give another output_dir"),
        ({"dataset_dir": "IN", "output_dir": "LABELS"}, "labels/x_seg.nii.gz is there.*may be ground truth"),
    ],
)
def test_mistakes_are_told_in_one_message(run_dir, scans, tmp_path, overrides, message):
    places = {name: tmp_path / name.lower() for name in ("EMPTY", "LABELS", "BROKEN", "COLOURS", "TWICE", "IN")}
    for folder in places.values():
        folder.mkdir()
    places["TEXT"] = tmp_path / "notes.txt"
    places["TEXT"].write_text("")
    shutil.copy(scans / "x.nii.gz", tmp_path / "labels" / "x_seg.nii.gz")
    shutil.copy(scans / "x.nii.gz", tmp_path / "in")
    for name in ("broken", "twice"):
        shutil.copy(scans / "x.nii.gz", tmp_path / name)
    whole = gzip.decompress((scans / "x.nii.gz").read_bytes())
    (tmp_path / "broken" / "cut.nii.gz").write_bytes(gzip.compress(whole[: len(whole) // 2]))
    (tmp_path / "twice" / "x.nii").write_bytes(whole)
    colours = np.random.default_rng(0).random((20, 26, 2, 3)).astype(np.float32)
    nib.save(nib.Nifti1Image(colours, OBLIQUE), tmp_path / "colours" / "colours.nii")
    asked = {"run_dir": run_dir, "dataset_dir": scans, "output_dir": tmp_path / "out"}
    asked = {k: v if v is None else str(v) for k, v in asked.items()}
    asked |= {key: str(places.get(v, v)) if isinstance(v, str) else v for key, v in overrides.items()}
    with pytest.raises(Exception) as caught:  # noqa: PT011, B017
        command(**asked)
    told = caught.value
    while told is not None and not isinstance(told, (BundleConfigError, DataError)) and told.__cause__ is not None:
        told = told.__cause__
    assert re.search(message, str(told), re.DOTALL), str(told)
    assert not (tmp_path / "out").exists()


def test_a_foreign_run_is_told_what_to_do(run_dir, tmp_path, begun_otherwise):
    begun_otherwise(run_dir, tmp_path / "run", lambda record: record["config"]["training"].pop("pool"))
    with pytest.raises(BundleConfigError, match="use that bundle's own inference config.*model_0.pt"):
        apply_to_scans(tmp_path / "run")


@pytest.mark.nightly
def test_the_mean_of_members_is_written(tmp_path, caplog):
    phantom = {"phantom": {"patients": 4, "shape": [32, 32, 6], "classes": ["background", "spleen"]}}
    monai.bundle.run(
        config_file=str(CONFIGS / "active_learning.yaml"),
        output_dir=str(tmp_path / "run"),
        logging_file=False,
        **{**SETTINGS, **phantom, "members": 2, "image_size": [32, 32]},
    )
    read_only = sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "run").rglob("*"))
    with caplog.at_level(logging.INFO, "monai_al"):
        command(run_dir=str(tmp_path / "run"), output_dir=str(tmp_path / "out"), logging_file=False)
    assert "note: This is a phantom" in caplog.text
    assert sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "run").rglob("*")) == read_only
    applied = apply_to_scans(tmp_path / "run")
    first = applied.items[0]
    found = np.asarray(nib.load(tmp_path / "out" / f"{first.volume}_seg.nii.gz").dataobj)
    planes = torch.from_numpy(applied.data.cache.get(first).image)
    probs = []
    for member in range(2):
        state = torch.load(tmp_path / "run" / "round_00" / f"model_{member}.pt", weights_only=True)["model"]
        with torch.no_grad():
            probs.append(applied.run.training.load(state).network.eval()(planes).softmax(1))
    expected = torch.stack(probs).mean(0).argmax(1).permute(1, 2, 0).numpy()
    assert read_volume(first.image).image.shape[1:] == expected.shape
    assert (found == expected).mean() > 0.999  # a tie may fall to either side

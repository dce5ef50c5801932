# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The data behind a training config."""

from __future__ import annotations

import copy
import json

import pytest
from monai.transforms import Invertd, Orientationd

from monai_al.bundle import BundleConfigError, TrainingConfig
from monai_al.data import DataError, Pool
from monai_al.sources.entry_source import EntrySource
from monai_al.sources.slice_source import SliceSource
from monai_al.sources.source_of import source_of

TRANSFORMS = [
    {"_target_": "LoadImaged", "keys": "image"},
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
]
CONFIG = {
    "dataset_dir": "/data",
    "net": "$torch.nn.Conv2d(1, 1, 1)",
    "train": {
        "dataset": {"_target_": "Dataset", "data": "$[{'image': @dataset_dir + f'/{n}.nii'} for n in 'ab']"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@train#dataset"},
        "trainer": {
            "_target_": "SupervisedTrainer", "device": "cpu", "max_epochs": 1, "network": "@net",
            "train_data_loader": "@train#dataloader", "loss_function": "$len",
            "optimizer": "$torch.optim.SGD(@net.parameters(), lr=0.1)",
            "train_handlers": [{"_target_": "ValidationHandler", "interval": 1, "validator": "@validate#evaluator"}],
        },
    },
    "validate": {
        "preprocessing": {"_target_": "Compose", "transforms": TRANSFORMS},
        "dataset": {
            "_target_": "Dataset", "data": "$[{'image': '/data/c.nii'}]", "transform": "@validate#preprocessing",
        },
        "postprocessing": {"_target_": "Activationsd", "keys": "pred", "softmax": True},
        "evaluator": {
            "_target_": "SupervisedEvaluator", "device": "cpu", "network": "@net",
            "val_data_loader": {"_target_": "DataLoader", "dataset": "@validate#dataset"},
            "postprocessing": "@validate#postprocessing",
        },
    },
    "run": "$@train#trainer.run()",
}  # fmt: skip


def changed(**changes):
    """The config with ids set, or dropped where the value is ``...``."""
    config = copy.deepcopy(CONFIG)
    for id, value in changes.items():
        *parents, last = id.split("__")
        place = config
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return config


def names(transforms):
    return [type(one).__name__ for one in transforms.transforms]


def test_a_pool_of_its_own_is_taken_and_kept():
    training = TrainingConfig({"pool": {"_target_": "monai_al.data.Pool", "items": []}, "cache": "$object()"})
    found = source_of(training)
    assert isinstance(found, SliceSource)
    assert isinstance(found.data, Pool)
    assert training.resolve("pool")[0] is found.data


def test_the_datalists_of_a_standard_bundle():
    found = source_of(TrainingConfig(CONFIG))
    assert isinstance(found, EntrySource)
    assert [(item.id, item.split) for item in found.data] == [("a.nii", "train"), ("b.nii", "train"), ("c.nii", "test")]
    assert names(found.transforms.preprocessing) == ["LoadImaged", "Orientationd"]
    assert names(found.transforms.postprocessing) == ["Activationsd"]
    assert found.entries(found.data[:1]) == ({"image": "/data/a.nii"},)


@pytest.mark.parametrize(
    "data",
    ["@listed", "%listed", "$@listed", "$tuple(@listed)", [{"image": "/data/a.nii"}, {"image": "/data/b.nii"}]],
)
def test_every_way_to_write_a_datalist(data):
    config = changed(train__dataset__data=data, listed="$[{'image': '/data/a.nii'}, {'image': '/data/b.nii'}]")
    assert [item.id for item in source_of(TrainingConfig(config)).data.part("train")] == ["a.nii", "b.nii"]


def test_a_decathlon_datalist(tmp_path):
    entries = [{"image": f"./imagesTr/{n}.nii", "label": f"./labelsTr/{n}.nii"} for n in "ab"]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": entries}))
    load = f"$monai.data.load_decathlon_datalist({str(tmp_path / 'dataset.json')!r}, True, 'training', @dataset_dir)"
    data = source_of(TrainingConfig(changed(train__dataset__data=load))).data
    assert [(item.id, item.label) for item in data.part("train")] == [
        ("imagesTr/a.nii", "/data/labelsTr/a.nii"),
        ("imagesTr/b.nii", "/data/labelsTr/b.nii"),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {
            "validate__preprocessing": ...,
            "validate__dataset__transform": {"_target_": "Compose", "transforms": TRANSFORMS},
        },
        {
            "validate__preprocessing": {"_target_": "Identity"},
            "validate__dataset__transform": "$@real",
            "real": TRANSFORMS,
        },
    ],
)
def test_the_transforms_of_the_data_set_count(changes):
    found = source_of(TrainingConfig(changed(**changes)))
    assert names(found.transforms.preprocessing) == ["LoadImaged", "Orientationd"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"validate__evaluator__postprocessing": None}, None),
        ({"validate__evaluator__postprocessing": {"_target_": "AsDiscreted", "keys": "pred"}}, ["AsDiscreted"]),
        ({"validate__evaluator__postprocessing": "@validate#postprocessing"}, ["Activationsd"]),
    ],
)
def test_the_postprocessing_of_the_evaluator_counts(changes, expected):
    found = source_of(TrainingConfig(changed(**changes))).transforms.postprocessing
    assert expected == (found if found is None else names(found))


def test_an_invertd_refers_to_the_very_preprocessing():
    invert = {"_target_": "Invertd", "keys": "pred", "transform": "@validate#preprocessing", "orig_keys": "image"}
    found = source_of(TrainingConfig(changed(validate__postprocessing=invert))).transforms
    (inverting,) = found.postprocessing.transforms
    assert isinstance(inverting, Invertd)
    assert isinstance(inverting.transform.transforms[1], Orientationd)
    assert inverting.transform.transforms[1] is found.preprocessing.transforms[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__dataset__data": ...}, "my.json fails by itself.*missing 1 required positional argument: 'data'"),
        ({"train__trainer__train_handlers": [], "validate": {}}, "my.json has no validation"),
        ({"train__dataset__data": 3}, "my.json trains on a Dataset, which has no list of entries"),
        ({"train__dataset__data": "$[]"}, "train#dataset#data of my.json is empty: does --dataset_dir /data hold"),
        ({"validate__dataset__data": [], "dataset_dir": ..., "train__dataset__data": [{"image": "/a"}]},
         "validate#dataset#data of my.json is empty: does the folder that it reads"),
        ({"validate__dataset__data": "$[{'image': '/data/b.nii'}, {'image': '/data/c.nii'}]"},
         "b.nii is in the training list and in the validation list"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(changes, message):
    with pytest.raises((BundleConfigError, DataError), match=message):
        source_of(TrainingConfig(changed(**changes), name="my.json"))


def test_scores_of_what_the_network_sees_are_of_bundles_of_others():
    assert source_of(TrainingConfig(CONFIG), score_inside=True).score_inside
    assert not source_of(TrainingConfig(CONFIG)).score_inside
    own = {"pool": {"_target_": "monai_al.data.Pool", "items": []}, "cache": "$object()"}
    with pytest.raises(
        BundleConfigError, match="--score_inside true is for bundles of others.*What my.json crops, --image_size and"
    ):
        source_of(TrainingConfig(own, name="my.json"), score_inside=True)


def test_one_list_for_training_and_validation_is_divided():
    found = source_of(TrainingConfig(changed(validate__dataset__data="%train#dataset#data"))).data
    assert sorted((item.id, item.split) for item in found) == [("a.nii", "test"), ("b.nii", "train")]
    assert "hold the same entries: 1 of 2 patients are drawn" in found.notes[0]


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ({"pred": {"channel_def": {"0": "none", "1": "organ"}}}, {0: "none", 1: "organ"}),
        ({"seg": {"channel_def": {"0": "organ"}}}, {0: "organ"}),
        ({}, {}),
        ({"pred": {"channel_def": ["a"]}}, {}),
        ([], {}),
        (None, {}),
    ],
)
def test_the_names_of_the_channels(outputs, expected, tmp_path):
    (tmp_path / "configs").mkdir()
    text = "{broken" if outputs is None else json.dumps({"network_data_format": {"outputs": outputs}})
    (tmp_path / "configs" / "metadata.json").write_text(text)
    assert source_of(TrainingConfig(CONFIG, root=tmp_path)).names == expected

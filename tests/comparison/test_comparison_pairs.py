# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What makes runs of one seed pairs, with run folders that nothing trained."""

from __future__ import annotations

import json

import pytest
import torch

from monai_al.comparison import Comparison, check_pairs
from monai_al.data import DataError

ITEMS = [
    {
        "id": f"a/{i:04d}",
        "image": "a.nii",
        "label": "al.nii",
        "volume": "a",
        "patient": "p",
        "slice": i,
        "split": "train",
    }
    for i in range(3)
]
POOL = {
    "classes": ["background", "liver"],
    "label_values": {"0": 0},
    "items": ITEMS,
    "files": {"a.nii": "1", "al.nii": "2"},
}
CPU, GPU = {"device": "cpu"}, {"device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')"}
WEIGHTS = {"conv": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(3)}


def config(**settings):
    """What run.json says of the config; the settings of the training."""
    learner = {"strategy": "s", "strategy_settings": {}, "seed": 0, "members": 1, "empty_policy": "strict"}
    training = {"seed": 0, "steps": 10, "optimizer": {"lr": 0.1}, "train": {"trainer": {"max_epochs": "@epochs"}}}
    return {"learner": learner, "training": {**training, "epochs": 3, **settings}}


@pytest.fixture
def runs_of(tmp_path, write_run):
    """Write two or more runs, each with what is said of it, and check them as pairs."""

    def check(*, own=None, seed=0, names=("random", "entropy"), everything=None, **records):
        common = {
            "seed": seed, "config": config(), "threads": 1, "versions": {"torch": "2.8.0"}, "pool": POOL, "places": CPU,
        }  # fmt: skip
        own = own or {}
        runs = {name: {"overlays": (), "options": {}, **own.get(name, {})} for name in names}
        comparison = Comparison("a", "al.yaml", seeds=(seed,), runs=runs, everything=everything)
        planned = comparison.planned(tmp_path)
        for run in planned:
            write_run(run.folder, [0.5, 0.6], **{**common, **records.get(run.name, {})})
        return check_pairs(comparison, planned)

    return check


# -- pairs -------------------------------------------------------------------------------------------------------------


def test_equal_runs_are_pairs(runs_of):
    assert runs_of(names=("random", "entropy", "margin")) == []


def test_a_strategy_and_its_settings_may_differ(runs_of):
    other = config()
    other["learner"] |= {"strategy": "entropy", "strategy_settings": {"regions": ["target"]}, "uses_truth": True}
    assert runs_of(entropy={"config": other, "strategy": "entropy"}) == []


def chosen_by(folder, strategy):
    """Let the initial set of a run that is done be the strategy's choice."""
    path = folder / "round_00" / "query.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"strategy": strategy}), encoding="utf-8")


def test_a_strategy_may_choose_the_initial_set(tmp_path, write_run):
    names = ("random", "coreset", "entropy")
    comparison = Comparison("a", "al.yaml", seeds=(0,), runs={name: {"overlays": (), "options": {}} for name in names})
    planned = comparison.planned(tmp_path)
    for run in planned:
        initial = ("c/0001",) if run.name == "coreset" else ("a/0000",)
        write_run(run.folder, [0.5, 0.6], seed=0, config=config(), threads=1, pool=POOL, places=CPU, initial=initial)
    with pytest.raises(DataError, match="differ in their initial set"):
        check_pairs(comparison, planned)
    chosen_by(planned[1].folder, "coreset")
    assert check_pairs(comparison, planned) == [
        "These choose their initial set themselves, that of all others is random: coreset."
    ]


def test_pretrained_encoders_may_differ(runs_of):
    other = config()
    other["learner"] |= {"strategy": "coreset", "encoder": {"temperature": 0.5}}
    assert runs_of(entropy={"config": other, "strategy": "coreset"}) == []


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"threads": 2}, "differ in their threads: 2 and 1, so"),
        ({"versions": {"torch": "2.9.0"}}, "differ in their versions: torch 2.9.0 and 2.8.0, so"),
        ({"versions": {"torch": "2.8.0", "numpy": "2.4"}}, "differ in their versions: numpy 2.4 and None, so"),
        ({"initial": ("c/0001",)}, "differ in their initial set, so"),
        ({"initial": ("b/0002", "a/0001")}, "differ in their initial set, so"),
        ({"sizes": [20, 21]}, "differ in how many items their rounds ask for, so"),
        (
            {"config": config(steps=20)},
            "differ in their steps (20 and 10), which neither's own overlays or options set",
        ),
        ({"config": config(warmup=3)}, "differ in their warmup (3 and nothing), which neither's"),
        ({"config": config(optimizer={"lr": 0.2})}, "differ in their optimizer ({'lr': 0.2} and {'lr': 0.1}), which"),
    ],
)
def test_what_makes_no_pair(runs_of, tmp_path, record, message):
    with pytest.raises(DataError) as refused:
        runs_of(entropy=record)
    text = str(refused.value)
    assert text.startswith("entropy and random of seed 0 differ in ")
    assert message in text
    assert text.endswith(f"({tmp_path / 'entropy' / 'seed_0'} and {tmp_path / 'random' / 'seed_0'})")


def changed_pool(**changes):
    pool = json.loads(json.dumps(POOL))
    for key, value in changes.items():
        if key in pool["items"][1]:
            pool["items"][1][key] = value
        else:
            pool[key] = value
    return pool


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (changed_pool(files={"a.nii": "3", "al.nii": "2"}), "the content of the image of the item 'a/0000'"),
        (changed_pool(image="b.nii"), "the content of the image of the item 'a/0001'"),
        (changed_pool(split="test"), "the split of the item 'a/0001'"),
        (changed_pool(id="a/0009"), "only one of them holds the item 'a/0001'"),
        (
            changed_pool(items=[ITEMS[0], ITEMS[1] | {"slice_axis": 0}, *ITEMS[2:]]),
            "the slice_axis of the item 'a/0001'",
        ),
        (changed_pool(items=ITEMS[:2]), "only one of them holds the item 'a/0002'"),
        (changed_pool(items=ITEMS[::-1]), "the order of its items"),
        (changed_pool(classes=["background", "tumor"]), "classes ["),
    ],
)
@pytest.mark.parametrize("is_everything", [False, True])
def test_other_pools_make_no_pair(runs_of, pool, message, is_everything):
    with pytest.raises(DataError) as refused:
        runs_of(random={"pool": pool}, everything="random" if is_everything else None)
    assert f"differ in their pool: {message}" in str(refused.value)


def test_other_test_labels_make_no_pair(runs_of):
    assert runs_of(random={"test_labels": "a"}, entropy={"test_labels": "a"}) == []
    with pytest.raises(DataError, match="random and entropy|entropy and random") as refused:
        runs_of(random={"test_labels": "a"}, entropy={"test_labels": "b"})
    assert "differ in the labels of their test part" in str(refused.value)


def test_the_same_pool_elsewhere_is_the_same(runs_of):
    moved = json.loads(json.dumps(POOL).replace("a.nii", "elsewhere/a.nii").replace("al.nii", "elsewhere/al.nii"))
    assert runs_of(entropy={"pool": moved}) == []


def test_a_folder_under_another_seed_is_refused(runs_of, tmp_path):
    with pytest.raises(DataError, match=r"random/seed_3 holds a run of seed 5: it is no run of seed 3; move it away"):
        runs_of(seed=3, random={"seed": 5})


def test_runs_of_different_seeds_may_differ(tmp_path, write_run):
    comparison = Comparison("a", "al.yaml", seeds=(0, 1), runs={"random": {}})
    for run in comparison.planned(tmp_path):
        write_run(run.folder, [0.5], seed=run.seed, threads=run.seed, initial=(f"a/{run.seed}",))
    assert check_pairs(comparison, comparison.planned(tmp_path)) == []


# -- slices beside whole volumes, over the cost ------------------------------------------------------------------------


def slices_and_volumes(tmp_path, write_run, *, axis="cost_slices", volume=None, files=None, own=None, sizes=(1, 1)):
    """One run on slices, one on the volumes that hold them; of a test volume, too."""
    tested = {**ITEMS[0], "id": "b/0000", "volume": "b", "patient": "q", "image": "b.nii", "label": "bl.nii"}
    stored = {**POOL["files"], "b.nii": "3", "bl.nii": "4"}
    slices = {**POOL, "items": [*ITEMS, tested | {"split": "test"}], "files": stored}
    whole = [{**item, "id": item["volume"], "slice": None, **(volume or {})} for item in slices["items"][-2:]]
    volumes = {**slices, "items": whole, "files": stored | (files or {})}
    runs = {"slices": {}, "volumes": {"options": {"budget": 1}} if own is None else own}
    runs = {name: {"overlays": (), "options": {}, **said} for name, said in runs.items()}
    comparison = Comparison("a", "al.yaml", seeds=(0,), runs=runs, axis=axis)
    planned = comparison.planned(tmp_path)
    common = {"seed": 0, "config": config(), "threads": 1, "places": CPU}
    write_run(planned[0].folder, [0.5, 0.6], pool=slices, **common)
    write_run(planned[1].folder, [0.5, 0.6], pool=volumes, sizes=list(sizes), initial=("a",), **common)
    return comparison, planned


def test_slices_and_volumes_are_pairs_over_the_cost_alone(tmp_path, write_run):
    told = check_pairs(*slices_and_volumes(tmp_path, write_run))
    assert told == ["These have budgets of their own: volumes."]
    with pytest.raises(DataError, match="differ in their pool: only one of them holds the item 'a/0000'|'a'"):
        check_pairs(*slices_and_volumes(tmp_path, write_run, axis="labeled"))


@pytest.mark.parametrize(
    ("difference", "message"),
    [
        ({"volume": {"patient": "x"}}, "their pool: the patient of the volume 'a'"),
        ({"files": {"a.nii": "9"}}, "their pool: the content of the image of the volume 'a'"),
        ({"files": {"bl.nii": "9"}}, "the labels of their test part"),
        ({"own": {}}, "how many items their rounds ask for"),
    ],
)
def test_slices_and_volumes_that_are_no_pairs(tmp_path, write_run, difference, message):
    with pytest.raises(DataError, match=message):
        check_pairs(*slices_and_volumes(tmp_path, write_run, **difference))


# -- settings of its own -----------------------------------------------------------------------------------------------


def told(name, ids):
    return [f"{name} trains in a way of its own ({ids}): it differs from the first round on."]


def test_settings_that_a_run_declares_may_differ_and_are_told(runs_of, tmp_path):
    overlay = tmp_path / "dropout.yaml"
    overlay.write_text("{dropout: 0.2, 'network::depth': 3, +optimizer: {lr: 0.2}}")
    other = config(dropout=0.2, network={"depth": 3}, optimizer={"lr": 0.2}, steps=20)
    other["learner"]["members"] = 5
    own = {"entropy": {"overlays": (str(overlay),), "options": {"steps": 20, "members": 5}}}
    names = ("random", "entropy", "margin")
    expected = told("entropy", "dropout, members, network, optimizer, steps")
    assert runs_of(names=names, own=own, entropy={"config": other, "initial": ("a/0001", "b/0002")}) == expected


def test_a_knob_that_sets_another_id_is_declared(runs_of):
    own = {"entropy": {"options": {"epochs": 5, "fast": 1}}}
    command = {"train_map": {"fast": "optimizer#lr"}}
    other = config(epochs=5, optimizer={"lr": 1})
    assert runs_of(own=own, entropy={"config": other, "command": command}) == told("entropy", "epochs, optimizer")
    foreign = config(train={"trainer": {"max_epochs": 5}})
    assert runs_of(own=own, entropy={"config": foreign}) == told("entropy", "train")


def test_training_overlays_are_declared(runs_of, tmp_path):
    (tmp_path / "bundle" / "configs").mkdir(parents=True)
    (tmp_path / "bundle" / "configs" / "learning_loss.yaml").write_text("{loss: mine}")
    overlay = tmp_path / "learning_loss.yaml"
    overlay.write_text("+train_overlays: [learning_loss]")
    more = {
        "command": {"train_overlays": ["learning_loss"]},
        "places": {**CPU, "bundle_root": str(tmp_path / "bundle")},
    }
    own = {"entropy": {"overlays": (str(overlay),)}}
    assert runs_of(own=own, entropy={"config": config(loss="mine"), **more}) == told("entropy", "loss")
    with pytest.raises(DataError, match=r"differ in their steps \(20 and 10\)"):
        runs_of(own=own, entropy={"config": config(loss="mine", steps=20), **more})
    (tmp_path / "bundle" / "configs" / "learning_loss.yaml").unlink()  # what it sets cannot be known any more
    assert runs_of(own=own, entropy={"config": config(loss="mine"), **more}) == told("entropy", "loss")


def test_a_declared_setting_excuses_only_the_run_that_declares_it(runs_of):
    own = {"random": {"options": {"steps": 20}}}
    assert runs_of(own=own, random={"config": config(steps=20)}) == told("random", "steps")
    with pytest.raises(DataError, match=r"margin and entropy of seed 0 differ in their steps \(30 and 10\)"):
        runs_of(names=("random", "entropy", "margin"), own=own, margin={"config": config(steps=30)})


def test_two_values_of_one_option_may_be_compared(runs_of, tmp_path):
    overlay = tmp_path / "less.yaml"
    overlay.write_text("{dropout: 0.1, depth: 3}")
    own = {"random": {"overlays": (str(overlay),)}, "entropy": {"options": {"dropout": 0.2, "depth": 3}}}
    less, more = config(dropout=0.1, depth=3), config(dropout=0.2, depth=3)
    expected = told("random", "dropout") + told("entropy", "dropout")
    assert sorted(runs_of(own=own, random={"config": less}, entropy={"config": more})) == sorted(expected)
    with pytest.raises(DataError, match=r"entropy and random of seed 0 differ in their depth \(4 and 3\), though"):
        runs_of(own=own, random={"config": less}, entropy={"config": config(dropout=0.2, depth=4)})


def test_knobs_that_say_different_things_may_be_compared(runs_of):
    own = {"random": {"options": {"epochs": 5}}, "entropy": {"options": {"epochs": 6}}}
    few, many = (config(train={"trainer": {"max_epochs": epochs}}) for epochs in (5, 6))
    expected = told("random", "train") + told("entropy", "train")
    assert sorted(runs_of(own=own, random={"config": few}, entropy={"config": many})) == sorted(expected)
    own["entropy"] = own["random"]
    with pytest.raises(DataError, match=r"differ in their train \(.*6.* and .*5.*\), though"):
        runs_of(own=own, random={"config": few}, entropy={"config": many})


@pytest.mark.parametrize("is_there", [True, False])
def test_a_training_overlay_that_was_edited_between_two_runs_makes_no_pair(runs_of, tmp_path, is_there):
    configs = tmp_path / "bundle" / "configs"
    configs.mkdir(parents=True)
    if is_there:
        (configs / "learning_loss.yaml").write_text("{ranking_margin: 1.0}")
    overlay = tmp_path / "learning_loss.yaml"
    overlay.write_text("+train_overlays: [learning_loss]")
    own = dict.fromkeys(("loss", "stochastic"), {"overlays": (str(overlay),)})
    names = ("random", "loss", "stochastic")

    def trained(margin):
        more = {"command": {"train_overlays": ["learning_loss"]}, "weights": WEIGHTS}
        return {**more, "config": config(ranking_margin=margin), "places": {**CPU, "bundle_root": str(configs.parent)}}

    expected = told("loss", "ranking_margin") + told("stochastic", "ranking_margin")
    assert runs_of(names=names, own=own, loss=trained(1.0), stochastic=trained(1.0)) == expected
    with pytest.raises(DataError) as refused:
        runs_of(names=names, own=own, loss=trained(1.0), stochastic=trained(0.5))
    assert str(refused.value) == (
        "stochastic and loss of seed 0 differ in their ranking_margin (0.5 and 1.0), though what their own overlays "
        "and options say of it is the same by now, so they cannot be compared "
        f"({tmp_path / 'stochastic' / 'seed_0'} and {tmp_path / 'loss' / 'seed_0'})"
    )
    with pytest.raises(DataError, match="stochastic and loss of seed 0 differ in their first model"):
        runs_of(names=names, own=own, loss=trained(1.0), stochastic={**trained(1.0), "weights": OTHER})


def test_scores_under_different_rules_are_never_compared(runs_of):
    other = config()
    other["learner"]["empty_policy"] = "count_empty"
    with pytest.raises(DataError, match="differ in their empty_policy .'count_empty' and 'strict'., so"):
        runs_of(own={"entropy": {"options": {"empty_policy": "count_empty"}}}, entropy={"config": other})
    inside = config()
    inside["learner"]["score_inside"] = True
    with pytest.raises(DataError, match="differ in their score_inside .True and nothing., so"):
        runs_of(own={"entropy": {"options": {"score_inside": True}}}, entropy={"config": inside})
    assert runs_of(random={"config": inside}, entropy={"config": inside}) == []


# -- the seeds of a row ------------------------------------------------------------------------------------------------


@pytest.fixture
def row_of(tmp_path, write_run):
    """Write one run with two seeds, and check them."""

    def check(*configs, **places):
        comparison = Comparison("a", "al.yaml", seeds=(0, 1), runs={"random": {"options": {"steps": 20}}})
        for run, own in zip(comparison.planned(tmp_path), configs, strict=True):
            own["learner"]["seed"] = own["training"]["seed"] = run.seed
            place = {"places": places} if run.seed else {}
            write_run(run.folder, [0.5], seed=run.seed, config=own, initial=(f"a/{run.seed}",), **place)
        return check_pairs(comparison, comparison.planned(tmp_path))

    return check


def with_learner(**settings):
    own = config()
    own["learner"] |= settings
    return own


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (config(steps=20), "steps (20 and 10)"),
        (config(depth=3), "depth (3 and nothing)"),
        (with_learner(members=5), "members (5 and 1)"),
        (with_learner(strategy="entropy"), "strategy ('entropy' and 's')"),
        (with_learner(strategy_settings={"width": 0.1}), "strategy_settings ({'width': 0.1} and {})"),
    ],
)
def test_seeds_of_a_row_with_other_settings_are_refused(row_of, tmp_path, other, message):
    with pytest.raises(DataError) as refused:
        row_of(config(), other)
    folder = tmp_path / "random"
    assert str(refused.value) == (
        f"seeds 1 and 0 of random differ in their {message}, so they are no row: do one of them again "
        f"({folder / 'seed_1'} and {folder / 'seed_0'})"
    )


def test_seeds_and_places_of_a_row_may_differ(row_of):
    own, other = (with_learner(annotator_settings={"noise": [{"seed": seed, "share": 0.1}]}) for seed in (3, 4))
    other["learner"]["uses_truth"] = False  # older records do not tell
    assert row_of(own, other, device="cuda", dataset_dir="elsewhere") == []
    other["learner"]["annotator_settings"]["noise"][0]["share"] = 0.2
    with pytest.raises(DataError, match="differ in their annotator_settings"):
        row_of(own, other)


def test_of_large_settings_the_part_that_differs_is_told(row_of):
    large = {"handlers": {"name": "a" * 60, "interval": 10}}
    other = {"handlers": {"name": "a" * 60, "interval": 20}}
    with pytest.raises(DataError, match=r"differ in their train \(20 and 10\)"):
        row_of(config(train=large), config(train=other))


# -- the run on everything ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("random", "all", "entropy"), ("all", "random", "entropy")])
def test_the_run_on_everything_has_its_own_start_and_the_same_training(runs_of, names):
    whole = {"sizes": [200, 200], "initial": ("z/0001",), "weights": {"conv": torch.zeros(1)}}
    others = dict.fromkeys(("random", "entropy"), {"weights": WEIGHTS})
    assert runs_of(names=names, everything="all", all=whole, **others) == []
    with pytest.raises(DataError, match=r"their steps \((20 and 10|10 and 20)\)"):
        runs_of(names=names, everything="all", all={**whole, "config": config(steps=20)}, **others)
    with pytest.raises(DataError, match="their threads"):
        runs_of(names=names, everything="all", all={**whole, "threads": 2}, **others)


# -- first models ------------------------------------------------------------------------------------------------------

OTHER = {**WEIGHTS, "conv": WEIGHTS["conv"] + torch.tensor([0, 0, 1e-3])}


def test_equal_first_models_are_told_from_others(runs_of):
    assert runs_of(random={"weights": WEIGHTS}, entropy={"weights": WEIGHTS}) == []
    again = {name: value.clone() for name, value in reversed(WEIGHTS.items())}  # another file, the same weights
    assert runs_of(random={"weights": WEIGHTS}, entropy={"weights": again}) == []
    with pytest.raises(DataError, match="entropy and random of seed 0 differ in their first model, though they were"):
        runs_of(random={"weights": WEIGHTS}, entropy={"weights": OTHER})


def test_a_torch_without_gpu_tells_that_it_was_a_cpu(runs_of):
    places = dict.fromkeys(("random", "entropy"), {"places": GPU, "versions": {"torch": "2.8.0+cpu"}})
    places["entropy"] = {**places["entropy"], "weights": OTHER}
    places["random"] = {**places["random"], "weights": WEIGHTS}
    with pytest.raises(DataError, match="their first model"):
        runs_of(**places)


def test_on_a_gpu_first_models_may_differ_and_it_is_told(runs_of):
    gpu = {"places": GPU}
    models = {"random": {**gpu, "weights": WEIGHTS}, "entropy": {**gpu, "weights": OTHER}, "margin": gpu}
    notes = runs_of(names=("random", "entropy", "margin"), **{**models, "margin": {**gpu, "weights": WEIGHTS}})
    assert notes == [
        "The first models of 1 of 2 runs are not those of their partners, though they were trained alike (largest "
        "difference 1.0e-03): a GPU may do that, a CPU not."
    ]
    for wrong in ({"conv": torch.zeros(2, 4), "steps": torch.tensor(3)}, {"conv": WEIGHTS["conv"]}):
        with pytest.raises(DataError, match="their first model"):
            runs_of(**{**models, "entropy": {**gpu, "weights": wrong}, "margin": gpu})


def test_members_are_compared_one_by_one(runs_of, tmp_path):
    torch.save({"model": OTHER}, tmp_path / "other.pt")
    gpu = {"places": GPU, "weights": WEIGHTS}
    assert runs_of(random=gpu, entropy=gpu) == []
    for name in ("random", "entropy"):
        (tmp_path / name / "seed_0" / "round_00" / "model_1.pt").write_bytes((tmp_path / "other.pt").read_bytes())
    assert runs_of(random=gpu, entropy=gpu) == []
    (tmp_path / "entropy" / "seed_0" / "round_00" / "model_1.pt").unlink()
    with pytest.raises(DataError, match="their first model"):
        runs_of(random=gpu, entropy=gpu)


def test_models_of_runs_that_train_differently_are_not_compared(runs_of):
    own = {"entropy": {"options": {"steps": 20}}}
    other = {"config": config(steps=20), "weights": OTHER}
    assert runs_of(own=own, random={"weights": WEIGHTS}, entropy=other) == told("entropy", "steps")


def test_without_models_their_scores_tell(tmp_path, write_run):
    comparison = Comparison("a", "al.yaml", seeds=(0,), runs={"random": {}, "entropy": {}})
    for places, scores, expected in (
        (CPU, [0.5, 0.6], None),
        (GPU, [0.4, 0.6], "1.0e-01"),
        (GPU, [None, 0.6], "1.0e+00"),
        (CPU, [0.4, 0.6], DataError),
    ):
        for run in comparison.planned(tmp_path):
            write_run(run.folder, scores if run.name == "random" else [0.5, 0.6], places=places)
        if expected is DataError:
            with pytest.raises(DataError, match="their first model"):
                check_pairs(comparison, comparison.planned(tmp_path))
        else:
            notes = check_pairs(comparison, comparison.planned(tmp_path))
            assert [expected in note for note in notes] == ([] if expected is None else [True])

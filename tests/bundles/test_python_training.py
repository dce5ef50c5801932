# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a round does with a small workflow in Python, in each way that such a file may be written."""

from __future__ import annotations

import logging
import sys
import textwrap

import pytest
import torch

from monai_al.bundle import BundleConfigError, PythonTraining, python_training
from monai_al.bundle.dataset_entries import entries_of
from monai_al.bundle.foreign_code import foreign_code
from monai_al.bundle.opened_training import open_training, reopened_training
from monai_al.bundle.process_state import seeds_replaced, untouched_process
from monai_al.bundle.training_parts import handlers_of

WORKFLOW = """
import logging
import os
from pathlib import Path

import torch
from ignite.engine import Engine
from monai.bundle import BundleWorkflow
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import CheckpointSaver, EarlyStopHandler, LogfileHandler, ValidationHandler
from monai.inferers import SlidingWindowInferer
from monai.losses import DiceLoss
from monai.utils import set_determinism

RUNS = []


class Seen:
    def attach(self, engine):
        engine.add_event_handler("STARTED", lambda: RUNS.append(1))


class Training(BundleWorkflow):
    def __init__(self, size=8, ckpt_dir=Path("models")):
        super().__init__(workflow_type="train")
        logging.basicConfig(level=logging.WARNING, force=True)
        self._made = {}
        self.size, self.ckpt_dir, self.rate = size, ckpt_dir, 0.1
        self.output_dir = "eval"

    def initialize(self):
        set_determinism(7)
        self.network_def

    def run(self):
        self.trainer.run()

    def finalize(self):
        os.makedirs(self.output_dir, exist_ok=True)
        Path(self.output_dir, "done.txt").write_text("done")

    def _get_property(self, name, property):
        if name not in self._made:
            self._made[name] = getattr(type(self), "get_" + name, lambda self: None)(self)
        return self._made[name]

    def _set_property(self, name, property, value):
        self._made[name] = value

    def get_network_def(self):
        return torch.nn.Conv2d(1, 2, 3, padding=1)

    def get_max_epochs(self):
        return 2

    def get_train_dataset_data(self):
        return self.made(4)

    def made(self, number):
        image = torch.arange(self.size**2).reshape(1, self.size, self.size) / self.size**2
        return [{"image": image, "label": (image > 0.5).float(), "name": i} for i in range(number)]

    def get_train_dataset(self):
        return Dataset(self.train_dataset_data)

    def get_train_handlers(self):
        return [ValidationHandler(1, self.evaluator), LogfileHandler("logs")]

    def get_optimizer(self):
        return torch.optim.SGD(self.network_def.parameters(), self.rate)

    def get_trainer(self):
        return SupervisedTrainer(
            device=torch.device("cpu"),
            max_epochs=self.max_epochs,
            train_data_loader=DataLoader(self.train_dataset, batch_size=2, shuffle=True),
            network=self.network_def,
            optimizer=self.get_optimizer(),
            loss_function=DiceLoss(to_onehot_y=True, softmax=True),
            train_handlers=self.train_handlers,
            decollate=False,
        )

    def get_evaluator(self):
        saver = CheckpointSaver(str(self.ckpt_dir), {"model": self.network_def}, save_final=True)
        return SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(Dataset(self.made(3)), batch_size=1),
            network=self.network_def,
            inferer=SlidingWindowInferer([4, 4]),
            val_handlers=[saver, Seen()],
            decollate=False,
        )
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the workflow, with changes, into a bundle of its own; the test runs in another folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def written(*changes, more="", folder="bundle/scripts"):
        text = WORKFLOW
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        file = tmp_path / folder / "workflow.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + textwrap.dedent(more))
        return file

    return written


def items(number=3):
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(1, 8, 8, generator=generator) for _ in range(number)]
    return [{"image": image, "label": (image > 0.5).float(), "name": 100 + i} for i, image in enumerate(images)]


def equal(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture
def trained_on(monkeypatch):
    """The names of the entries that each training read."""
    seen = []
    check = python_training.check_steps

    def watched(trainer, given):
        seen.append([entry["name"] for entry in entries_of(trainer.data_loader.dataset)])
        check(trainer, given)

    monkeypatch.setattr(python_training, "check_steps", watched)
    return seen


# -- what is trained ---------------------------------------------------------------------------------------------------

AS_A_PROPERTY = ("", "")
DEAF = ('        self._made[name] = value', '        pass')  # fmt: skip
REFUSING = ('        self._made[name] = value', '        raise NotImplementedError')  # fmt: skip
FORGETFUL = ("        set_determinism(7)\n", "        self._made = {}\n        set_determinism(7)\n")
TRAINER_OF_RUN = ("        self.trainer.run()", "        self.get_trainer().run()")


@pytest.mark.parametrize("change", [AS_A_PROPERTY, DEAF, REFUSING, FORGETFUL, TRAINER_OF_RUN])
def test_it_trains_on_the_labeled_entries_however_it_takes_them(change, write, trained_on):
    training = PythonTraining(write(change))
    first = training.run(items(), seed=1)
    assert trained_on == [[100, 101, 102]]
    fresh = torch.nn.Conv2d(1, 2, 3, padding=1).state_dict()
    assert {key: value.shape for key, value in first.items()} == {key: value.shape for key, value in fresh.items()}


def test_it_validates_on_the_entries_that_are_given(write, monkeypatch):
    seen, stop = [], python_training.watch_start

    def watched(trainer, *given, **named):
        (validator,) = {handler.validator for _, handler in handlers_of(trainer) if hasattr(handler, "validator")}
        seen.append((len(validator.data_loader.dataset), validator.state.epoch_length))
        stop(trainer, *given, **named)

    monkeypatch.setattr(python_training, "watch_start", watched)
    training = PythonTraining(write(), {"val_interval": 1})
    training.run(items(), seed=1)
    training.run(items(), seed=1, validation=items(2))
    assert seen == [(3, 3), (2, 2)]


@pytest.mark.parametrize(
    "change",
    [
        AS_A_PROPERTY,
        ("        self.network_def\n", "        pass\n"),
        ("        return torch.nn.Conv2d", "        torch.manual_seed(3)\n        return torch.nn.Conv2d"),
        (
            "        self.trainer.run()",
            "        self.trainer\n        set_determinism(None)\n        self.trainer.run()",
        ),
    ],
    ids=["in initialize", "before the network", "where the network is built", "before the training"],
)
def test_the_seed_decides_wherever_the_workflow_seeds_for_itself(change, write):
    training = PythonTraining(write(change))
    torch.manual_seed(3)
    expected = torch.rand(1).item()
    torch.manual_seed(3)
    first, again, other = (training.run(items(), seed=seed) for seed in (1, 1, 2))
    assert torch.rand(1).item() == expected  # that of the process stays
    assert equal(first, again)
    assert not equal(first, other)


class Seeds(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return torch.initial_seed()


def test_workers_of_a_loader_keep_seeds_of_their_own():
    with untouched_process(3), seeds_replaced(3):
        first, second = torch.utils.data.DataLoader(Seeds(), num_workers=2)
    assert first.item() != second.item()


def test_weights_can_be_handed_on(write):
    still = PythonTraining(write(), {"rate": 0.0})
    state = PythonTraining(write(), {"epochs": 1}).run(items(), seed=3)
    assert equal(still.run(items(), seed=1, state=state), state)
    loaded = still.load(state)
    assert equal(loaded.network.state_dict(), state)
    assert (loaded.activation, type(loaded.inferer).__name__) == ("softmax", "SlidingWindowInferer")
    assert not equal(still.load(None).network.state_dict(), state)


def test_nothing_is_written_but_into_the_scratch_folder(write, tmp_path):
    file = write()
    before = sorted(tmp_path.rglob("*"))
    level, handlers, path = logging.getLogger().level, list(logging.getLogger().handlers), list(sys.path)
    training = PythonTraining(file, {"val_interval": 1})
    training.run(items(), seed=0, scratch=tmp_path / "scratch")
    written = {path.relative_to(tmp_path).as_posix() for path in set(tmp_path.rglob("*")) - set(before)}
    assert {"scratch/done.txt", "scratch/log.txt", "scratch/model_final_iteration=3.pt"} <= written
    assert {name for name in written if not name.startswith("scratch")} == set()
    assert (logging.getLogger().level, logging.getLogger().handlers, sys.path) == (level, handlers, path)


AFTERWARDS = ("        self.trainer.run()", "        self.trainer.run()\n        self.load_best()")
BEST = ("    def finalize", "    def load_best(self):\n        pass\n\n    def finalize")
STOPPING = ("[saver, Seen()]", "[saver, Seen(), EarlyStopHandler(9, lambda engine: 0.0, self.trainer_of_it)]")
OF_IT = (
    '        self.output_dir = "eval"',
    '        self.output_dir = "eval"\n        self.trainer_of_it = Engine(print)',
)


@pytest.mark.parametrize(
    ("changes", "overrides", "validations"),
    [([], {}, 0), ([], {"val_interval": 1}, 2), ([AFTERWARDS, BEST], {}, 2), ([STOPPING, OF_IT], {}, 2)],
    ids=["not", "where it is asked for", "where its best weights are loaded", "where it decides"],
)
def test_it_validates_only_where_something_depends_on_it(changes, overrides, validations, write):
    training = PythonTraining(write(*changes), overrides)
    training.run(items(), seed=0)
    assert len(training.file.module.RUNS) == validations
    assert training.deciding() == (["EarlyStopHandler"] if STOPPING in changes else [])


# -- weights that it loads by itself -----------------------------------------------------------------------------------

LOADS = "self.network_def.load_state_dict(torch.load(Path(self.ckpt_dir, 'start.pt'), weights_only=True))"


@pytest.mark.parametrize(
    "change",
    [
        ("        self.network_def\n", f"        {LOADS}\n"),
        ("        self.trainer.run()", f"        {LOADS}\n        self.trainer.run()"),
        ('LogfileHandler("logs")]', 'Loads(self)]'),
    ],
    ids=["in initialize", "in run", "in a handler"],
)  # fmt: skip
def test_its_own_weights_enter_only_where_they_are_asked_for(change, write, tmp_path):
    more = """
    class Loads:
        def __init__(self, workflow):
            self.load_path, self.load_dict = str(Path(workflow.ckpt_dir, "start.pt")), {"model": workflow.network_def}

        def attach(self, engine):
            engine.add_event_handler("STARTED", self)

        def __call__(self, engine):
            self.load_dict["model"].load_state_dict(torch.load(self.load_path, weights_only=True))
    """
    file = write(change, more=more)
    state = PythonTraining(write(folder="other/scripts")).run(items(), seed=9)
    (tmp_path / "start").mkdir()
    torch.save(state, tmp_path / "start" / "start.pt")
    places = {"ckpt_dir": str(tmp_path / "start"), "rate": 0.0}
    with pytest.raises(BundleConfigError, match=r"by itself, from ckpt_dir/start.pt"):
        PythonTraining(file, places).run(items(), seed=0, scratch=tmp_path / "scratch")
    asked = PythonTraining(file, places, own_weights=True)
    assert equal(asked.run(items(), seed=0, scratch=tmp_path / "scratch"), state)
    assert [one["file"] for one in asked.weights] == [str(tmp_path / "start" / "start.pt")]
    assert asked.weights[0]["sha256"]
    assert [path.name for path in (tmp_path / "start").iterdir()] == ["start.pt"]


# -- options -----------------------------------------------------------------------------------------------------------


def test_options_reach_parameters_properties_and_attributes(write, tmp_path):
    options = {"size": 6, "epochs": 3, "rate": "$0.1 + 0.2", "ckpt_dir": "weights", "device": "cpu"}
    training = PythonTraining(write(), options)
    built = training._builder.build()
    assert (built.size, built.max_epochs, built.rate) == (6, 3, pytest.approx(0.3))
    assert built.ckpt_dir.name == "weights"  # a path, as its own is
    assert built.device == torch.device("cpu")
    assert built.bundle_root == str(tmp_path / "bundle")
    assert training.raw() == {"_workflow_": training.raw()["_workflow_"], **options}
    assert [training.declares(id) for id in ("rate", "epochs", "pool", "rates")] == [True, True, False, False]
    assert PythonTraining(write(), {"speed": 0.5}, {"speed": "rate"}).raw()["rate"] == 0.5


@pytest.mark.parametrize(
    ("overrides", "change", "message"),
    [
        ({"rates": 3}, AS_A_PROPERTY, "--rates: workflow.py takes no such option; did you mean rate"),
        ({"max_epoch": 3}, AS_A_PROPERTY, "did you mean max_epochs"),
        ({"bundle_root": "x"}, AS_A_PROPERTY, "--bundle_root: workflow.py takes no such option"),
        ({"rate": "$nope"}, AS_A_PROPERTY, "--rate .nope: cannot be evaluated: .*nope"),
        (
            {"epochs": 5},
            ("max_epochs=self.max_epochs", "max_epochs=4"),
            "--epochs 5: workflow.py sets max_epochs by its",
        ),
        (
            {"rate": 5},
            ("        self.network_def\n", "        self.rate = 0.3\n"),
            "--rate 5: workflow.py sets rate by it",
        ),
    ],
)
def test_an_option_without_effect_is_told(overrides, change, message, write):
    with pytest.raises(BundleConfigError, match=message):
        PythonTraining(write(change), overrides).find()


CONFIGURED = """
from monai.bundle import PythonicWorkflow


class Configured(PythonicWorkflow):
    def __init__(self, config_file="configs/numbers.yaml", **override):
        super().__init__(config_file=config_file, **override)

    def run(self):
        pass

    def finalize(self):
        pass
"""


def test_options_reach_the_config_of_a_pythonic_workflow(tmp_path):
    for folder in ("scripts", "configs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "scripts" / "workflow.py").write_text(CONFIGURED)
    (tmp_path / "configs" / "numbers.yaml").write_text("rate: 0.1\nsteps: {first: 1}")
    (tmp_path / "mine.yaml").write_text("speed: 0.1")
    file = tmp_path / "scripts" / "workflow.py"
    built = PythonTraining(file, {"rate": 0.3, "steps#first": "$@rate * 10"})._builder.build()
    assert built.workflow_type == "train"
    assert built.parser.get_parsed_content("steps#first") == 3
    assert "start" not in PythonTraining(file).raw()["_workflow_"]["sha256"]
    other = PythonTraining(file, {"config_file": str(tmp_path / "mine.yaml"), "speed": 3})
    assert other._builder.build().parser.get_parsed_content("speed") == 3
    assert set(other.raw()["_workflow_"]["sha256"]) == {"scripts/workflow.py", "mine.yaml"}
    with pytest.raises(BundleConfigError, match="--rate: workflow.py takes no such option"):
        PythonTraining(file, {"config_file": str(tmp_path / "mine.yaml"), "rate": 3})


# -- the file ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        (
            "",
            "class Other(Training):\n    pass",
            "several workflows, Training, Other: name one by .*workflow.py:Training",
        ),
        (":Trainin", "", "no workflow 'Trainin', but Training"),
        ("", "raise ValueError('not today')", "workflow.py fails by itself.*ValueError: not today"),
        ("", "import no_such_module", "workflow.py fails by itself.*no_such_module"),
        ("", "def (", "workflow.py fails by itself.*SyntaxError"),
        ("", "del Training", "workflow.py holds no class that is derived from MONAI's BundleWorkflow"),
        ("", "del Training.run", "Training lacks run"),
    ],
)
def test_a_file_that_holds_no_workflow_is_told(name, more, message, write):
    if more == "del Training.run":
        more = "del Training.run\nimport abc\nabc.update_abstractmethods(Training)"
    with pytest.raises(BundleConfigError, match=message):
        PythonTraining(f"{write(more=more)}{name}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("        self.trainer.run()", "        pass")], "runs no trainer: .* whose run.. starts one of MONAI's"),
        ([("        return self.made(4)", "        return []")], "train_dataset_data of .*workflow.py is empty"),
        ([("        return self.made(4)", "        return self.made(0.5)")], "workflow.py fails by itself.*TypeError"),
        (
            [("        self.trainer.run()", "        self.trainer.run()\n        self.get_trainer().run()")],
            "two trainers",
        ),
        ([("batch_size=2,", "batch_size=9, drop_last=True,")], "did no step with its 3 labeled items"),
    ],
)
def test_a_workflow_that_cannot_work_is_told(changes, message, write):
    with pytest.raises(BundleConfigError, match=message):
        PythonTraining(write(*changes)).run(items(), seed=0)


def test_each_bundle_imports_its_own_modules(write, tmp_path):
    own = ("import torch\n", "import torch\nfrom scripts.net import channels\n")
    trainings = {}
    for name, channels in (("a", 2), ("b", 3)):
        file = write(own, ("Conv2d(1, 2,", "Conv2d(1, channels(),"), folder=f"{name}/scripts")
        (file.parent / "net.py").write_text(f"def channels():\n    return {channels}\n")
        trainings[name] = PythonTraining(file)
    for name, channels in (("a", 2), ("b", 3), ("a", 2)):
        assert len(trainings[name].load(None).network.state_dict()["bias"]) == channels
    assert not list(tmp_path.rglob("__pycache__"))
    assert "scripts.workflow" not in sys.modules


def test_a_named_part_takes_the_place_of_what_is_found(write):
    file = write(
        ('        self.output_dir = "eval"', '        self.output_dir = "eval"\n        self.mine = self.made(2)')
    )
    found = PythonTraining(file, bundle_ids={"test_data": "mine"}).find().parts
    assert [entry["name"] for entry in found.test_entries] == [0, 1]
    with pytest.raises(BundleConfigError, match="--bundle_ids: .* holds no property or attribute 'yours'"):
        PythonTraining(file, bundle_ids={"test_data": "yours"}).find()
    with pytest.raises(BundleConfigError, match="--bundle_ids: there is no part 'trainer' to be named"):
        PythonTraining(file, bundle_ids={"trainer": "trainer"})


# -- read again --------------------------------------------------------------------------------------------------------


def test_it_is_opened_again_from_its_record(write):
    file = write(more="class Other(Training):\n    pass")
    training = open_training(f"{file}:Other", {"rate": 0.0, "epochs": 1})
    assert isinstance(training, PythonTraining)
    record = training.raw() | {"bundle_root": str(training.root)}
    again = reopened_training(record, {"rate": 0.5}, name="a run")
    assert again.raw() == training.raw() | {"rate": 0.5}
    assert foreign_code(record, folders={}) == {
        "_workflow_": "scripts/workflow.py:Other", "bundle_root": str(training.root)
    }  # fmt: skip
    with pytest.raises(BundleConfigError, match="--train_overlays a.yaml: .*workflow.py is no config"):
        open_training([file, "a.yaml"])
    with pytest.raises(BundleConfigError, match="--properties_path: workflow.py takes no such option"):
        open_training(f"{file}:Other", properties_path=file)

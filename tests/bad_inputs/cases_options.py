# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Options, names, overlays and command lines, of MONAI's command (``loop``) and of ours (``ours``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bad_inputs import RUN, Case, loop

CACHE = ("cache",)  # where the phantom was drawn
FOLDER = "bundle: active_learning\nruns: {random: {}}\n"


def ours(*more: str, name: str = "active_learning", overlays: Sequence[str] = ()) -> list[str]:
    """The words of the same small loop, as ``python -m monai_al run`` takes them."""
    return ["run", name, "small.yaml", "loop.yaml", *overlays, *more]


def late(name: str, command: Sequence[str], **wanted: Any) -> Case:
    """A case that ``make test`` leaves out."""
    return Case(name=name, command=command, nightly=True, **wanted)


def both(name: str, *words: str, says: Sequence[str], nightly: bool = True, **wanted: Any) -> list[Case]:
    """A case for each command; the second one is always a nightly one."""
    wanted |= {"says": says}
    return [
        Case(name=f"{name}, by MONAI's command", command=loop(*words), nightly=nightly, **wanted),
        Case(name=name, command=ours("--output_dir", "run", *words), nightly=True, **wanted),
    ]


def overlay(name: str, text: str, *, says: Sequence[str], file: str = "mine.yaml", **wanted: Any) -> Case:
    """A case of a bad overlay under our command, whose text MONAI's command would end over with its own traceback."""
    command = ours("--output_dir", "run", overlays=[file])
    return Case(name=name, command=command, files={file: text}, says=says, **{"nightly": True} | wanted)


def kept(name: str, text: str, *, says: Sequence[str], **wanted: Any) -> list[Case]:
    """A case for each command of an overlay that both can read."""
    fronts = {
        "": ours("--output_dir", "run", overlays=["mine.yaml"]),
        ", by MONAI's command": loop(overlays=["mine.yaml"]),
    }
    return [
        Case(name=f"{name}{front}", command=command, files={"mine.yaml": text}, says=says, nightly=True, **wanted)
        for front, command in fronts.items()
    ]


def compared(name: str, text: str, *more: str, says: Sequence[str], **wanted: Any) -> Case:
    """A case of a comparison, of which only the plan is asked for."""
    command = ["compare", "--config", "mine.yaml", "--output_dir", "out", "--plan", *more]
    return Case(name=name, command=command, files={"mine.yaml": text}, says=says, **{"nightly": True} | wanted)


VALUES = [
    *both(
        "a misspelled choice",
        "--lr_schedule",
        "one_cyle",
        says=["--lr_schedule", "did you mean one_cycle?"],
        nightly=False,
    ),
    *both("a choice in another case", "--model", "Best", says=["--model", "last or best", "did you mean best?"]),
    *both(
        "a choice that YAML reads as a flag", "--empty_policy", "no", says=["--empty_policy must be strict", "got 'no'"]
    ),
    *both(
        "a score of what the network sees, of a bundle of ours",
        "--score_inside",
        "true",
        says=["--score_inside true is for bundles of others", "leave it out", "--image_size and --spacing"],
    ),
    *both("steps that are no number", "--steps", "nan", says=["--steps must be a whole number", "got 'nan'"]),
    *both("no steps", "--steps", "0", says=["--steps must be a whole number of at least 1, or null, got 0"]),
    *both("steps with a comma", "--steps", "2,000", says=["--steps must be a whole number", "got"]),
    *both("an infinite learning rate", "--learning_rate", "inf", says=["--learning_rate", "at most 100, got 'inf'"]),
    *both("a negative learning rate", "--learning_rate", "-1", says=["--learning_rate", "at least 0", "got -1"]),
    *both("a learning rate with a comma", "--learning_rate", "0,001", says=["--learning_rate", "got '0,001'"]),
    *both("a flag for a number", "--rounds", "True", says=["--rounds must be a whole number of at least 1, got true"]),
    *both("a list for a number", "--rounds", "[2,3]", says=["--rounds must be a whole number", "got [2, 3]"]),
    *both(
        "a number for a list",
        "--image_size",
        "64",
        says=["--image_size", 'such as --image_size "[64,64]"'],
        nightly=False,
    ),
    *both("a size of zero", "--image_size", "[0,64]", says=["--image_size", "each of at least 8", "got [0, 64]"]),
    *both(
        "a size that the network cannot halve",
        "--image_size",
        "[31,33]",
        nightly=False,
        leaves=CACHE,
        says=["gives 32 x 34 pixels", "an image of 31 x 33", "--image_size"],
    ),
    *both("a part of a probability", "--dropout", "1", says=["--dropout", "below 1, got 1"]),
    *both("a negative seed", "--seed", "-1", says=["--seed", "at least 0", "got -1"]),
    *both("a seed that is no whole number", "--seed", "1.5", says=["--seed", "got 1.5"]),
    *both("no items in a batch", "--batch_size", "0", says=["--batch_size", "at least 1", "got 0"]),
    *both("too many threads", "--threads", "100000", says=["--threads", "at most 256, or null, got 100000"]),
    *both("no members", "--members", "0", says=["--members", "at least 1 and at most 100, got 0"]),
    *both("a part of a worker", "--num_workers", "1.5", says=["--num_workers", "got 1.5"]),
    *both("a flag that is none", "--progress", "maybe", says=["--progress must be true or false, got 'maybe'"]),
    *both("a GPU that is not there", "--device", "cuda:99", says=["--device cuda:99"]),
    *both("a device by its number", "--device", "0", says=["--device must be cpu, cuda, cuda:1 or mps, got"]),
    *both(
        "a test part of all patients",
        "--test_fraction",
        "0.999",
        leaves=CACHE,
        says=["keep one to train on: there are 3 patients", "--test_fraction"],
    ),
    *both("a phantom of no patients", "--phantom#patients", "0", says=["patients must be at least 1, got 0"]),
    *both(
        "a budget of nothing",
        "--budget",
        "0",
        says=["--budget must be items per round (1 or more), shares", "got 0"],
        nightly=False,
    ),
    *both("a budget of more than all", "--budget", "1.5", says=["--budget must be", "got 1.5"]),
    *both("a budget in percent", "--budget", "5%", says=["--budget must be", "got '5%'"]),
    *both("an empty budget", "--budget", "[]", says=["--budget must be", "got []"]),
    *both("items and shares in one budget", "--budget", "[3,0.5]", leaves=CACHE, says=["--budget [3, 0.5] mixes"]),
    *both("shares that shrink", "--budget", "[0.5,0.2]", leaves=CACHE, says=["--budget [0.5, 0.2]", "must grow"]),
    *both(
        "a budget for more rounds",
        "--budget",
        "[1,1,1]",
        leaves=CACHE,
        says=["--budget [1, 1, 1] has 3 entries for 2 rounds"],
    ),
    *both("one share for two rounds", "--budget", "0.5", leaves=CACHE, says=["--budget [0.5]", "give one per round"]),
    *both(
        "steps and epochs",
        "--steps",
        "3",
        "--epochs",
        "2",
        says=["--steps (3) and --epochs (2) are both given", "null"],
        nightly=False,
    ),
    *both("steps that do not divide", "--steps", "3", "--steps_per_epoch", "2", says=["steps (3) must be a multiple"]),
    *both("the best model without a validation part", "--model", "best", says=["model: best", "--validation_fraction"]),
    *both(
        "the best member without a validation part",
        "--members",
        "2",
        "--tested",
        "best",
        leaves=CACHE,
        says=["--tested best needs a validation part: set --validation_fraction"],
    ),
    *both("an option of inference in a loop", "--run_dir", "a", says=["--run_dir: nothing in the bundle refers to it"]),
]

NAMES = [
    *both("a misspelled option", "--roundz", "2", says=["--roundz", "did you mean rounds"]),
    *both("a shortened option", "--lr", "1", says=["--lr: nothing", "did you mean learning_rate?"]),
    *both(
        "the name of a strategy for its config",
        "--strategy",
        "entropy",
        nightly=False,
        says=["--strategy must be a part of a config", "python -m monai_al run NAME entropy"],
    ),
    *both("a misspelled measure", "--strategy#measure", "entropie", says=["'entropie' is none of entropy"]),
    *both(
        "a misspelled part of a strategy",
        "--strategy#mesure",
        "entropy",
        says=["--strategy#mesure: Uncertainty takes no such", "measure?"],
    ),
    *both(
        "a misspelled part of the phantom",
        "--phantom#patientz",
        "3",
        says=["phantom() got an unexpected", "'patientz'"],
    ),
    *both("a part that the loop does not have", "--learner#epochz", "3", says=["ActiveLearner", "'epochz'"]),
    *both("a misspelled selector", "--selector", "topk", says=["--selector must be top_k", "did you mean top_k?"]),
    *both("a text for train_map", "--train_map", "epochs", says=["--train_map must be a part of a config"]),
    *both(
        "a train_map to nowhere",
        "--train_map",
        "{'steps': 'train#trainr#max_epochs'}",
        nightly=False,
        says=["--train_map: train#trainr#max_epochs", "did you mean train#trainer#max_epochs"],
    ),
    *both(
        "a number for nested_overrides",
        "--nested_overrides",
        "3",
        says=["--nested_overrides must be a part of a config"],
    ),
    *both(
        "a nested override of nothing",
        "--nested_overrides",
        "{'train#dataloadr#num_workers': 0}",
        says=["--train#dataloadr#num_workers", "did you mean train#dataloader#num_workers"],
    ),
    *both("an encoder that is not there", "--encoder", "nope", says=["--encoder nope:", "nope.yaml does not exist"]),
    Case(
        name="an encoder from no file",
        command=ours("--output_dir", "run", overlays=["coreset_encoder", "encoders/from_file"]),
        says=["needs weights: name them by --encoder_file"],
    ),
    late(
        "an encoder from a file of something else",
        ours("--output_dir", "run", "--encoder_file", "w.pth", overlays=["coreset_encoder", "from_file"]),
        files={"w.pth": "a text"},
        says=["w.pth: cannot be read as a file of PyTorch", "restore it"],
    ),
    *both(
        "a text for training overlays",
        "--train_overlays",
        "learning_loss",
        nightly=False,
        says=["--train_overlays must be a list of names, got 'learning_loss'"],
    ),
    *both(
        "a misspelled training overlay",
        "--train_overlays",
        "['whole_volume']",
        says=["--train_overlays whole_volume:", "did you mean whole_volumes?"],
    ),
    *both(
        "a training config by its mere name",
        "--training_config",
        "small.yaml",
        says=["for the file in this folder write ./small.yaml"],
    ),
    *both(
        "a training config that trains nothing",
        "--training_config",
        "./small.yaml",
        nightly=False,
        says=["--training_config small.yaml: it builds no train#trainer"],
    ),
    *both("a number for the training config", "--training_config", "3", says=["--training_config"]),
    *both(
        "no regular expression for patients",
        "--patient",
        "(p",
        nightly=False,
        says=["--patient '(p' is no regular expression"],
    ),
    *both(
        "a key of entries for a bundle that has none",
        "--label_key",
        "mask",
        says=["--label_key: only for bundles that were written without monai_al"],
        leaves=CACHE,
    ),
    late("no bundle", ["run"], says=["name a bundle", "where"]),
    Case(name="a misspelled bundle", command=["run", "active_lerning"], says=["did you mean active_learning?"]),
    late("a bundle in capitals", ["run", "ACTIVE_LEARNING"], says=["did you mean active_learning?"]),
    late("a misspelled config of a bundle", ["run", "active_learning/inferenc"], says=["did you mean inference?"]),
    late("a bundle of no name", ["run", ""], says=["no bundle is called ''"]),
    late("an overlay for a bundle", ["run", "entropy"], says=["run active_learning entropy"]),
    late("a config that runs nothing", ["run", "small.yaml"], says=["small.yaml: there is nothing to run"]),
    Case(
        name="a misspelled overlay",
        command=ours("entropi"),
        says=["no overlay is called 'entropi'; did you mean entropy"],
    ),
    late(
        "a comparison for an overlay",
        ours("comparisons/group_contrastive_acdc"),
        says=["python -m monai_al compare --config group_contrastive_acdc"],
    ),
    late("a training overlay for an overlay", ours("training/whole_volumes"), says=["--train_overlays"]),
    late("a whole config for an overlay", ours("train"), says=["'train' is no overlay, but a config of its own"]),
    late("a data set without its folder", ours("acdc"), says=["--dataset_dir"]),
    late("the folder of another data set", ours("hippocampus", "--dataset_dir", "."), says=["dataset.json"]),
    late("a rule for patients without a data set", ours("--datalist#patient", "("), says=["--datalist#patient"]),
    Case(name="a part of a number", command=ours("--seed#x", "3"), says=["--seed#x: seed is 0, which has no part 'x'"]),
    late(
        "a part of a reference",
        ours("--strategy#selector#n_batches", "2"),
        says=["strategy#selector is '@selector', which has no part"],
    ),
    late(
        "a misspelled layer",
        ours(
            "--output_dir", "run", "--strategy", "{'_target_': 'monai_al.strategies.Coreset', 'embedding': 'model.9'}"
        ),
        says=["model.9"],
        leaves=CACHE,
    ),
]

WORDS = [
    late("an option twice", ours("--rounds", "1", "--rounds", "2"), says=["--rounds is given twice: give it once"]),
    Case(
        name="an option twice, by MONAI's command",
        command=loop("--rounds", "1", "--rounds=2"),
        says=["--rounds is given twice"],
    ),
    late("an option without a value", ours("--rounds"), says=["--rounds needs a value: a whole number"]),
    late("an option without a value, by MONAI's command", loop("--rounds"), says=["--rounds", "got true"]),
    late(
        "a list that the shell tore apart", ours("--image_size", "[64,", "64]"), says=["'64]' stands alone", "quotes"]
    ),
    late(
        "a list that the shell tore apart, by MONAI's command",
        loop("--image_size", "[64,", "64]"),
        says=["put a list into quotes"],
    ),
    late("an option with one dash", ours("-rounds", "2"), says=["write an option as --rounds"]),
    late("an option without dashes", ours("rounds=2"), says=["write an option as --rounds 2"]),
    late(
        "an option without dashes, by MONAI's command", loop("rounds=2"), says=["rounds=2: the config has no such id"]
    ),
    late("MONAI's option for the config", ours("--config_file", "a.yaml"), says=["--config_file is no option here"]),
    late(
        "MONAI's option for the workflow", ours("--workflow_type", "nope"), says=["--workflow_type is no option here"]
    ),
    late("an args_file that is not there", ours("--args_file", "nope.json"), says=["nope.json: no such file"]),
    late("another id to run", ours("--run_id", "nope"), says=["nope: the config has no such id"]),
    late("a path that is empty", ours("--output_dir", ""), says=["--output_dir must be a path, got nothing"]),
    late("the root for a folder", ours("--output_dir", "/"), says=["/ holds what no run wrote", "--output_dir"]),
    late(
        "the data set for a folder",
        ours("--output_dir", "d", "--dataset_dir", "d"),
        files={"d/a.nii.gz": ""},
        says=["d holds what no run wrote (a.nii.gz)"],
    ),
    late("a folder in a file", ours("--output_dir", "small.yaml/x"), says=["small.yaml/cache", "is a file"]),
]

OVERLAYS = [
    overlay("an overlay that is no YAML", "a: [1\nb: 2", says=["mine.yaml, line 2: not valid YAML"], nightly=False),
    overlay("an overlay with a tab", "\trounds: 1\n", says=["mine.yaml, line 1: not valid YAML", "'\\t'"]),
    overlay("an overlay that is no JSON", "{'a': 1}", file="mine.json", says=["mine.json, line 1: not valid JSON"]),
    overlay("an overlay that is a list", "- rounds\n", says=["mine.yaml: holds a list, not ids"]),
    overlay("an overlay that is a text", "rounds\n", says=["mine.yaml: holds a text, not ids"]),
    overlay("an overlay that is empty", "", says=["mine.yaml: holds nothing, not ids"]),
    overlay("an overlay of comments", "# rounds: 1\n", says=["mine.yaml: holds nothing, not ids"]),
    overlay("an overlay that ends otherwise", "rounds: 1\n", file="mine.txt", says=["mine.txt", "ends in .yaml"]),
    overlay("an overlay whose ids are numbers", "3: 4\n", says=["mine.yaml: the id 3 is no text"]),
    overlay("an overlay with an id twice", "rounds: 1\nrounds: 2\n", says=["mine.yaml", "rounds: keep one"]),
    overlay(
        "an overlay with a nested id",
        "train#dataloader#num_workers: 0\n",
        nightly=False,
        says=["mine.yaml: train#dataloader#num_workers", "nested_overrides"],
    ),
    late("an overlay that is not there", ours("gone.yaml"), says=["gone.yaml is no file, either"]),
    late("an overlay that is a folder", ours("mine.yaml"), files={"mine.yaml/a": ""}, says=["mine.yaml is a folder"]),
    *kept(
        "an overlay with an unknown id", "learning_rat: 1e-4\n", says=["--learning_rat", "did you mean learning_rate"]
    ),
    *kept(
        "an overlay with bad values",
        "rounds: [2]\nbudget: two\nseed:\n",
        lines=3,
        says=["--rounds", "--budget", "--seed must be", "got null"],
    ),
    *kept(
        "an overlay with a folder that is a number",
        "dataset_dir: 2024\n",
        says=["--dataset_dir", "put it into quotes: '2024'"],
    ),
    *kept("an overlay with a budget without end", "budget: .inf\n", says=["--budget must be", "got inf"]),
    *kept("an overlay with a rate that is no number", "learning_rate: .nan\n", says=["--learning_rate", "got nan"]),
    *kept(
        "an overlay with a part of a section",
        "train: {dataloader: {num_workers: 0}}\n",
        says=["train", "nested_overrides"],
    ),
    *kept(
        "a strategy without its class",
        "strategy: {measure: entropy}\n",
        says=["--strategy must be a strategy", "got dict", "_target_"],
    ),
    *kept(
        "an annotator for a strategy",
        "strategy: {_target_: monai_al.annotators.Oracle}\n",
        says=["--strategy", "got Oracle"],
    ),
    *kept(
        "a strategy for an annotator",
        "annotator: {_target_: monai_al.strategies.Random}\n",
        says=["--annotator", "got Random"],
    ),
    *kept("a number for a handler", "handlers: [3]\n", says=["--handlers", "got int"]),
    *kept(
        "a data set with an unknown argument",
        "datalist: {_target_: monai_al.datasets.folder, root: d, patients: '(.*)'}\n",
        says=["--datalist#patients: folder takes no such argument; did you mean patient?"],
    ),
    *kept(
        "a text for a flag of a data set",
        "datalist: {_target_: monai_al.datasets.folder, root: d, affine_tolerated: maybe}\n",
        says=["--datalist#affine_tolerated must be True or False, got 'maybe'"],
    ),
    *kept("a list for a pool", "datalist: $[1, 2]\n", says=["--datalist must give a pool"]),
]

WORKING = [
    late(
        "numbers as YAML texts",
        ours(overlays=["mine.yaml"]),
        status=0,
        lines=0,
        leaves=["runs"],
        files={"mine.yaml": "learning_rate: 1e-4\nrounds: 1.0\nsteps: '2'\nimage_size: [32.0, '32']\n"},
        says=["round 0 (1 of 1)"],
    ),
    *(
        late(
            f"a folder {folder!r} of {words[0]}",
            [*words, "--output_dir", folder, "--rounds", "1"],
            status=0,
            lines=0,
            says=["round 0 (1 of 1)"],
            leaves=[folder.replace("[", "[[]"), "cache"],
        )
        for words, folder in (
            *(
                (ours(), folder)
                for folder in ("run #1", "2024", "a@b %c", "$HOME", "@x", "Größe ü", 'it\'s "x"', "-x", "null", "[a]")
            ),
            *((loop()[:3], folder) for folder in ("run #1", "2024", "1.10", "null", "it's, ü")),
        )
    ),
    late(
        "the help of a bundle",
        ["run", "active_learning", "entropy", "--help"],
        status=0,
        lines=0,
        says=["--rounds", "default: 4"],
    ),
    late("the help of run", ["run", "--help"], status=0, lines=0, says=["usage:", "examples:"]),
    late("the short help", ["run", "-h"], status=0, lines=0, says=["usage:"]),
    late("the help of a misspelled bundle", ["run", "active_lerning", "--help"], says=["did you mean"]),
]


def again(*more: str) -> list[str]:
    """Our command for the run that MONAI's command made."""
    return ours("--output_dir", "{run}", *more)


AGAIN = [
    late("going on by the other command", again(), status=0, lines=0, says=["is done"], keeps=False),
    late(
        "going on with another measure",
        again("--strategy#measure", "margin"),
        says=["strategy was 'entropy' and is now 'margin'", "output_dir"],
    ),
    late(
        "going on with other sizes",
        again("--image_size", "[64,64]"),
        says=["image_size was [32, 32] and is now [64, 64]"],
    ),
    late("going on with another budget", again("--budget", "4"), says=["rounds of [3, 3] items, now [4, 4]"]),
    late("going on with more members", again("--members", "2"), says=["members was 1 and is now 2"]),
    Case(
        name="inference into the run itself",
        command=["run", "active_learning/inference", "--run_dir", "{run}", "--output_dir", "{run}"],
        says=["--output_dir", "the run itself"],
    ),
    late(
        "evaluation of an untrained round",
        ["run", "active_learning/evaluate", "--run_dir", "{run}", "--round", "7"],
        says=["round 7 is not trained"],
        leaves=RUN,
    ),
    late(
        "evaluation of a part that is empty",
        ["run", "active_learning/evaluate", "--run_dir", "{run}", "--part", "validation"],
        says=["'validation' is empty"],
        leaves=RUN,
    ),
]

COMMANDS = [
    late("status of a file", ["status", "small.yaml"], says=["small.yaml: is a file"]),
    late("where leads out", ["where", "../x"], says=["no bundle or config is called '../x'"]),
    late("where with two names", ["where", "a", "b"], says=["unrecognized arguments: b"]),
    late("a report of less than nothing", ["report", "{run}", "--items", "-1"], says=["items must not be negative"]),
    late(
        "a report with a data set that is not there",
        ["report", "{run}", "--dataset_dir", "gone"],
        says=["--dataset_dir gone: does not exist"],
    ),
    late("verification of no run", ["verify", "."], says=["holds no run"]),
    Case(
        name="an import into a run that has handed out nothing",
        command=["import-labels", "{run}"],
        says=["has handed out nothing", "annotators/folder"],
    ),
    late("an import of no folder", ["import-labels", "{run}", "gone"], says=["gone: no such folder"]),
    late("an import into no run", ["import-labels", "."], says=["is no run folder"]),
    Case(
        name="work of a run that has handed out nothing",
        command=["annotate", "{run}"],
        says=["has handed out nothing", "annotators/folder"],
    ),
    late("work of no run", ["annotate", "."], says=["is no run folder"]),
    late("work of a round that is none", ["annotate", "{run}", "--round", "x"], says=["'x' is no round", "'test'"]),
    late("a misspelled data set", ["datalist", "foldr", "--dataset_dir", "x"], says=["invalid choice: 'foldr'"]),
    late(
        "an option of another data set",
        ["datalist", "phantom", "--dataset_dir", "p", "--fold", "1"],
        says=["--fold: no option of phantom"],
    ),
    late(
        "a rule for patients that is none",
        ["datalist", "folder", "--dataset_dir", "d", "--patient", "(", "--unlabeled"],
        files={"d/a.png": ""},
        says=["'(' is no regular expression"],
    ),
    late(
        "an axis that is none",
        ["datalist", "folder", "--dataset_dir", "d", "--slice_axis", "3"],
        says=["--slice_axis", "'3'"],
    ),
    late(
        "label values that are none",
        ["datalist", "folder", "--dataset_dir", "d", "--label_values", "{0"],
        says=["--label_values", "'{0' is no such mapping"],
    ),
    late(
        "a list of items in no folder",
        ["datalist", "phantom", "--dataset_dir", "p", "--json", "no/a.json"],
        says=["--json no/a.json"],
    ),
    compared(
        "a comparison of an unknown strategy",
        FOLDER + "overlays: [entropie]\n",
        says=["mine.yaml", "did you mean strategies/entropy?"],
    ),
    compared("a comparison of seeds that are no list", FOLDER + "seeds: 3\n", says=["mine.yaml: seeds must be a list"]),
    compared(
        "a comparison of a negative seed", FOLDER + "seeds: [-1]\n", says=["mine.yaml: seeds", "at least 0", "got -1"]
    ),
    compared(
        "a comparison with a row twice",
        "bundle: active_learning\nruns: {random: {}, random: {}}\n",
        nightly=False,
        says=["mine.yaml", "line 2", "'random' stands twice"],
    ),
    compared(
        "a comparison over an unknown axis", FOLDER + "axis: volume\n", says=["axis must be one of labeled, cost"]
    ),
    compared(
        "a comparison with a bad option",
        FOLDER + "options: {rounds: two}\n",
        says=["mine.yaml: options of all runs: --rounds", "'two'"],
    ),
    compared(
        "a comparison of an unknown bundle",
        "bundle: active_lerning\nruns: {a: {}}\n",
        says=["did you mean active_learning?"],
    ),
    compared(
        "a comparison without a data set", FOLDER, "--dataset_dir", "gone", says=["--dataset_dir gone: does not exist"]
    ),
    late(
        "a comparison in a file",
        ["compare", "--config", "mine.yaml", "--output_dir", "small.yaml"],
        files={"mine.yaml": FOLDER},
        says=["small.yaml is a file", "--output_dir"],
    ),
]

CASES = [*VALUES, *NAMES, *WORDS, *OVERLAYS, *WORKING, *AGAIN, *COMMANDS]

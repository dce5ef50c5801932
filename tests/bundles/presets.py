# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the presets of the papers really give; ``python tests/bundles/presets.py`` prints the tables of docs/presets.md.

Everything under "ours" is read off the objects that MONAI's ConfigParser builds from the configs, as a run does.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose, OneOf
from preset_sources import EXPECTED, GCC, SAAL, SB, SEL
from torch.nn.modules.dropout import _DropoutNd

from monai_al.assets import find_asset, find_overlay
from monai_al.bundle import RoundTraining, RunningBundle, learning_rate_schedule
from monai_al.comparison.markdown import markdown_table
from monai_al.handlers import EmbeddingHandler
from monai_al.losses import WeakSupervisionLoss
from monai_al.records import SPLITS, Item, Pool, round_sizes, split_by_patient

PHANTOM = "$datasets.phantom(@cache_dir, **@phantom)"


@dataclass(frozen=True)
class Preset:
    """A bundle with the overlays of a paper, and the data that the paper has.

    Args:
        bundle: its name.
        overlays: laid over its loop, by name.
        classes: number of classes with the background.
        slices: in the paper's training part.
        volume: shape of a stored volume, ``(C, H, W, D)``.
        spacing: of its pixels in the plane, in mm.
        patients: of all of its data, where they are split by shares.
    """

    bundle: str
    overlays: tuple[str, ...]
    classes: int
    slices: int
    volume: tuple[int, int, int, int]
    spacing: float = 1.0
    patients: int | None = None

    @property
    def root(self) -> Path:
        """The bundle's folder."""
        return find_asset(self.bundle)

    @property
    def files(self) -> list[Path]:
        """The loop's config and the overlays."""
        configs = self.root / "configs"
        return [configs / "active_learning.yaml", *(find_overlay(name, configs) for name in self.overlays)]

    @property
    def command(self) -> str:
        """How it is started."""
        return " ".join(["python -m monai_al run", self.bundle, *self.overlays])


PRESETS = {
    "SB, PROMISE12": Preset(SB, ("paper",), 2, 1020, (1, 320, 320, 4), 0.6, 50),
    "SB, hippocampus": Preset(
        SB, ("paper", "datasets/hippocampus", "paper_hippocampus"), 3, 7414, (1, 35, 50, 4), 1.0, 260
    ),
    "GCC, ACDC": Preset(GCC, ("paper",), 4, 1454, (1, 216, 256, 4), 1.5),
    "GCC, CHAOS": Preset(GCC, ("paper", "datasets/chaos", "paper_chaos"), 2, 2351, (1, 512, 512, 4), 0.73, 20),
    "GCC, MS-CMR": Preset(GCC, ("paper", "datasets/ms_cmr", "paper_ms_cmr"), 4, 382, (1, 480, 480, 4), 0.75),
    "GCC, DAVIS": Preset(GCC, ("paper", "datasets/davis", "paper_davis"), 2, 2079, (3, 480, 854, 4)),
    "SEL, spleen": Preset(SEL, ("paper",), 2, 2208, (1, 512, 512, 4), 0.8, 41),
    "SEL, BraTS": Preset(SEL, ("paper", "datasets/brats", "paper_brats"), 2, 7750, (1, 240, 240, 4), 1.0, 76),
    "SAAL, ISIC 2017": Preset(SAAL, ("paper",), 2, 1600, (3, 767, 1022, 1), 1.0, 2000),
}


class Built:
    """A preset's configs, and the objects that they give.

    Args:
        preset: the preset.
        folder: for the files of the built-in phantom.
    """

    def __init__(self, preset: Preset, folder: Path) -> None:
        self.preset = preset
        self.config = ConfigParser.load_config_files([str(file) for file in preset.files])
        bundle = RunningBundle(preset.root, self.config)
        encoder = [self.config["encoder"]] if self.config["encoder"] else []
        overlays = self.config["train_overlays"]
        bundle.check_overrides("train.yaml", overlays, defaults="active_learning.yaml", encoder=encoder)
        classes = ["background", *(f"class {number}" for number in range(1, preset.classes))]
        phantom = {
            "patients": 8,
            "volumes_per_patient": 1,
            "channels": preset.volume[0],
            "shape": [32, 32, 6],
            "classes": classes,
        }
        places = {"cache_dir": str(folder), "output_dir": str(folder), "device": "cpu", "progress": False}
        self._given = {"datalist": PHANTOM, "phantom": phantom, **places}
        given = {**bundle.forwarded("train.yaml", overlays), **self._given}
        self.training = RoundTraining(bundle.files("train.yaml", overlays), given)
        self._parser = self.training.parser(self.training.all_overrides())

    def __getitem__(self, id: str) -> Any:
        """The object behind an id of the training config, or the value of one of the loop's."""
        return self._parser.get_parsed_content(id) if id in self._parser else self.config[id]

    def settings(self) -> dict[str, str]:
        """Setting -> what the configs give, in words."""
        found = {
            "network": f"{type(self['network_def']).__name__}, {self.parameters() / 1e6:.3f} M",
            "dropout": ", ".join(f"{rate:g}" for rate in self.dropout()) or "none",
            "loss": _loss(self["loss"]),
            "optimiser": _optimiser(self["optimizer"]),
            "schedule": self.schedule(),
            "length": self.length(),
            "batch": str(self["train::dataloader"].batch_size),
            "validation": self.validation(),
            "tested": self.tested(),
            "initial weights": self["initial_weights"],
            **self.labeled(),
            "image": self.image(),
            "augmentation": ", ".join(_steps(self["augmentation"])) or "none",
        }
        found |= {"patients: pool, validation, test": self.patients()} if self.preset.patients else {}
        return found | (self.encoder() if self["encoder"] else {})

    def parameters(self) -> int:
        """Number of the network's weights."""
        return sum(weights.numel() for weights in self["network_def"].parameters())

    def dropout(self) -> list[float]:
        """Rates of the active dropout layers, in their order."""
        layers = (module for module in self["network_def"].modules() if isinstance(module, _DropoutNd))
        return [round(layer.p, 10) for layer in layers if layer.p > 0]

    def schedule(self) -> str:
        """The learning rate at some steps of a training."""
        if self["lr_schedule"] == "constant":
            return "constant"
        warm = self["lr_schedule"] == "warmup_cosine"
        middle, total = (10, 75) if warm else (50, 100)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=self["learning_rate"])
        more = {name: self[name] for name in ("warmup", "end_learning_rate")}
        scheduler = learning_rate_schedule(self["lr_schedule"], optimizer, total, **more)
        rates = scheduler.get_last_lr()
        for _ in range(total):
            optimizer.step()
            scheduler.step()
            rates += scheduler.get_last_lr()
        shown = ", ".join(f"{rates[step]:.1g}" for step in (0, middle, total))
        return f"{self['lr_schedule']}: {shown} at the start, {_MIDDLE[warm]} and at the end"

    def length(self) -> str:
        """Steps or epochs of a training; where they depend on what is labeled, of each reported round."""
        if self["epochs"] is not None:
            sizes = round_sizes(self["budget"], self["rounds"], self.preset.slices)
            found = [self._with(labeled, "epochs") for labeled in itertools.accumulate(sizes)]
            patience = f", patience {self['early_stopping']}" if self["early_stopping"] else ""
            return f"{', then '.join(map(str, dict.fromkeys(found)))} epochs{patience}"
        if not str(self.training.raw()["steps"]).startswith("$"):
            return f"{self['length'][0]} epochs of {self['length'][1]} steps"
        sizes = itertools.accumulate(round_sizes(self["budget"], self["rounds"], self.preset.slices))
        lengths = [self._with(labeled, "steps") for labeled in list(sizes)[1:]]  # the first one is not reported
        return f"{', '.join(map(str, lengths))} steps"

    def _with(self, labeled: int, id: str) -> Any:
        """An id of the training config where so many items are labeled."""
        pool = SimpleNamespace(part=lambda name: range(self.preset.slices))
        given = {"pool": pool, "train::dataset::data": tuple(range(labeled))}
        return self.training.parser(self.training.all_overrides(given)).get_parsed_content(id)

    def validation(self) -> str:
        """What is measured on the validation part, and how often."""
        if not self["needs_validation"]:
            return "none"
        (name,) = self["validate::key_metric"]
        steps = self["steps_per_epoch"]
        return f"{name}, every {'epoch' if steps is None else f'{steps} steps'}"

    def tested(self) -> str:
        """Which weights of which network a round tests."""
        members = self["members"]
        which = f"the best of {members} networks" if self["tested"] == "best" else f"{members} network"
        return f"{self['model']} weights of {which}"

    def labeled(self) -> dict[str, str]:
        """How many items are labeled in each round."""
        sizes = round_sizes(self["budget"], self["rounds"], self.preset.slices)
        totals = list(itertools.accumulate(sizes))
        if isinstance(self["budget"], list) and isinstance(self["budget"][0], float):
            return {"labeled, %": ", ".join(f"{100 * total / self.preset.slices:.0f}" for total in totals)}
        first = ", ".join(map(str, totals[:3]))
        return {"labeled": f"{first} to {totals[-1]} in {len(totals)} rounds"}

    def patients(self) -> str:
        """How many may be annotated, are for validation, and for testing."""
        names = [f"patient {number}" for number in range(self.preset.patients or 0)]
        pool = Pool([Item(id=name, image=name, volume=name, patient=name) for name in names])
        drawn = split_by_patient(pool, test=self["test_fraction"], validation=self["validation_fraction"])
        return ", ".join(str(len(drawn.part(split))) for split in SPLITS)

    def image(self) -> str:
        """Shape and values of what the network gets, from a volume as the data set has it."""
        affine = torch.diag(torch.tensor([self.preset.spacing, self.preset.spacing, 3.0, 1.0], dtype=torch.float64))
        smooth = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        plane = torch.nn.functional.interpolate(smooth, self.preset.volume[1:3], mode="bilinear")[0, :, :, :, None]
        image = MetaTensor((100 + 400 * plane).expand(self.preset.volume), affine=affine)
        found = self["preprocessing"]({"image": image})["image"]
        z_scored = abs(float(found.mean())) < 0.05 and abs(float(found.std()) - 1) < 0.2
        span = "mean 0, sd 1" if z_scored else f"{float(found.min()):.0f} to {float(found.max()):.0f}"
        return f"{' x '.join(map(str, found.shape[:3]))}, {span}"

    def encoder(self) -> dict[str, str]:
        """How the encoder is trained."""
        inner = ConfigParser.load_config_file(str(self.preset.root / "configs" / self["encoder"]))
        mine = {**inner, **self.config}
        if "restoration_loss" in mine:
            return self.restoration(mine)
        losses = (mine[name] for name in ("nt_xent", "patient_group", "volume_group", "slice_group"))
        trained = f"{mine['pretrain_epochs']} epochs at {mine['pretrain_learning_rate']:g}"
        return {
            "losses of the encoder": ", ".join(f"{weight:g}" for weight in losses),
            "encoder": f"{mine['encoder_backbone']} of width {mine['encoder_width']:g}, {trained}",
        }

    def restoration(self, mine: Mapping[str, Any]) -> dict[str, str]:
        """How the network is trained to restore images, and how what it learned is used."""
        forwarded = RunningBundle(self.preset.root, self.config).forwarded_ids(self["encoder"])
        inner = RoundTraining(self.preset.root / "configs" / self["encoder"], {**forwarded, **self._given})
        network, schedule, deform = inner.resolve("network_def", "pretrain_schedule", "restoration_augmentation")
        strategy = ConfigParser({"strategy": self.config["strategy"]}).get_parsed_content("strategy")
        rate = f"x {schedule.gamma:g} every {schedule.step_size} epochs"
        length = f"up to {mine['pretrain_epochs']} epochs, patience {mine['pretrain_patience']}"
        handler = EmbeddingHandler(mine["encoder_embedding"])
        image = {"image": torch.zeros(1, network.conv_0.conv_0.conv.in_channels, 64, 64)}
        SupervisedEvaluator("cpu", [image], network, val_handlers=[handler], decollate=False).run()
        return {
            "pretraining": f"{_optimiser(schedule.optimizer)}, {rate}, batch {mine['pretrain_batch_size']}, {length}",
            "deformations": f"curve {deform.curve:g}, shuffling {deform.shuffle:g}, painting {deform.paint:g} "
            f"({deform.out_paint:g} outside), flip {deform.flip:g}",
            "pretraining validates on": f"{100 * mine['pretrain_validation']:g} % of the pool's patients",
            "warm start": str(self["warm_start"]),
            "embedding": f"{handler.embeddings.shape[1]} values",
            "clusters": str(strategy.k),
        }


_MIDDLE = {False: "in the middle", True: "after 10 epochs"}


def _loss(loss: Any) -> str:
    if isinstance(loss, WeakSupervisionLoss):
        return f"CE of what is annotated + {loss.pseudo_weight:g} Dice against mixed pseudo labels, of both decoders"
    parts = [f"{loss.lambda_ce:g} CE"] + [f"{loss.lambda_dice:g} Dice"] * bool(loss.lambda_dice)
    sigmoid = " (sigmoid)" if loss.cross_entropy.sigmoid else ""
    foreground = "" if loss.dice.include_background or not loss.lambda_dice else " of the foreground"
    return f"{' + '.join(parts)}{sigmoid}{foreground}"


def _optimiser(optimizer: torch.optim.Optimizer) -> str:
    (group,) = optimizer.param_groups
    lr = group.get("initial_lr", group["lr"])
    momentum = f", momentum {group['momentum']:g}" if group.get("momentum") else ""
    return f"{type(optimizer).__name__} {lr:g}, weight decay {group['weight_decay']:g}{momentum}"


def _steps(transform: Any) -> Iterator[str]:
    """The random transforms within one, with their probabilities."""
    if isinstance(transform, OneOf):
        assert len(set(transform.weights)) == 1
        parts = [list(_steps(part)) for part in transform.transforms]
        yield "either " + " or ".join(f"({', '.join(part)})" if len(part) > 1 else part[0] for part in parts)
    elif isinstance(transform, Compose):
        for part in transform.transforms:
            yield from _steps(part)
    elif hasattr(transform, "prob") or hasattr(transform, "rand_affine"):
        yield _step(transform)


def _step(transform: Any) -> str:
    prob = transform.prob if hasattr(transform, "prob") else transform.rand_affine.prob
    affine = getattr(transform, "rand_affine", None)
    inner = getattr(affine, "rand_affine_grid", None)
    turned = f" by {np.degrees(np.ravel(inner.rotate_range)[0]):.0f} degrees" if inner is not None else ""
    noise = getattr(getattr(transform, "rand_gaussian_noise", None), "std", None)
    more = turned or (f" (sd {noise:g})" if noise is not None else "")
    return f"{type(transform).__name__}{'' if prob == 1 and not more else f' {prob:g}'}{more}"


def tables() -> str:
    """All tables in Markdown."""
    lines = []
    for name, preset in PRESETS.items():
        with tempfile.TemporaryDirectory() as folder:
            lines.append(f"{head(name)}{table(name, Built(preset, Path(folder)).settings())}\n")
    return "\n".join(lines)


def head(name: str) -> str:
    """What stands above a table."""
    return f"## {name}\n\n`{PRESETS[name].command}`\n\n"


def table(name: str, ours: Mapping[str, str]) -> str:
    """Ours beside the source."""
    rows: Sequence[Sequence[str]] = [[key, value, EXPECTED[name][key][1]] for key, value in ours.items()]
    return markdown_table(["setting", "ours", "paper [its code]"], rows)


if __name__ == "__main__":
    print(tables())

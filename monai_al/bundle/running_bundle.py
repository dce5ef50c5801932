# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a running bundle knows of itself, and the check of its overrides."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from monai_al.bundle.component_checks import selector_advice, wrong_arguments
from monai_al.bundle.config_files import read_config, values_of
from monai_al.bundle.engine_ids import engine_ids, run_entries
from monai_al.bundle.errors import NEXT_PROBLEM, BundleConfigError, show_errors_briefly, unknown_ids
from monai_al.bundle.knobs import DROPOUT, KNOBS, has_place_for, targets_of
from monai_al.bundle.option_checks import as_typed, checked_options, set_option, typed_on_the_command_line
from monai_al.bundle.references import referred_ids
from monai_al.bundle.workflow_building import content_of
from monai_al.bundle.workflow_file import WORKFLOW_ID, file_and_class, is_python, read_workflow
from monai_al.bundle.workflow_options import FILES, options_taken
from monai_al.options import literal_of

__all__ = ["RunningBundle", "bundle_root", "running_bundle"]

# ids that MONAI or the loop reads of every config, and of a training config, so that nothing in it has to refer to them
_ENTRIES = {"_meta_", "imports", "initialize", "run", "finalize"}
_OF_TRAINING = {
    "bundle_root", "ckpt_dir", "dataset_dir", "device", "encoder_embedding", "network_def", "output_dir", "train",
    "val_interval", "validate",
}  # fmt: skip
_NEVER_FORWARDED = _ENTRIES | {"bundle_root", "ckpt_dir"}
_SHOWN = 3
_EACH_ITS_OWN = {"network_def", "out_channels", "train", "validate", "val_interval"}
OF_A_ROUND = "of_a_round"  # attribute of a workflow that a loop runs
# options that say which configs are read and what is handed to them
_NESTED = "nested_overrides"
_OF_CONFIGS = ("training_config", "train_overlays", "train_map", _NESTED, "encoder", "encoder_overlays")
# overlays of the training config for any bundle: in the installed package, or in the source checkout around it
_SHARED_OVERLAYS = [Path(__file__).resolve().parents[up] / "configs" / "training" for up in (1, 2)]


@dataclass(frozen=True)
class RunningBundle:
    """The bundle whose config is being evaluated.

    Args:
        root: the bundle's folder.
        config: its merged config with overlays and overrides, unresolved.
        of_a_round: a loop runs it as the training of one round, and has checked its overrides.
        parser: of the running workflow; None where there is none.

    Example:
        >>> RunningBundle(Path("bundles/a"), {"seed": 3, "steps": 10}).file("train.yaml").as_posix()
        'bundles/a/configs/train.yaml'
    """

    root: Path
    config: dict[str, Any]
    of_a_round: bool = False
    parser: ConfigParser | None = field(default=None, repr=False, compare=False)

    def file(self, name: str) -> Path:
        """A config file: a path as it is, a mere name in this bundle's ``configs``, else in those for any bundle.

        A ``::`` in it was a ``#``, which MONAI replaces in every text of a config.
        """
        name = os.path.expanduser(str(name).replace("::", "#"))  # MONAI's command line reads a folder 2024 as a number
        path = Path(name if Path(name).suffix else f"{name}.yaml")
        if path.is_absolute() or os.sep in name:
            return path
        own = self.root / "configs" / path
        return own if own.is_file() else next((f / path for f in _SHARED_OVERLAYS if (f / path).is_file()), own)

    def files(self, training: str, overlays: Sequence[str] = ()) -> list[str]:
        """Paths of the training config and of the overlays that are laid over it, each once, by name or path."""
        return list(dict.fromkeys(str(self.file(name)) for name in (training, *overlays)))

    def forwarded(
        self,
        training: str,
        overlays: Sequence[str] = (),
        train_map: Mapping[str, Any] | None = None,
        own: str | None = None,
    ) -> dict[str, Any]:
        """The ids for the training config, unresolved: flat ones that it declares too, knobs and ``nested_overrides``.

        Args:
            training: name of the training config.
            overlays: names of the overlays that are laid over it.
            train_map: knob -> id or ids; see :class:`monai_al.bundle.TrainingConfig`.
            own: name of this config itself, where its own values are not for the training: then only what overlays
                and overrides say is handed on.
        """
        inner = self.read(training, overlays)
        handed_on = self._handed_on(inner, train_map)
        kept = {} if own is None else _parsed(self.file(own))
        flat = {id: v for id, v in self.config.items() if id in handed_on and not (id in kept and kept[id] == v)}
        return flat | _with_a_place(self._nested, inner)

    def forwarded_ids(self, config: str, overlays: Sequence[str] = ()) -> dict[str, Any]:
        """The ids for another config, unresolved; see :meth:`forwarded`, which also hands on knobs.

        The network, its number of output channels and the parts of the training that MONAI names are each config's own:
        another ``network_def`` is that of the segmentation network.

        Args:
            config: name of the config, such as the one that trains an encoder.
            overlays: names of the overlays that are laid over it.
        """
        inner = self.read(config, overlays, of="encoder")
        declared = set(inner) - _NEVER_FORWARDED - _EACH_ITS_OWN
        return {id: value for id, value in self.config.items() if id in declared} | _with_a_place(self._nested, inner)

    def check_overrides(
        self,
        training: str | None = None,
        overlays: Sequence[str] = (),
        train_map: Mapping[str, Any] | None = None,
        own: str | None = None,
        defaults: str | None = None,
        encoder: Sequence[str] = (),
    ) -> None:
        """Refuse every id that nothing refers to, here or in the training config, and every value that cannot be meant.

        Paths and texts become what was typed on MONAI's command line, which reads a folder ``2024`` as a number. From
        here on the command line shows errors in the user's input as one message.

        Args:
            training: name of the training config; None where this config is one.
            overlays: names of the overlays that are laid over it.
            train_map: knob -> id or ids.
            own: name of this config itself, where MONAI and other tools read ids of it that nothing refers to.
            defaults: name of this config itself: an id that keeps the value it has there is no override, also where an
                overlay took away what referred to it.
            encoder: names of the config that trains an encoder and of its overlays.

        Raises:
            BundleConfigError: lists them, with the nearest ids that exist, or with what the option takes.
        """
        if self.of_a_round:
            return
        show_errors_briefly()
        self._check_options(only=_OF_CONFIGS)
        if training is not None:  # it was handed over as MONAI's command line read it
            training = as_typed("training_config", training)
        encoder = [as_typed("encoder", name) if i == 0 else name for i, name in enumerate(encoder)]
        problems: list[str] = []
        known = _ENTRIES | referred_ids(self.config) | (set() if own is None else set(_parsed(self.file(own))))
        inner: dict[str, Any] = {}
        pretraining: dict[str, Any] = {}
        if training is None:
            known |= _OF_TRAINING
        else:
            known |= {_NESTED}
            inner = self.read(training, overlays)
            in_python = WORKFLOW_ID in inner
            if not in_python and not run_entries(inner) and "trainer" not in (inner.get("train") or ()):
                raise BundleConfigError(
                    f"--training_config {self.file(training)}: it builds no train#trainer, which trains in each round; "
                    "name a training config, such as train.yaml, and change a part of one by --nested_overrides"
                )
            used = referred_ids(inner) | _OF_TRAINING
            handed_on = self._handed_on(inner, train_map)
            known |= {id for id in handed_on if in_python or id in used or id not in inner}
        if encoder:
            pretraining = self.read(encoder[0], encoder[1:], of="encoder")
            known |= (referred_ids(pretraining) | _OF_TRAINING) & set(pretraining)
        own_values = None if defaults is None else self.file(defaults)
        kept = _parsed(own_values) if own_values is not None and own_values.is_file() else {}
        known |= {id for id, value in self.config.items() if id in kept and kept[id] == value}
        known |= self._of_the_bundles_own_encoder(kept.get("encoder"), encoder)
        problems += [*_homeless(self._nested, inner, pretraining), *_aimless(train_map, inner)]
        unknown = [id for id in self.config if id not in known]
        placeless = [id for id in unknown if id in KNOBS and training is not None]
        problems += [_placeless(id, self.file(str(training)), inner) for id in placeless]
        unknown = [id for id in unknown if id not in placeless]
        if "selector" in unknown and (advice := selector_advice(self.config.get("strategy"))):
            problems.append(f"--selector: nothing in the bundle refers to it: {advice}")
            unknown.remove("selector")
        if unknown:
            problems.append(unknown_ids(unknown, known, "nothing in the bundle refers to it"))
        try:
            self._check_options(inner)
        except BundleConfigError as error:
            problems.append(str(error))
        problems += wrong_arguments(self.config)
        run_dir, output_dir = self.config.get("run_dir"), self.config.get("output_dir")
        if (
            isinstance(run_dir, str)
            and isinstance(output_dir, str)
            and Path(run_dir).resolve() == Path(output_dir).resolve()
        ):
            problems.append(
                "--output_dir is the folder of --run_dir, the run itself, whose files stay as they are: give another"
            )
        if problems:
            raise BundleConfigError(NEXT_PROBLEM.join(problems))

    def read(
        self,
        config: str,
        overlays: Sequence[str] = (),
        *,
        of: str = "training",
    ) -> dict[str, Any]:
        """A config with its overlays, by name or path, merged and unresolved; or what a Python workflow takes.

        Args:
            config: its name.
            overlays: names of the overlays that are laid over it.
            of: ``training`` or ``encoder``, for the message.

        Raises:
            BundleConfigError: one of them is not there; the message names the option.
        """
        options = ("--training_config", "--train_overlays") if of == "training" else ("--encoder", "--encoder_overlays")
        for number, name in enumerate((config, *overlays)):
            file = file_and_class(self.file(name))[0]
            if not file.is_file():
                where = _where_else(str(file_and_class(name)[0]), file)
                raise BundleConfigError(f"{options[number > 0]} {name}: {file} does not exist{where}")
        if of == "training" and is_python(config):
            return self._taken(self.file(config), overlays)
        if of == "training":
            _refuse_unfit(self.file(config), [self.file(name) for name in overlays])
        return read_config(self.files(config, overlays))

    @property
    def _nested(self) -> dict[str, Any]:
        """The values for parts of the training config or the encoder's, in whose words they are: unresolved."""
        nested = self.config.get(_NESTED) or {}
        if isinstance(nested, str) and self.parser is not None:  # an expression that gives them all
            nested = self.parser.get_parsed_content(_NESTED)
        return dict(nested)

    def _taken(self, file: Path, overlays: Sequence[str]) -> dict[str, Any]:
        """The options of a Python workflow; their values are known where a config holds them."""
        if overlays:
            raise BundleConfigError(f"--train_overlays {overlays[0]}: {file} is no config that it could be laid over")
        read = {
            name: value
            for name, value in {**self.config, **self._nested}.items()
            if name in FILES and value is not None
        }
        taken = options_taken(read_workflow(file), content_of(read))
        return {WORKFLOW_ID: str(file)} | dict.fromkeys(taken.names) | dict(taken.config)

    def _of_the_bundles_own_encoder(self, own: Any, asked: Sequence[str]) -> set[str]:
        """Ids for the config of the bundle's encoder, as its overlays set them, where another encoder is asked for."""
        if not isinstance(own, str) or not asked or own in asked:
            return set()
        ids = set(self.read(own, of="encoder")) & set(self.config)
        overlays = [values_of(file) for file in (self.root / "configs").glob("*.yaml")]
        return {id for id in ids if any(id in one and one[id] == self.config[id] for one in overlays)}

    def _check_options(self, inner: Mapping[str, Any] | None = None, only: Sequence[str] | None = None) -> None:
        """Check the values of the declared options, and put what was meant in place of what arrived."""
        foreign = bool(inner) and "pool" not in (inner or {})
        said = {} if WORKFLOW_ID in (inner or {}) else (inner or {})
        config = {id: v for id, v in {**said, **self.config}.items() if only is None or id in only}
        changed = checked_options(config, typed_on_the_command_line(), foreign=foreign)
        for id, value in changed.items():
            if self.parser is not None and id in self.config:
                set_option(self.parser, id, value)
                self.config[id] = value

    def _handed_on(self, inner: Mapping[str, Any], train_map: Mapping[str, Any] | None) -> set[str]:
        """Ids of this config that the training config takes under the same name, or as a knob.

        A foreign bundle's ids that happen to have the name of a setting of the loop (``handlers``, ``seed``) stay.
        """
        parser = ConfigParser(dict(inner))
        loop = {id: value for id, value in self.config.items() if id not in inner and id != _NESTED}
        own = set() if "pool" in inner else referred_ids(loop)
        knobs = {knob for knob in {**KNOBS, **(train_map or {})} if targets_of(knob, parser, train_map)}
        return (set(inner) | knobs) - _NEVER_FORWARDED - own


def running_bundle() -> RunningBundle:
    """The bundle whose config evaluates the expression that calls this.

    MONAI gives an expression no way to its workflow, so it is looked up among the callers. MONAI's commands that only
    look at a network (``verify_net_in_out``, ``ckpt_export``) have none: there ``bundle_root`` of the config that is
    evaluated tells the folder.

    Raises:
        BundleConfigError: no bundle is running.

    Example:
        >>> running_bundle()
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: no bundle is running: call this from a config's expression
    """
    frame, parser = sys._getframe(1), None
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, ConfigWorkflow):
            root = bundle_root(Path(caller.config_root_path) / "any.yaml")
            return RunningBundle(root, _config_of(caller.parser), getattr(caller, OF_A_ROUND, False), caller.parser)
        if parser is None and isinstance(caller, ConfigParser):
            parser = caller
        frame = frame.f_back
    if parser is None:
        raise BundleConfigError("no bundle is running: call this from a config's expression")
    config = _config_of(parser)
    return RunningBundle(Path(literal_of(config.get("bundle_root")) or "."), config, parser=parser)


def _config_of(parser: ConfigParser) -> dict[str, Any]:
    return {id: value for id, value in parser.get().items() if id != "_meta_"}


def bundle_root(config_file: Path) -> Path:
    """The folder of the bundle that a config file belongs to.

    Example:
        >>> bundle_root(Path("/bundles/a/configs/train.yaml")).as_posix()
        '/bundles/a'
    """
    folder = config_file.resolve().parent
    return folder.parent if folder.name == "configs" else folder


def _where_else(name: str, file: Path) -> str:
    """What may have been meant by a name that is none of a config."""
    if Path(name).is_file() and os.sep not in name:
        return f"; for the file in this folder write ./{name}"
    folders = [file.parent, *(_SHARED_OVERLAYS if os.sep not in name else ())]
    near = difflib.get_close_matches(file.stem, {found.stem for folder in folders for found in folder.glob("*.yaml")})
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _refuse_unfit(training: Path, overlays: Sequence[Path]) -> None:
    """An overlay that is laid over a training config of others takes nothing from it that it does not have."""
    values = {file: values_of(file) for file in (training, *overlays)}
    declared = {id for one in values.values() for id in one if "#" not in id and "::" not in id}
    if "pool" in declared:
        return
    for file in overlays:
        parents = {_head(id) for id in values[file] if _head(id) != id}
        lacking = sorted((parents | referred_ids(values[file])) - {id.lstrip("+~") for id in declared})
        if lacking:
            brings = "; it brings a network of its own" if "network_def" in values[file] else ""
            raise BundleConfigError(
                f"--train_overlays {file.stem} is for training configs with {', '.join(lacking[:_SHOWN])}"
                f"{' and more' if len(lacking) > _SHOWN else ''}, which {training.name} does not have{brings}"
            )


def _head(id: str) -> str:
    return id.lstrip("+~").replace("::", "#").partition("#")[0] if "#" in id or "::" in id else id


def _placeless(knob: str, training: Path, inner: Mapping[str, Any]) -> str:
    """A sentence about a knob that a training config has no place for."""
    if knob == DROPOUT:
        return f"--{knob}: the network of {training.name} takes none: choose a strategy without dropout"
    engines = {name: id.replace("::", "#") for name, id in engine_ids(ConfigParser(dict(inner))).items()}
    places = " or ".join(place.format_map(engines) for place in KNOBS[knob][:_SHOWN])
    return (
        f"--{knob}: {training.name} has no place for it, such as {places}; where it has another, name it by --train_map"
    )


def _parsed(file: Path) -> dict[str, Any]:
    """A config as a workflow holds it, with the names of its ids written out."""
    parser = ConfigParser(read_config([file]))
    parser.parse()
    return dict(parser.get())


def _with_a_place(nested: Mapping[str, Any] | None, config: Mapping[str, Any]) -> dict[str, Any]:
    """Those nested ids that a config declares, or whose parent it builds, so that they are an argument of it."""
    parser = ConfigParser(dict(config))
    return {id: value for id, value in (nested or {}).items() if has_place_for(id, parser)}


def _homeless(nested: Mapping[str, Any] | None, *configs: Mapping[str, Any]) -> list[str]:
    """A sentence about nested ids that no config has a place for."""
    housed = set().union(*(_with_a_place(nested, config) for config in configs))
    homeless = [id for id in nested or {} if id not in housed]
    known = [id.replace("::", "#") for config in configs for id in _all_ids(config)]
    return [unknown_ids(homeless, known, "no config of the bundle has a place for it")] if homeless else []


def _aimless(train_map: Mapping[str, Any] | None, inner: Mapping[str, Any]) -> list[str]:
    """A sentence about knobs that a ``train_map`` sends to ids that the training config does not declare."""
    parser, known = ConfigParser(dict(inner)), [id.replace("::", "#") for id in _all_ids(inner)]
    lines = []
    for knob, ids in (train_map or {}).items():
        places = [ids] if isinstance(ids, str) else ids
        if not isinstance(places, (list, tuple)) or not all(isinstance(id, str) for id in places):
            lines.append(f"--train_map: {knob} must go to an id of the training config, or a list of ids, got {ids!r}")
        elif not any(has_place_for(id, parser) for id in places):
            unknown = unknown_ids([id.replace("::", "#") for id in places], known, "no such id of the training config")
            lines.append(unknown.replace("--", "--train_map: "))
    return lines


def _all_ids(config: Any, above: str = "") -> list[str]:
    """The nested ids of a config."""
    if not isinstance(config, Mapping):
        return []
    return [id for key, value in config.items() for id in (f"{above}{key}", *_all_ids(value, f"{above}{key}::"))]

# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""ACDC: short-axis cine MR of the heart at end-diastole and end-systole, with full masks or scribbles.

Bernard et al., IEEE TMI 37(11), 2018; scribbles: Valvano et al., IEEE TMI, 2021. CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monai_al.data.reading import name_without_suffix
from monai_al.datasets.cases import complete
from monai_al.datasets.files import Pair, existing_folder, listed_error, natural_key, pool_of, readable_files, shortened
from monai_al.datasets.parts import check_patients, in_parts
from monai_al.datasets.scribbles import CARDIAC_CLASSES, MASK_VALUES, SCRIBBLE_VALUES, check_label_values
from monai_al.records import DataError, Pool

__all__ = ["acdc"]

LABELS = ("masks", "scribbles")
PHASES = {"ED": "end-diastole", "ES": "end-systole"}
FRAME = re.compile(r"(patient(\d+))_frame(\d+)(_gt|_scribble)?", re.IGNORECASE)
WHOLE_CINE = re.compile(r"patient\d+_4d", re.IGNORECASE)
PARTS = {"training": "train", "testing": "test"}
PARTS_IN_ORDER = tuple(PARTS.values())
FIRST_FOR_VALIDATION = 81  # of the training part, where there is a test part


@dataclass
class _Frame:
    """The files of one frame; more than one of a kind cannot be told apart."""

    patient: str
    number: int
    volume: str
    part: str
    images: list[Path] = field(default_factory=list)
    masks: list[Path] = field(default_factory=list)
    scribbles: list[Path] = field(default_factory=list)

    @property
    def place(self) -> Path:
        """The folder of its files."""
        return next(files[0] for files in (self.images, self.masks, self.scribbles) if files).parent


def acdc(
    root: str | os.PathLike,
    *,
    labels: str = "masks",
    scribble_folder: str | os.PathLike | None = None,
    phases: Sequence[str] = ("ED", "ES"),
    validation_patients: Sequence[str] | None = None,
    test_patients: Sequence[str] | None = None,
    item: str = "slice",
    require_labels: bool = True,
    skip_incomplete: bool = False,
) -> Pool:
    """The two annotated frames of each patient, ``patient001_frame01.nii.gz`` with ``_gt`` or ``_scribble``.

    A frame is a volume, ``patient001_frame01``, and both belong to one patient; slices lie along the third stored axis.
    End-diastole is the frame that ``Info.cfg`` names so, without that file the earlier one, which need not be frame 01.
    Classes: background, right ventricle, myocardium, left ventricle. The 4D file is left out.

    Patients below a folder ``testing`` are the test part; where there is one, patients 81 to 100 are the validation
    part. Else all patients may be annotated, and :func:`split_by_patient` draws the parts.

    Args:
        root: the folder ``database``, or ``training`` in it, or one that holds them.
        labels: ``"masks"``, or ``"scribbles"`` for the patients that may be annotated; those of the other parts keep
            their masks, which a network is scored on. A stored 0 in a scribble is a background stroke, 4 becomes 255.
        scribble_folder: folder of the scribble files. Default: they lie beside the images.
        phases: ``"ED"``, ``"ES"`` or both.
        validation_patients: names such as ``patient081``, for another validation part.
        test_patients: names, for another test part. Scribbles need them where there is no folder ``testing``; an empty
            list says that nothing is to be scored.
        item: ``"slice"`` or ``"volume"``.
        require_labels: False also takes images without a label, for a pool that is still to be annotated.
        skip_incomplete: leave out frames with a missing file and patients whose phases are not known, and name them in
            the notes, instead of raising.

    Raises:
        DataError: the folder is missing or holds no such frames, a frame occurs twice, files are missing, phases are
            not known, a scribble has no 4 or other values than 0 to 4 (all such files are listed), a named patient is
            not there, or the patients to score on are not known.
        ValueError: unknown labels or phases, or a patient in two parts.

    Example:
        >>> import tempfile, nibabel, numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     os.mkdir(f"{root}/patient090")
        ...     for name in ("frame04", "frame04_gt", "frame11", "frame11_gt"):
        ...         volume = nibabel.Nifti1Image(np.zeros((4, 4, 2), np.uint8), np.eye(4))
        ...         nibabel.save(volume, f"{root}/patient090/patient090_{name}.nii.gz")
        ...     acdc(root).volumes, acdc(root, phases=["ED"]).volumes
        (('patient090_frame04', 'patient090_frame11'), ('patient090_frame04',))
    """
    _check_options(labels, phases, scribble_folder)
    folder = existing_folder(root)
    frames, strangers = _frames(folder, None if scribble_folder is None else existing_folder(scribble_folder))
    split_of, notes = _parts(frames, folder, labels, validation_patients, test_patients)
    chosen, problems, phase_notes = _of_phases(frames, phases)
    pairs = []
    for frame in chosen:
        weak = labels == "scribbles" and split_of.get(frame.patient, "train") == "train"
        problem = _missing(frame, weak, require_labels)
        if problem:
            problems[frame.volume] = problem
        else:
            label = next(iter(frame.scribbles if weak else frame.masks), None)
            pairs.append((Pair(frame.images[0], label, frame.volume, frame.patient), weak))
    notes += phase_notes
    notes += [f"{len(strangers)} other image files are left out: {shortened(strangers)}."] if strangers else []
    notes += complete(folder, problems, skip_incomplete)
    if labels == "scribbles":
        check_label_values(folder, scribbles=_labels(pairs, weak=True), masks=_labels(pairs, weak=False))
    pool = pool_of(
        [pair for pair, _ in pairs],
        item=item,
        classes=CARDIAC_CLASSES,
        label_values=SCRIBBLE_VALUES if labels == "scribbles" else MASK_VALUES,
        root=folder,
        notes=notes,
    )
    return in_parts(pool, split_of)


def _check_options(labels: str, phases: Sequence[str], scribble_folder: str | os.PathLike | None) -> None:
    if labels not in LABELS:
        raise ValueError(f"labels must be one of {', '.join(LABELS)}; got {labels!r}")
    if scribble_folder is not None and labels != "scribbles":
        raise ValueError("scribble_folder is given, but labels is 'masks'; give --datalist#labels scribbles, too")
    if isinstance(phases, str) or not phases or not set(phases) <= set(PHASES):
        raise ValueError(f"phases must be some of {', '.join(PHASES)} in a list; got {phases!r}")


def _labels(pairs: Iterable[tuple[Pair, bool]], *, weak: bool) -> list[Path]:
    return [pair.label for pair, is_weak in pairs if pair.label is not None and is_weak == weak]


# --- files -----------------------------------------------------------------------------------------------------------


def _frames(folder: Path, scribble_folder: Path | None) -> tuple[list[_Frame], list[str]]:
    """The frames of all patients, and the image files that belong to none."""
    frames: dict[tuple[str, int], _Frame] = {}
    strangers = []
    for path, match in _matched(folder):
        if match is None:
            strangers.append(path.relative_to(folder).as_posix())
        else:
            _add(frames, path, match, folder, scribbles=scribble_folder is None)
    for path, match in _matched(scribble_folder) if scribble_folder else ():
        if match is not None and (match[4] or "").lower() == "_scribble":
            _add(frames, path, match, folder, scribbles=True)
    if not any(frame.images for frame in frames.values()):
        raise DataError(f"{folder}: holds no patientNNN_frameNN.nii.gz; give the folder 'database' or 'training'")
    found = sorted(frames.values(), key=lambda frame: (PARTS_IN_ORDER.index(frame.part), natural_key(frame.volume)))
    _check_once(found, folder)
    return found, strangers


def _matched(folder: Path) -> Iterator[tuple[Path, re.Match | None]]:
    """The NIfTI files of a folder, but for the 4D files, with what their names say."""
    for path in readable_files(folder):
        name = name_without_suffix(path)
        if not WHOLE_CINE.fullmatch(name):
            nifti = path.name.lower().endswith((".nii", ".nii.gz"))
            yield path, FRAME.fullmatch(name) if nifti else None


def _add(frames: dict, path: Path, match: re.Match, folder: Path, *, scribbles: bool) -> None:
    patient, number, kind = match[1].lower(), int(match[3]), (match[4] or "").lower()
    if kind == "_scribble" and not scribbles:
        return
    key = (patient, number)
    if key not in frames:
        frames[key] = _Frame(patient, number, f"{patient}_frame{match[3]}", _part_of(path, folder))
    frame = frames[key]
    {"": frame.images, "_gt": frame.masks, "_scribble": frame.scribbles}[kind].append(path)


def _part_of(path: Path, folder: Path) -> str:
    """The part that the nearest folder names."""
    inner = path.relative_to(folder).parts[:-1] if path.is_relative_to(folder) else ()
    names = (name.lower() for name in (*reversed(inner), folder.name))
    return next((PARTS[name] for name in names if name in PARTS), "train")


def _check_once(frames: Iterable[_Frame], folder: Path) -> None:
    twice = [files for f in frames for files in (f.images, f.masks, f.scribbles) if len(files) > 1]
    if twice:
        raise listed_error(
            f"{folder}: {len(twice)} files occur more than once; give the folder of one copy",
            [" and ".join(map(str, files)) for files in twice],
        )


def _missing(frame: _Frame, weak: bool, require_labels: bool) -> str | None:
    kind, files = ("_scribble", frame.scribbles) if weak else ("_gt", frame.masks)
    problems = []
    if not frame.images:
        problems.append(f"{frame.place}: there is no {frame.volume}.nii.gz, but its label")
    if not files and require_labels:
        problems.append(f"{frame.place}: there is no {frame.volume}{kind}.nii.gz")
    return "; ".join(problems) or None


# --- parts and phases ------------------------------------------------------------------------------------------------


def _parts(
    frames: Sequence[_Frame],
    folder: Path,
    labels: str,
    validation_patients: Sequence[str] | None,
    test_patients: Sequence[str] | None,
) -> tuple[dict[str, str], list[str]]:
    """Patient -> part of those that may not be annotated, and what the user should know of it."""
    part_of = {frame.patient: frame.part for frame in frames}
    testing = [patient for patient, part in part_of.items() if part == "test"]
    if testing and validation_patients is None:
        numbered = {patient: int(patient.removeprefix("patient")) for patient in part_of}
        validation_patients = [p for p, n in numbered.items() if part_of[p] == "train" and n >= FIRST_FOR_VALIDATION]
        validation_patients = [p for p in validation_patients if p not in (test_patients or ())]
    validation = list(validation_patients or ())
    test = [*testing, *(patient for patient in test_patients or () if patient not in testing)]
    check_patients(validation, part_of, "validation_patients")
    check_patients(test, part_of, "test_patients")
    both = sorted(set(validation) & set(test))
    if both:
        raise ValueError(f"{', '.join(both)}: is a patient of the validation part and of the test part")
    if labels == "scribbles" and not testing and test_patients is None:
        raise DataError(
            f"{folder}: there is no folder 'testing', and scribbles are no labels to score on. Name the patients that "
            "keep their masks by --datalist#test_patients \"['patient091', ...]\" (in the command datalist "
            "--test_patients patient091 ...); an empty list where nothing is to be scored"
        )
    notes = []
    if labels == "scribbles":
        notes.append("Labels of the patients that may be annotated are scribbles; validation and test have masks.")
        notes += [] if test else ["There is no test part: all labels are scribbles, so do not score on these patients."]
    return dict.fromkeys(validation, "validation") | dict.fromkeys(test, "test"), notes


def _of_phases(frames: Sequence[_Frame], phases: Sequence[str]) -> tuple[list[_Frame], dict[str, str], list[str]]:
    """The frames of these phases, patients whose phases are not known, and what the user should know of it."""
    of_patient: dict[str, list[_Frame]] = {}
    for frame in frames:
        of_patient.setdefault(frame.patient, []).append(frame)
    chosen: list[_Frame] = []
    problems: dict[str, str] = {}
    guessed, others = 0, []
    for patient, own in of_patient.items():
        try:
            named = _named_phases(own)
            guessed += named is None
            number_of = _earlier_first(own) if named is None else named
            _check_there(own, number_of)
        except DataError as error:
            problems[patient] = str(error)
            continue
        chosen += [frame for frame in own if frame.number in {number_of[phase] for phase in phases}]
        others += [frame.volume for frame in own if frame.number not in number_of.values()]
    notes = [f"Without Info.cfg the earlier frame is taken as end-diastole: {guessed} patients."] if guessed else []
    notes += [f"{len(others)} frames of neither phase are left out: {shortened(others)}."] if others else []
    notes += [f"Only {PHASES[phase]}." for phase in phases] if len(set(phases)) == 1 else []
    return chosen, problems, notes


def _named_phases(frames: Sequence[_Frame]) -> dict[str, int] | None:
    """Phase -> number of the frame, as ``Info.cfg`` has it; None without that file."""
    path = next((frame.images[0] for frame in frames if frame.images), frames[0].place / "-").parent / "Info.cfg"
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    found = {phase: re.search(rf"^\s*{phase}\s*:\s*(\d+)\s*$", text, re.MULTILINE) for phase in PHASES}
    numbers = {phase: int(match[1]) for phase, match in found.items() if match}
    if len(set(numbers.values())) != len(PHASES):
        raise DataError(f"{path}: needs the two frame numbers 'ED: ...' and 'ES: ...'")
    return numbers


def _earlier_first(frames: Sequence[_Frame]) -> dict[str, int]:
    numbers = sorted(frame.number for frame in frames)
    if len(numbers) != len(PHASES):
        raise DataError(
            f"{frames[0].place}: has {len(numbers)} frames ({', '.join(map(str, numbers))}) and no Info.cfg, so that "
            "their phases are not known"
        )
    return dict(zip(PHASES, numbers, strict=True))


def _check_there(frames: Sequence[_Frame], number_of: dict[str, int]) -> None:
    there = {frame.number for frame in frames}
    gone = [f"{number} ({PHASES[phase]})" for phase, number in number_of.items() if number not in there]
    if gone:
        raise DataError(f"{frames[0].place}: Info.cfg names frame {' and '.join(gone)}, which is not there")

# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which images belong to one patient, so that none lies in the training and in the test part."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from monai_al.datasets.files import Pair, listed_error, shortened
from monai_al.datasets.finding import is_stored_folder
from monai_al.records import DataError
from monai_al.records.stored_files import stored_channels, stored_parts

__all__ = ["by_rule", "named_alike_note", "one_patient_per_file", "subject_of", "suggested_rule", "with_patients"]

_SUBJECT = re.compile(r"(?:^|[/_])(sub-[A-Za-z0-9]+)(?=[/_]|$)")
# a part of a name that tells scans of one patient apart
_WORD = (
    r"(?:visit|ses|sess|session|scan|time|timepoint|tp|frame|phase|series|run|acq|day|week|month|year|exam|study|"
    r"baseline|bl|follow[-_]?up|fu|pre|post|left|right|lt|rt|l|r|ed|es|t[12](?:w|c|ce|gd)?|flair|dwi|adc|pd|ct|mr|pet|"
    r"axial|coronal|sagittal|ax|cor|sag|[vst])"
)
_SCAN = re.compile(rf"{_WORD}\d*|(?:19|20)\d{{6}}", re.IGNORECASE)
_SUGGESTION, _UNKNOWN_RULE = re.compile(r" '(.+)' groups them\.$"), "REGEX"
_BETWEEN = re.compile(r"[-_. /]+")


def with_patients(
    pairs: Mapping[str, Pair], rule: str | None, option: str = "--datalist#patient"
) -> tuple[dict[str, Pair], list[str]]:
    """The pairs with their patients, and notes on what is not sure about them.

    Without a rule the subject of a BIDS name is the patient, or of a DICOM series the folder below which its folder
    lies, or the image is one of its own; an image that two paths lead to, by a link, is of one patient.

    Args:
        pairs: an image's name -> the image with its label.
        rule: regular expression that finds the patient in a name; None where there is none.
        option: the option that takes it.

    Raises:
        DataError: the rule is no regular expression, or does not match a name; all of those are listed.

    Example:
        >>> pairs = {f"sub-1_ses-{n}": Pair(f"{n}.nii", None, f"sub-1_ses-{n}", f"sub-1_ses-{n}") for n in (1, 2)}
        >>> with_patients(pairs, None)[1]
        ["Patients are the subjects of BIDS in the images' names, such as sub-1."]
    """
    keys = list(pairs)
    if rule is not None:
        patients = by_rule(keys, rule)
        found = {key: replace(pairs[key], patient=patient) for key, patient in zip(keys, patients, strict=True)}
        return found, []
    subjects = {key: subject for key in keys if (subject := subject_of(key))}
    cases = _case_folders({key: pair for key, pair in pairs.items() if key not in subjects})
    found = {key: replace(pairs[key], patient=subjects.get(key) or cases.get(key, pairs[key].patient)) for key in keys}
    joined, notes = one_patient_per_file(found.values())
    found = dict(zip(keys, joined, strict=True))
    told = [f"Patients are the subjects of BIDS in the images' names, such as {s}." for s in [*subjects.values()][:1]]
    told += ["Patients of DICOM series are the folders that they lie in."] if cases else []
    if len(subjects) + len(cases) < len(keys):
        told.append(
            f"Every file counts as a patient of its own; give a patient rule, {option}, if some share a patient."
        )
    named = {key: pair.patient for key, pair in found.items()}
    return found, [*told, *notes, *named_alike_note(named, option)]


def _case_folders(pairs: Mapping[str, Pair]) -> dict[str, str]:
    """Name of a DICOM series -> the folder of its case: the first folder that not all series lie in."""
    folders = {key: _folders(key, str(pair.image)) for key, pair in pairs.items() if is_stored_folder(str(pair.image))}
    shared = len(os.path.commonprefix([list(parts) for parts in folders.values()]))
    return {key: parts[min(shared, len(parts) - 1)] for key, parts in folders.items()}


def _folders(key: str, image: str) -> tuple[str, ...]:
    """The parts of a series' name, without what tells it from others in its folder."""
    *above, last = PurePosixPath(key).parts
    folder = os.path.basename(stored_channels(image)[0].path)
    return (*above, folder) if last.startswith(folder) else (*above, last)


def by_rule(keys: Sequence[str], rule: str) -> list[str]:
    r"""The patient in each name: the first group of a regular expression, or all that it matches.

    Raises:
        DataError: the rule is no regular expression, or does not match a name, or no letter of it; all are listed.

    Example:
        >>> by_rule(["p1/frame01", "p1/frame02"], r"(p\d+)/")
        ['p1', 'p1']
    """
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise DataError(f"patient rule {rule!r} is no regular expression: {error}") from error
    matches = [pattern.search(key) for key in keys]
    patients = [match and match.group(min(1, pattern.groups)) for match in matches]
    strangers = [key for key, patient in zip(keys, patients, strict=True) if not patient]
    if strangers:
        raise listed_error(f"patient rule {rule!r} does not match {len(strangers)} images", strangers)
    return [patient for patient in patients if patient]


def subject_of(key: str) -> str | None:
    """The subject in a name as BIDS wants it, ``sub-01_ses-2`` or ``sub-01/ses-2/anat/...``; None in any other.

    Example:
        >>> subject_of("sub-01_ses-2_T1w"), subject_of("sub-01/ses-2/anat/a"), subject_of("case_1")
        ('sub-01', 'sub-01', None)
    """
    found = _SUBJECT.search(key)
    return found[1] if found else None


def one_patient_per_file(pairs: Iterable[Pair]) -> tuple[list[Pair], list[str]]:
    """The pairs, where one image that is reached by several paths, by links, has one patient; with a note on such.

    Args:
        pairs: images with their patients.

    Example:
        >>> one_patient_per_file([Pair("a.nii", None, "a", "a"), Pair("b.nii", None, "b", "b")])[1]
        []
    """
    first: dict[tuple, Pair] = {}
    found, linked = [], []
    for pair in pairs:
        one = first.setdefault(_real_file(pair), pair)
        if one is not pair:
            linked.append(f"{pair.volume} and {one.volume}")
        found.append(replace(pair, patient=one.patient))
    if not linked:
        return found, []
    return found, [
        f"{len(linked)} images are the same file as another one, by a link, and count as scans of one patient: "
        f"{shortened(linked)}. Remove the links."
    ]


def _real_file(pair: Pair) -> tuple:
    try:
        stats = [os.stat(part) for part in stored_parts(str(pair.image))]
    except OSError:  # the reader tells what is wrong
        return (str(pair.image),)
    selections = (part.selection for part in stored_channels(str(pair.image)))
    return (*((s.st_dev, s.st_ino) for s in stats), *selections)


# --- names ------------------------------------------------------------------------------------------------------------


def named_alike_note(patient_of: Mapping[str, str], option: str) -> list[str]:
    """A note on images that are named like scans of one patient, but count as patients of their own.

    Args:
        patient_of: an image's name -> its patient.
        option: the option that takes a rule.

    Example:
        >>> names = ["case1_visit1", "case1_visit2", "case2_visit1"]
        >>> for note in named_alike_note({name: name for name in names}, "--datalist#patient"):
        ...     print(note)
        case1_visit1 and case1_visit2 are named like scans of one patient, but count as two, ...
    """
    parts = {name: _apart(name) for name in patient_of}
    groups: dict[str, list[str]] = {}
    for name, (stem, _, _) in parts.items():
        groups.setdefault(stem, []).append(name)
    groups = {stem: names for stem, names in groups.items() if len({patient_of[name] for name in names}) > 1}
    numbered = {stem: names for stem, names in groups.items() if re.search(r"\d", stem)}
    tails = {parts[name][1].lower() for names in numbered.values() for name in names}
    habit = numbered if 2 <= len(tails) <= len(numbered) else {}  # the same few ends again and again
    several = {stem: names for stem, names in groups.items() if stem in habit or _tell_scans(parts, names)}
    if not several:
        return []
    first = next(iter(several.values()))
    more = f", and so with {len(several) - 1} more" if len(several) > 1 else ""
    return [
        f"{first[0]} and {first[1]} are named like scans of one patient, but count as two, so that one may lie in the "
        f"training and the other in the test part{more}: {option} '{_rule(list(patient_of), parts)}' groups them."
    ]


def suggested_rule(notes: Iterable[str]) -> str | None:
    r"""The rule that a note of :func:`named_alike_note` gives; None where there is no such note, or it knows none.

    Example:
        >>> names = ["case1_visit1", "case1_visit2", "case2_visit1"]
        >>> suggested_rule(named_alike_note({name: name for name in names}, "--datalist#patient"))
        '^(case\\d+)'
    """
    found = next((match[1] for note in notes if (match := _SUGGESTION.search(note))), None)
    return None if found == _UNKNOWN_RULE else found


def _apart(name: str) -> tuple[str, str, bool]:
    """What a patient's scans may share of a name, what tells this scan, and whether that is a word known for it."""
    places = [0, *(found.end() for found in _BETWEEN.finditer(name))]
    words = [_BETWEEN.split(name[place:], maxsplit=1)[0] for place in places]
    n = len(words)
    while n > 1:
        if _SCAN.fullmatch(words[n - 1]):
            n -= 1
        elif n > 2 and words[n - 1].isdigit() and re.fullmatch(_WORD, words[n - 2], re.IGNORECASE):
            n -= 2
        else:
            break
    known = n < len(words)
    n = n if known else n - 1
    return (name[: places[n]].rstrip("-_. /"), name[places[n] :], known) if n else (name, "", False)


def _tell_scans(parts: Mapping[str, tuple[str, str, bool]], names: Sequence[str]) -> bool:
    return all(known or not tail for _, tail, known in map(parts.__getitem__, names))


def _rule(names: Sequence[str], parts: Mapping[str, tuple[str, str, bool]]) -> str:
    """A regular expression that finds what scans of one patient share, where one is easily written."""
    folder = f"^({_numbers_open(names[0].partition('/')[0])})/"
    if all((match := re.search(folder, name)) and parts[name][0] == f"{match[1]}/{match[1]}" for name in names):
        return folder  # which the files' names only repeat
    tails = sorted({_numbers_open(parts[name][1]) for name in names if parts[name][2]})
    for rule in (f"^({_numbers_open(parts[names[0]][0])})", f"^(.+?)(?:[-_. /](?:{'|'.join(tails)}))?$"):
        found = [re.search(rule, name) for name in names]
        if all(match and match[1] in (name, parts[name][0]) for match, name in zip(found, names, strict=True)):
            return rule
    return _UNKNOWN_RULE


def _numbers_open(text: str) -> str:
    return re.sub(r"\d+", r"\\d+", re.sub(r"([.^$*+?{}\[\]|()\\])", r"\\\1", text))

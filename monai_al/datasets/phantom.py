# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A made-up abdominal CT data set, drawn on the spot: for tests, examples and a first try without any download."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_al.records import NOT_ANNOTATED, DataError, Item, Pool, rng, slices_of

__all__ = ["phantom"]

VERSION = 1  # of the drawing; part of the folder's name
FIELD_OF_VIEW = (360.0, 300.0, 180.0)  # mm along H (to the left), W (to the back), D (to the head)
DEFAULT_NAMES = ("liver", "spleen", "kidneys", "spine", "aorta")


@dataclass(frozen=True)
class _Organ:
    """A bumpy ellipsoid; positions and sizes as shares of the body's half axes, grey values in Hounsfield units."""

    center: tuple[float, float, float]
    radius: tuple[float, float, float]
    grey: float
    enhancement: float
    bumps: float = 0.12
    angle: float = 0.0
    softness: float = 1.0


# Painted in this order, later ones over earlier ones. The first axis points to the patient's left: the liver has x < 0.
_ORGANS: dict[str, _Organ] = {
    "right lung": _Organ((-0.42, 0.05, 1.12), (0.36, 0.56, 0.72), -780, 0, bumps=0.06, softness=1.5),
    "left lung": _Organ((0.44, 0.08, 1.15), (0.34, 0.54, 0.66), -780, 0, bumps=0.06, softness=1.5),
    "heart": _Organ((0.12, -0.25, 1.05), (0.36, 0.34, 0.42), 42, 85, bumps=0.06, angle=0.4),
    "stomach": _Organ((0.30, -0.30, 0.12), (0.26, 0.22, 0.34), 35, 10, bumps=0.2, angle=0.5),
    "bowel": _Organ((0.02, -0.42, -0.35), (0.42, 0.20, 0.36), 22, 12, bumps=0.35),
    "liver": _Organ((-0.36, -0.14, 0.10), (0.46, 0.55, 0.60), 58, 45, bumps=0.16, angle=0.35, softness=1.3),
    "spleen": _Organ((0.60, 0.22, 0.15), (0.17, 0.30, 0.46), 50, 62, bumps=0.10, angle=-0.35, softness=1.2),
    "left kidney": _Organ((0.38, 0.45, -0.22), (0.14, 0.19, 0.44), 34, 110, bumps=0.08, angle=0.6),
    "right kidney": _Organ((-0.38, 0.47, -0.28), (0.14, 0.19, 0.44), 34, 110, bumps=0.08, angle=-0.6),
    "spine": _Organ((0.0, 0.50, 0.0), (0.135, 0.17, 9.0), 210, 0, bumps=0.10),
    "aorta": _Organ((0.05, 0.22, 0.0), (0.055, 0.07, 9.0), 45, 130, bumps=0.05),
}
_PARTS = {"kidneys": ("left kidney", "right kidney")}
_LESION_WORDS = ("lesion", "tumour", "tumor", "metastasis", "cyst")


def phantom(
    root: str | os.PathLike,
    *,
    patients: int = 12,
    volumes_per_patient: int = 2,
    shape: Sequence[int] = (64, 64, 16),
    classes: int | Sequence[str] = 3,
    channels: int = 1,
    scribbles: bool = False,
    seed: int = 0,
    item: str = "slice",
) -> Pool:
    """Draw abdominal volumes with their labels, once, and give them as a pool.

    Organs vary smoothly over patients and slices and have unsharp borders and overlapping grey values. Noise, a bias
    field, structures that belong to no class, slices without foreground at both ends (up to 5 classes), and a small
    lesion in two of three patients make the task real, if easy. The volumes of one patient are phases of one anatomy:
    other contrast, other breath, other noise. The same arguments give the same bytes; a complete folder is reused.

    Args:
        root: folder to draw in; the data set gets a sub-folder named by its arguments, ``<patient>/<volume>.nii.gz``
            with ``<volume>_label.nii.gz`` and perhaps ``<volume>_scribble.nii.gz`` beside.
        patients: number of patients.
        volumes_per_patient: number of phases of each.
        shape: H, W, D of the volumes, at least 16 x 16 x 6.
        classes: 2 to 7, background included, or their names, background first. As a number: liver, then spleen,
            kidneys, spine, aorta, and from 3 classes on the last is a lesion in the liver. Names of these structures,
            and "lesion", "tumour", "metastasis" or "cyst", draw what they say; any other name takes the next structure
            that is free.
        channels: image channels, stored as a fourth axis where above 1; each has a contrast of its own.
        scribbles: also draw a stroke for each class in each slice: 0 is a background stroke, 255 not annotated.
        seed: another seed is another data set.
        item: ``"slice"`` or ``"volume"``.

    Returns:
        The pool; ``notes`` says that it is made up.

    Raises:
        ValueError: an argument is out of range.
        DataError: files of a finished folder are missing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     phantom(root, patients=2, shape=(32, 32, 8), classes=("background", "spleen"))
        Pool(32 items, 4 volumes, 2 patients)
    """
    names = _class_names(classes)
    size = _checked(patients, volumes_per_patient, shape, channels, item)
    asked = {
        "patients": patients,
        "volumes_per_patient": volumes_per_patient,
        "shape": size,
        "classes": names,
        "channels": channels,
        "scribbles": bool(scribbles),
        "seed": seed,
        "version": VERSION,
    }
    folder = Path(os.path.abspath(Path(root).expanduser())) / _folder_name(asked)
    if not folder.is_dir():
        _draw_all(folder, asked)
    return _pool(folder, asked, item)


def _class_names(classes: int | Sequence[str]) -> tuple[str, ...]:
    if isinstance(classes, str):
        raise ValueError(f"classes must be a number or a list of names, got {classes!r}")
    if not isinstance(classes, int):
        names = tuple(str(name) for name in classes)
        if not 2 <= len(names) <= len(DEFAULT_NAMES) + 2 or len(set(names)) != len(names):
            raise ValueError(f"2 to {len(DEFAULT_NAMES) + 2} different class names are needed, got {names}")
        return names
    if not 2 <= classes <= len(DEFAULT_NAMES) + 2:
        raise ValueError(f"classes must lie in 2..{len(DEFAULT_NAMES) + 2}, background included, got {classes}")
    if classes == 2:
        return ("background", DEFAULT_NAMES[0])
    return ("background", *DEFAULT_NAMES[: classes - 2], "lesion")


def _checked(patients: int, volumes: int, shape: Sequence[int], channels: int, item: str) -> tuple[int, int, int]:
    for name, number in (("patients", patients), ("volumes_per_patient", volumes), ("channels", channels)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    if item not in ("slice", "volume"):
        raise ValueError(f"item must be slice or volume, got {item!r}")
    if len(shape) != 3 or shape[0] < 16 or shape[1] < 16 or shape[2] < 6:
        raise ValueError(f"shape must be at least (16, 16, 6), got {tuple(shape)}")
    return (int(shape[0]), int(shape[1]), int(shape[2]))


def _folder_name(asked: dict) -> str:
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:10]
    height, width, depth = asked["shape"]
    return f"phantom_{asked['patients']}x{asked['volumes_per_patient']}_{height}x{width}x{depth}_{digest}"


def _volumes(asked: dict) -> Iterator[tuple[int, int, str, str]]:
    """Number of the patient, number of the phase, name of the patient, name of the volume."""
    for number in range(1, asked["patients"] + 1):
        for phase in range(1, asked["volumes_per_patient"] + 1):
            patient = f"patient{number:03d}"
            yield number, phase, patient, f"{patient}_phase{phase}"


def _pool(folder: Path, asked: dict, item: str) -> Pool:
    items: list[Item] = []
    for _, _, patient, volume in _volumes(asked):
        image, label = folder / patient / f"{volume}.nii.gz", folder / patient / f"{volume}_label.nii.gz"
        if not image.is_file() or not label.is_file():
            raise DataError(f"{folder}: files of {volume} are missing; delete the folder, and it is drawn again")
        if item == "slice":
            depth = asked["shape"][2]
            items += slices_of(depth, image=str(image), volume=volume, patient=patient, label=str(label))
        else:
            items.append(Item(volume, str(image), volume, patient, str(label)))
    notes = ["This is a phantom, drawn by a program: good for trying things out, not for results."]
    label_values = {number: number for number in range(len(asked["classes"]))}
    return Pool(items, asked["classes"], label_values, str(folder), notes)


# --- files -----------------------------------------------------------------------------------------------------------


def _draw_all(folder: Path, asked: dict) -> None:
    """Draw into a temporary folder beside, then rename: a folder of the final name is complete."""
    temporary = folder.parent / f".{folder.name}.{uuid.uuid4().hex}"
    temporary.mkdir(parents=True)
    try:
        for number, phase, patient, volume in _volumes(asked):
            (temporary / patient).mkdir(exist_ok=True)
            image, label, strokes, spacing = _draw(number, phase, asked)
            _save(temporary / patient / f"{volume}.nii.gz", image, spacing)
            _save(temporary / patient / f"{volume}_label.nii.gz", label, spacing)
            if strokes is not None:
                _save(temporary / patient / f"{volume}_scribble.nii.gz", strokes, spacing)
        (temporary / "phantom.json").write_text(json.dumps(asked, indent=1, sort_keys=True))
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster and drew the same bytes
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _save(path: Path, array: np.ndarray, spacing: tuple[float, float, float]) -> None:
    import nibabel

    step = np.array([-spacing[0], -spacing[1], spacing[2]])
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = -step * (np.array(array.shape[:3]) - 1) / 2
    content = nibabel.Nifti1Image(array, affine).to_bytes()
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as stream:
        stream.write(content)


# --- drawing ---------------------------------------------------------------------------------------------------------


def _draw(number: int, phase: int, asked: dict):
    """Image int16 (H, W, D[, C]), label uint8, strokes uint8 or None, and spacing of one volume."""
    anatomy = rng(asked["seed"], number, "phantom anatomy")
    phase_rng = rng(asked["seed"], number * 1000 + phase, "phantom phase")
    body_size = anatomy.uniform(0.9, 1.1)
    spacing = tuple(round(f * body_size / n, 3) for f, n in zip(FIELD_OF_VIEW, asked["shape"], strict=True))
    grid = _grid(asked["shape"])
    places = _warped(grid, anatomy, phase_rng)
    voxel = 2.0 / min(asked["shape"][:2])
    shapes = {name: _depth(places, organ, anatomy, voxel) for name, organ in _ORGANS.items()}
    shapes = {"body": _body(places), **shapes}
    _keep_lungs_inside(shapes, voxel)
    _end_before_the_last_slices(shapes, (np.float32(0.8) - np.abs(grid[2])) * asked["shape"][2])
    shapes["lesion"] = _lesions(places, shapes["liver"], anatomy, voxel, count=0 if number % 3 == 0 else 1)
    label = _label(shapes, asked["classes"])
    image = np.stack(
        [_image(shapes, phase_rng, voxel, channel, phase) for channel in range(asked["channels"])], axis=-1
    )
    image = image[..., 0] if asked["channels"] == 1 else image
    strokes = _strokes(label, shapes["body"], phase_rng, len(asked["classes"])) if asked["scribbles"] else None
    return image, label, strokes, spacing


def _grid(shape: tuple[int, int, int]) -> np.ndarray:
    """Voxel centres in [-1, 1], float32 (3, H, W, D)."""
    axes = [(np.arange(n, dtype=np.float32) + 0.5) * 2 / n - 1 for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def _warped(grid: np.ndarray, anatomy: np.random.Generator, phase_rng: np.random.Generator) -> np.ndarray:
    """Smooth displacement, the same for all phases of a patient, plus a little breath."""
    warped = grid * np.float32(1.08)
    for axis in range(3):
        for _ in range(4):
            wave = anatomy.uniform(-2.2, 2.2, 3).astype(np.float32)
            turn = np.float32(anatomy.uniform(0, 2 * math.pi))
            warped[axis] += np.float32(anatomy.normal(0, 0.022)) * np.sin(np.tensordot(wave, grid, 1) + turn)
    warped[1] *= np.float32(1 + phase_rng.normal(0, 0.015))
    warped[2] += np.float32(phase_rng.normal(0, 0.04))
    return warped


def _body(places: np.ndarray) -> np.ndarray:
    """How deep below the skin, in shares of the half axes; a superellipse that narrows a little with height."""
    x, y, z = places
    narrow = 1 + 0.05 * z
    return 1 - ((np.abs(x) * narrow / 0.97) ** 2.5 + (np.abs(y) * narrow / 0.93) ** 2.5) ** np.float32(0.4)


def _depth(places, organ: _Organ, chance: np.random.Generator, voxel: float, *, wander: float = 1.0) -> np.ndarray:
    """Signed depth inside an organ, about 1 per voxel at the border, above 0 inside."""
    center = np.array(organ.center) + wander * chance.normal(0, (0.03, 0.03, 0.04))
    radius = np.array(organ.radius) * chance.uniform(0.86, 1.14, 3)
    angle = organ.angle + chance.normal(0, 0.12)
    x, y, z = (places[axis] - np.float32(center[axis]) for axis in range(3))
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    u = (cos * x + sin * y) / np.float32(radius[0])
    v = (cos * y - sin * x) / np.float32(radius[1])
    w = z / np.float32(radius[2])
    around = np.arctan2(v, u)
    flat = u * u + v * v
    share = flat / (flat + w * w + np.float32(1e-3))  # bumps fade towards the poles
    border = np.ones_like(u)
    for waves in (2, 3, 4, 5):
        height = np.float32(organ.bumps * chance.normal(0, 1.3) / waves)
        border += share * height * np.cos(waves * around + np.float32(chance.uniform(0, 2 * math.pi)) + 2 * w)
    reach = np.float32(min(radius[0], radius[1]) / (voxel * organ.softness))
    return (border - np.sqrt(flat + w * w)) * reach


def _keep_lungs_inside(shapes: dict[str, np.ndarray], voxel: float) -> None:
    """Lungs end at the chest wall and above liver and spleen."""
    wall = (shapes["body"] - np.float32(0.16)) / np.float32(voxel)
    for name in ("left lung", "right lung"):
        outside = np.minimum(-1.5 - shapes["liver"], -1.5 - shapes["spleen"])
        shapes[name] = np.minimum(np.minimum(shapes[name], wall), outside)


def _end_before_the_last_slices(shapes: dict[str, np.ndarray], to_the_end: np.ndarray) -> None:
    """The organs of the upper abdomen leave the ends of the volume free."""
    for name in ("stomach", "liver", "spleen", "left kidney", "right kidney"):
        shapes[name] = np.minimum(shapes[name], to_the_end)


def _lesions(places, liver: np.ndarray, chance: np.random.Generator, voxel: float, count: int) -> np.ndarray:
    """Small round lesions inside the liver, up to two more than ``count`` where that is above 0."""
    nominal = _ORGANS["liver"]
    gap = 2.0 / liver.shape[2]
    lesion = np.full(liver.shape, -50, np.float32)
    for _ in range(count + int(chance.integers(3)) if count else 0):
        away = chance.normal(size=3)
        away *= chance.uniform(0.1, 0.5) / np.linalg.norm(away)
        x, y, z = (c + r * a for c, r, a in zip(nominal.center, nominal.radius, away, strict=True))
        size = max(chance.uniform(0.09, 0.17), voxel)
        spot = _Organ((x, y, z), (size, size * 1.15, max(size * 1.5, 0.7 * gap)), 0, 0, bumps=0.12)
        lesion = np.maximum(lesion, _depth(places, spot, chance, voxel, wander=0.0))
    return np.minimum(lesion, liver)


def _label(shapes: dict[str, np.ndarray], classes: Sequence[str]) -> np.ndarray:
    """Class numbers; where structures overlap, the one painted last has the voxel."""
    number_of = _numbers(classes)
    label = np.zeros(shapes["body"].shape, np.uint8)
    for name, depth in shapes.items():
        if name == "lesion" and name not in number_of:
            continue  # without a class of its own it belongs to the organ around it
        if name != "body":
            label[(depth > 0) & (shapes["body"] > 0.08)] = number_of.get(name, 0)
    return label


def _numbers(classes: Sequence[str]) -> dict[str, int]:
    """Which structure shows which class."""
    number_of: dict[str, int] = {}
    known = {}
    for number, name in enumerate(classes[1:], start=1):
        word = name.lower().rstrip("s")
        if any(word.startswith(w) for w in _LESION_WORDS) and "lesion" not in known.values():
            known[number] = "lesion"
        else:
            match = next((d for d in DEFAULT_NAMES if d.rstrip("s") == word and d not in known.values()), None)
            known |= {number: match} if match else {}
    free = [name for name in (*DEFAULT_NAMES, "lesion") if name not in known.values()]
    for number in range(1, len(classes)):
        structure = known.get(number) or free.pop(0)
        number_of |= dict.fromkeys(_PARTS.get(structure, (structure,)), number)
    return number_of


def _image(
    shapes: dict[str, np.ndarray], chance: np.random.Generator, voxel: float, channel: int, phase: int
) -> np.ndarray:
    """Grey values of one channel, int16, like Hounsfield units."""
    from scipy.ndimage import gaussian_filter

    depth = shapes["body"].shape[2]
    grain = 0.02 / voxel

    def smooth_noise(width: float) -> np.ndarray:
        noise = chance.standard_normal(shapes["body"].shape).astype(np.float32)
        noise = gaussian_filter(noise, (width, width, width * depth * voxel / 4))
        return noise / max(float(noise.std()), 1e-6)

    greys = _greys(channel, phase, chance)
    texture = smooth_noise(max(1.0, 1.5 * grain))
    fat = shapes["body"] / np.float32(voxel) * 0.5
    image = _over(np.full_like(fat, -990), fat, greys["fat"] + 8 * texture)
    wall = (shapes["body"] - np.float32(0.10)) / np.float32(voxel) * 0.5
    image = _over(image, wall, greys["muscle"] + 10 * texture)
    cavity = (shapes["body"] - np.float32(0.20)) / np.float32(voxel) * 0.5
    image = _over(image, cavity, greys["inside"] + 30 * smooth_noise(2 * grain + 1))
    for name, organ in _ORGANS.items():
        image = _over(image, shapes[name], greys[name] + (22 if organ.bumps > 0.18 else 8) * texture)
    image = _over(image, shapes["lesion"], greys["lesion"] + 10 * texture)
    image += (shapes["body"] > -0.05) * 18 * smooth_noise(min(shapes["body"].shape[:2]) / 4)
    image += 13 * smooth_noise(0.5)
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16)


def _greys(channel: int, phase: int, chance: np.random.Generator) -> dict[str, float]:
    """Grey value of each structure: contrast agent rises with the phase; further channels shuffle the contrasts."""
    agent = (0.35, 1.0, 0.7)[(phase - 1) % 3] * chance.uniform(0.8, 1.2)
    greys = {name: organ.grey + agent * organ.enhancement for name, organ in _ORGANS.items()}
    greys["lesion"] = greys["liver"] - 42 - 36 * agent
    greys = {"fat": -100.0, "muscle": 50 + 12 * agent, "inside": -45.0} | greys
    if channel == 0:
        return {name: grey + chance.normal(0, 6) for name, grey in greys.items()}
    other = rng(channel, 0, "phantom contrast")
    return {name: float(other.uniform(-60, 220)) + chance.normal(0, 6) for name in greys}


def _over(below: np.ndarray, depth: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Paint a structure over an image with a soft border (partial volume)."""
    share = 1 / (1 + np.exp(-2.2 * np.clip(depth, -12, 12)))
    return below + share.astype(np.float32) * (grey.astype(np.float32) - below)


# --- scribbles -------------------------------------------------------------------------------------------------------


def _strokes(label: np.ndarray, body: np.ndarray, chance: np.random.Generator, n_classes: int) -> np.ndarray:
    """One stroke a class and slice: along the middle of each region, and an arc through the background."""
    strokes = np.full(label.shape, NOT_ANNOTATED, np.uint8)
    height, width = label.shape[:2]
    for z in range(label.shape[2]):
        start = chance.uniform(0, 2 * math.pi)
        around = start + np.linspace(0, chance.uniform(1.5, 3.0), 8 * max(height, width))
        x = np.rint((0.5 + 0.36 * np.cos(around)) * (height - 1)).astype(int)
        y = np.rint((0.5 + 0.33 * np.sin(around)) * (width - 1)).astype(int)
        free = (label[x, y, z] == 0) & (body[x, y, z] > 0)
        strokes[x[free], y[free], z] = 0
        for number in range(1, n_classes):
            for row, column in _middle_line(label[:, :, z] == number):
                strokes[row, column, z] = number
    return strokes


def _middle_line(region: np.ndarray) -> list[tuple[int, int]]:
    """The middle of the longest run of each row, without the outer sixth at both ends of the largest piece."""
    from scipy.ndimage import label as pieces_of

    pieces, count = pieces_of(region)
    if count == 0:
        return []
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    rows = np.flatnonzero(largest.any(axis=1))
    cut = len(rows) // 6
    line = []
    for row in rows[cut : len(rows) - cut]:
        runs = np.split(np.flatnonzero(largest[row]), np.flatnonzero(np.diff(np.flatnonzero(largest[row])) > 1) + 1)
        longest = max(runs, key=len)
        line.append((int(row), int(longest[len(longest) // 2])))
    return line

# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One function for each layout of data that bundles of the Model Zoo read.

Each gets the real images, the copy of the bundle's folder and an empty folder for the data, which is the bundle's
``dataset_dir``. Lists of files go where the bundle's own config looks for them.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image
from real_images import RealImages, as_ct

N_TILES = 4  # pictures in a mosaic


def folder_pairs(
    images: RealImages, bundle: Path, data: Path, *, n: int, shape: Sequence[int], spacing: Sequence[float],
    classes: int, folders: tuple[str, str] = ("imagesTr", "labelsTr"), ct: bool = True,
) -> list[dict[str, str]]:  # fmt: skip
    """Two folders with equal file names, as the Medical Segmentation Decathlon has them; the pairs, below ``data``."""
    pairs = []
    for number, (image, label) in enumerate(itertools.islice(images.volumes(shape, classes), n)):
        pair = {"image": f"{folders[0]}/case_{number:02}.nii.gz", "label": f"{folders[1]}/case_{number:02}.nii.gz"}
        write_nifti(data / pair["image"], as_ct(image) if ct else image, spacing)
        write_nifti(data / pair["label"], label, spacing)
        pairs.append(pair)
    return pairs


def datalist(images: RealImages, bundle: Path, data: Path, *, name: str, n: int, n_test: int, **volumes: Any) -> None:
    """The same with a list in the bundle's folder: ``training``, ``validation`` and ``testing``, relative paths."""
    pairs = folder_pairs(images, bundle, data, n=n, **volumes)
    write_json(bundle / name, {"training": pairs[n_test:], "validation": pairs[:n_test], "testing": pairs[:n_test]})


def absolute_datalist(images: RealImages, bundle: Path, data: Path, **how: Any) -> None:
    """The same with absolute paths."""
    datalist(images, bundle, data, **how)
    file = bundle / how["name"]
    parts = json.loads(file.read_text())
    write_json(file, {part: [absolute(pair, data) for pair in pairs] for part, pairs in parts.items()})


def folds(images: RealImages, bundle: Path, data: Path, *, n: int, n_test: int, name: str, **volumes: Any) -> None:
    """One list ``training`` whose entries name their fold; fold 0 is for validation."""
    pairs = folder_pairs(images, bundle, data, n=n, **volumes)
    write_json(bundle / name, {"training": [{"fold": int(i >= n_test), **pair} for i, pair in enumerate(pairs)]})


def architecture(images: RealImages, bundle: Path, data: Path, *, classes: int, name: str, size: int) -> None:
    """A datalist, and an architecture as a search would have found it: no path leaves the two upper depths."""
    import torch

    datalist(
        images, bundle, data, name=name, n=8, n_test=2, shape=(size,) * 3, spacing=(1.1, 1.1, 1.1), classes=classes
    )
    paths = np.zeros((12, 10), np.int64)
    paths[:, [0, 3]] = 1  # of both upper depths: stay there
    active = np.zeros((13, 4), np.int64)
    active[:, :2] = 1
    operations = np.ones((12, 10), np.int64)  # a convolution in each cell
    code = {"node_a": torch.from_numpy(active), "arch_code_a": paths, "arch_code_c": operations}
    (bundle / "models").mkdir(exist_ok=True)
    torch.save(code, bundle / "models" / "search_code_18590.pt")


def tumour_channels(images: RealImages, bundle: Path, data: Path) -> None:
    """Patients with four images each, listed together as one image, and labels 0, 1, 2, 4."""
    listed = []
    for number, (image, label) in enumerate(itertools.islice(images.tumours((40, 40, 40)), 9)):
        patient = f"training/HGG/patient_{number:02}/patient_{number:02}"
        files = [f"{patient}_{name}.nii.gz" for name in ("t1ce", "t1", "t2", "flair")]
        for file, channel in zip(files, channels(image), strict=True):
            write_nifti(data / file, channel)
        write_nifti(data / f"{patient}_seg.nii.gz", label)
        listed.append({"label": f"{patient}_seg.nii.gz", "image": files})
    parts = {"training": listed[2:], "validation": listed[:2], "testing": listed[:2]}
    write_json(bundle / "configs" / "datalist.json", parts)


def brain_tumour_task(images: RealImages, bundle: Path, data: Path, *, size: int) -> None:
    """``Task01_BrainTumour`` of the Decathlon: images of four channels, ``dataset.json``."""
    task, listed = data / "Task01_BrainTumour", []
    for number, (image, label) in enumerate(itertools.islice(images.tumours((size,) * 3), 5)):
        pair = {"image": f"./imagesTr/BRATS_{number:03}.nii.gz", "label": f"./labelsTr/BRATS_{number:03}.nii.gz"}
        write_nifti(task / pair["image"], np.stack(channels(image), -1))
        write_nifti(task / pair["label"], np.minimum(label, 3))
        listed.append(pair)
    about = dict.fromkeys(("name", "description", "reference", "licence"), "BraTS")
    numbers = {"tensorImageSize": "4D", "numTraining": len(listed), "numTest": 0, "training": listed, "test": []}
    names = {"modality": {"0": "FLAIR"}, "labels": {"0": "background", "1": "edema"}}
    write_json(task / "dataset.json", {**about, **numbers, **names})


def prostates(images: RealImages, bundle: Path, data: Path) -> None:
    """``train.csv`` and ``valid.csv`` with the paths of T2 images and of one reader's labels."""
    shape, spacing = (40, 40, 24), (0.5, 0.5, 0.9)
    pairs = [pair.values() for pair in folder_pairs(
        images, bundle, data, n=8, shape=shape, spacing=spacing, classes=2, folders=("train", "anatomy"), ct=False
    )]  # fmt: skip
    for name, rows in {"train.csv": pairs[:6], "valid.csv": pairs[6:]}.items():
        with (data / name).open("w", newline="") as file:
            csv.writer(file).writerows([("t2", "t2_anatomy_reader1"), *rows])


def renal_phases(images: RealImages, bundle: Path, data: Path) -> None:
    """A folder for each patient: three phases of contrast, and labels 0 to 6."""
    shape, spacing = (48, 48, 40), (0.9, 0.9, 0.9)
    for number, (image, label) in enumerate(itertools.islice(images.volumes(shape, 6), 6)):
        for phase, name in zip(channels(as_ct(image)), ("12", "22-", "32-"), strict=False):
            write_nifti(data / f"patient_{number}" / f"{name}.nii.gz", phase, spacing)
        write_nifti(data / f"patient_{number}" / "merged.nii.gz", label, spacing)


def numbered_pairs(images: RealImages, bundle: Path, data: Path) -> None:
    """``img00.nii.gz`` and ``lbl00.nii.gz`` side by side, with three classes."""
    for number, (image, label) in enumerate(itertools.islice(images.volumes((32, 32, 32), 3), 10)):
        write_nifti(data / f"img{number:02}.nii.gz", image)
        write_nifti(data / f"lbl{number:02}.nii.gz", label)


def heart_archive(images: RealImages, bundle: Path, data: Path) -> None:
    """One ``npz`` with all slices and all labels."""
    slices, labels = zip(*itertools.islice(images.hearts((64, 64)), 20), strict=True)
    np.savez(data / "allimages3label.npz", images=np.stack(slices), segs=np.stack(labels))


def landmark_archive(images: RealImages, bundle: Path, data: Path) -> None:
    """One ``npz`` with slices, and pictures that are 0 but at the ten landmarks, whose numbers they hold."""
    numbers = (10, 15, 20, 25, 30, 35, 100, 150, 200, 250)
    slices = np.stack([image for image, _ in itertools.islice(images.hearts((256, 256)), 8)])
    marks = np.zeros_like(slices, dtype=np.int32)
    for place, number in enumerate(numbers):
        marks[:, 100 + 5 * place, 90 + 7 * place] = number
    np.savez(
        data / "valvelandmarks.npz",
        trainImgs=slices[:6], trainLMImgs=marks[:6], testImgs=slices[6:], testLMImgs=marks[6:],
    )  # fmt: skip


def tool_frames(images: RealImages, bundle: Path, data: Path) -> None:
    """JPEG frames of videos in ``train`` and ``val``, each with its mask of 0 and 255 as a JPEG beside it."""
    for number, (frame, mask) in enumerate(itertools.islice(images.frames(96, 64), 12)):
        folder = data / ("train" if number < 8 else "val") / f"video_{number % 2}"
        write_picture(folder / f"{number:05}.jpg", frame)
        write_picture(folder / f"{number:05}_seg.jpg", mask.astype(np.uint8) * 255)


def labeled_slices(images: RealImages, bundle: Path, data: Path) -> None:
    """Pictures as NIfTI and a list with a class number for each."""
    entries = []
    for number, (image, _) in enumerate(itertools.islice(images.hearts((64, 64)), 10)):
        write_nifti(data / f"img{number:02}.nii.gz", image)
        entries.append({"image": str(data / f"img{number:02}.nii.gz"), "label": number % 4})
    write_json(bundle / "data" / "train_samples.json", entries)


def labeled_frames(images: RealImages, bundle: Path, data: Path) -> None:
    """JPEG pictures and two lists with a class number for each."""
    entries = []
    for number, (frame, _) in enumerate(itertools.islice(images.frames(64, 64), 10)):
        write_picture(data / f"{number:05}.jpg", frame)
        entries.append({"image": str(data / f"{number:05}.jpg"), "label": number % 2})
    write_json(bundle / "label" / "train_samples.json", entries[:6])
    write_json(bundle / "label" / "val_samples.json", entries[6:])


def nuclei(images: RealImages, bundle: Path, data: Path, *, size: int) -> None:
    """A patch around each nucleus, of whose label it has the class, and 255 where others lie; ``dataset.json``."""
    entries = []
    for number, (image, instances) in enumerate(itertools.islice(mosaics(images, size), 10)):
        kind = 1 + number % 4
        label = np.select([instances == 1, instances > 1], [kind, 255], 0).astype(np.uint8)
        files = {
            key: str(data / folder / f"{number:03}.png") for key, folder in (("image", "Images"), ("label", "Labels"))
        }
        write_picture(Path(files["image"]), image)
        write_picture(Path(files["label"]), label)
        entries.append({**files, "nuclei_id": number, "mask_value": kind, "centroid": [size // 4, size // 4]})
    write_json(data / "dataset.json", {"training": entries[:6], "validation": entries[6:]})


def nuclei_arrays(images: RealImages, bundle: Path, data: Path, *, size: int) -> None:
    """``npy`` patches, channels last: pictures, numbers of the nuclei, and their types."""
    for number, (image, instances) in enumerate(itertools.islice(mosaics(images, size), 8)):
        folder = data / ("Train" if number < 6 else "Test")
        folder.mkdir(exist_ok=True)
        for name, array in {"image": image, "inst_map": instances[..., None], "type_map": instances[..., None]}.items():
            np.save(folder / f"patch_{number:03}_{name}.npy", array.astype(np.int32))


def nodule_boxes(images: RealImages, bundle: Path, data: Path) -> None:
    """Volumes and a list of boxes in world coordinates: centre and size in mm."""
    entries = []
    for number, (image, label) in enumerate(itertools.islice(images.volumes((72, 72, 40), 1), 8)):
        write_nifti(data / f"scan_{number}.nii.gz", as_ct(image))
        places = np.argwhere(label > 0)
        low, high = places.min(0), places.max(0)
        box = [*((low + high) / 2).tolist(), *(high - low + 1).tolist()]
        entries.append({"image": f"scan_{number}.nii.gz", "box": [box], "label": [0]})
    write_json(bundle / "LUNA16_datasplit" / "dataset_fold0.json", {"training": entries, "validation": entries[:1]})


def hands(images: RealImages, bundle: Path, data: Path) -> None:
    """Grey JPEG pictures of 64x64."""
    for number, (image, _) in enumerate(itertools.islice(images.hearts((64, 64)), 16)):
        write_picture(data / f"{number:06}.jpeg", (255 * image / max(image.max(), 1)).astype(np.uint8))


def slides(images: RealImages, bundle: Path, data: Path) -> None:
    """A TIFF that stands for a whole slide, and lists of regions in it with a label for each of nine patches."""
    (picture, _) = next(images.skin(1024))
    (data / "training" / "images").mkdir(parents=True)
    Image.fromarray(picture).save(data / "training" / "images" / "Tumor_001.tif")
    rows = [("Tumor_001", 400 + 10 * i, 420, *(i % 2,) * 9) for i in range(6)]
    for name, part in {"training.csv": rows[:4], "validation.csv": rows[4:]}.items():
        with (bundle / name).open("w", newline="") as file:
            csv.writer(file).writerows(part)


def latent_volumes(images: RealImages, bundle: Path, data: Path) -> None:
    """Compressed images and labels with where they lie in the body; the networks that compressed them are absent."""
    entries = []
    for number, (image, label) in enumerate(itertools.islice(images.volumes((16, 16, 16), 1), 3)):
        files = {"image": f"case_{number}_emb.nii.gz", "label": f"case_{number}_label.nii.gz"}
        write_nifti(data / files["image"], np.stack(channels(image), -1))
        write_nifti(data / files["label"], np.kron(label, np.ones((4, 4, 4), np.uint8)))
        body = {"top_region_index": [0, 1, 0, 0], "bottom_region_index": [0, 0, 1, 0]}
        entries.append({**files, **body, "spacing": [1.5, 1.5, 1.5], "dim": [64, 64, 64], "fold": int(number > 0)})
    write_json(bundle / "datasets" / "C4KC-KiTS_subset.json", {"training": entries})


def cells(images: RealImages, bundle: Path, data: Path) -> None:
    """Pictures and the numbers of their cells, as PNG, with a list of folds."""
    entries = []
    for number, (image, instances) in enumerate(itertools.islice(mosaics(images, 128), 6)):
        write_picture(data / "train" / f"{number:03}_img.png", image)
        write_picture(data / "train" / f"{number:03}_masks.png", instances.astype(np.uint8))
        pair = {"image": f"train/{number:03}_img.png", "label": f"train/{number:03}_masks.png"}
        entries.append({**pair, "fold": int(number > 1)})
    write_json(bundle / "datalists" / "cellpose_datalist.json", {"training": entries, "testing": entries[:1]})


# -- what they share ---------------------------------------------------------------------------------------------------


def mosaics(images: RealImages, size: int) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Four lesions in one picture ``(size, size, 3)``, and their numbers 1 to 4 where they lie."""
    pictures = images.skin(size // 2)
    while len(tiles := list(itertools.islice(pictures, N_TILES))) == N_TILES:
        whole = [four[0] for four in tiles]
        numbers = [mask * (number + 1) for number, (_, mask) in enumerate(tiles)]
        yield tuple(np.vstack([np.hstack(four[:2]), np.hstack(four[2:])]) for four in (whole, numbers))


def channels(image: np.ndarray) -> list[np.ndarray]:
    """Four images that differ, as other sequences would."""
    return [image, np.sqrt(np.abs(image)), image.max() - image, image**2 / max(1.0, float(np.abs(image).max()))]


def absolute(pair: dict[str, str], folder: Path) -> dict[str, str]:
    return {key: str(folder / path) for key, path in pair.items()}


def write_nifti(path: Path, array: np.ndarray, spacing: Sequence[float] = (1, 1, 1)) -> None:
    """A volume whose first two axes run against the world's, and which does not lie at the origin."""
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1])
    affine[:3, 3] = (31, 47, -80)
    path.parent.mkdir(parents=True, exist_ok=True)
    array = array if array.dtype == np.uint8 else array.astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def write_picture(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    how = {"quality": 95} if path.suffix in (".jpg", ".jpeg") else {}
    Image.fromarray(array).save(path, **how)


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))

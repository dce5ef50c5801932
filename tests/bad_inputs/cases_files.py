# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Images and labels that cannot be used, or look so: one file of a small data set is bad."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel
import numpy as np
from bad_inputs import Case
from PIL import Image
from small_files import (
    IMAGE,
    LABEL,
    SHAPE,
    Change,
    bytes_of,
    declared,
    dicom,
    dicom_cases,
    grey,
    image,
    label,
    listed,
    moved,
    organ,
    picture,
    pictures,
    text,
    unpacked,
    volumes,
    without,
)

PHOTO, MASK = "images/photo_2.png", "labels/photo_2.png"
HEADER = "ObjectType = Image\nNDims = 3\nDimSize = 12 10 4\nElementType = MET_UCHAR\nElementDataFile = "
NRRD = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 12 10 4\nencoding: raw\n"
FINE = ["12 (12 with ground truth)"]


def fine(name: str, make: Callable, *more: str, says: Sequence[str] = FINE, **settings) -> Case:
    """``datalist`` of a folder with a file that looks bad and is not."""
    return listed(name, make, says, *more, status=0, **settings)


def in_place_of(name: str, make: Callable[[Path], object]) -> Change:
    def change(data: Path) -> None:
        (data / name).unlink()
        make(data / name)

    return change


def a_socket(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)
    os.fchdir(here)
    os.close(here)


def meta_image(target: str, size: int | None = 480) -> Change:
    def change(data: Path) -> None:
        (data / IMAGE).unlink()
        (data / "images" / "case_2.mhd").write_text(HEADER + target if target else HEADER.rpartition("Element")[0])
        if size is not None:
            (data / "images" / target).write_bytes(bytes(size))

    return change


def palette(name: str, colours: Sequence[int]) -> Change:
    def change(data: Path) -> None:
        for k in (1, 2, 3):
            one = Image.frombytes("P", (10, 12), organ((12, 10)).tobytes())
            one.putpalette(list(colours))
            one.save(data / name.format(k))

    return change


def turned(array: np.ndarray) -> Change:
    exif = Image.Exif()
    exif[0x0112] = 6
    return lambda data: picture(data / PHOTO, array.astype(np.uint8), exif=exif)


def colour_of_16_bits(data: Path) -> None:
    """A PNG of 16 bits in three colours, which Pillow cannot write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in grey(2, (12, 10, 3)))
    chunks = {b"IHDR": struct.pack(">IIBBBBB", 10, 12, 16, 2, 0, 0, 0), b"IDAT": zlib.compress(rows), b"IEND": b""}
    packed = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks.items()]
    (data / PHOTO).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


def with_value(value: float) -> np.ndarray:
    array = grey(2).astype(np.float32)
    array[2, 3, 1] = value
    return array


def beside(x: float) -> np.ndarray:
    affine = np.diag([1.0, 1, 3, 1])
    affine[0, 3] = x
    return affine


PACKED = [
    listed(
        "a truncated file",
        volumes(bytes_of(IMAGE, lambda b: b[: len(b) // 2])),
        [f"{IMAGE}: cannot be read", "copy it again"],
        quick=True,
    ),
    listed(
        "a file cut off in its last bytes", volumes(bytes_of(IMAGE, lambda b: b[:-20])), [f"{IMAGE}: cannot be read"]
    ),
    listed("a wrong checksum", volumes(bytes_of(IMAGE, lambda b: b[:-8] + b"abcd" + b[-4:])), ["CRC check failed"]),
    listed(
        "garbage behind the packed voxels", volumes(bytes_of(IMAGE, lambda b: b + b"x")), [f"{IMAGE}: cannot be read"]
    ),
    fine("zeros behind the packed voxels", volumes(bytes_of(IMAGE, lambda b: b + bytes(99)))),
    listed(
        "a header that declares 54 TB",
        volumes(unpacked(IMAGE, declared(30000, 30000, 30000))),
        [f"{IMAGE}: its header declares 30000 x 30000 x 30000", "copy it again"],
        quick=True,
    ),
    listed("a header that declares 18 GB", volumes(unpacked(IMAGE, declared(3000, 3000, 1000))), ["18000000000"]),
    listed("a negative size", volumes(unpacked(IMAGE, declared(-12, 10, 4))), [f"{IMAGE}: holds no voxels"]),
    listed("an empty file", volumes(text(IMAGE, "")), [f"{IMAGE}: is empty (0 bytes); copy it again"], quick=True),
    listed("an empty label", volumes(text(LABEL, "")), [f"{LABEL}: is empty (0 bytes)"]),
    listed(
        "a text called an image", volumes(text(IMAGE, "hello " * 99)), [f"{IMAGE}: cannot be read: it is not compr"]
    ),
    listed(
        "a plain file called packed",
        volumes(moved(IMAGE, "x.nii.gz"), unpacked("x.nii.gz", bytearray.clear), text(IMAGE, bytes(400))),
        ["not compressed by gzip", "let its name end in .nii, else copy it again"],
    ),
    listed(
        "a packed file called plain",
        volumes(moved(IMAGE, "images/case_2.nii")),
        ["case_2.nii: cannot be read: it is compressed by gzip", "let its name end in .nii.gz"],
        quick=True,
    ),
    listed(
        "five dimensions", volumes(image(grey(2, (12, 10, 4, 2, 2)))), [f"{IMAGE}: has 5 dimensions", "in a file of"]
    ),
    listed(
        "a page of the web called a picture", pictures(text(PHOTO, "<html>")), [f"{PHOTO}: cannot be read as a pict"]
    ),
    listed("a truncated picture", pictures(bytes_of(PHOTO, lambda b: b[: len(b) // 2])), [f"{PHOTO}: cannot be read"]),
]

POINTING = [
    listed(
        "an .mhd that points outside its folder",
        volumes(meta_image("../../x.raw")),
        ["names ../../x.raw", "one folder"],
    ),
    listed("an .mhd that points to nothing", volumes(meta_image("gone.raw", None)), ["gone.raw does not exist"]),
    listed("an .mhd whose voxels are too few", volumes(meta_image("case_2.raw", 99)), ["has 99 bytes, expected 480"]),
    listed(
        "an .mhd whose voxels are too many", volumes(meta_image("case_2.raw", 999)), ["has 999 bytes, expected 480"]
    ),
    listed(
        "an .mhd that points nowhere",
        volumes(meta_image("", None)),
        ["case_2.mhd: cannot be read: its header states no ElementDataFile; copy it again"],
        alone=True,  # ITK writes past Python's stderr
        lines=2,
    ),
    listed(
        "a NRRD whose data file is missing",
        volumes(without(IMAGE), text("images/case_2.nrrd", f"{NRRD}data file: gone.raw\n")),
        ["case_2.nrrd: its voxel file", "gone.raw does not exist"],
    ),
]

VOXELS = [
    listed(
        "NaN", volumes(image(with_value(np.nan))), [f"{IMAGE}: 1 voxels are NaN or infinite, the first at (2, 3, 1)"]
    ),
    listed("an infinite voxel", volumes(image(with_value(-np.inf))), [f"{IMAGE}: 1 voxels are NaN or infinite"]),
    listed(
        "values beyond 32 bits", volumes(image(np.full(SHAPE, 1e300))), [f"{IMAGE}: 480 voxels are NaN or"], lines=2
    ),
    listed(
        "complex numbers", volumes(image(grey(2).astype(np.complex64))), ["voxels are complex64; store real numbers"]
    ),
    fine("a constant image", volumes(image(np.full(SHAPE, 7, np.int16)))),
]

LABELS = [
    listed(
        "a label with fractions", volumes(label(organ() * np.float32(0.5))), [f"{LABEL}: label value 0.5", "nearest"]
    ),
    listed("a label with NaN", volumes(label(with_value(np.nan) * 0)), [f"{LABEL}: label value nan"]),
    listed(
        "a value that is not declared",
        volumes(label(organ() * 5)),
        [f"{LABEL}: unexpected label values 5; expected [0, 1]"],
        *("--label_values", "{0: 0, 1: 1}"),
    ),
    listed(
        "more values than names",
        volumes(label(organ() * 2)),
        [f"{LABEL}: unexpected label values 2; expected [0, 1]"],
        *("--classes", "background", "organ"),
    ),
    listed(
        "a value without a class",
        volumes(),
        ["label_values {0: 0, 1: 3}: there is no class 3", "255 is not annotated"],
        *("--classes", "background", "organ", "--label_values", "{0: 0, 1: 3}"),
        quick=True,
    ),
    listed("two classes of one name", volumes(), ["'a' occurs more than once"], "--classes", "a", "a"),
    listed("255 that may be a class", volumes(label(organ() * 255)), [f"{LABEL}: holds 255", "255: 1}", "255: 255}"]),
    listed(
        "negative labels",
        volumes(label(-organ().astype(np.int16))),
        [f"{LABEL}: holds the values -1, 0", '--datalist#label_values "{0: 0, -1: 1}"'],
        quick=True,
    ),
    listed("labels above 255", volumes(label(organ() * np.int16(999))), [f"{LABEL}: holds the values 0, 999"]),
    listed(
        "a label of two channels", volumes(label(np.stack([organ()] * 2, 3))), [f"{LABEL}: a label has one channel"]
    ),
    listed("an image in place of a label", volumes(label(grey(2))), [f"{LABEL}: ", "this is an image, not a label"]),
    listed("a label of another shape", volumes(label(organ((12, 10, 5)))), [IMAGE, LABEL, "(12, 10, 5)"]),
    listed("a flat label", volumes(label(organ((12, 10)))), [LABEL, "(12, 10, 1)"]),
    listed(
        "a label at another place", volumes(label(organ(), beside(5))), [LABEL, "differ by up to 5 voxel", "tolerated"]
    ),
    fine("a label a hair beside", volumes(label(organ(), beside(1e-3)))),
    fine(
        "a label with an axis reversed",
        volumes(label(organ()[::-1], np.diag([-1.0, 1, 3, 1]) + beside(11) - beside(0))),
    ),
    fine("microns", volumes(image(grey(2), np.diag([1e3, 1e3, 3e3, 1]), units="micron")), says=["1 x 1 x 3 mm"]),
]

PICTURES = [
    listed("a photo that is turned", pictures(turned(grey(2, (12, 10)))), [PHOTO, "(10, 12, 1)", MASK]),
    fine("a photo that lies as its mask", pictures(turned(grey(2, (10, 12)))), says=["12 x 10 x 1"]),
    fine("masks with a palette", pictures(palette("labels/photo_{}.png", [0, 0, 0, 200, 0, 0])), says=["1 foreground"]),
    listed(
        "a palette of two meanings",
        pictures(
            palette("labels/photo_{}.png", [0, 0, 0, 200, 0, 0]),
            lambda data: (
                palette("photo_{}.png", [0, 0, 0, 0, 200, 0])(data) or (data / "photo_2.png").replace(data / MASK)
            ),
        ),
        [MASK, "its palette shows index 1 in (0, 200, 0)", "without a palette"],
    ),
    listed(
        "a photo that is transparent in part",
        pictures(lambda data: picture(data / PHOTO, grey(2, (12, 10, 4)).astype(np.uint8))),
        [f"{PHOTO}: is transparent in part", "without transparency"],
    ),
    listed(
        "a mask in colours", pictures(lambda data: picture(data / MASK, grey(2, (12, 10, 3)).astype(np.uint8))), [MASK]
    ),
    listed(
        "a mask stored with loss",
        pictures(without(MASK), lambda d: picture(d / "labels/photo_2.jpg", grey(2, (12, 10)).astype(np.uint8))),
        ["photo_2.jpg: grey values", "threshold it and store it without loss"],
    ),
    fine("colours of 16 bits", pictures(colour_of_16_bits), says=["different numbers of channels, 1, 3"]),
    fine("flat images among volumes", volumes(image(grey(2, (12, 10))), label(organ((12, 10)))), says=["9 (9 with"]),
]

NO_FILES = [
    listed("a folder called like a file", volumes(in_place_of(IMAGE, Path.mkdir)), [LABEL, f"({IMAGE} is a folder)"]),
    listed(
        "a broken link",
        volumes(in_place_of(IMAGE, lambda path: path.symlink_to("gone.nii.gz"))),
        [f"{IMAGE}: is a link to gone.nii.gz, which does not exist"],
        quick=True,
    ),
    listed(
        "a link to itself",
        volumes(in_place_of(LABEL, lambda path: path.symlink_to(path.name))),
        [f"{LABEL}: is a link"],
    ),
    listed(
        "a pipe called like a picture",
        pictures(in_place_of(PHOTO, os.mkfifo)),
        [f"{PHOTO}: is a pipe, a socket or a device, not a file"],
        within=20,
        quick=True,
    ),
    listed("a pipe called like a label", pictures(in_place_of(MASK, os.mkfifo)), [f"{MASK}: is a pipe"], within=20),
    listed(
        "a pipe called .nrrd",
        volumes(without(IMAGE), lambda d: os.mkfifo(d / "images/case_2.nrrd")),
        ["is a pipe"],
        within=20,
    ),
    fine("a pipe beside the images", volumes(lambda data: os.mkfifo(data / "images" / "notes")), within=20),
    listed("a socket", volumes(in_place_of(IMAGE, a_socket)), [f"{IMAGE}: is a pipe, a socket"], within=20),
    listed(
        "a device", volumes(in_place_of(IMAGE, lambda path: path.symlink_to("/dev/zero"))), [IMAGE, "device"], within=20
    ),
    listed(
        "a file that may not be read",
        volumes(),
        ["case_1.nii.gz: you have no permission to read it"],
        during={"nibabel.load": lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))},
    ),
    listed(
        "a kind that is not read",
        volumes(without(IMAGE), lambda data: np.save(data / "images" / "case_2.npy", grey(2))),
        [f"label without image: {LABEL} (images/case_2.npy is of a kind that is not read)"],
        quick=True,
    ),
    listed(
        "a pair of .hdr and .img",
        volumes(
            without(IMAGE),
            lambda data: nibabel.save(nibabel.Nifti1Pair(grey(2), np.eye(4)), data / "images" / "case_2.img"),
        ),
        [LABEL, "case_2.hdr is of a kind that is not read"],
    ),
]

DICOM = [
    listed("a slice that is missing", dicom_cases(positions=(0, 2, 6, 8)), ["case_2", "(1 slice missing)"]),
    listed("two slices at one place", dicom_cases(positions=(0, 2, 2, 4)), ["case_2", "lie where another one lies"]),
    listed(
        "two series of one case",
        dicom_cases(lambda data: dicom(data / "images" / "case_2", (0, 2, 4), uid="1.2.9")),
        ["label without image: labels/case_2.nrrd", "case_2#series=1.2.9 (volume case_2_9)"],
    ),
    listed(
        "slices of two sizes",
        dicom_cases(
            lambda data: dicom(data / "x", (8,), uid="1.2.2", shape=(7, 6)),
            moved("x/1.2.2_0.dcm", "images/case_2/more.dcm"),
        ),
        ["more.dcm", "have different sizes"],
    ),
    listed(
        "a truncated slice",
        dicom_cases(bytes_of("images/case_2/1.2.2_1.dcm", lambda b: b[:-30])),
        ["case_2: 1 DICOM files cannot be read: 1.2.2_1.dcm; copy them again or remove them"],
    ),
    listed(
        "a broken link among slices",
        dicom_cases(lambda data: (data / "images" / "case_2" / "notes").symlink_to("gone")),
        ["case_2/notes: is a broken link", "remove it"],
        quick=True,
    ),
]

NAMES = [
    fine(f"a name with {what}", volumes(moved(IMAGE, f"images/{name}.nii.gz"), moved(LABEL, f"labels/{name}.nii.gz")))
    for what, name in {
        "a line break": "a\nb",
        "#": "a#b",
        "our own notation": "a#channel=1",
        "|": "a|b",
        "a comma": "a,b",
        "other letters": "日本 ü",
        "a star": "a*",
        "brackets": "a[b]{c}",
        "quotes": "a'b\"c",
        "250 letters": "x" * 240,
    }.items()
] + [
    listed(
        "a name that is no text",
        volumes(moved(IMAGE, "images/\udcff.nii.gz"), moved(LABEL, "labels/\udcff.nii.gz")),
        ["no valid UTF-8", r"\udcff.nii.gz", "rename"],
        quick=True,
    ),
]

CASES = [*PACKED, *POINTING, *VOXELS, *LABELS, *PICTURES, *NO_FILES, *DICOM, *NAMES]

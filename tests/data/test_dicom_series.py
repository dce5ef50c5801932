# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct

import numpy as np
import pytest
import SimpleITK as sitk

from monai_al.data import DataError
from monai_al.data.dicom_series import dicom_file, dicom_series, read_dicom

CT = "1.2.840.10008.5.1.4.1.1.2"
STRAIGHT = (1, 0, 0, 0, 1, 0)


def text(numbers):
    return "\\".join(f"{number:.10g}" for number in numbers)


def write_slice(path, values, position, *, orientation=STRAIGHT, uid="1.2.3", number=1, spacing=(0.7, 0.8), **tags):
    """One slice by SimpleITK; ``values`` are those after rescaling, ``spacing`` is (x, y)."""
    settings = {"slope": 1, "intercept": 0, "thickness": 3.2} | tags
    image = sitk.JoinSeries(sitk.GetImageFromArray(values))
    row, column = np.reshape(orientation, (2, 3)).astype(float)
    image.SetSpacing((*spacing, settings["thickness"]))
    image.SetOrigin([float(x) for x in position])
    image.SetDirection(np.stack([row, column, np.cross(row, column)], axis=1).ravel().tolist())
    content = {
        "0008|0016": CT, "0008|0018": f"{uid}.{number}", "0008|0060": "CT", "0020|000d": "1.2", "0020|000e": uid,
        "0020|0013": str(number), "0020|0052": "1.2.9", "0018|0050": str(settings["thickness"]),
        "0020|0032": text(position), "0020|0037": text(orientation),
        "0028|0100": "16", "0028|0101": "16", "0028|0102": "15", "0028|0103": "1",
        "0028|1052": str(settings["intercept"]), "0028|1053": str(settings["slope"]),
    }  # fmt: skip
    for tag, value in content.items():
        image.SetMetaData(tag, value)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(path))
    writer.Execute(image)
    return path


def write_series(folder, positions, *, values=None, seed=0, **settings):
    """A series whose file names and instance numbers say nothing about the order; the values (slice, y, x)."""
    rng = np.random.default_rng(seed)
    if values is None:
        values = rng.integers(-1000, 1000, (len(positions), 5, 6)).astype(np.int16)
    folder.mkdir(exist_ok=True)
    names, numbers = rng.permutation(len(positions)), rng.permutation(len(positions))
    for k, position in enumerate(positions):
        write_slice(folder / f"{names[k]},b.dcm", values[k], position, number=numbers[k] + 1, **settings)
    return values


def write_raw(path, tags, *, rows=4, columns=5, frames=1, sop=CT, pixels=True):
    """A DICOM file byte by byte (explicit little endian), for what SimpleITK does not write."""

    def element(tag, kind, value):
        value = value.encode() if isinstance(value, str) else value
        value += (b"\0" if kind in ("UI", "OB") else b" ") * (len(value) % 2)
        group, number = (int(part, 16) for part in tag.split("|"))
        head = struct.pack("<HH", group, number) + kind.encode()
        long = kind in ("OB", "OW")
        return head + (struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))) + value

    kinds = {"0008|0018": "UI", "0008|0060": "CS", "0008|103e": "LO", "0020|000e": "UI", "0028|0008": "IS"}
    elements = {tag: (kinds.get(tag, "DS"), value) for tag, value in tags.items()}
    elements |= {"0008|0016": ("UI", sop)}
    if pixels:
        sizes = {"0028|0002": 1, "0028|0010": rows, "0028|0011": columns, "0028|0100": 16, "0028|0101": 16}
        sizes |= {"0028|0102": 15, "0028|0103": 0}
        elements |= {tag: ("US", struct.pack("<H", value)) for tag, value in sizes.items()}
        elements |= {"0028|0004": ("CS", "MONOCHROME2"), "7fe0|0010": ("OW", bytes(2 * rows * columns * frames))}
    meta = element("0002|0002", "UI", sop) + element("0002|0003", "UI", tags["0008|0018"])
    meta += element("0002|0010", "UI", "1.2.840.10008.1.2.1")
    meta = element("0002|0000", "UL", struct.pack("<I", len(meta))) + meta
    body = b"".join(element(tag, *elements[tag]) for tag in sorted(elements))
    path.write_bytes(bytes(128) + b"DICM" + meta + body)


def ladder(n=4, step=2.0, first=(10.0, -20.0, 30.0), along=(0, 0, 1)):
    return [tuple(np.asarray(first) + k * step * np.asarray(along)) for k in range(n)]


def rotation(seed):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q if np.linalg.det(q) > 0 else -q


def ras_of(index, orientation, spacing, positions):
    """Where a voxel lies, straight from the standard's equation, slice by slice."""
    row, column = np.reshape(orientation, (2, 3))
    lps = np.asarray(positions[index[2]]) + row * spacing[0] * index[0] + column * spacing[1] * index[1]
    return lps * [-1, -1, 1]


@pytest.mark.parametrize("seed", range(6))
def test_places_and_values_of_oblique_series(tmp_path, seed):
    axes = rotation(seed)
    orientation, spacing = axes[:2].ravel(), (0.61, 0.83)
    positions = ladder(5, 1.7, (-90.5, 40.25, 7.125), axes[2])
    values = write_series(tmp_path / "s", positions, orientation=orientation, spacing=spacing, seed=seed)
    series = dicom_series(tmp_path / "s")
    found = read_dicom(series)
    np.testing.assert_array_equal(found, values.transpose(2, 1, 0))
    for index in np.ndindex(*found.shape):
        ours = (series.affine @ [*index, 1])[:3]
        np.testing.assert_allclose(ours, ras_of(index, orientation, spacing, positions), atol=1e-6)
    whole = sitk.ReadImage(series.files)
    assert whole.GetSpacing() == pytest.approx((*spacing, 1.7))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(whole), values)


def test_order_is_by_position_along_the_normal(tmp_path):
    values = write_series(tmp_path / "s", ladder()[::-1], seed=3)  # written from the top
    series = dicom_series(tmp_path / "s")
    np.testing.assert_array_equal(read_dicom(series), values[::-1].transpose(2, 1, 0))
    assert sorted(series.files) != list(series.files)
    assert series.affine[:3, 3].tolist() == [-10, 20, 30]
    assert series.affine.diagonal().tolist() == pytest.approx([-0.7, -0.8, 2.0, 1])


def test_step_is_that_of_the_positions_and_the_intercept_is_applied(tmp_path):
    stored = np.arange(60, dtype=np.int16).reshape(2, 5, 6)
    write_series(tmp_path / "s", ladder(2), values=stored - 1000, intercept=-1000, thickness=3.2)
    series = dicom_series(tmp_path / "s")
    assert series.affine[2, 2] == 2
    assert read_dicom(series).min() == -1000
    assert not series.mixed


def test_each_slice_has_its_own_rescale_factors(tmp_path):
    factors = [(1, 0), (0.25, -3.5), (2, 5), (1, -40000)]  # as 16 bit the last would turn over
    stored = np.random.default_rng(0).integers(0, 500, (4, 5, 6))
    expected = np.stack([plane * slope + shift for plane, (slope, shift) in zip(stored, factors, strict=True)])
    (tmp_path / "s").mkdir()
    for k, (slope, shift) in enumerate(factors):
        plane = expected[k].astype(np.float64)
        write_slice(tmp_path / f"s/{k}.dcm", plane, ladder()[k], number=k + 1, slope=slope, intercept=shift)
    series = dicom_series(tmp_path / "s")
    assert series.mixed
    np.testing.assert_array_equal(read_dicom(series), expected.transpose(2, 1, 0))
    cut = sitk.GetArrayFromImage(sitk.ReadImage(series.files))
    assert np.abs(cut - expected).max() > 60000  # what SimpleITK makes of it unasked


def test_a_single_slice(tmp_path):
    values = write_series(tmp_path / "s", ladder(1), thickness=3.2)
    (path,) = (tmp_path / "s").iterdir()
    for series in (dicom_series(tmp_path / "s"), dicom_file(path)):
        np.testing.assert_array_equal(read_dicom(series), values.transpose(2, 1, 0))
        np.testing.assert_allclose(
            series.affine, np.diag([-0.7, -0.8, 3.2, 1]) + np.eye(4)[3] * [[-10], [20], [30], [0]]
        )


@pytest.mark.parametrize(
    ("tags", "step"),
    [({"0018|0050": "3.2", "0018|0088": "2.5"}, 2.5), ({"0018|0050": "3.2"}, 3.2), ({"0018|0050": "0"}, 1), ({}, 1)],
)
def test_step_of_a_single_slice(tmp_path, tags, step):
    place = {"0020|0032": text((1, 2, 3)), "0020|0037": text(STRAIGHT), "0028|0030": "0.5\\0.7"}
    write_raw(tmp_path / "a.dcm", {"0008|0018": "1.1", "0020|000e": "1.9"} | place | tags)
    assert dicom_series(tmp_path).affine.diagonal().tolist() == [-0.7, -0.5, step, 1]


def test_a_slant_is_kept(tmp_path):
    slant = (0, np.tan(np.radians(15)), 1)
    positions = ladder(6, 3.0, along=slant)
    write_series(tmp_path / "s", positions)
    affine = dicom_series(tmp_path / "s").affine
    for k, position in enumerate(positions):
        np.testing.assert_allclose((affine @ [0, 0, k, 1])[:3], np.multiply(position, [-1, -1, 1]), atol=1e-6)


class TestSteps:
    @pytest.mark.parametrize("lost", [[3], [4, 5], [2, 6]])
    def test_missing_slices_are_counted(self, tmp_path, lost):
        positions = [p for k, p in enumerate(ladder(9)) if k not in lost]
        write_series(tmp_path / "s", positions)
        with pytest.raises(DataError, match="no even steps, most are 2 mm") as error:
            dicom_series(tmp_path / "s")
        runs = 2 if lost == [2, 6] else 1
        each = len(lost) // runs
        assert str(error.value).count(f"({each} slice{'s' * (each > 1)} missing)") == runs
        assert str(error.value).count(f"{2 * (each + 1)} mm between") == runs

    def test_the_gap_names_its_neighbours(self, tmp_path):
        (tmp_path / "s").mkdir()
        plane = np.zeros((5, 6), np.int16)
        for name, z in {"d": 0, "b": 1, "a": 3, "c": 4}.items():
            write_slice(tmp_path / f"s/{name}.dcm", plane, (0, 0, z), number=z + 1)
        with pytest.raises(DataError, match=r"most are 1 mm: 2 mm between b\.dcm and a\.dcm \(1 slice missing\)\. "):
            dicom_series(tmp_path / "s")

    @pytest.mark.parametrize(("shift", "fine"), [(0.015, True), (0.03, False)])
    def test_one_percent(self, tmp_path, shift, fine):
        positions = ladder(5)
        positions[-1] = (10, -20, positions[-1][2] + shift)
        write_series(tmp_path / "s", positions)
        if fine:
            assert dicom_series(tmp_path / "s").affine[2, 2] == pytest.approx(2, rel=0.01)
        else:
            with pytest.raises(DataError, match="no even steps"):
                dicom_series(tmp_path / "s")

    def test_rounded_positions(self, tmp_path):
        write_series(tmp_path / "s", [(0, 0, round(0.4883 * k, 2)) for k in range(12)])
        assert dicom_series(tmp_path / "s").affine[2, 2] == pytest.approx(0.4883, abs=1e-3)

    def test_tiny_steps(self, tmp_path):
        write_series(tmp_path / "s", [(0, 0, 0.005 * k) for k in (0, 1, 2, 4)])
        with pytest.raises(DataError, match="0.01 mm between"):
            dicom_series(tmp_path / "s")

    def test_two_slices_at_one_place(self, tmp_path):
        write_series(tmp_path / "s", [*ladder(), ladder()[2]])
        with pytest.raises(DataError, match=r"1 slices lie where another one lies, first .*dcm at 34 mm"):
            dicom_series(tmp_path / "s")

    def test_slices_beside_the_line(self, tmp_path):
        positions = ladder(5)
        positions[2] = (10, -19, positions[2][2])
        write_series(tmp_path / "s", positions)
        with pytest.raises(DataError, match="lies 1 mm beside the line"):
            dicom_series(tmp_path / "s")


class TestSeveralSeries:
    def test_they_are_listed_and_one_can_be_chosen(self, tmp_path):
        first = write_series(tmp_path / "s", ladder(), uid="1.2.3")
        plane = np.ones((5, 6), np.int16)
        for k in range(2):
            write_slice(tmp_path / f"s/other{k}", plane, (0, 0, k), uid="1.2.4", number=k + 1)
        with pytest.raises(DataError, match=r"s: holds 2 series.*\n  1\.2\.3: CT, 4 files\n  1\.2\.4: CT, 2 files"):
            dicom_series(tmp_path / "s")
        np.testing.assert_array_equal(read_dicom(dicom_series(tmp_path / "s", "1.2.3")), first.transpose(2, 1, 0))
        assert read_dicom(dicom_series(tmp_path / "s", "1.2.4")).shape == (6, 5, 2)
        with pytest.raises(DataError, match=r"has no series 1\.2\.5; it has\n  1\.2\.3: CT"):
            dicom_series(tmp_path / "s", "1.2.5")

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("sizes", {"values": np.zeros((4, 6), np.int16)}),
            ("pixel spacings", {"spacing": (0.7, 0.81)}),
            ("orientations", {"orientation": (1, 0, 0, 0, 0, -1)}),
        ],
    )
    def test_a_localizer_in_the_series(self, tmp_path, name, change):
        write_series(tmp_path / "s", ladder())
        plane = np.zeros((5, 6), np.int16)
        write_slice(tmp_path / "s/x.dcm", **{"values": plane, "position": (10, -20, 38), "number": 9} | change)
        with pytest.raises(DataError, match=f"dcm and .*dcm have different {name}: .* localizer"):
            dicom_series(tmp_path / "s")

    def test_objects_without_an_image_are_passed_over(self, tmp_path):
        values = write_series(tmp_path / "s", ladder())
        kinds = {"SR": "1.2.840.10008.5.1.4.1.1.88.11", "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3"}
        for k, (modality, sop) in enumerate(kinds.items()):
            tags = {"0008|0018": f"1.5.{k}", "0008|0060": modality, "0020|000e": f"1.6.{k}"}
            write_raw(tmp_path / f"s/{modality}.dcm", tags, sop=sop, pixels=False)
        (tmp_path / "s/readme.txt").write_text("no image")
        (tmp_path / "s/._0.dcm").write_bytes(b"Mac")
        (tmp_path / "s/deeper").mkdir()
        np.testing.assert_array_equal(read_dicom(dicom_series(tmp_path / "s")), values.transpose(2, 1, 0))


class TestFilesThatCannotBeUsed:
    @pytest.mark.parametrize("keep", [0, 100, 300, 0.9])
    @pytest.mark.parametrize("place", [0, 2, 3])
    def test_a_damaged_slice_is_named_and_not_passed_over(self, tmp_path, keep, place):
        write_series(tmp_path / "s", ladder())
        damaged = dicom_series(tmp_path / "s").files[place]
        with open(damaged, "r+b") as file:
            file.truncate(keep if keep >= 1 or not keep else int(0.9 * len(file.read())))
        name = damaged.rsplit("/", 1)[-1]
        with pytest.raises(DataError, match=f"1 DICOM files cannot be read: {name}; copy them again"):
            dicom_series(tmp_path / "s")

    def test_no_images(self, tmp_path):
        for text in ("empty", "texts"):
            (tmp_path / text).mkdir()
        (tmp_path / "texts/a.txt").write_text("no image")
        for text in ("empty", "texts"):
            with pytest.raises(DataError, match=f"{text}: holds no DICOM images"):
                dicom_series(tmp_path / text)
        with pytest.raises(DataError, match="gone: does not exist"):
            dicom_series(tmp_path / "gone")

    def test_a_slice_without_place(self, tmp_path):
        write_raw(tmp_path / "a.dcm", {"0008|0018": "1.1", "0020|000e": "1.9", "0020|0032": text((1, 2, 3))})
        with pytest.raises(DataError, match=r"a\.dcm: has no ImageOrientationPatient and no PixelSpacing, so"):
            dicom_series(tmp_path)

    @pytest.mark.parametrize("orientation", [(2, 0, 0, 0, 1, 0), (1, 0, 0, 1, 0, 0), (0, 0, 0, 0, 1, 0)])
    def test_orientations_that_are_none(self, tmp_path, orientation):
        tags = {"0008|0018": "1.1", "0020|000e": "1.9", "0028|0030": "1\\1"}
        write_raw(tmp_path / "a.dcm", tags | {"0020|0032": text((1, 2, 3)), "0020|0037": text(orientation)})
        with pytest.raises(DataError, match="no unit vectors at right angles"):
            dicom_series(tmp_path)

    @pytest.mark.parametrize("position", ["1\\2", "1\\2\\x", "1\\2\\nan"])
    def test_positions_that_are_none(self, tmp_path, position):
        tags = {"0008|0018": "1.1", "0020|000e": "1.9", "0028|0030": "1\\1", "0020|0037": text(STRAIGHT)}
        write_raw(tmp_path / "a.dcm", tags | {"0020|0032": position})
        with pytest.raises(DataError, match=r"a\.dcm: ImagePositionPatient is .*, expected 3 numbers"):
            dicom_series(tmp_path)

    def test_several_frames_in_a_file(self, tmp_path):
        tags = {"0008|0018": "1.1", "0020|000e": "1.9", "0028|0008": "3"}
        write_raw(tmp_path / "a.dcm", tags, frames=3, sop="1.2.840.10008.5.1.4.1.1.7.2")
        with pytest.raises(DataError, match=r"a\.dcm: holds 3 frames"):
            dicom_series(tmp_path)

# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures hold what viewers show, masks what is stored; what can be understood in two ways is refused."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from monai_al.data import DataError, read_volume, stored_shape
from monai_al.data.palettes import palette_values
from monai_al.data.reading import label_colours, stored_label_values

GREY = np.random.default_rng(0).integers(0, 256, (6, 4)).astype(np.uint8)
COLOURS = np.random.default_rng(1).integers(0, 256, (6, 4, 3)).astype(np.uint8)
SHAPE = np.zeros((6, 4), np.uint8)
SHAPE[1:3, 2:] = 255
TWO = {0: 0, 1: 1}

# what EXIF's orientations do to the stored rows and columns
SHOWN = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(path, rows, depth, colour_type, before=b"", behind=b"", width=None):
    """A PNG of packed rows, with further chunks in front of the pixels and behind them."""
    width = width or len(rows[0]) * 8 // depth
    size = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in rows)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + before + pixels + behind + chunk(b"IEND", b""))
    return path


def turned(path, array, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(array)
    if path.suffix == ".tif":
        options = {"tiffinfo": {0x0112: orientation}} | options
        if "append_images" in options:
            options["append_images"] = [Image.fromarray(other) for other in options["append_images"]]
    else:
        options = {"exif": exif} | options
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("orientation", SHOWN)
class TestOrientation:
    @pytest.mark.parametrize(("suffix", "options"), [(".png", {}), (".tif", {}), (".tif", {"compression": "tiff_lzw"})])
    def test_images_and_labels_are_turned(self, tmp_path, suffix, options, orientation):
        shown = SHOWN[orientation](COLOURS)
        path = turned(tmp_path / f"a{suffix}", COLOURS, orientation, **options)
        mask = turned(tmp_path / f"mask{suffix}", SHAPE, orientation)
        volume = read_volume(path, mask, label_values=TWO)
        assert stored_shape(path) == shown.shape[:2]
        np.testing.assert_array_equal(np.moveaxis(volume.image[..., 0], 0, -1), shown)
        np.testing.assert_array_equal(volume.label[..., 0] * 255, SHOWN[orientation](SHAPE))

    def test_jpeg(self, tmp_path, orientation):
        path = turned(tmp_path / "a.jpg", np.kron(SHAPE, np.ones((8, 8), np.uint8)), orientation, quality=95)
        shown = SHOWN[orientation](np.kron(SHAPE, np.ones((8, 8))))
        assert stored_shape(path) == shown.shape
        assert np.abs(read_volume(path).image[0, ..., 0] - shown).max() < 20

    def test_pages_of_a_tiff(self, tmp_path, orientation):
        path = turned(tmp_path / "a.tif", GREY, orientation, save_all=True, append_images=[GREY + 1, GREY + 2])
        shown = SHOWN[orientation](np.stack([GREY, GREY + 1, GREY + 2], axis=-1))
        assert stored_shape(path) == shown.shape
        np.testing.assert_array_equal(read_volume(path).image[0], shown)

    def test_exif_behind_the_pixels(self, tmp_path, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = png(tmp_path / "a.png", GREY, 8, 0, behind=chunk(b"eXIf", exif.tobytes()[6:]))
        shown = SHOWN[orientation](GREY)
        assert stored_shape(path) == shown.shape
        np.testing.assert_array_equal(read_volume(path).image[0, ..., 0], shown)

    def test_deep_colours_are_not_turned(self, tmp_path, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        rows = [row.astype(">u2").tobytes() for row in COLOURS]
        path = png(tmp_path / "a.png", rows, 16, 2, chunk(b"eXIf", exif.tobytes()[6:]), width=4)
        if orientation == 1:
            assert read_volume(path).image.shape == (3, 6, 4, 1)
            return
        with pytest.raises(DataError, match=r"a\.png: its EXIF turns a picture in colours of 16 bits"):
            read_volume(path)


class TestDepth:
    @pytest.mark.parametrize("depth", [1, 2, 4])
    @pytest.mark.parametrize("palette", [False, True])
    def test_few_bits(self, tmp_path, depth, palette):
        top = 2**depth - 1
        values = np.arange(16).reshape(2, 8) % (top + 1)
        bits = (values[..., None] >> np.arange(depth)[::-1]) & 1
        rows = np.packbits(bits.reshape(2, -1).astype(np.uint8), axis=1)
        colours = chunk(b"PLTE", bytes((np.arange(3 * (top + 1)) ** 2 % 251).astype(np.uint8)))
        path = png(tmp_path / "a.png", rows, depth, 3 if palette else 0, colours if palette else b"", width=8)
        assert stored_label_values(path) == tuple(range(top + 1))
        label = read_volume(path, path, label_values={n: n for n in range(16)}).label
        np.testing.assert_array_equal(label[..., 0], values)

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    @pytest.mark.parametrize("colours", [3, 4, 1])
    def test_sixteen_bits(self, tmp_path, suffix, colours):
        array = np.random.default_rng(0).integers(0, 65536, (6, 4, colours)).astype(np.uint16)
        path = tmp_path / f"a{suffix}"
        array[..., 3:] = 65535
        sitk.WriteImage(sitk.GetImageFromArray(array.squeeze(), isVector=colours > 1), path)
        assert stored_shape(path) == (6, 4)
        np.testing.assert_array_equal(np.moveaxis(read_volume(path).image[..., 0], 0, -1), array[..., :3])
        if colours == 4:
            array[0, 0, -1] = 7
            sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), path)
            with pytest.raises(DataError, match=rf"a\{suffix}: is transparent in part \(alpha from 7 to 65535\)"):
                read_volume(path)

    def test_grey_of_sixteen_bits_with_transparency(self, tmp_path):
        rows = [np.full(8, 500, ">u2").tobytes()] * 6
        path = png(tmp_path / "a.png", rows, 16, 4, width=4)
        for read in (read_volume, stored_label_values):
            with pytest.raises(DataError, match=r"a\.png: holds transparency beside grey values of 16 bits"):
                read(path)

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_a_mask_in_sixteen_bits_of_equal_colours(self, tmp_path, suffix):
        array = np.repeat(SHAPE[..., None].astype(np.uint16) * 2, 3, axis=2)
        sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), tmp_path / f"a{suffix}")
        assert stored_label_values(tmp_path / f"a{suffix}") == (0, 510)

    @pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32])
    def test_types_of_tiff(self, tmp_path, dtype):
        array = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
        array[0, 0] = np.finfo(dtype).min if dtype == np.float32 else np.iinfo(dtype).min
        array[1, 2] = 3.5 if dtype == np.float32 else np.iinfo(dtype).max
        sitk.WriteImage(sitk.GetImageFromArray(array), tmp_path / "a.tif")
        np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").image[0, ..., 0], array.astype(np.float32))
        if dtype != np.float32:
            assert stored_label_values(tmp_path / "a.tif") == tuple(sorted(array.ravel().tolist()))


class TestTransparency:
    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    @pytest.mark.parametrize(
        ("grey", "alpha", "fine"),
        [
            (SHAPE, np.full_like(SHAPE, 255), True),
            (SHAPE, np.full_like(SHAPE, 128), True),
            (SHAPE, SHAPE, True),  # just what is black is transparent
            (SHAPE, SHAPE // 2, True),
            (np.full_like(SHAPE, 255), SHAPE, False),
            (np.zeros_like(SHAPE), SHAPE, False),
            (SHAPE, 255 - SHAPE, False),
            (np.full_like(SHAPE, 255), np.zeros_like(SHAPE), False),
            (SHAPE, SHAPE - (SHAPE > 0) * np.arange(4, dtype=np.uint8), False),  # blurred edges
        ],
    )
    def test_masks(self, tmp_path, mode, grey, alpha, fine):
        bands = [Image.fromarray(grey)] * (len(mode) - 1)
        path = tmp_path / "mask.png"
        Image.merge(mode, [*bands, Image.fromarray(alpha)]).save(path)
        Image.fromarray(SHAPE).save(tmp_path / "a.png")
        if fine:
            label = read_volume(tmp_path / "a.png", path, label_values=TWO).label
            np.testing.assert_array_equal(label[..., 0] * 255, SHAPE)
            return
        for read in (stored_label_values, lambda p: read_volume(tmp_path / "a.png", p, label_values=TWO)):
            with pytest.raises(DataError, match=r"mask\.png: its transparency differs from its grey values"):
                read(path)

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB"])
    def test_images(self, tmp_path, mode):
        path = tmp_path / "a.png"
        if mode in ("RGBA", "LA"):
            picture = Image.fromarray(COLOURS).convert(mode)
            picture.save(path)
            expected = np.asarray(picture)[..., :-1]
            np.testing.assert_array_equal(np.moveaxis(read_volume(path).image[..., 0], 0, -1), expected)
            picture.putalpha(Image.fromarray(SHAPE))
            picture.save(path)
        else:
            picture = Image.fromarray(COLOURS).convert(mode)
            pixel = picture.getpixel((0, 0))
            picture.save(path, transparency=pixel)
        with pytest.raises(DataError, match=r"a\.png: is transparent in part \(alpha from 0 to 255\).*flatten it"):
            read_volume(path)

    def test_a_mask_with_a_transparent_index(self, tmp_path):
        """The usual way to lay a mask over a picture: index 0 is not shown."""
        mask = Image.fromarray(SHAPE // 85)
        mask.putpalette([0, 0, 0, 9, 9, 0, 8, 8, 8, 200, 0, 0])
        mask.save(tmp_path / "mask.png", transparency=0)
        assert stored_label_values(tmp_path / "mask.png") == (0, 3)


def palette_of(*colours):
    return [value for colour in colours for value in colour]


class TestPalettes:
    identity = palette_of(*[(n, n, n) for n in range(256)])
    voc = palette_of((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (9, 9, 9), (128, 128, 128))

    @pytest.mark.parametrize(
        ("indices", "palette", "values", "mask"),
        [
            ([0, 1, 2, 255], identity, [0, 1, 2, 255], "palette"),
            ([0, 2, 6], voc, [0, 2, 6], "palette"),
            ([0, 6], voc, [0, 6], "palette"),  # grey, among colours
            ([0, 1, 255], palette_of((9, 0, 0), (0, 9, 0)) + [0] * 762, [0, 1, 255], "palette"),  # 255 in black
            ([0, 1, 7], palette_of((0, 0, 0), (9, 9, 0)), [0, 1, 7], "palette"),
            ([0, 1, 1], palette_of((0, 0, 0), (255, 255, 255)), [0, 255, 255], "grey"),
            ([0, 0, 0], palette_of((0, 0, 0), (255, 255, 255)), [0, 0, 0], "grey"),  # like other planes of its volume
            ([0, 1, 1], palette_of((0, 0, 0), (1, 1, 1), (9, 9, 9)), [0, 1, 1], "grey"),
            ([0, 1, 1], palette_of((255, 255, 255), (0, 0, 0)), [255, 0, 0], "grey"),
            ([1, 1, 1], palette_of((255, 255, 255), (0, 0, 0)), [0, 0, 0], "grey"),
            ([0, 1, 2], None, [0, 1, 2], "palette"),
        ],
    )
    def test_values(self, indices, palette, values, mask):
        found, coding, _ = palette_values(np.uint8(indices), palette, "a.png")
        assert found.tolist() == values
        assert coding == mask

    @pytest.mark.parametrize(
        ("indices", "palette", "message"),
        [
            (
                [0, 1, 2],
                palette_of((0, 0, 0), (2, 2, 2), (3, 3, 3)),
                r"0 shows 0, 1 shows 2, 2 shows 3\), so that either",
            ),
            ([0, 1, 2], palette_of((0, 0, 0), (85, 85, 85), (255, 255, 255)), "1 shows 85"),
            ([0, 1], palette_of((255, 255, 255), (255, 255, 255)), "0 shows 255, 1 shows 255"),
            ([1, 1], palette_of((255, 0, 0), (0, 0, 0)), "index 1 in black"),
            ([0, 1], palette_of((255, 0, 0), (0, 0, 0)), r"index 1 in black, .* index 0 in colour \(255, 0, 0\)"),
        ],
    )
    def test_contradictions(self, tmp_path, indices, palette, message):
        mask = Image.fromarray(np.uint8([indices]))
        mask.putpalette(palette)
        mask.save(tmp_path / "mask.png")
        for read in (stored_label_values, label_colours):
            with pytest.raises(DataError, match=rf"mask\.png: its palette .*{message}.*without a palette"):
                read(tmp_path / "mask.png")

    def test_an_image_is_its_colours(self, tmp_path):
        indices = SHAPE // 255
        picture = Image.fromarray(indices)
        picture.putpalette([10, 20, 30, 200, 0, 9])
        picture.save(tmp_path / "a.png")
        image = read_volume(tmp_path / "a.png").image
        np.testing.assert_array_equal(np.moveaxis(image[..., 0], 0, -1), np.array([[10, 20, 30], [200, 0, 9]])[indices])
        assert label_colours(tmp_path / "a.png") == {0: (10, 20, 30), 1: (200, 0, 9)}


class TestSeveralPictures:
    @pytest.mark.parametrize("kind", ["GIF", "PNG"])
    def test_animations(self, tmp_path, kind):
        frames = [Image.fromarray(GREY), Image.fromarray(SHAPE)]
        frames[0].save(tmp_path / "a.png", kind, save_all=True, append_images=frames[1:])
        for read in (stored_shape, read_volume, stored_label_values):
            with pytest.raises(DataError, match=r"a\.png: is an animation of 2 frames"):
                read(tmp_path / "a.png")

    def test_a_preview_behind_a_jpeg(self, tmp_path):
        photo = Image.fromarray(np.kron(COLOURS, np.ones((8, 8, 1), np.uint8)))
        photo.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (9, 7))])
        assert stored_shape(tmp_path / "a.jpg") == (48, 32)
        assert read_volume(tmp_path / "a.jpg").image.shape == (3, 48, 32, 1)

    @pytest.mark.parametrize(
        ("other", "message"),
        [(GREY[::2], r"pages have several sizes \(6 x 4 and 3 x 4\)"), (COLOURS, "some of its pages are grey")],
    )
    def test_pages_that_differ(self, tmp_path, other, message):
        Image.fromarray(GREY).save(tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(other)])
        with pytest.raises(DataError, match=rf"a\.tif: .*{message}"):
            read_volume(tmp_path / "a.tif")


class TestWhatCannotBeThere:
    @pytest.mark.parametrize("read", [stored_shape, read_volume, stored_label_values])
    @pytest.mark.parametrize("colour_type", [0, 2, 3])
    def test_png(self, tmp_path, read, colour_type):
        path = png(tmp_path / "a.png", GREY, 8, colour_type, chunk(b"PLTE", bytes(9)), width=9_000_000)
        with pytest.raises(DataError, match=r"a\.png: its header declares 6 x 9000000 x 1 x \d values of 1 bytes"):
            read(path)

    @pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
    def test_tiff(self, tmp_path, compression):
        path = tmp_path / "a.tif"
        Image.fromarray(GREY).save(path, compression=compression)
        content = path.read_bytes()
        entries = [struct.pack("<HHII", 256, kind, 1, 4) for kind in (3, 4)]  # the width, in a short or a long number
        (entry,) = (entry for entry in entries if entry in content)
        path.write_bytes(content.replace(entry, struct.pack("<HHII", 256, 4, 1, 9_000_000)))
        for read in (stored_shape, read_volume, stored_label_values):
            with pytest.raises(DataError, match=r"a\.tif: its header declares 6 x 9000000"):
                read(path)

    def test_too_many_pixels(self, tmp_path):
        path = png(tmp_path / "a.png", GREY, 8, 0, width=100_000_000)
        with pytest.raises(DataError, match=r"a\.png: has too many pixels"):
            read_volume(path)

    @pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_the_best_compression_is_not_refused(self, tmp_path, mode, suffix):
        options = {} if suffix == ".png" else {"compression": "tiff_lzw"}
        Image.new(mode, (3000, 2000)).save(tmp_path / f"a{suffix}", **options)
        assert stored_shape(tmp_path / f"a{suffix}") == (2000, 3000)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_damaged_pixels(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)).save(
        path, **({} if suffix == ".png" else {"compression": "tiff_adobe_deflate"})
    )
    content = bytearray(path.read_bytes())
    content[content.index(b"\x78\x9c" if suffix == ".png" else b"\x78") + 700] ^= 4
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a\{suffix}: cannot be read"):
        read_volume(path)


def test_printers_colours(tmp_path):
    Image.fromarray(COLOURS).convert("CMYK").save(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.moveaxis(read_volume(tmp_path / "a.tif").image[..., 0], 0, -1), COLOURS)
    with pytest.raises(DataError, match=r"a\.tif: a label in colours"):
        stored_label_values(tmp_path / "a.tif")

# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_al.integrations.asked_volumes import AskedVolume
from monai_al.integrations.image_ids import match_images


def asked(volume, *images, folder="folder"):
    return AskedVolume(0, volume, folder, images, ())


@pytest.mark.parametrize(
    ("volumes", "images", "matched"),
    [
        ([asked("a"), asked("b")], ["a", "b", "c"], {"a": "a", "b": "b"}),
        ([asked("site/a", folder="site_a")], ["site_a", "a"], {"site/a": "site_a"}),
        ([asked("site/a")], ["a"], {"site/a": "a"}),
        ([asked("p1", "/data/p1/scan_1.nii.gz")], ["scan_1"], {"p1": "scan_1"}),
        ([asked("p1", "/data/p1/flair.nii.gz"), asked("p2", "/data/p2/flair.nii.gz")], ["p1", "flair"], {"p1": "p1"}),
        ([asked("a"), asked("b", "/studies/a.nii.gz")], ["a"], {"b": "a"}),  # the file counts before any name
    ],
)
def test_images_are_known_by_file_then_by_name(volumes, images, matched):
    found, _ = match_images(volumes, {id: f"/studies/{id}.nii.gz" for id in images})
    assert found == matched


def test_a_link_is_the_file_that_it_leads_to(tmp_path):
    (tmp_path / "flair.nii.gz").write_bytes(b"")
    (tmp_path / "x.nii.gz").symlink_to(tmp_path / "flair.nii.gz")
    found, _ = match_images([asked("p1", str(tmp_path / "flair.nii.gz"))], {"x": str(tmp_path / "x.nii.gz")})
    assert found == {"p1": "x"}


def test_what_is_not_sure_is_told():
    pairs = [asked("s1/a", folder="s1_a"), asked("s2/a", folder="s2_a")]
    found, why = match_images(pairs, {"a": "/studies/a.nii.gz"})
    assert found == {}
    assert "the image 'a' may be either of the volumes 's1/a' and 's2/a'" in why["s1/a"]
    two = {"x": "/studies/a.nii.gz", "y": "/studies/a.nii.gz"}
    found, why = match_images([asked("a", "/studies/a.nii.gz")], two)
    assert found == {}
    assert "the volume 'a' (/studies/a.nii.gz) may be either of the images 'x' and 'y'" in why["a"]
    found, why = match_images([asked("a", "/data/a.nii.gz")], {"b": "/studies/b.nii.gz"})
    assert "none of the 1 images of the server is the volume 'a' (/data/a.nii.gz)" in why["a"]

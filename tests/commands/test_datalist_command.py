# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from monai_al.commands import main
from monai_al.commands.datalist import DATASETS


class TestDatalist:
    command = ("datalist", "phantom", "--patients", "3", "--shape", "32", "32", "8")

    def test_summary_split_and_json(self, tmp_path, capsys):
        file = tmp_path / "pool.json"
        split = ("--test_fraction", "0.34", "--split_seed", "7", "--json", str(file))
        assert main([*self.command, "--dataset_dir", str(tmp_path), "--classes", "background", "spleen", *split]) == 0
        text = capsys.readouterr().out
        for fact in ("patients   3\n", "1 patients, 2 volumes, 16 items", "0 background, 1 spleen", "32 x 32 x 8"):
            assert fact in text
        content = json.loads(file.read_text())
        assert len(content["items"]) == 48 == content["summary"]["items"]
        assert {item["split"] for item in content["items"]} == {"train", "test"}
        assert content["label_values"] == {"0": 0, "1": 1}
        assert sorted(path.name for path in tmp_path.iterdir())[1:] == ["pool.json"]

    def test_no_read(self, tmp_path, capsys):
        assert main([*self.command, "--dataset_dir", str(tmp_path), "--item", "volume", "--no_read"]) == 0
        text = capsys.readouterr().out
        assert "items     6 " in text
        assert "voxels" not in text

    def test_how_much_slices_differ(self, tmp_path, capsys):
        asked = [*self.command, "--dataset_dir", str(tmp_path), "--no_read", "--test_fraction", "0.34"]
        assert main([*asked, "--deviation", "16"]) == 0
        lines = [line.split() for line in capsys.readouterr().out.splitlines()[-4:]]
        assert [(name, int(pairs)) for name, _, pairs, _ in lines] == [
            ("all", 32 * 31 // 2), ("patient", 2 * 16 * 15 // 2), ("volume", 4 * 8 * 7 // 2), ("neighbors", 4 * 7)
        ]  # fmt: skip
        assert all(0 < float(mean) < 1 for _, mean, _, _ in lines)
        assert main([*asked, "--deviation", "0"]) == 2
        assert "--deviation 0: give the rows and columns" in capsys.readouterr().err
        assert main([*asked, "--deviation", "--item", "volume"]) == 2
        assert "pairs are those of slices" in capsys.readouterr().err

    @pytest.mark.parametrize("name", sorted({*DATASETS} - {"phantom"}))
    def test_missing_folder(self, tmp_path, capsys, name):
        assert main(["datalist", name, "--dataset_dir", str(tmp_path / "gone")]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {tmp_path / 'gone'}: does not exist")
        assert error.count("\n") == 1

    def test_options_of_other_data_sets(self, tmp_path, capsys):
        assert main(["datalist", "lgg", "--dataset_dir", str(tmp_path), "--grade", "LGG", "--patients", "3"]) == 2
        assert "--grade, --patients: no option of lgg" in capsys.readouterr().err
        assert main(["datalist", "decathlon", "--dataset_dir", str(tmp_path), "--unlabeled"]) == 2
        assert "--unlabeled: no option of decathlon" in capsys.readouterr().err

    def test_options_reach_the_reader(self, tmp_path, capsys):
        assert main([*self.command, "--dataset_dir", str(tmp_path), "--no_read"]) == 0
        (root,) = tmp_path.iterdir()
        for label in root.rglob("*phase2_label.nii.gz"):
            label.unlink()
        read = ["datalist", "folder", "--dataset_dir", str(root), "--patient", "(patient\\d+)/", "--no_read"]
        assert main(read) == 2
        capsys.readouterr()
        assert main([*read, "--unlabeled"]) == 0
        assert "48 (24 with ground truth)" in capsys.readouterr().out
        assert main([*read, "--skip_incomplete"]) == 0
        assert "24 (24 with ground truth)" in capsys.readouterr().out

    def test_a_split_that_cannot_be(self, tmp_path, capsys):
        command = ["datalist", "phantom", "--dataset_dir", str(tmp_path), "--patients", "1", "--test_fraction", "0.5"]
        assert main(command) == 2
        assert "one patient cannot be split" in capsys.readouterr().err

    def test_unknown_data_set(self, tmp_path, capsys):
        with pytest.raises(SystemExit) as stop:
            main(["datalist", "mnist", "--dataset_dir", str(tmp_path)])
        assert stop.value.code == 2
        assert "mnist" in capsys.readouterr().err

    def test_label_values(self, tmp_path, capsys):
        for part in ("images", "labels"):
            (tmp_path / part).mkdir()
            Image.fromarray(np.uint8([[0, 85, 170, 255]])).save(tmp_path / part / "a.png")
        read = ["datalist", "folder", "--dataset_dir", str(tmp_path)]
        assert main(read) == 2
        assert "the command datalist" in capsys.readouterr().err
        assert main([*read, "--label_values", "{0: 0, 85: 1, 170: 2, 255: 255}", "--affine_tolerated"]) == 0
        assert "25.00 % of all voxels are not annotated" in capsys.readouterr().out
        with pytest.raises(SystemExit):
            main([*read, "--label_values", "{0"])
        assert "is no such mapping" in capsys.readouterr().err

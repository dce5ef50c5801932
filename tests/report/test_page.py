# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.records import Label, LabelReturn
from monai_al.report.page import Picture, RunPage, ShownItem, ShownRound, ShownVolume, Swatch, page_html

VOID = {"meta", "img", "br"}
NASTY = "<b onload=\"x('y')\">&amp;</b></style><script>alert(1)</script>"
RECORD = {
    "strategy": "selective entropy",
    "annotator": "oracle",
    "seed": 7,
    "threads": 1,
    "items": 4307,
    "rounds": 2,
    "budget": [20, 20],
    "sizes": [20, 20],
    "versions": {"monai_al": "0.1.0", "torch": "2.13.0"},
    "config": {
        "learner": {"strategy_settings": {"measure": {"map": "entropy", "region": None}}, "members": 3},
        "training": {
            "steps": 150,
            "channels": [16, 32],
            "loss": {"_target_": "Loss"},
            "pool": "@datalist",
            "amp": "$x",
        },
    },
}


def metrics(labeled=40, dice=0.75, hd95=4.25, **more):
    """As in metrics.json, of two classes and two volumes."""
    counts = {"defined": 2, "prediction_empty": 1, "truth_empty": 0, "both_empty": 3}
    counts |= {"slices_with_foreground": 9, "slices_without_foreground": 8, "false_positive_slices": 5}
    per_volume = {"case_a": {"liver": 0.6, "tumour": None}, "case_b": {"liver": 0.9, "tumour": 0.8}}
    return {
        "labeled": labeled,
        "fraction": labeled / 4307,
        "cost": {"total": labeled, "items": labeled, "volumes": 27, "patients": 26, "foreground_voxels": 10684},
        "dice_3d": {"mean": dice, "per_class": {"liver": 0.77, "tumour": None}, "per_volume": per_volume},
        "dice_2d": {"mean": 0.5, "per_class": {"liver": 0.5, "tumour": None}},
        "hd95_3d": {
            "mean": hd95,
            "per_class": {"liver": 4.5, "tumour": None},
            "penalties": 2,
            "variant": "max",
            **more,
        },
        "counts": {**counts, "per_class": {"liver": counts, "tumour": {}}, "volumes": 2, "patients": 2},
        "empty_policy": "strict",
        "model": "last",
        "validation_labeled": 0,
    }


def shown_round(number=1, *, labeled=3, asked=3, evaluated=True, text="case_1/000"):
    items = [
        ShownItem(
            f"{text}{i}",
            12.3456 - i,
            f"target region, rank {i + 1} of 40",
            i < labeled,
            Picture(f"{i}.png", text, 9, 3),
        )
        for i in range(asked)
    ]
    returns = [LabelReturn((Label("a", annotator="oracle"),))] if labeled else []
    timings = {"train_s": 24.6, "evaluate_s": 200.0, "score_s": 8000.0}
    return ShownRound(number, "entropy", items, returns, metrics() if evaluated else None, timings)


class Reader(HTMLParser):
    """Visible text, attributes, and whether every element is closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.tags = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.tags if name in attrs]


def full_page(text="run"):
    config = {"learner": {text: text}, "training": {text: text}}
    last = replace(
        shown_round(text=text),
        returns=[LabelReturn((Label(text, annotator=text),))],
        metrics=metrics(variant=text) | {"empty_policy": text, "model": text},
        about=[text],
        scale=(text, 0.5),
    )
    return RunPage(
        name=text,
        record=RECORD | {"strategy": text, "seed": text, "config": config},
        rounds=[ShownRound(0, text, (ShownItem(text, None, text),), notes=[text]), last],
        curve=Picture("learning_curve.png", text, 960, 600),
        volumes=[ShownVolume("case_a", text, Picture("test_00.png", text, 9, 9), text)],
        volumes_round=1,
        volumes_legend=[Swatch(text, "#123456"), Swatch("x", "#123456", "hatch")],
        notes=[text],
        volumes_notes=[text],
        written=text,
    )


class TestSafety:
    @given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1))
    @settings(deadline=None, max_examples=40)
    def test_any_text_comes_through_as_text(self, text):
        found = Reader(page_html(full_page(text)))
        assert sum(text.strip() in part for part in found.text) >= 10
        assert text in found.attributes("alt")

    def test_no_text_becomes_markup(self):
        html = page_html(full_page(NASTY))
        found = Reader(html)
        assert not any(tag == "script" for tag, _ in found.tags)
        assert not found.attributes("onload")
        assert html.count("</style>") == 1

    def test_ids_and_class_names_with_html_are_escaped_everywhere(self):
        words = ("item", "waiting", "class", "volume")
        item, waiting, name, volume = (f"<i onclick=\"x('{word}')\">{word}</i> &lt;" for word in words)
        scores = {"per_class": {name: 0.5, "liver": 0.5}, "per_volume": {volume: {name: 0.5, "liver": 0.5}}}
        own = metrics() | {key: {"mean": 0.5, **scores} for key in ("dice_3d", "dice_2d", "hd95_3d")}
        picture = Picture("0.png", item, 9, 3)
        chosen = [ShownItem(item, 1.0, picture=picture), ShownItem(waiting, labeled=False)]
        returns = [LabelReturn((Label(item, annotator="oracle"),))]
        page = RunPage(
            name="run",
            record=RECORD,
            rounds=[ShownRound(0, "entropy", chosen, returns, own, legend=[Swatch(name, "#123456")])],
            volumes=[ShownVolume(volume, "best of 1", picture)],
            volumes_round=0,
            volumes_legend=[Swatch(name, "#123456", "hatch")],
        )
        found = Reader(page_html(page))
        assert not any(tag == "i" for tag, _ in found.tags)
        assert not found.attributes("onclick")
        assert found.attributes("alt") == [item, item]
        # a caption and a table; a sentence and a table; two legends, a caption and four titles in three tables
        shown = {text: sum(text in part for part in found.text) for text in (item, waiting, name, volume)}
        assert shown == {item: 2, waiting: 2, name: 7, volume: 2}

    def test_nothing_comes_from_elsewhere(self):
        found = Reader(page_html(full_page()))
        links = found.attributes("href") + found.attributes("src")
        anchors = set(found.attributes("id"))
        assert {"learning_curve.png", "0.png", "test_00.png", "#round-1", "#settings"} <= set(links)
        for link in links:
            assert link[1:] in anchors if link.startswith("#") else re.fullmatch(r"[\w.]+\.png", link)
        assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in found.tags}
        assert "url(" not in page_html(full_page())
        assert "@import" not in page_html(full_page())

    def test_every_picture_has_an_alternative_and_a_size(self):
        pictures = [attrs for tag, attrs in Reader(page_html(full_page())).tags if tag == "img"]
        assert len(pictures) == 5
        assert all({"alt", "width", "height", "src"} <= attrs.keys() for attrs in pictures)

    def test_anchors_are_unique(self):
        ids = Reader(page_html(full_page())).attributes("id")
        assert len(set(ids)) == len(ids)


class TestState:
    @pytest.mark.parametrize(
        ("rounds", "sizes", "text"),
        [
            ([], [20, 20], "Not finished: 0 of 2 rounds done."),
            ([shown_round(0)], [20], "The one round is done."),
            ([shown_round(0)], [20, 20], "Not finished: 1 of 2 rounds done."),
            ([shown_round(0)], None, "Not finished: 1 round done."),
            ([shown_round(0), shown_round(1)], [20, 20], "All 2 rounds are done."),
            (
                [shown_round(0), shown_round(1, labeled=1, evaluated=False)],
                [20, 20],
                "Not finished: 1 of 2 rounds done. Round 1 waits for the labels of 2 items.",
            ),
        ],
    )
    def test_says_how_far_the_run_is(self, rounds, sizes, text):
        found = Reader(page_html(RunPage("run", RECORD | {"sizes": sizes}, rounds)))
        assert text in found.text

    def test_empty_run(self):
        words = Reader(page_html(RunPage("run", {}))).words
        for sentence in ("No round has begun.", "No round is evaluated yet, so there is no curve."):
            assert sentence in words

    def test_what_waits_says_why(self):
        told = "case_1/0003 waits: case_1/annotation.nii.gz, slice 4 in ITK-SNAP: holds 9 <no class>"
        waiting = replace(shown_round(0, labeled=1, evaluated=False), problems=[told])
        assert told in Reader(page_html(RunPage("run", RECORD, [waiting]))).words

    def test_waiting_items_are_named(self):
        words = Reader(page_html(RunPage("run", RECORD, [shown_round(0, labeled=0, asked=7, evaluated=False)]))).words
        assert "No label has come back yet." in words
        words = Reader(page_html(RunPage("run", RECORD, [shown_round(0, labeled=1, asked=7, evaluated=False)]))).words
        assert "1 of them labeled by oracle (full labels). 6 items wait for their labels" in words
        assert "case_1/0001, case_1/0002, case_1/0003, case_1/0004, case_1/0005 … Not trained" in words
        assert "Not trained and evaluated to the end yet." in words
        words = Reader(page_html(RunPage("run", RECORD, [shown_round(0, labeled=2, evaluated=False)]))).words
        assert "1 item waits for its label : case_1/0002." in words


def rows_of(html, section):
    """Cells of all table rows in a section."""
    part = html.split(f'id="{section}"')[1].split("</section>")[0]
    return [
        [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall("<tr>(.*?)</tr>", part)
    ]


class TestNumbers:
    def test_one_row_a_round(self):
        pages = RunPage("run", RECORD, [shown_round(0), shown_round(1, evaluated=False)])
        head, first, second = rows_of(page_html(pages), "curve")
        assert head == [
            *("round", "labeled", "share", "cost", "3D Dice", "liver", "tumour", "2D Dice", "HD95 (mm)"),
            *("training", "evaluating", "scoring"),
        ]
        assert first == [
            *("0", "40", "0.9\u202f%", "40", "0.750", "0.770", "–", "0.500", "4.2"),
            *("24.6 s", "3 min", "2 h 13 min"),
        ]
        assert second == ["1", *["–"] * 8, "24.6 s", "3 min", "2 h 13 min"]

    def test_without_a_test_part_nothing_stands_in_its_place(self):
        own = metrics(dice=None) | {"counts": {"volumes": 0, "patients": 0}, "dice_query": {"mean": 0.5}}
        html = page_html(RunPage("run", RECORD, [replace(shown_round(0), metrics=own)]))
        head, _ = rows_of(html, "curve")
        assert head == ["round", "labeled", "share", "cost", "on the query", "training", "evaluating", "scoring"]
        assert not [gone for gone in ("Test volumes", "Scores per class", "test volumes", "3D Dice") if gone in html]
        assert "--folds 5" in html
        folds = replace(shown_round(0), metrics=own | {"dice_folds": {"mean": 0.5}})
        assert "--folds 5" not in page_html(RunPage("run", RECORD, [folds]))

    def test_scores_per_class_with_counts_of_empty_masks(self):
        head, liver, tumour, both = rows_of(page_html(RunPage("run", RECORD, [shown_round()])), "classes")
        assert head[4:] == ["found", "missed", "false alarms", "both empty", "slices with a false alarm"]
        assert liver == ["liver", "0.770", "0.500", "4.5", "2", "1", "0", "3", "5 of 8"]
        assert tumour == ["tumour", *["–"] * 8]
        assert both[0] == "all"

    def test_volumes_are_sorted_and_undefined_is_a_dash(self):
        _, best, worst = rows_of(page_html(RunPage("run", RECORD, [shown_round()])), "volumes")
        assert best == ["case_b", "0.900", "0.800", "–", "–"]
        assert worst == ["case_a", "0.600", "–", "–", "–"]

    def test_chosen_items_with_score_rank_and_list(self):
        shown = ShownRound(1, "entropy", [ShownItem("a", 12.3456, "target region, rank 3 of 40"), ShownItem("b")])
        _, first, second = rows_of(page_html(RunPage("run", RECORD, [shown])), "rounds")
        assert first == ["1", "a", "12.35", "target region, rank 3 of 40", "labeled"]
        assert second == ["2", "b", "–", "–", "labeled"]
        shown = replace(shown, items=[replace(shown.items[0], place="axial, ITK-SNAP 8"), shown.items[1]])
        head, first, second = rows_of(page_html(RunPage("run", RECORD, [shown])), "rounds")
        assert head[2] == "where"
        assert first == ["1", "a", "axial, ITK-SNAP 8", "12.35", "target region, rank 3 of 40", "labeled"]
        assert second == ["2", "b", "–", "–", "–", "labeled"]
        words = Reader(page_html(RunPage("run", RECORD, [shown_round()]))).words
        assert "1. case_1/0000 · score 12.35 · target region, rank 1 of 40" in words

    @pytest.mark.parametrize(
        ("score", "text"), [(0.0, "0"), (1.23456e-5, "1.235e-05"), (-3.0, "-3"), (71689.4, "71689")]
    )
    def test_scores_of_any_size(self, score, text):
        shown = ShownRound(1, "entropy", [ShownItem("a", score)])
        assert rows_of(page_html(RunPage("run", RECORD, [shown])), "rounds")[1][2] == text

    def test_a_large_cost_is_no_power_of_ten(self):
        own = metrics() | {"cost": {"total": 12345.0}}
        html = page_html(RunPage("run", RECORD, [ShownRound(0, "random", (), (), own)]))
        assert rows_of(html, "curve")[1][3] == "12345"
        assert "; cost 12345." in Reader(html).words

    def test_costs_by_several_models_and_what_they_assume(self):
        kinds = {"full": {"items": 1, "cost": 1.0}, "weak": {"items": 30, "cost": 2.0}}
        models = {"slices": 3.0, "area": None, "volumes": 5.0}
        parameters = {"scribble_speed": 15.0, "slice_overhead": 0.2, "opening_cost": 1.0, "mean_area": None}
        faster = {"20": {"total": 2.5, "slices": 2.5, "area": None, "volumes": 4.5}}
        cost = {"total": 3.0, "per_kind": kinds, "models": models, "parameters": parameters, "sensitivity": faster}
        html = page_html(RunPage("run", RECORD, [ShownRound(0, "random", (), (), metrics() | {"cost": cost})]))
        head, row, *of_speeds = rows_of(html, "curve")
        assert head[3:6] == ["cost", "slices", "slices with opened volumes"]  # no column of dashes
        assert row[3:6] == ["3", "3", "5"]
        assert of_speeds[0] == ["model", "r = 5", "r = 10", "r = 15", "r = 20"]
        assert of_speeds[1] == ["cost in full items", "7", "4", "3", "2.5"]
        assert of_speeds[3] == ["cost in full slices by foreground area", *["–"] * 4]
        assert "r = 15 (scribble_speed): a figure of the literature, no measurement." in html

    @pytest.mark.parametrize("dice", [None, 0.0])
    def test_undefined_is_never_zero_nor_nan(self, dice):
        shown = ShownRound(0, "random", (), (), metrics(dice=dice, hd95=None))
        words = Reader(page_html(RunPage("run", {"sizes": [1]}, [shown]))).words.split("Settings")[0]
        assert not re.search(r"\bnan\b|\bNone\b|\bnull\b|\binf\b", words)
        assert ("mean 3D Dice – " in words) == (dice is None)
        assert ("mean 3D Dice 0.000 " in words) == (dice == 0)

    @pytest.mark.parametrize(
        ("scored_on", "sentence"),
        [
            ("stored label", "these voxels count as missed;"),
            ("field of view", "by --score_inside true it counts in no"),
        ],
    )
    def test_what_the_network_does_not_see_is_said(self, scored_on, sentence):
        outside = {"share": 0.254, "voxels": 9, "worst": "case_b", "per_volume": {"case_a": None, "case_b": 0.4}}

        def words(share):
            own = metrics() | {"scored_on": scored_on, "outside": outside | {"share": share}}
            return Reader(page_html(RunPage("run", RECORD, [ShownRound(0, "random", (), (), own)]))).words

        assert f"Scored on the {scored_on}." in words(0.254)
        assert "25 % of the labeled foreground of the test items lies outside" in words(0.254)
        assert f"most in case_b (40 %): {sentence}" in words(0.254)
        assert not any("lies outside" in words(share) for share in (0.0, None))

    @pytest.mark.parametrize("placeholder", [True, False])
    def test_placeholder_spacing_is_said(self, placeholder):
        shown = ShownRound(0, "random", (), (), metrics(spacing_is_placeholder=placeholder))
        words = Reader(page_html(RunPage("run", RECORD, [shown]))).words
        assert ("HD95 (not mm)" in words) == placeholder
        assert ("HD95 (mm)" in words) != placeholder
        assert ("HD95 is no length in mm" in words) == placeholder

    @pytest.mark.parametrize(
        ("used", "text"),
        [
            (0, "Model: best on validation. "),
            (1, "Model: best on validation, for which 1 labeled item of validation was used."),
            (12, "Model: best on validation, for which 12 labeled items of validation were used."),
        ],
    )
    def test_best_on_validation_counts_its_labels(self, used, text):
        own = metrics() | {"model": "best on validation", "validation_labeled": used}
        words = Reader(page_html(RunPage("run", RECORD, [ShownRound(0, "random", (), (), own)]))).words
        assert text in words

    def test_one_is_said_as_one(self):
        own = metrics(labeled=1, penalties=1)
        words = Reader(page_html(RunPage("run", RECORD, [ShownRound(0, "random", (), (), own)]))).words
        assert "Then 1 item in all was labeled" in words
        assert "with 1 penalty." in words


class TestSettings:
    def test_what_was_asked(self):
        html = page_html(RunPage("run", RECORD))
        found = dict(row for row in rows_of(html, "settings") if len(row) == 2)
        expected = {"seed": "7", "threads": "1", "budget": "20, 20", "members": "3", "steps": "150", "torch": "2.13.0"}
        expected |= {"strategy": "selective entropy", "channels": "16, 32"}
        assert expected.items() <= found.items()
        assert found["strategy_settings"] == "measure: map: entropy; region: –"
        assert not {"loss", "pool", "amp"} & set(found)
        assert '"_target_": "Loss"' in Reader(html).words

    def test_of_a_pretrained_encoder_what_the_training_does_not_say(self):
        config = RECORD["config"]
        encoder = {"steps": 150, "pretrain_epochs": 30, "network_def": "@backbone", "train": {"handlers": []}}
        learner = config["learner"] | {"encoder": encoder}
        html = page_html(RunPage("run", RECORD | {"config": config | {"learner": learner}}))
        rows = [row for row in rows_of(html, "settings") if len(row) == 2]
        assert ["pretrain_epochs", "30"] in rows
        assert [row[0] for row in rows].count("steps") == 1
        assert not {"encoder", "network_def", "train"} & {row[0] for row in rows}

    def test_it_is_folded(self):
        settings_part = page_html(RunPage("run", RECORD)).split('id="settings"')[1]
        assert settings_part.index("<details>") < settings_part.index("<table")


class TestPictures:
    def test_legend_and_scale(self):
        shown = shown_round()
        shown = ShownRound(
            1,
            "x",
            shown.items,
            legend=[Swatch("target region", "#00ff00", "outline")],
            scale=("uncertainty (margin)", 0.693),
        )
        words = Reader(page_html(RunPage("run", RECORD, [shown]))).words
        assert "target region" in words
        assert "uncertainty (margin) 0 0.69" in words

    def test_without_pictures_there_is_no_legend(self):
        shown = ShownRound(1, "x", [ShownItem("a")], legend=[Swatch("liver", "#00ff00")], scale=("margin", 1.0))
        assert "legend" not in page_html(RunPage("run", RECORD, [shown])).split("</head>")[1]

    def test_says_whose_predictions_the_volumes_show(self):
        page = RunPage(
            "run",
            RECORD,
            [shown_round()],
            volumes=[ShownVolume("case_b", "best of 2", Picture("t.png", "", 9, 9), "slices 1")],
        )
        words = Reader(page_html(RunPage(**{**vars(page), "volumes_round": 1}))).words
        assert "Predictions of the model of round 1 beside the truth, on the preprocessed grid" in words
        assert "around the slice with most foreground" in words
        assert "case_b · best of 2 · 3D Dice liver 0.900, tumour 0.800 · slices 1" in words


def test_needs_neither_torch_nor_matplotlib():
    code = (
        "import sys; from monai_al.report.page import RunPage, page_html; page_html(RunPage('run', {})); "
        "assert not {'torch', 'monai', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The HTML page about a run, from plain data: one file, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from monai_al.report.style import STYLE

__all__ = ["Picture", "RunPage", "ShownItem", "ShownRound", "ShownVolume", "Swatch", "page_html"]

UNDEFINED = "–"


@dataclass(frozen=True)
class Picture:
    """A picture file beside the page.

    Args:
        file: its name, relative to the page.
        alt: what it shows, for those who cannot see it.
        width: in pixels.
        height: in pixels.

    Example:
        >>> Picture("learning_curve.png", "3D Dice against labeled items", 960, 600).file
        'learning_curve.png'
    """

    file: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Swatch:
    """A colour of a legend.

    Args:
        name: what it means.
        color: as CSS knows it, such as ``#e69f00``.
        kind: ``"fill"``, ``"outline"`` or ``"hatch"``.

    Example:
        >>> Swatch("liver", "#e69f00").kind
        'fill'
    """

    name: str
    color: str
    kind: str = "fill"


@dataclass(frozen=True)
class ShownItem:
    """One item of a query.

    Args:
        id: the item's id.
        score: the score that led to it, or None.
        reason: why it was chosen, or None.
        labeled: whether its label has come back.
        picture: how it looks, or None.
        note: a few words about the picture, or None.

    Example:
        >>> ShownItem("case_1/0007", 12.5, "boundary region, rank 1 of 40").labeled
        True
    """

    id: str
    score: float | None = None
    reason: str | None = None
    labeled: bool = True
    picture: Picture | None = None
    note: str | None = None


@dataclass(frozen=True)
class ShownRound:
    """What one round did.

    Args:
        number: the round.
        strategy: who chose its items.
        items: all items of its query in pick order.
        returns: what came back: entries with ``annotator``, ``kind``, ``when`` and ``items``.
        metrics: content of ``metrics.json``, or None where the round is not evaluated.
        timings: content of ``timings.json``.
        about: sentences about its pictures, such as which model predicted.
        notes: what is missing, and why.
        legend: the colours of its pictures.
        scale: name and upper end of the uncertainty maps, or None.

    Example:
        >>> ShownRound(0, "random", (ShownItem("a"),)).metrics is None
        True
    """

    number: int
    strategy: str
    items: Sequence[ShownItem] = ()
    returns: Sequence[Mapping[str, Any]] = ()
    metrics: Mapping[str, Any] | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    about: Sequence[str] = ()
    notes: Sequence[str] = ()
    legend: Sequence[Swatch] = ()
    scale: tuple[str, float] | None = None


@dataclass(frozen=True)
class ShownVolume:
    """A test volume with its prediction.

    Args:
        name: the volume.
        place: where it stands among all, such as ``"best of 60"``.
        picture: slices of image, truth, prediction and their agreement.
        about: which slices.

    Example:
        >>> ShownVolume("case_3", "best of 5", Picture("test_00.png", "", 900, 700)).place
        'best of 5'
    """

    name: str
    place: str
    picture: Picture
    about: str = ""


@dataclass(frozen=True)
class RunPage:
    """All that stands on the page.

    Args:
        name: of the run.
        record: content of ``run.json``, with what was extended later.
        rounds: what was done, in order; the last may be under way.
        curve: the learning curve, or None where no round is evaluated.
        embedding: the pool as a pretrained encoder sees it, or None where there is none.
        volumes: test volumes with the predictions of :attr:`volumes_round`.
        volumes_round: whose model predicted them.
        volumes_legend: the colours of their pictures.
        notes: what is missing on the whole page, and why.
        volumes_notes: the same for the test volumes.
        written: when, and by which version.

    Example:
        >>> RunPage("demo", {"strategy": "random"}).rounds
        ()
    """

    name: str
    record: Mapping[str, Any]
    rounds: Sequence[ShownRound] = ()
    curve: Picture | None = None
    embedding: Picture | None = None
    volumes: Sequence[ShownVolume] = ()
    volumes_round: int | None = None
    volumes_legend: Sequence[Swatch] = ()
    notes: Sequence[str] = ()
    volumes_notes: Sequence[str] = ()
    written: str = ""


def page_html(page: RunPage) -> str:
    """The page as HTML: every text is escaped, an undefined number is a dash, and links go only to its own pictures.

    Example:
        >>> html = page_html(RunPage("a < b", {"strategy": "random", "sizes": [4, 4]}))
        >>> "<h1>a &lt; b</h1>" in html, "<script" in html
        (True, False)
    """
    parts = [_head(page), "<main>", _curve(page), _rounds(page), _embedding(page), _volumes(page), _classes(page)]
    parts.append(_settings(page))
    return "\n".join([*parts, "</main>", f"<footer>{escape(page.written)}</footer>", "</body>", "</html>", ""])


# -- the top ----------------------------------------------------------------------------------------------------------


def _head(page: RunPage) -> str:
    title = escape(page.name)
    links = [("curve", "Learning curve"), *((f"round-{r.number}", f"Round {r.number}") for r in page.rounds)]
    links += [("embedding", "Embedding map")] if page.embedding else []
    links += [("volumes", "Test volumes"), ("classes", "Scores per class"), ("settings", "Settings")]
    finished, state = _state(page)
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title} – active learning report</title>",
        f"<style>{STYLE}</style></head>",
        '<body><header class="top">',
        f"<h1>{title}</h1>",
        f'<p class="lead">{_lead(page)}</p>',
        f'<p class="state{"" if finished else " open"}">{state}</p>',
        *_notes(page.notes),
        _tiles(page),
        "<nav>" + "".join(f'<a href="#{anchor}">{text}</a>' for anchor, text in links) + "</nav>",
        "</header>",
    ]
    return "\n".join(line for line in lines if line)


def _lead(page: RunPage) -> str:
    learner = _learner(page.record)
    facts = [f"Strategy <b>{escape(str(page.record.get('strategy', UNDEFINED)))}</b>"]
    if isinstance(page.record.get("items"), int):
        facts.append(f"a pool of {page.record['items']} items")
    counts = _last_metrics(page).get("counts") or {}
    if counts.get("volumes") is not None:
        facts.append(f"tested on {_several(counts['volumes'], 'volume')} of {_several(counts['patients'], 'patient')}")
    facts.append(f"seed {escape(str(page.record.get('seed', learner.get('seed', UNDEFINED))))}")
    return ", ".join(facts)


def _state(page: RunPage) -> tuple[bool, str]:
    done = sum(shown.metrics is not None for shown in page.rounds)
    sizes = page.record.get("sizes")
    planned = len(sizes) if isinstance(sizes, Sequence) else None
    if planned is not None and done >= planned:
        return True, "The one round is done." if planned == 1 else f"All {planned} rounds are done."
    text = f"Not finished: {_several(done, 'round') if planned is None else f'{done} of {planned} rounds'} done."
    waiting = [item.id for item in page.rounds[-1].items if not item.labeled] if page.rounds else []
    if waiting:
        text += f" Round {page.rounds[-1].number} waits for the labels of {_several(len(waiting), 'item')}."
    return False, text


def _tiles(page: RunPage) -> str:
    evaluated = _evaluated(page)
    if not evaluated:
        return ""
    (first, start), (last, metrics) = evaluated[0], evaluated[-1]
    before = f"round {first}: {_digits(_mean(start, 'dice_3d'), 3)}" if first < last else ""
    share = f"{_percent(metrics.get('fraction'))} of {_whole(page.record.get('items'))}"
    total = sum(sum(shown.timings.values()) for shown in page.rounds)
    tiles = [
        ("labeled items", _whole(metrics.get("labeled")), share),
        ("mean 3D Dice", _digits(_mean(metrics, "dice_3d"), 3), before),
        (_hd95_title(metrics), _digits(_mean(metrics, "hd95_3d"), 1), _placeholder(metrics)),
        ("computing time", _duration(total) if total else UNDEFINED, "training, evaluating, choosing"),
    ]
    inner = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(remark)}</small></dd></div>'
        for name, value, remark in tiles
    )
    return f'<dl class="tiles">{inner}</dl>'


# -- learning curve ---------------------------------------------------------------------------------------------------


def _curve(page: RunPage) -> str:
    picture = (
        f'<figure class="curve">{_img(page.curve)}</figure>'
        if page.curve
        else "<p>No round is evaluated yet, so there is no curve.</p>"
    )
    return f'<section id="curve"><h2>Learning curve</h2><div class="box">{picture}{_round_table(page)}</div></section>'


def _round_table(page: RunPage) -> str:
    if not page.rounds:
        return ""
    classes = _class_names(page)
    per_class = classes if len(classes) > 1 else []
    head = ["round", "labeled", "share", "cost", "3D Dice", *per_class, "2D Dice"]
    head += [_hd95_title(_last_metrics(page)), "training", "evaluating", "scoring"]
    rows = []
    for shown in page.rounds:
        own = shown.metrics or {}
        rows.append(
            [
                f'<a href="#round-{shown.number}">{shown.number}</a>',
                _whole(own.get("labeled")),
                _percent(own.get("fraction")),
                _cost(own.get("cost", {}).get("total")),
                f"<b>{_digits(_mean(own, 'dice_3d'), 3)}</b>",
                *(_digits(_of_class(own, "dice_3d", name), 3) for name in per_class),
                _digits(_mean(own, "dice_2d"), 3),
                _digits(_mean(own, "hd95_3d"), 1),
                *(_seconds(shown.timings.get(step)) for step in ("train_s", "evaluate_s", "score_s")),
            ]
        )
    caption = "After each round: everything labeled so far and its cost in full items, the scores on the test volumes, "
    return _table(caption + "and the time that the round took.", head, rows)


# -- rounds -----------------------------------------------------------------------------------------------------------


def _rounds(page: RunPage) -> str:
    if not page.rounds:
        return '<section id="rounds"><h2>Rounds</h2><p>No round has begun.</p></section>'
    parts = [_round(shown) for shown in page.rounds]
    return f'<section id="rounds"><h2>What was chosen, and why</h2>{"".join(parts)}</section>'


def _round(shown: ShownRound) -> str:
    pictured = [item for item in shown.items if item.picture is not None]
    cards = "".join(f"<li>{_card(item, shown.items.index(item) + 1)}</li>" for item in pictured)
    lines = [
        f'<article class="box" id="round-{shown.number}">',
        f"<h3>Round {shown.number}</h3>",
        f"<p>{_what_was_asked(shown)}</p>",
        f"<p>{_what_came_of_it(shown)}</p>",
        *(f'<p class="soft">{escape(sentence)}</p>' for sentence in shown.about),
        *_notes(shown.notes),
        _legend(shown.legend, shown.scale) if pictured else "",
        f'<ol class="items{" small" if shown.scale is None else ""}">{cards}</ol>' if cards else "",
        _all_items(shown),
        "</article>",
    ]
    return "\n".join(line for line in lines if line)


def _what_was_asked(shown: ShownRound) -> str:
    if not shown.items:
        return "Its items are not chosen yet."
    text = f"{_several(len(shown.items), 'item')} chosen by <b>{escape(shown.strategy)}</b>"
    text += f" with the model of round {shown.number - 1}. " if shown.number else ", before there was a model. "
    if not shown.returns:
        return text + "No label has come back yet."
    who = dict.fromkeys(f"{entry.get('annotator')} ({entry.get('kind')} labels)" for entry in shown.returns)
    waiting = [item.id for item in shown.items if not item.labeled]
    text += f"{len(shown.items) - len(waiting)} of them labeled by {escape(', '.join(who))}."
    if waiting:
        named = ", ".join(waiting[:5]) + (" …" if len(waiting) > 5 else "")
        text += f" <b>{_several(len(waiting), 'item')} wait for their labels</b>: {escape(named)}."
    return text


def _what_came_of_it(shown: ShownRound) -> str:
    if shown.metrics is None:
        return "Not trained and evaluated to the end yet."
    cost, times = shown.metrics.get("cost", {}), shown.timings
    text = f"Then {_several(shown.metrics.get('labeled'), 'item')} in all were labeled"
    if cost.get("volumes") is not None:
        text += f", from {_several(cost['volumes'], 'volume')} of {_several(cost['patients'], 'patient')}"
        text += f" ({_whole(cost.get('foreground_voxels'))} voxels of foreground)"
    text += f"; cost {_cost(cost.get('total'))}. Trained on them in {_seconds(times.get('train_s'))}: "
    return text + f"3D Dice <b>{_digits(_mean(shown.metrics, 'dice_3d'), 3)}</b> on the test volumes."


def _card(item: ShownItem, number: int) -> str:
    words = [f"<b>{number}. {escape(item.id)}</b>"]
    words.append("no score" if item.score is None else f"score {_score(item.score)}")
    words += [escape(part) for part in (item.reason, item.note) if part]
    return f"<figure>{_img(item.picture)}<figcaption>{' · '.join(words)}</figcaption></figure>"


def _score(score: float | None) -> str:
    return UNDEFINED if score is None else f"{score:.0f}" if abs(score) >= 10000 else f"{score:.4g}"


def _all_items(shown: ShownRound) -> str:
    if not shown.items:
        return ""
    rows = [
        [
            str(number),
            escape(item.id),
            _score(item.score),
            escape(item.reason or UNDEFINED),
            "labeled" if item.labeled else "<b>waiting</b>",
        ]
        for number, item in enumerate(shown.items, start=1)
    ]
    table = _table(
        "In the order in which they were chosen.", ["pick", "item", "score", "why", "state"], rows, words=(1, 3)
    )
    return (
        f"<details><summary>{_several(len(rows), 'item')} of round {shown.number} one by one</summary>{table}</details>"
    )


# -- embedding map -----------------------------------------------------------------------------------------------------


def _embedding(page: RunPage) -> str:
    if page.embedding is None:
        return ""
    text = "Every point is an item of the pool, placed by t-SNE of what the pretrained encoder makes of it: items that "
    text += "look alike to the encoder lie side by side. Distances between groups mean little."
    figure = f'<figure class="curve">{_img(page.embedding)}</figure>'
    return f'<section id="embedding"><h2>Embedding map</h2><div class="box"><p>{text}</p>{figure}</div></section>'


# -- test volumes -----------------------------------------------------------------------------------------------------


def _volumes(page: RunPage) -> str:
    lines = ['<section id="volumes"><h2>Test volumes</h2><div class="box">']
    if page.volumes:
        lines.append(
            f"<p>Predictions of the model of round {page.volumes_round} beside the truth, on the preprocessed grid and "
            "without any postprocessing"
            f"{', around the slice with most foreground' if any(volume.about for volume in page.volumes) else ''}. The "
            "3D Dice below a picture is that of the whole volume on the stored grid of its label file.</p>"
        )
        lines.append(_legend(page.volumes_legend, None))
    elif not page.volumes_notes:
        lines.append("<p>No predictions are shown.</p>")
    lines += _notes(page.volumes_notes)
    evaluated = _evaluated(page)
    metrics = next((own for number, own in evaluated if number == page.volumes_round), {})
    cards = [f"<li>{_volume(volume, metrics)}</li>" for volume in page.volumes]
    lines.append(f'<ul class="items">{"".join(cards)}</ul>' if cards else "")
    lines += [_all_volumes(number, own) for number, own in evaluated[-1:]]
    return "\n".join([*(line for line in lines if line), "</div></section>"])


def _volume(volume: ShownVolume, metrics: Mapping[str, Any]) -> str:
    words = [f"<b>{escape(volume.name)}</b>", escape(volume.place)]
    own = metrics.get("dice_3d", {}).get("per_volume", {}).get(volume.name, {})
    if own:
        words.append("3D Dice " + ", ".join(f"{escape(name)} {_digits(value, 3)}" for name, value in own.items()))
    if volume.about:
        words.append(escape(volume.about))
    return f"<figure>{_img(volume.picture)}<figcaption>{' · '.join(words)}</figcaption></figure>"


def _all_volumes(number: int, metrics: Mapping[str, Any]) -> str:
    dice = metrics.get("dice_3d", {}).get("per_volume") or {}
    if not dice:
        return ""
    distances = metrics.get("hd95_3d", {}).get("per_volume") or {}
    classes = list(next(iter(dice.values())))
    head = ["volume", *(f"3D Dice {name}" for name in classes), *(f"{_hd95_title(metrics)} {c}" for c in classes)]
    means = {volume: _average(own.values()) for volume, own in dice.items()}
    undefined_last = {volume: -1.0 if mean is None else mean for volume, mean in means.items()}
    order = sorted(dice, key=undefined_last.__getitem__, reverse=True)
    rows = [
        [
            escape(volume),
            *(_digits(dice[volume].get(name), 3) for name in classes),
            *(_digits(distances.get(volume, {}).get(name), 1) for name in classes),
        ]
        for volume in order
    ]
    table = _table(f"Scores of round {number}, the best volume first.", head, rows)
    return f"<details><summary>{_several(len(rows), 'test volume')} one by one</summary>{table}</details>"


# -- scores per class -------------------------------------------------------------------------------------------------


def _classes(page: RunPage) -> str:
    title = '<section id="classes"><h2>Scores per class</h2><div class="box">'
    if not _evaluated(page):
        return f"{title}<p>No round is evaluated yet.</p></div></section>"
    number, metrics = _evaluated(page)[-1]
    head = ["class", "3D Dice", "2D Dice", _hd95_title(metrics), "found", "missed", "false alarms", "both empty"]
    head.append("slices with a false alarm")
    per_class = metrics.get("counts", {}).get("per_class", {})
    rows = [
        [
            escape(name),
            *(_digits(_of_class(metrics, key, name), 3) for key in ("dice_3d", "dice_2d")),
            _digits(_of_class(metrics, "hd95_3d", name), 1),
            *_count_cells(per_class.get(name, {})),
        ]
        for name in _class_names(page)
    ]
    if len(rows) != 1:
        means = [_digits(_mean(metrics, "dice_3d"), 3), _digits(_mean(metrics, "dice_2d"), 3)]
        means.append(_digits(_mean(metrics, "hd95_3d"), 1))
        rows.append(["<b>all</b>", *means, *_count_cells(metrics.get("counts", {}))])
    table = _table(f"Round {number}, on the stored grid of the label files.", head, rows)
    return f"{title}{table}<p class='soft'>{_how_scored(metrics)}</p></div></section>"


def _count_cells(counts: Mapping[str, Any]) -> list[str]:
    cells = [_whole(counts.get(key)) for key in ("defined", "prediction_empty", "truth_empty", "both_empty")]
    wrong, without = counts.get("false_positive_slices"), counts.get("slices_without_foreground")
    return [*cells, f"{_whole(wrong)} of {_whole(without)}" if without else UNDEFINED]


def _how_scored(metrics: Mapping[str, Any]) -> str:
    sentences = [
        "Counts are volumes: found where truth and prediction hold the class, missed where only the truth does, a "
        "false alarm where only the prediction does, both empty where neither does.",
    ]
    if metrics.get("empty_policy") is not None:
        sentences.append(f"Policy for empty masks: {metrics['empty_policy']}.")
    distance = metrics.get("hd95_3d", {})
    if distance.get("variant") is not None:
        sentences.append(f"HD95 is the {distance['variant']}, with {_whole(distance.get('penalties'))} penalties.")
    if distance.get("spacing_is_placeholder"):
        sentences.append("The spacing of this data set is a placeholder, so HD95 is no length in mm.")
    if metrics.get("model") is not None:
        chosen = f"Model: {metrics['model']}"
        used = metrics.get("validation_labeled")
        sentences.append(f"{chosen}, for which {used} labeled items of validation were used." if used else f"{chosen}.")
    return escape(" ".join(sentences))


# -- settings ---------------------------------------------------------------------------------------------------------


def _settings(page: RunPage) -> str:
    record, learner = page.record, _learner(page.record)
    training = _training(record)
    top = {key: record[key] for key in _ASKED if record.get(key) is not None}
    asked = top | {key: value for key, value in learner.items() if key not in top}
    simple = {key: value for key, value in training.items() if key not in asked and _is_plain(value)}
    return "\n".join(
        [
            '<section id="settings"><h2>Settings</h2><div class="box">',
            "<details><summary>What was asked of this run, and the versions</summary>",
            _key_table("The loop", asked),
            _key_table("Training", simple),
            _key_table("Versions", record.get("versions") or {}),
            "<details><summary>Everything, as it stands in run.json</summary>",
            f"<pre>{escape(json.dumps(record, indent=1, ensure_ascii=False, default=str))}</pre>",
            "</details></details></div></section>",
        ]
    )


_ASKED = ("strategy", "annotator", "budget", "rounds", "sizes", "items", "seed", "threads", "config_hash")


def _learner(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return (record.get("config") or {}).get("learner") or {}


def _training(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return (record.get("config") or {}).get("training") or {}


def _is_plain(value: Any) -> bool:
    """A number, a word or a list of them; what is computed from other ids tells nothing here."""
    if isinstance(value, str):
        return not value.startswith(("$", "@"))
    if isinstance(value, list):
        return all(not isinstance(entry, (Mapping, list)) and _is_plain(entry) for entry in value)
    return not isinstance(value, Mapping)


def _key_table(caption: str, entries: Mapping[str, Any]) -> str:
    rows = [[escape(str(key)), escape(_words(value))] for key, value in entries.items()]
    return _table(caption, ["name", "value"], rows, words=(1,)) if rows else ""


def _words(value: Any) -> str:
    if value is None:
        return UNDEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_words(entry)}" for key, entry in value.items()) or UNDEFINED
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value)) or UNDEFINED
    return str(value)


# -- small parts ------------------------------------------------------------------------------------------------------


def _img(picture: Picture | None) -> str:
    if picture is None:
        return ""
    file = escape(picture.file)
    size = f'width="{picture.width}" height="{picture.height}"'
    return f'<a href="{file}"><img src="{file}" alt="{escape(picture.alt)}" {size}></a>'


def _notes(notes: Iterable[str]) -> list[str]:
    return [f'<p class="note">{escape(note)}</p>' for note in notes]


def _legend(swatches: Iterable[Swatch], scale: tuple[str, float] | None) -> str:
    entries = [
        f'<li><span class="swatch {escape(swatch.kind)}" '
        f'style="background:{escape(swatch.color)};border-color:{escape(swatch.color)}"></span>{escape(swatch.name)}</li>'
        for swatch in swatches
    ]
    if scale is not None:
        entries.append(f'<li>{escape(scale[0])} 0<span class="ramp"></span>{scale[1]:.2g}</li>')
    return f'<ul class="legend">{"".join(entries)}</ul>' if entries else ""


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already, under a header that is not; the columns ``words`` hold text."""

    def kind(column: int) -> str:
        return ' class="words"' if column in words else ""

    header = "".join(f'<th scope="col"{kind(i)}>{escape(str(name))}</th>' for i, name in enumerate(head))
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{cell}</th>' if i == 0 else f"<td{kind(i)}>{cell}</td>" for i, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    table = f'<table aria-label="{escape(caption)}"><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>'
    return f'<p class="caption">{escape(caption)}</p><div class="scroll">{table}</div>'


def _evaluated(page: RunPage) -> list[tuple[int, Mapping[str, Any]]]:
    """Number and metrics of the evaluated rounds."""
    return [(shown.number, shown.metrics) for shown in page.rounds if shown.metrics is not None]


def _last_metrics(page: RunPage) -> Mapping[str, Any]:
    """Those of the last evaluated round; nothing where there is none."""
    return next((metrics for _, metrics in reversed(_evaluated(page))), {})


def _class_names(page: RunPage) -> list[str]:
    return list((_last_metrics(page).get("dice_3d") or {}).get("per_class") or {})


def _mean(metrics: Mapping[str, Any], key: str) -> float | None:
    return (metrics.get(key) or {}).get("mean")


def _of_class(metrics: Mapping[str, Any], key: str, name: str) -> float | None:
    return ((metrics.get(key) or {}).get("per_class") or {}).get(name)


def _average(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def _hd95_title(metrics: Mapping[str, Any]) -> str:
    return "HD95 (not mm)" if _placeholder(metrics) else "HD95 (mm)"


def _placeholder(metrics: Mapping[str, Any]) -> str:
    return "spacing is a placeholder" if (metrics.get("hd95_3d") or {}).get("spacing_is_placeholder") else ""


def _digits(value: float | None, digits: int) -> str:
    return UNDEFINED if value is None else f"{value:.{digits}f}"


def _whole(value: Any) -> str:
    return UNDEFINED if value is None else f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else str(value)


def _cost(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.4g}"


def _percent(fraction: float | None) -> str:
    return UNDEFINED if fraction is None else f"{100 * fraction:.1f}\u202f%"


def _seconds(value: float | None) -> str:
    return UNDEFINED if value is None else _duration(value)


def _duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _several(number: int | None, word: str) -> str:
    return f"{_whole(number)} {word}{'' if number == 1 else 's'}"

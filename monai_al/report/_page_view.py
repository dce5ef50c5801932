# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the templates of the page are filled with: texts, numbers as people read them, and tables, but no markup."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from monai_al.records.cost_text import assumptions_text
from monai_al.records.outside_text import outside_text
from monai_al.report._page_numbers import (
    UNDEFINED,
    digits,
    duration,
    evaluated_rounds,
    hd95_title,
    is_tested,
    last_metrics,
    mean_score,
    of_volumes,
    percent,
    placeholder_remark,
    seconds,
    several,
    significant,
    whole,
)
from monai_al.report._page_tables import (
    PageTable,
    class_table,
    item_table,
    key_table,
    round_table,
    sensitivity_table,
    volume_table,
)
from monai_al.report.page_content import RunPage, ShownItem, ShownRound, ShownVolume

__all__ = ["page_view"]

ASKED = ("strategy", "annotator", "budget", "rounds", "sizes", "items", "seed", "threads", "config_hash")


def page_view(page: RunPage) -> dict[str, Any]:
    """Template variable -> what stands there.

    Example:
        >>> page_view(RunPage("demo", {"strategy": "random", "sizes": [4, 4]}))["head"]["state"]
        'Not finished: 0 of 2 rounds done.'
    """
    return {
        "page": page,
        "tested": is_tested(last_metrics(page)),
        "scored": is_tested(last_metrics(page)) or last_metrics(page).get("dice_folds") is not None,
        "head": _head(page),
        "round_table": round_table(page),
        "costs": _costs(page),
        "rounds": [_round(shown) for shown in page.rounds],
        "volumes": _volumes(page),
        "classes": _classes(page),
        "settings": _settings(page),
    }


# -- the top -----------------------------------------------------------------------------------------------------------


def _head(page: RunPage) -> dict[str, Any]:
    finished, state = _state(page)
    return {
        "strategy": str(page.record.get("strategy", UNDEFINED)),
        "facts": _facts(page),
        "finished": finished,
        "state": state,
        "tiles": _tiles(page),
        "links": _links(page),
    }


def _facts(page: RunPage) -> list[str]:
    facts = []
    if isinstance(page.record.get("items"), int):
        facts.append(f"a pool of {page.record['items']} items")
    counts = last_metrics(page).get("counts") or {}
    if counts.get("volumes") == 0:
        facts.append("tested on no volume")
    elif counts.get("volumes") is not None:
        facts.append(
            f"tested on {several(counts['volumes'], 'volume')} of {several(counts.get('patients'), 'patient')}"
        )
    return [*facts, f"seed {page.record.get('seed', _section(page.record, 'learner').get('seed', UNDEFINED))}"]


def _state(page: RunPage) -> tuple[bool, str]:
    """Whether the run is finished, and how far it is."""
    done = len(evaluated_rounds(page))
    sizes = page.record.get("sizes")
    planned = len(sizes) if isinstance(sizes, Sequence) else None
    if planned is not None and done >= planned:
        text = "The one round is done." if planned == 1 else f"All {planned} rounds are done."
        return True, text + _following(page.rounds, planned)
    text = f"Not finished: {several(done, 'round') if planned is None else f'{done} of {planned} rounds'} done."
    waiting = _waiting(page.rounds[-1]) if page.rounds else []
    if waiting:
        text += f" Round {page.rounds[-1].number} waits for the labels of {several(len(waiting), 'item')}."
    return False, text


def _following(rounds: Sequence[ShownRound], planned: int) -> str:
    """What is waiting of the query after the last round."""
    waiting = next((_waiting(shown) for shown in rounds if shown.number == planned), [])
    return f" The query after them waits for the labels of {several(len(waiting), 'item')}." if waiting else ""


def _tiles(page: RunPage) -> list[dict[str, str]]:
    """The figures of the last evaluated round."""
    evaluated = evaluated_rounds(page)
    if not evaluated:
        return []
    (first, start), (last, metrics) = evaluated[0], evaluated[-1]
    before = f"round {first}: {digits(mean_score(start, 'dice_3d'), 3)}" if first < last else ""
    share = f"{percent(metrics.get('fraction'))} of {whole(page.record.get('items'))}"
    total = sum(sum(shown.timings.values()) for shown in page.rounds)
    tests = [
        ("mean 3D Dice", digits(mean_score(metrics, "dice_3d"), 3), before),
        (hd95_title(metrics), digits(mean_score(metrics, "hd95_3d"), 1), placeholder_remark(metrics)),
    ]
    if not is_tested(metrics):
        score = digits(mean_score(metrics, "dice_query"), 3)
        tests = [("2D Dice on the last query", score, "of the network before, on slices that were chosen")]
    tiles = [
        ("labeled items", whole(metrics.get("labeled")), share),
        *_annotation_time(metrics, page.minutes),
        *tests,
        ("computing time", duration(total) if total else UNDEFINED, "training, evaluating, choosing"),
    ]
    return [{"name": name, "value": value, "remark": remark} for name, value, remark in tiles]


def _annotation_time(metrics: Mapping[str, Any], minutes: float) -> list[tuple[str, str, str]]:
    """What the labels so far took, by what they cost in full slices."""
    slices = ((metrics.get("cost") or {}).get("models") or {}).get("slices")
    if slices is None:
        return []
    remark = f"as long as {significant(slices)} full slices of {minutes:g} min (report --minutes, assumed)"
    return [("annotation time", duration(60 * minutes * slices), remark)]


def _links(page: RunPage) -> list[tuple[str, str]]:
    """Anchors on the page and the texts that lead there."""
    links = [("curve", "Learning curve"), *((f"round-{r.number}", f"Round {r.number}") for r in page.rounds)]
    links += [("embedding", "Embedding map")] if page.embedding else []
    links += [("restoration", "Pretraining")] if page.restoration else []
    links += [("volumes", "Test volumes"), ("classes", "Scores per class")] if is_tested(last_metrics(page)) else []
    return [*links, ("settings", "Settings")]


def _costs(page: RunPage) -> dict[str, Any]:
    """What the costs of the last evaluated round assume, and how they depend on it."""
    parameters = (last_metrics(page).get("cost") or {}).get("parameters")
    return {"about": assumptions_text(parameters) if parameters else "", "table": sensitivity_table(page)}


# -- rounds ------------------------------------------------------------------------------------------------------------


def _round(shown: ShownRound) -> dict[str, Any]:
    waiting = _waiting(shown)
    who = dict.fromkeys(f"{label.annotator} ({label.kind} labels)" for one in shown.returns for label in one.labels)
    refused = [item for item in shown.items if item.refused]
    return {
        "shown": shown,
        "n_items": len(shown.items),
        "n_labeled": sum(item.labeled for item in shown.items),
        "n_refused": len(refused),
        "refused": "; ".join(dict.fromkeys(str(item.refused) for item in refused)),
        "n_waiting": len(waiting),
        "annotators": ", ".join(who),
        "waiting": ", ".join(waiting[:5]) + (" …" if len(waiting) > 5 else "."),
        "result": None if shown.metrics is None else _result(shown.metrics, shown.timings),
        "cards": [_card(item, number) for number, item in enumerate(shown.items, start=1) if item.picture is not None],
        "table": item_table(shown),
    }


def _waiting(shown: ShownRound) -> list[str]:
    return [item.id for item in shown.items if not (item.labeled or item.refused)]


def _result(metrics: Mapping[str, Any], timings: Mapping[str, float]) -> dict[str, Any]:
    """What training on the labels made of them."""
    cost, labeled = metrics.get("cost") or {}, metrics.get("labeled")
    origin = ""
    if cost.get("volumes") is not None:
        origin = f"{several(cost['volumes'], 'volume')} of {several(cost.get('patients'), 'patient')} "
        origin += f"({whole(cost.get('foreground_voxels'))} voxels of foreground)"
    return {
        "labeled": f"{several(labeled, 'item')} in all {'was' if labeled == 1 else 'were'} labeled",
        "pseudo": several(metrics["pseudo"], "pseudo label") if metrics.get("pseudo") else "",
        "origin": origin,
        "cost": significant(cost.get("total")),
        "trained_in": seconds(timings.get("train_s")),
        "dice": digits(mean_score(metrics, "dice_3d"), 3) if is_tested(metrics) else None,
    }


def _card(item: ShownItem, number: int) -> dict[str, Any]:
    score = "no score" if item.score is None else f"score {significant(item.score)}"
    return {
        "picture": item.picture,
        "title": f"{number}. {item.id}",
        "facts": [score, *(text for text in (item.reason, item.note) if text)],
    }


# -- test volumes and classes ------------------------------------------------------------------------------------------


def _volumes(page: RunPage) -> dict[str, Any]:
    evaluated = evaluated_rounds(page)
    predicted = next((own for number, own in evaluated if number == page.volumes_round), {})
    dice = of_volumes(predicted, "dice_3d")
    return {
        "cards": [_volume_card(volume, dice.get(volume.name) or {}) for volume in page.volumes],
        "of_slices": any(volume.about for volume in page.volumes),
        "table": volume_table(*evaluated[-1]) if evaluated else None,
    }


def _volume_card(volume: ShownVolume, dice: Mapping[str, float | None]) -> dict[str, Any]:
    scores = "3D Dice " + ", ".join(f"{name} {digits(value, 3)}" for name, value in dice.items()) if dice else ""
    facts = [volume.place, *(text for text in (scores, volume.about) if text)]
    return {"picture": volume.picture, "title": volume.name, "facts": facts}


def _classes(page: RunPage) -> dict[str, Any]:
    return {"table": class_table(page), "remarks": _how_scored(last_metrics(page))}


def _how_scored(metrics: Mapping[str, Any]) -> list[str]:
    sentences = []
    if metrics.get("empty_policy") is not None:
        sentences.append(f"Policy for empty masks: {metrics['empty_policy']}.")
    if metrics.get("scored_on") is not None:
        sentences.append(f"Scored on the {metrics['scored_on']}.")
    outside = outside_text(metrics)
    if outside is not None:
        sentences.append(f"{outside}.")
    distance = metrics.get("hd95_3d") or {}
    if distance.get("variant") is not None:
        n = distance.get("penalties")
        sentences.append(f"HD95 is the {distance['variant']}, with {whole(n)} {'penalty' if n == 1 else 'penalties'}.")
    if distance.get("spacing_is_placeholder"):
        sentences.append("The spacing of this data set is a placeholder, so HD95 is no length in mm.")
    if metrics.get("model") is not None:
        used = metrics.get("validation_labeled")
        labels = (
            f"{used} labeled {'item' if used == 1 else 'items'} of validation {'was' if used == 1 else 'were'} used"
        )
        kinds = metrics.get("validation_kinds") or {}
        what = f" ({', '.join(f'{number} {kind}' for kind, number in kinds.items())})" if kinds else ""
        apart = ", left out of the training" if metrics.get("validated_on") == "labeled" else ""
        sentences.append(f"Model: {metrics['model']}{f', for which {labels}{what}{apart}' if used else ''}.")
    return sentences


# -- settings ----------------------------------------------------------------------------------------------------------


def _settings(page: RunPage) -> dict[str, Any]:
    record = page.record
    top = {key: record[key] for key in ASKED if record.get(key) is not None}
    asked = top | {key: value for key, value in _section(record, "learner").items() if key not in top}
    training = _section(record, "training")
    encoder = asked.pop("encoder", None) or {}
    own = {key: value for key, value in encoder.items() if _is_plain(value) and training.get(key) != value}
    simple = {key: value for key, value in training.items() if key not in asked and _is_plain(value)}
    tables: list[PageTable | None] = [
        key_table("The loop", asked),
        key_table("Training", simple),
        key_table("Pretrained encoder, where it is not as the training", own),
        key_table("Versions", record.get("versions") or {}),
    ]
    return {
        "tables": [table for table in tables if table is not None],
        "everything": json.dumps(record, indent=1, ensure_ascii=False, default=str),
    }


def _section(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return (record.get("config") or {}).get(name) or {}


def _is_plain(value: Any) -> bool:
    """A number, a word or a list of them; what is computed from other ids tells nothing here."""
    if isinstance(value, str):
        return not value.startswith(("$", "@"))
    if isinstance(value, list):
        return all(not isinstance(entry, (Mapping, list)) and _is_plain(entry) for entry in value)
    return not isinstance(value, Mapping)

# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which image a label may belong to, by the numbers and words of their paths."""

from __future__ import annotations

import functools
import itertools
import operator
import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from monai_al.data.reading import name_without_suffix
from monai_al.datasets.names import CHANNEL
from monai_al.datasets.pairing import Named, pair_by_name
from monai_al.records import DataError

__all__ = ["common_folder", "fitting_images", "name_shape", "name_tokens"]

Token = int | str
_TOKEN = re.compile(r"\d+|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_A-Za-z]+")
_AT_MOST = 10  # tokens of a label that may or may not be of its image's name


def name_tokens(path: str) -> tuple[Token, ...]:
    """The numbers and words of a path without its suffix, in their order.

    Zeros before a number count as nothing, and the name of a folder counts once where it is repeated further on.

    Example:
        >>> name_tokens("imagesTr/patient007/patient007_frame01.nii.gz")
        ('images', 'tr', 'patient', 7, 'frame', 1)
    """
    folders = PurePosixPath(path).parts[:-1]
    parts = [_tokens(part) for part in (*folders, name_without_suffix(path))]
    kept = [
        part
        for place, part in enumerate(parts)
        if len(part) < 2 or not any(later[: len(part)] == part for later in parts[place + 1 :])
    ]
    return tuple(itertools.chain.from_iterable(kept))


def name_shape(path: str) -> tuple[str, ...]:
    """The tokens of a path, with one sign for all numbers.

    Example:
        >>> name_shape("patient007_frame01.nii.gz")
        ('patient', '#', 'frame', '#')
    """
    return tuple("#" if isinstance(token, int) else token for token in name_tokens(path))


def _tokens(text: str) -> tuple[Token, ...]:
    return tuple(int(token) if token.isdecimal() else token.lower() for token in _TOKEN.findall(text))


def fitting_images(images: Iterable[str], labels: Iterable[str]) -> dict[str, frozenset[str]]:
    """The images that each label may belong to by its name; none where the names tell nothing.

    A name's key is its tokens without those that only images, or only labels, have in common. A token that all labels
    share may still tell one image from the others, where labels are few: such a label fits the images with most of its
    tokens, as long as no two labels fit one image so. Where that finds none, or several, the rules count by which
    labels in folders find their images (:func:`monai_al.datasets.pairing.pair_by_name`).

    Args:
        images: their absolute paths.
        labels: the same.

    Example:
        >>> fits = fitting_images(["/d/im/img07.png", "/d/im/img12.png"], ["/d/la/lbl7.png", "/d/la/mean.png"])
        >>> fits["/d/la/lbl7.png"], fits["/d/la/mean.png"]
        (frozenset({'/d/im/img07.png'}), frozenset())
    """
    images, labels = list(dict.fromkeys(images)), list(dict.fromkeys(labels))
    if not images or not labels:
        return dict.fromkeys(labels, frozenset())
    found = _fits_by_tokens(images, labels)
    unsure = [label for label, fits in found.items() if len(fits) != 1]
    known = _by_folders(images, labels) if unsure else {}
    sure = [label for label in unsure if label in known and (not found[label] or known[label] in found[label])]
    return found | {label: frozenset([known[label]]) for label in sure}


def common_folder(paths: Sequence[str]) -> str:
    """The folder that all files share.

    Example:
        >>> common_folder(["/d/images/a.nii", "/d/labels/a.nii"])
        '/d'
    """
    return os.path.commonpath([os.path.dirname(path) for path in paths])


# --- tokens -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Name:
    """The tokens of a path, and which of them all names of its kind have at this place."""

    tokens: tuple[Token, ...]
    shared: tuple[bool, ...]


def _fits_by_tokens(images: Sequence[str], labels: Sequence[str]) -> dict[str, frozenset[str]]:
    """Path of a label -> paths of the images whose key it may have."""
    (image_names, of_images), (label_names, of_labels) = map(_names, _tokens_of(images, labels))
    by_key: dict[tuple[Token, ...], list[str]] = {}
    for path, name in image_names.items():
        by_key.setdefault(_key_of_image(name, of_images - of_labels), []).append(path)
    telling = set(itertools.chain.from_iterable(by_key))
    keys = {path: _keys_of_label(name, of_labels - of_images, telling) for path, name in label_names.items()}
    # with several images, a name without any token that tells says nothing
    fits = {path: [key for key in own if key in by_key and (key or len(images) == 1)] for path, own in keys.items()}
    longest = {path: [key for key in own if len(key) == len(own[0])] for path, own in fits.items()}
    times = Counter(itertools.chain.from_iterable(longest.values()))
    chosen = longest if max(times.values(), default=0) < 2 else fits
    return {path: frozenset(image for key in own for image in by_key[key]) for path, own in chosen.items()}


def _tokens_of(images: Sequence[str], labels: Sequence[str]) -> Iterator[dict[str, tuple[Token, ...]]]:
    """Path -> its tokens below the folder of all, without the numbers of channels that only images have."""
    root = common_folder([*images, *labels])
    numbered = [all(CHANNEL.search(name_without_suffix(path)) for path in paths) for paths in (images, labels)]
    for paths, end in ((images, -1 if numbered == [True, False] else None), (labels, None)):
        yield {path: name_tokens(os.path.relpath(path, root))[:end] for path in paths}


def _names(tokens_of: Mapping[str, tuple[Token, ...]]) -> tuple[dict[str, _Name], Counter[Token]]:
    """The names of some paths, and the tokens that all of them have."""
    places = {path: _places(tokens) for path, tokens in tokens_of.items()}
    common = functools.reduce(operator.and_, map(set, places.values()))
    names = {path: _Name(tokens, tuple(one in common for one in places[path])) for path, tokens in tokens_of.items()}
    return names, Counter(place[-1] for place in common)


def _places(tokens: Iterable[Token]) -> list[tuple[Token, ...]]:
    """Where each token stands: a word by which time it comes, a number by the word before it and what lies between."""
    times: Counter[Token] = Counter()
    found: list[tuple[Token, ...]] = []
    word: tuple[Token, ...] = ()
    after = 0
    for token in tokens:
        if isinstance(token, str):
            times[token] += 1
            word, after = (times[token], token), 0
            found.append(word)
        else:
            found.append((*word, after, token))
            after += 1
    return found


def _key_of_image(name: _Name, extra: Counter[Token]) -> tuple[Token, ...]:
    """An image's tokens without those that only images have in common."""
    left, kept = Counter(extra), []
    for token, shared in zip(name.tokens[::-1], name.shared[::-1], strict=True):
        if shared and left[token]:
            left[token] -= 1
        else:
            kept.append(token)
    return tuple(kept[::-1])


def _keys_of_label(name: _Name, extra: Counter[Token], telling: Container[Token]) -> list[tuple[Token, ...]]:
    """The keys that a label may have, the longest first: what only labels have in common may tell images apart, or not.

    Words that no image has tell nothing, but a number says that the label is of another image.
    """
    told = [(token, shared) for token, shared in zip(name.tokens, name.shared, strict=True) if token in telling]
    if any(isinstance(t, int) and t not in telling and not s for t, s in zip(name.tokens, name.shared, strict=True)):
        return []
    open_places = [place for place, (token, shared) in enumerate(told) if shared and extra[token]]
    if len(open_places) > _AT_MOST:
        return []
    found: dict[tuple[Token, ...], None] = {}
    for n in range(len(open_places) + 1):
        for gone in itertools.combinations(open_places, n):
            if Counter(told[place][0] for place in gone) <= extra:
                found[tuple(token for place, (token, _) in enumerate(told) if place not in gone)] = None
    return list(found)


# --- folders ----------------------------------------------------------------------------------------------------------


def _by_folders(images: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """Path of a label -> that of its image, as in a folder of both; nothing where an image would have two labels."""
    roots = [common_folder(paths) for paths in (images, labels)]
    both = common_folder([*images, *labels])
    if both in roots:  # they lie among each other
        roots = [both, both]
    named = [[_named(path, root) for path in paths] for paths, root in zip((images, labels), roots, strict=True)]
    path_of = {image.key: image.path for image in named[0]}
    try:
        label_of, _ = pair_by_name(*named)
    except DataError:
        return {}
    return {label.path: path_of[key] for key, label in label_of.items()} if len(path_of) == len(images) else {}


def _named(path: str, root: str) -> Named:
    below = Path(os.path.relpath(path, root))
    return Named(path, (below.parent / name_without_suffix(below)).as_posix())

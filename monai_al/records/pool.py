# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""All items of a data set, with the names of their classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from monai_al.records.item import SLICE_AXIS, Item
from monai_al.records.item_table import IdIndex, ItemTable
from monai_al.records.label_values import whole_label_values

__all__ = ["SPLITS", "Pool", "split_by_patient"]

SPLITS = ("train", "validation", "test")


class Pool(Sequence[Item]):
    """The items of a data set in a fixed order, and what their labels mean.

    A pool never changes; which of its items are labeled is the sum of a run folder's files. Its items are kept as
    columns (:class:`~monai_al.records.item_table.ItemTable`), so that a million slices take little memory.

    Args:
        items: the items; their ids must be unique.
        classes: names of the classes, background first; the position is the class number.
        label_values: stored label value -> class number, or 255 for "not annotated". Default: the class numbers
            themselves.
        root: folder the items' paths are shown relative to.
        notes: sentences for the user about this data set (files left out, where the patient's name comes from).
        placeholder_spacing: the files' voxel size is known to be a placeholder, so that millimetres mean nothing.
        affine_tolerated: it is known that affines of an image and its label may differ, and that the image's is right.
        slice_axis: how the slice axis of each item was chosen, and is chosen for other volumes of this kind: 0, 1 or 2
            for all of them, or ``"coarsest"`` for that of each file.
        sizes_tolerated: it is known that pictures and their labels may differ in rows and columns, and show one view.
        patients_shared: it is known that a patient may lie in two splits, because somebody else drew them.

    Raises:
        ValueError: two items share an id, a split is unknown, one patient lies in two splits, or a label value is no
            whole number, or the classes are one text.

    Example:
        >>> from monai_al.records import Item
        >>> pool = Pool([Item("a", "a.png", "a", "a"), Item("b", "b.png", "b", "b", split="test")])
        >>> len(pool), pool.index("b"), [item.id for item in pool.part("train")]
        (2, 1, ['a'])
    """

    def __init__(
        self,
        items: Iterable[Item],
        classes: Sequence[str] = ("background", "foreground"),
        label_values: Mapping[int, int] | None = None,
        root: str | None = None,
        notes: Sequence[str] = (),
        placeholder_spacing: bool = False,
        affine_tolerated: bool = False,
        slice_axis: int | str = SLICE_AXIS,
        sizes_tolerated: bool = False,
        patients_shared: bool = False,
    ) -> None:
        if isinstance(classes, str):
            raise ValueError(f"classes must be a list of names, background first, got {classes!r}")
        self.items = ItemTable.of(items)
        self.classes = tuple(classes)
        own = {c: c for c in range(len(self.classes))}
        self.label_values = own if label_values is None else whole_label_values(label_values)
        self.root = root
        self.notes = tuple(notes)
        self.placeholder_spacing = placeholder_spacing
        self.affine_tolerated = affine_tolerated
        self.slice_axis = slice_axis
        self.sizes_tolerated = sizes_tolerated
        self.patients_shared = patients_shared
        self._index = IdIndex(self.items)
        self._check()

    def _check(self) -> None:
        split_of: dict[str, str] = {}
        for whole in self.items.wholes:
            if whole.split not in SPLITS:
                first = self.items[int(self.items.where(lambda one, wrong=whole: one is wrong)[0])]
                raise ValueError(f"item {first.id!r}: split {first.split!r} is none of {', '.join(SPLITS)}")
            other = split_of.setdefault(whole.patient, whole.split)
            if other != whole.split and not self.patients_shared:
                raise ValueError(f"patient {whole.patient!r} lies in two splits, {other} and {whole.split}")

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __getitem__(self, index):  # an int gives an Item, a slice a tuple of them
        return self.items[index]

    def __repr__(self) -> str:
        return f"Pool({len(self)} items, {len(self.volumes)} volumes, {len(self.patients)} patients)"

    def index(self, id: str) -> int:  # type: ignore[override]
        """Position of the item with this id.

        Raises:
            KeyError: no item has it.
        """
        position = self._index.get(id)
        if position is None:
            raise KeyError(f"no item {id!r} in this pool of {len(self)} items")
        return position

    @property
    def volumes(self) -> tuple[str, ...]:
        """Names of the volumes, in order of first appearance."""
        return self.items.names("volume")

    @property
    def patients(self) -> tuple[str, ...]:
        """The patients, in order of first appearance."""
        return self.items.names("patient")

    def part(self, split: str) -> Pool:
        """The items of one split, in the same order.

        Raises:
            ValueError: the split is unknown.
        """
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is none of {', '.join(SPLITS)}")
        return self.with_items(self.items.take(self.items.where(lambda whole: whole.split == split)))

    def with_items(self, items: Iterable[Item]) -> Pool:
        """A pool of other items of which the same is known: classes, label values, root, notes, geometry."""
        return Pool(
            items,
            self.classes,
            self.label_values,
            self.root,
            self.notes,
            self.placeholder_spacing,
            self.affine_tolerated,
            self.slice_axis,
            self.sizes_tolerated,
            self.patients_shared,
        )


def split_by_patient(
    pool: Pool, *, test: float = 1 / 3, validation: float = 0.0, seed: int = 0, annotate_test: int = 0
) -> Pool:
    """Assign every patient, with all its volumes, to one split.

    The numbers of test and validation patients are rounded to the nearest integer, at least one where the fraction
    is above 0. The choice depends on the patients' names and ``seed`` alone. A test or validation part that the data
    set already has stays as it is, and the other one is drawn from the patients that may be annotated.

    Args:
        pool: the pool to split.
        test: share of the patients for testing, in [0, 1); means nothing where the data set has a test part.
        validation: share of the patients for validation, in [0, 1); the same holds for a validation part.
        seed: seed of the split, independent of the experiment's seed.
        annotate_test: this many patients are the test part, in place of ``test``; people annotate it.

    Returns:
        The same items in the same order with their ``split`` set.

    Raises:
        ValueError: it is no pool, a fraction is out of range, too few patients are there for the parts asked for, or
            people are to annotate a test part although the data set has one.

    Example:
        >>> from monai_al.records import Item
        >>> pool = Pool([Item(name, name, name, name) for name in "abc"])
        >>> sorted(item.split for item in split_by_patient(pool))
        ['test', 'train', 'train']
    """
    from monai_al.records.randomness import rng

    if not isinstance(pool, Pool):
        raise ValueError(f"--datalist must give a pool, as those of configs/datasets do, got {pool!r}")
    for name, fraction in (("test", test), ("validation", validation)):
        if not 0 <= fraction < 1:
            raise ValueError(f"{name} fraction must lie in [0, 1), got {fraction}")
    placed = {whole.patient: whole.split for whole in pool.items.wholes if whole.split != "train"}
    if annotate_test and "test" in placed.values():
        raise ValueError(f"--annotate_test {annotate_test}: the data set has a test part of its own; give 0")
    patients = sorted(set(pool.patients) - set(placed))
    fractions = {"test": test, "validation": validation}
    drawn = {part: share for part, share in fractions.items() if share > 0 and part not in placed.values()}
    counts = {part: max(1, round(share * len(patients))) for part, share in drawn.items()}
    counts |= {"test": annotate_test} if annotate_test else {}
    n_test, n_validation = counts.get("test", 0), counts.get("validation", 0)
    if n_test + n_validation >= len(patients) and (counts or not placed):
        found = (
            "is only one patient, and one patient cannot be split"
            if len(patients) == 1
            else f"are {len(patients)} patients"
        ) + (", beside those of the data set's own parts" if placed else "")
        raise ValueError(
            f"cannot take {n_test} test and {n_validation} validation patients and keep one to train on: there "
            f"{found}. Splits are by patient, never by slice; add patients, or lower --test_fraction and "
            "--validation_fraction"
        )
    order = [patients[i] for i in rng(seed, 0, "split").permutation(len(patients))]
    split_of = dict.fromkeys(order[:n_test], "test") | dict.fromkeys(
        order[n_test : n_test + n_validation], "validation"
    )
    items = pool.items.with_wholes(lambda one: replace(one, split=split_of.get(one.patient, one.split)))
    return pool.with_items(items)

# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What modules returned, kept for later calls, and the signs that it may no longer be used."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from monai_al.inferers._leaves import are_known, leaves, map_leaves, same, storages, tensors

__all__ = ["Recording", "Step", "is_trackable"]

Step = tuple[nn.Module, bool]


@dataclass(eq=False, slots=True)
class _Slot:
    """A recorded tensor.

    ``owned``: it is not one that the module was given. ``copy`` is what it was before a call; ``spent``: that copy has
    taken its place.
    """

    tensor: Tensor
    version: int
    owned: bool
    copy: Tensor | None = None
    spent: bool = False

    @property
    def changed(self) -> bool:
        return self.tensor._version != self.version


class Recording:
    """Outputs by the step's number. PyTorch counts the changes in place of every tensor; these counts are compared.

    Args:
        inputs: the leaves of the network's arguments, which must stay as they are.
        held: what the network holds, which must stay as it is.

    Attributes:
        steps: the modules that were called, one after the other, and whether they bore a hook.
    """

    def __init__(self, inputs: Sequence[Any], held: Sequence[Any]) -> None:
        self.inputs = list(inputs)
        self.steps: list[Step] = []
        self._held = list(held)
        self._steady = [(tensor, tensor._version) for tensor in tensors((*inputs, *held))]
        self._outputs: dict[int, Any] = {}
        self._slots: dict[int, _Slot] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._outputs

    def holds_for(self, inputs: list[Any], held: list[Any]) -> bool:
        """The inputs and what the network holds are those that were recorded, and nothing has changed since."""
        steady = all(tensor._version == version for tensor, version in self._steady)
        return steady and self.is_unchanged() and same(self.inputs, inputs) and same(self._held, held)

    def is_unchanged(self) -> bool:
        return not any(slot.changed for slot in self._slots.values())

    def is_free_of(self, prediction: Any) -> bool:
        """No recorded tensor is part of the prediction, with which others may do as they like."""
        parts = leaves(prediction)
        recorded = storages(slot.tensor for slot in self._slots.values())
        return are_known(parts) and all(map(is_trackable, tensors(parts))) and not storages(tensors(parts)) & recorded

    def keep(self, number: int, given: Sequence[Tensor], output: Any) -> None:
        """Record what a module made of what it was given."""
        self._outputs[number] = map_leaves(functools.partial(self._slot, storages(given)), output)

    def take(self, number: int) -> Any:
        """What was kept for this step, as it was then."""
        copies: dict[_Slot, Tensor] = {}

        def tensor_of(leaf: Any) -> Any:
            if not isinstance(leaf, _Slot):
                return leaf
            if leaf.spent and leaf not in copies:
                copies[leaf] = leaf.tensor.clone()
            return copies.get(leaf, leaf.tensor)

        return map_leaves(tensor_of, self._outputs[number])

    def forget(self) -> None:
        self._outputs.clear()
        self._slots.clear()

    def copy_parts_of(self, given: Sequence[Tensor]) -> None:
        """Before a call that may change recorded tensors in place: save those among its arguments."""
        places = storages(given)
        for slot in self._slots.values():
            if storages([slot.tensor]) & places:
                slot.copy = slot.tensor.clone()

    def settle(self) -> bool:
        """After the call: its changes are undone by the copies; False if one of them cannot be undone for sure."""
        for slot in list(self._slots.values()):
            if slot.changed:
                others = storages(other.tensor for other in self._slots.values() if other is not slot)
                if slot.copy is None or not slot.owned or storages([slot.tensor]) & others:
                    return False
                del self._slots[id(slot.tensor)]
                slot.tensor, slot.spent = slot.copy, True
            slot.copy = None
        return True

    def _slot(self, given: set[int], leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        slot = self._slots.setdefault(id(leaf), _Slot(leaf, leaf._version, owned=True))
        slot.owned = slot.owned and not storages([leaf]) & given
        return slot


def is_trackable(tensor: Tensor) -> bool:
    """Its changes in place, and what it shares its memory with, can be seen."""
    known = type(tensor) in (Tensor, nn.Parameter, MetaTensor) and tensor.layout == torch.strided
    return known and tensor.device.type in ("cpu", "cuda") and not tensor.is_inference()

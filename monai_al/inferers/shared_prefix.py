# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The part of a network before its first random layer, computed once for several predictions of one batch."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from monai_al.inferers._leaves import are_known, leaves, same, storages, tensors
from monai_al.inferers._recording import Recording, Step, is_trackable

__all__ = ["SharedPrefix"]

FOREIGN_RUNTIMES = ("torch.nn.parallel", "torch.distributed", "torch._dynamo")


class SharedPrefix:
    """A network that is called several times on one batch and differs from call to call by its random layers only.

    The first call records what the outermost modules without a random layer return before the first random layer is
    called. The later calls take that instead of computing it again and return bit for bit what the network returns.
    Modules that change their input in place, such as ``nn.ReLU(inplace=True)``, run in every call, and so does a module
    while it or one within it bears a forward hook. Between the calls the network is as it was.

    All is computed in every call where it is not sure that a recorded part may stand for its computation:

    * an operation between the modules, or after the first random layer, changes a recorded tensor in place;
    * an input, a weight or a buffer changes in place, other than by its ``data``, or the arguments are others;
    * an attribute of a module, a weight or a hook among them, is another object than before;
    * something else has drawn from PyTorch's random state before the first random layer;
    * gradients are recorded (use ``torch.no_grad``), or ``torch.inference_mode`` is on;
    * a part of the network is scripted, compiled, or run on several devices.

    A module that draws from another source than PyTorch's random state must be one of the random layers. The recorded
    tensors live as long as this object: make one for each batch.

    Args:
        network: the network.
        random_layers: those of its modules that return something else in each call.

    Example:
        >>> drop = nn.Dropout(0.5)
        >>> network = SharedPrefix(nn.Sequential(nn.Conv2d(1, 2, 3), drop), [drop])
        >>> with torch.no_grad():
        ...     image = torch.zeros(1, 1, 5, 5)
        ...     predictions = [network(image) for _ in range(10)]
        >>> network.sharing
        True
    """

    def __init__(self, network: nn.Module, random_layers: Collection[nn.Module]) -> None:
        self.network = network
        self.random_layers = frozenset(random_layers)
        self._modules = _modules_without(self.random_layers, network)
        self._can_record = bool(self._modules) and not any(map(_runs_elsewhere, network.modules()))
        self._recording: Recording | None = None

    @property
    def sharing(self) -> bool:
        """Whether there is a recorded part for the next call."""
        return self._recording is not None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the network returns for these arguments."""
        if self._recording is not None:
            if self._recording.holds_for(leaves((args, kwargs)), _attributes(self.network)):
                later = _LaterCall(self._modules, self.random_layers, self._recording)
                return later.run(self.network, args, kwargs)
            self._recording = None
        elif self._can_record:
            self._can_record = False
            return self._record(args, kwargs)
        return self.network(*args, **kwargs)

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inputs, held = leaves((args, kwargs)), _attributes(self.network)
        if not all(map(is_trackable, tensors(inputs))) or any(tensor.is_inference() for tensor in tensors(held)):
            return self.network(*args, **kwargs)
        recording = Recording(inputs, held)
        first = _FirstCall(self._modules, self.random_layers, recording)
        prediction = first.run(self.network, args, kwargs)
        sure = first.over and first.sure and recording.is_free_of(prediction)
        if sure and recording.holds_for(leaves((args, kwargs)), _attributes(self.network)):
            self._recording = recording
        return prediction


class _Call:
    """One call of a network, which hands us the outermost calls of some modules before the first random layer."""

    def __init__(
        self, modules: Collection[nn.Module], random_layers: Collection[nn.Module], recording: Recording
    ) -> None:
        self.modules = modules
        self.random_layers = random_layers
        self.recording = recording
        self.over = False
        self.inside = False
        self.number = -1

    def run(self, network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            for module in self.modules:
                vars(module)["forward"] = partial(self._module_called, module, module.forward)
            for layer in self.random_layers:
                vars(layer)["forward"] = partial(self._random_layer_called, layer.forward)
            return network(*args, **kwargs)
        finally:
            for module in (*self.modules, *self.random_layers):
                vars(module).pop("forward", None)

    def outermost(
        self, module: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        raise NotImplementedError

    def begin(self, step: Step) -> None:
        raise NotImplementedError

    def first_random_layer(self) -> None:
        self.over = True

    def _module_called(self, module: nn.Module, forward: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if self.inside or self.over:
            return forward(*args, **kwargs)
        hooked = _bears_hook(module)
        self.number += 1
        self.begin((module, hooked))
        if hooked or self.over:
            return forward(*args, **kwargs)
        self.inside = True
        try:
            return self.outermost(module, forward, args, kwargs)
        finally:
            self.inside = False

    def _random_layer_called(self, forward: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if not self.over:
            self.first_random_layer()
        return forward(*args, **kwargs)


class _FirstCall(_Call):
    """Computes all and records; afterwards ``sure`` says whether the recording may stand for the computation."""

    sure = True

    def run(self, network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._random_state = self._read_random_state()
        return super().run(network, args, kwargs)

    def outermost(
        self, module: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        given = leaves((args, kwargs))
        self._go_on_if(self.recording.is_unchanged() and all(map(is_trackable, tensors(given))))
        if not self.sure:
            return forward(*args, **kwargs)
        versions = [tensor._version for tensor in tensors(given)]
        if any(getattr(part, "inplace", False) for part in module.modules()):
            self.recording.copy_parts_of(tensors(given))
        output = forward(*args, **kwargs)
        made = leaves(output)
        self._go_on_if(not self.over and self.recording.settle())
        self._go_on_if(all(is_trackable(tensor) and not tensor.requires_grad for tensor in tensors(made)))
        untouched = versions == [tensor._version for tensor in tensors(given)] and same(given, leaves((args, kwargs)))
        if self.sure and untouched and are_known([*given, *made]) and not _passes_on(output, given):
            self.recording.keep(self.number, tensors(given), output)
        return output

    def begin(self, step: Step) -> None:
        self.recording.steps.append(step)

    def first_random_layer(self) -> None:
        self.over = True
        self._go_on_if(all(map(torch.equal, self._random_state, self._read_random_state())))  # nothing drawn

    def _go_on_if(self, sure: bool) -> None:
        self.sure = self.sure and sure
        if not self.sure:
            self.recording.forget()

    def _read_random_state(self) -> list[Tensor]:
        devices = {tensor.device for tensor in tensors(self.recording.inputs) if tensor.is_cuda}
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in devices)]


class _LaterCall(_Call):
    """Takes what was recorded and computes the rest; all of it once a module comes that did not come before."""

    def outermost(
        self, module: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self.number in self.recording:
            return self.recording.take(self.number)
        return forward(*args, **kwargs)

    def begin(self, step: Step) -> None:
        self.over = self.recording.steps[self.number : self.number + 1] != [step]


def _modules_without(random_layers: frozenset[nn.Module], network: nn.Module) -> list[nn.Module]:
    """The modules in which there is no random layer."""
    return [module for module in network.modules() if random_layers.isdisjoint(module.modules())]


def _bears_hook(module: nn.Module) -> bool:
    """It, a module within it or every module of PyTorch bears a forward hook now, which is to run in every call."""
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        return True
    return any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def _runs_elsewhere(module: nn.Module) -> bool:
    """Something else than the module's own ``forward`` in Python runs it."""
    compiled = getattr(module, "_compiled_call_impl", None) is not None
    foreign = type(module).__module__.startswith(FOREIGN_RUNTIMES)
    return compiled or foreign or "forward" in vars(module) or isinstance(module, torch.jit.ScriptModule)


def _passes_on(output: Any, given: list[Any]) -> bool:
    """The output is the input or a view of it, which costs nothing to make again."""
    return isinstance(output, Tensor) and bool(storages([output]) & storages(tensors(given)))


def _attributes(network: nn.Module) -> list[Any]:
    """All that hangs on the modules, with the contents of what can be filled."""
    found: list[Any] = []
    for module in network.modules():
        for value in vars(module).values():
            found.append(value)
            if isinstance(value, dict):
                found += value.values()
            elif isinstance(value, list | tuple | set):
                found += value
    return found

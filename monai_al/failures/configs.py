# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors of configs, weights and missing packages. Each function gives one sentence, or None."""

from __future__ import annotations

import ast
import contextlib
import difflib
import inspect
import re
import sys
from collections.abc import Sequence
from typing import Any

from monai_al.failures.chain import passes_through_us, text_of
from monai_al.failures.words import one_line

__all__ = ["as_typed", "of_config", "of_network", "of_package", "of_syntax", "of_weights", "within_config"]

_EXTRAS = {"tensorboard": "tensorboard", "tensorboardX": "tensorboard", "mlflow": "mlflow", "faiss": "faiss"}
_CALLED = {"cv2": "opencv-python", "skimage": "scikit-image", "sklearn": "scikit-learn"}  # by pip
_TARGET = re.compile(r"Cannot locate class or function path: '(.*)'")
_REFERENCE = re.compile(r"the referring item `@(.*)` is not defined")
_CIRCLE = re.compile(r"detected circular references '(.*)' for id='(.*)'")
_ID = re.compile(
    r"id='([\w#:]+)' is not found in the config|run ID '(.*?)' doesn't exist in the config|^query key: ([\w#:]+)$"
)
_KEYWORDS = re.compile(r"Failed to instantiate component '(.*)' with keywords: (\S*)")
_TYPED = {"monai_al.strategies.": "--strategy#", "monai_al.engines.": "--"}  # whose arguments have ids of their names
_BUILT = re.compile(r"Failed to instantiate component '(.*)' with keywords")
_EVALUATED = re.compile(r"Failed to evaluate ConfigExpression: *\n?(.*)$", re.DOTALL)
_UNEXPECTED = re.compile(r"got an unexpected keyword argument '(\w+)'")
_RESOLVED = re.compile(r"__local_refs\['(.*?)'\]")  # how MONAI writes @id before it evaluates
_SHAPES = re.compile(
    r"size of tensor|shapes? cannot be multiplied|Sizes of tensors must match|expected input|"
    r"Expected more than 1 value|Calculated padded input size|"
    r"Output size is too small|Kernel size can't be greater|must match the size|"
    r"expected \d+D|stack expects each tensor to be equal size|Trying to resize storage",
    re.I,
)
_STORED = re.compile(r"PytorchStreamReader|invalid load key|Weights only load failed|pickle data was truncated", re.I)


def of_package(error: BaseException) -> str | None:
    """A package that is not installed.

    Example:
        >>> of_package(ModuleNotFoundError("No module named 'mlflow'", name="mlflow"))
        "the package mlflow is not installed: pip install 'monai_al[mlflow]'"
    """
    if not isinstance(error, ImportError) or _TARGET.search(text_of(error)):
        return None
    named = re.search(r"No module named '([\w.]+)'", text_of(error))
    module = named[1] if named else error.name
    if module is None or error.path is not None:
        return f"{one_line(text_of(error).partition(chr(10))[0])}"
    package = module.partition(".")[0]
    install = f"'monai_al[{_EXTRAS[package]}]'" if package in _EXTRAS else _CALLED.get(package, package)
    return f"the package {module} is not installed: pip install {install}"


def of_syntax(error: BaseException) -> str | None:
    """A config file that is no YAML or JSON.

    Example:
        >>> import json
        >>> try:
        ...     json.loads("{a")
        ... except ValueError as error:
        ...     of_syntax(error)
        'line 1: not valid JSON: Expecting property name enclosed in double quotes'
    """
    names = {one.__name__ for one in type(error).__mro__}
    if "YAMLError" in names:
        mark: Any = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or one_line(text_of(error))
        context = f" {error.context}," if getattr(error, "context", None) else ""  # type: ignore[attr-defined]
        file = f"{mark.name}, " if mark and not mark.name.startswith("<") else ""
        where = f"{file}line {mark.line + 1}: " if mark else ""
        return f"{where}not valid YAML:{context} {one_line(problem)}"
    if "JSONDecodeError" in names:
        return f"line {error.lineno}: not valid JSON: {error.msg}"  # type: ignore[attr-defined]
    if isinstance(error, SyntaxError) and (error.filename or "").startswith("<"):
        return f"a $ expression of the config is not valid Python ({error.msg}): {one_line(error.text or '')}"
    return None


def of_weights(error: BaseException) -> str | None:
    r"""A file of weights that cannot be read, or belongs to another network.

    Example:
        >>> of_weights(RuntimeError("Error(s) in loading state_dict for UNet:\n\tsize mismatch for a: 3 and 4."))
        'the weights do not fit the network: UNet: size mismatch for a: 3 and 4'
    """
    text = text_of(error)
    wrong = re.search(r"Error\(s\) in loading state_dict for (.*)", text, re.DOTALL)
    if wrong:
        first = [one_line(part) for part in wrong[1].splitlines()[:2]]
        return f"the weights do not fit the network: {' '.join(first)}"
    if type(error).__name__ == "UnpicklingError" or isinstance(error, RuntimeError) and _STORED.search(text):
        return f"a file of weights cannot be read, is it complete? ({one_line(text.partition('.')[0])})"
    return None


def of_network(error: BaseException) -> str | None:
    """Images and a network that do not fit each other.

    Example:
        >>> of_network(RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"))[:59]
        'the network and its images do not fit each other: The size '
    """
    if not isinstance(error, (RuntimeError, ValueError)) or not _SHAPES.search(text_of(error)):
        return None
    return (
        f"the network and its images do not fit each other: {one_line(text_of(error))}. Look at --image_size, "
        "--channels, --in_channels, --batch_size and the preprocessing"
    )


def of_config(error: BaseException) -> str | None:
    """What a config names and does not hold.

    Example:
        >>> of_config(ValueError("the referring item `@nett` is not defined in the config content."))
        '@nett: the config has no such id; define it, or correct the reference'
    """
    text = text_of(error)
    if found := _TARGET.search(text):
        return (
            f"_target_ {found[1]}: no such class or function{_near(found[1])}; correct its name, or install its package"
        )
    if found := _REFERENCE.search(text):
        return f"@{found[1]}: the config has no such id; define it, or correct the reference"
    if found := _CIRCLE.search(text):
        return f"the ids {found[1]} and {found[2]} of the config refer to each other: break the circle"
    if found := _ID.search(text):
        return f"{found[1] or found[2] or found[3]}: the config has no such id; correct its name"
    return None


def within_config(errors: Sequence[BaseException]) -> str | None:
    """An error that a config's component or expression raised where no code of this package was at work.

    Args:
        errors: of :func:`monai_al.failures.chain`, the outermost first.

    Example:
        >>> outer = RuntimeError("Failed to instantiate component 'monai.losses.DiceLoss' with keywords: foo")
        >>> within_config([outer, TypeError("got an unexpected keyword argument 'foo'")])
        "monai.losses.DiceLoss, as the config asks for it: got an unexpected keyword argument 'foo'"
    """
    for outer, inner in reversed(list(zip(errors, errors[1:], strict=False))):
        built, evaluated = _BUILT.search(text_of(outer)), _EVALUATED.search(text_of(outer))
        if not (built or evaluated):
            continue
        unexpected = _UNEXPECTED.search(text_of(inner))
        asked = _KEYWORDS.search(text_of(outer))
        if passes_through_us(inner) and not (unexpected and asked and unexpected[1] in asked[2].split(",")):
            return None
        what = built[1] if built else one_line(_RESOLVED.sub(r"@\1", _as_written(evaluated[1]))) if evaluated else ""
        kind = "" if isinstance(inner, (TypeError, ValueError)) else f"{type(inner).__name__}: "
        near = _near_argument(built[1], unexpected[1]) if built and unexpected else ""
        return f"{what}, as the config asks for it: {kind}{one_line(text_of(inner))}{near}"
    return None


def _as_written(expression: str) -> str:
    """An expression of a config, which MONAI tells as Python would, over several lines where it is long."""
    with contextlib.suppress(SyntaxError, ValueError):
        return str(ast.literal_eval(expression.strip()))
    return expression


def _near_argument(target: str, name: str) -> str:
    """The argument of a class or function that may be meant."""
    module, _, attribute = target.rpartition(".")
    with contextlib.suppress(TypeError, ValueError):
        component: Any = getattr(sys.modules.get(module), attribute, None)
        known = inspect.signature(component).parameters
        near = difflib.get_close_matches(name, known, n=1)
        return f"; did you mean {near[0]}?" if near else ""
    return ""


def as_typed(error: BaseException, outer: Sequence[BaseException]) -> str:
    """What an error of ours says, with the argument that it begins with as it is typed on the command line.

    Args:
        error: about an argument of a component that a config builds, or about something else.
        outer: what followed from it, the outermost first.

    Example:
        >>> built = "Failed to instantiate component 'monai_al.strategies.vaal.VAAL' with keywords: size,steps"
        >>> as_typed(ValueError("steps must be a whole number, got None"), [RuntimeError(built)])
        '--strategy#steps must be a whole number, got null'
    """
    text = text_of(error) or type(error).__name__
    built = _KEYWORDS.search(text_of(outer[-1])) if outer else None
    word = text.partition(" ")[0]
    if built and word in built[2].split(","):
        place = next((place for room, place in _TYPED.items() if built[1].startswith(room)), None)
        text = text if place is None else place + re.sub(r"\bNone$", "null", text)
    return text


def _near(target: str) -> str:
    """Public names of the module that a target names, of which one may be meant."""
    module, _, name = target.rpartition(".")
    near = difflib.get_close_matches(name, [one for one in dir(sys.modules.get(module)) if one[0] != "_"], n=1)
    return f"; did you mean {module}.{near[0]}?" if near and module in sys.modules else ""

# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The rules that hold over the whole package: floors, names, light import, torch before faiss, examples, packaging."""

from __future__ import annotations

import ast
import configparser
import functools
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "monai_al"

GROUND = (
    *("uncertainty", "selection", "losses", "networks", "metrics", "records"),
    *("failures", "options", "assets", "moved"),
)
UPPER = (
    "distributed",
    "data",
    "datasets",
    "transforms",
    "inferers",
    "handlers",
    "bundle",
    "sources",
    "passes",
    "strategies",
    "report",
    "annotators",
    "engines",
    "bundle_check",
    "integrations",
    "comparison",
    "commands",
    "cli",
    "__main__",
)
FLOORS = dict.fromkeys(GROUND, 0) | {name: floor for floor, name in enumerate(UPPER, start=1)}


# -- reading modules ---------------------------------------------------------------------------------------------------


def files_of(package: Path) -> dict[str, Path]:
    """Dotted module name -> its file; a package stands under its own name."""
    files = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


@functools.cache
def modules_of(package: Path) -> Mapping[str, ast.Module]:
    """Dotted module name -> its parsed source."""
    return {
        name: ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for name, path in files_of(package).items()
    }


def parse_all(sources: Mapping[str, str]) -> dict[str, ast.Module]:
    """The same for made-up modules."""
    return {name: ast.parse(textwrap.dedent(source)) for name, source in sources.items()}


def is_package(name: str, names: Iterable[str]) -> bool:
    return any(other.startswith(f"{name}.") for other in names)


def is_lazy(node: ast.AST) -> bool:
    """``if TYPE_CHECKING:`` or the module function ``__getattr__``, with which a package hands on names on demand."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef) and node.name == "__getattr__"


def import_nodes(name: str, trees: Mapping[str, ast.Module]) -> list[tuple[str, str | None, int, bool]]:
    """Module, imported name, line, and whether it is lazy, of every import of the package's modules in a module."""
    return nodes_of(trees[name], name if is_package(name, trees) else name.rpartition(".")[0])


@functools.cache
def nodes_of(tree: ast.Module, package: str) -> list[tuple[str, str | None, int, bool]]:
    """The same of a module that belongs to a package."""
    found: list[tuple[str, str | None, int, bool]] = []
    for statement in tree.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names if alias.name.split(".")[0] == "monai_al"]
                found += [(module, None, node.lineno, is_lazy(statement)) for module in names]
            elif isinstance(node, ast.ImportFrom):
                base = package.rsplit(".", node.level - 1)[0] if node.level else ""
                module = ".".join(part for part in (base, node.module or "") if part)
                if module.split(".")[0] == "monai_al":
                    found += [(module, alias.name, node.lineno, is_lazy(statement)) for alias in node.names]
    return found


def imports_of(name: str, trees: Mapping[str, ast.Module]) -> Iterator[tuple[str, int]]:
    """Modules of the package that a module imports anywhere, also inside functions, each with its line.

    A name that a package hands on lazily counts as an import of the submodule it comes from, for whoever imports it,
    and as none for the package itself.
    """
    for module, imported, line, lazy in import_nodes(name, trees):
        if lazy and module.startswith(name) and is_package(name, trees):
            continue
        inner = f"{module}.{imported}"
        if inner in trees:
            yield inner, line
        elif imported is None or module not in trees:
            yield module, line
        else:
            handed_on = {i: m for m, i, _, late in import_nodes(module, trees) if late and m.startswith(module)}
            yield handed_on.get(imported, module), line


# -- (a) floors --------------------------------------------------------------------------------------------------------


def house_of(module: str) -> str | None:
    """The entry of FLOORS a module belongs to; None for the package itself."""
    if module == "monai_al":
        return None
    return module.removeprefix("monai_al.").split(".")[0]


def floor_violations(trees: Mapping[str, ast.Module]) -> list[str]:
    """Every import that leads upward, or from one ground-floor package into another."""
    found = []
    for name in trees:
        house = house_of(name)
        if house is not None and house not in FLOORS:
            found.append(f"{name} stands on no floor: give {house!r} a place in FLOORS and in the design")
            continue
        for target, line in imports_of(name, trees):
            goal = house_of(target)
            if goal is None or goal == house or goal not in FLOORS:
                continue
            if house is None:
                found.append(f"{name}:{line} imports {target}: the package itself must stay light")
            elif FLOORS[goal] >= FLOORS[house]:
                found.append(f"{name}:{line} imports {target}: {house} stands below or beside {goal}")
    return found


def import_circles(trees: Mapping[str, ast.Module]) -> list[str]:
    """Circles of imports between modules, each once."""
    graph = {name: {target for target, _ in imports_of(name, trees) if target in trees} - {name} for name in trees}
    circles: dict[frozenset[str], str] = {}
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> None:
        if name in path:
            circle = path[path.index(name) :]
            circles.setdefault(frozenset(circle), " -> ".join([*circle, name]))
        elif name not in done:
            for target in sorted(graph[name]):
                walk(target, [*path, name])
            done.add(name)

    for name in sorted(graph):
        walk(name, [])
    return list(circles.values())


def test_nothing_imports_upward_or_in_a_circle():
    trees = modules_of(PACKAGE)
    assert floor_violations(trees) == []
    assert import_circles(trees) == []


@pytest.mark.parametrize(
    ("name", "source", "bad"),
    [
        ("monai_al.data.cache", "import monai_al.strategies", True),
        ("monai_al.data.cache", "from monai_al.handlers.scores import X", True),
        ("monai_al.data.cache", "def f():\n    from monai_al import handlers", True),
        ("monai_al.data.cache", "from ..handlers import scores", True),
        ("monai_al.data.cache", "from . import item", False),
        ("monai_al.data.cache", "from monai_al.records import Item", False),
        ("monai_al.records.pool", "from monai_al.metrics import dice", True),
        ("monai_al.records.pool", "from monai_al.data import Item", True),
        ("monai_al.metrics.volume", "from monai_al.metrics.dice import dice", False),
        ("monai_al.metrics.volume", "from monai_al.losses import x", True),
        ("monai_al.metrics.volume", "from monai_al.data import Item", True),
        ("monai_al.passes.run", "from monai_al.engines.active_learner import x", True),
        ("monai_al.sources.slice_source", "from monai_al.passes.run import x", True),
        ("monai_al.engines.active_learner", "from monai_al.passes.run import x", False),
        ("monai_al.engines.active_learner", "from monai_al.report import x", False),
        ("monai_al.handlers", "from monai_al.handlers.scores import X", False),
        ("monai_al", "from monai_al.data import Item", True),
        ("monai_al.attic", "", True),
        ("monai_al.cli", "import monai, torch, monai_alien", False),
    ],
)
def test_floor_checker_finds_exactly_the_violations(name, source, bad):
    others = ["data.item", "handlers.scores", "strategies.random", "passes.run", "engines.active_learner", "report"]
    sources = {"monai_al": "", "monai_al.data": "", "monai_al.handlers": "", "monai_al.records": ""}
    sources |= {f"monai_al.{other}": "" for other in others} | {name: source}
    found = floor_violations(parse_all(sources))
    assert len(found) == bad
    assert all(violation.startswith(name) for violation in found)


def test_circle_checker_finds_exactly_the_circles():
    sources = {
        "monai_al.data": "from monai_al.data.a import x",
        "monai_al.data.a": "from monai_al.data.b import x",
        "monai_al.data.b": "def f():\n    import monai_al.data.c",
        "monai_al.data.c": "",
    }
    assert import_circles(parse_all(sources)) == []
    assert import_circles(parse_all(sources | {"monai_al.data.c": "from . import a"})) == [
        "monai_al.data.a -> monai_al.data.b -> monai_al.data.c -> monai_al.data.a"
    ]
    assert len(import_circles(parse_all(sources | {"monai_al.data.c": "from monai_al.data import x"}))) == 1


# -- (b) names ---------------------------------------------------------------------------------------------------------


def top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, also those inside its ``if``, ``try`` and ``with`` blocks."""
    for node in body:
        yield node
        for field in ("body", "orelse", "finalbody"):
            if isinstance(node, (ast.If, ast.Try, ast.With)):
                yield from top_level(getattr(node, field, []))
        for handler in getattr(node, "handlers", []):
            yield from top_level(handler.body)


def component_names(tree: ast.Module) -> set[str]:
    """Public names under which MONAI finds the classes and functions that a module defines, aliases included."""
    names: set[str] = set()
    for node in top_level(tree.body):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in names:
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def definers_of(names: set[str], package: Path) -> dict[str, str]:
    """Name -> the module of a package that defines it; only files in which a definition may stand are parsed."""
    defined = re.compile(r"\b(?:class|def)\s+(\w+)|\b(\w+)\s*=(?!=)")
    found: dict[str, str] = {}
    for module, path in files_of(package).items():
        text = path.read_text(encoding="utf-8")
        if names.intersection(one or other for one, other in defined.findall(text)):
            found |= dict.fromkeys(component_names(ast.parse(text)) & names, module)
    return found


def test_component_names_holds_aliases_and_guarded_definitions():
    (tree,) = parse_all(
        {"m": "class A:\n    class B: pass\nC = D = A\nE = 3\nif x:\n    def f(): pass\nelse:\n    def _g(): pass"}
    ).values()
    assert component_names(tree) == {"A", "C", "D", "f"}


def test_no_public_name_is_one_of_monai():
    spec = importlib.util.find_spec("monai")
    assert spec is not None
    assert spec.origin is not None
    ours = {name: component_names(tree) for name, tree in modules_of(PACKAGE).items()}
    known = {"DiceLoss", "Dice", "LoadImaged", "LoadImageD", "one_hot"}
    theirs = definers_of(known.union(*ours.values()), Path(spec.origin).parent)
    assert known <= theirs.keys()
    clashes = [
        f"{name}.{public} bears the name of {theirs[public]}.{public}"
        for name, names in ours.items()
        for public in sorted(names & theirs.keys())
    ]
    assert clashes == []


# -- (c) light import, (d) torch before faiss --------------------------------------------------------------------------


def run_python(code: str) -> str:
    """Output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_light():
    loaded = run_python("import sys, monai_al; print(*(m.split('.')[0] for m in sys.modules))").split()
    assert "monai_al" in loaded
    assert not {"monai", "torch", "numpy", "ignite"} & set(loaded)


def imported_modules(node: ast.AST) -> set[str]:
    """Top-level packages that one statement imports, also by name: ``import_module("faiss")``."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and not node.level:
        return {(node.module or "").split(".")[0]}
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if function in ("import_module", "optional_import", "__import__"):
            return {str(node.args[0].value).split(".")[0]}
    return set()


def faiss_before_torch(tree: ast.Module) -> list[int]:
    """Lines that import faiss where no import of torch is sure to have run."""

    def scan(node: ast.AST, torch_is_there: bool) -> Iterator[int]:
        for child in ast.iter_child_nodes(node):
            packages = imported_modules(child)
            if isinstance(child, ast.Import):
                names = [alias.name.split(".")[0] for alias in child.names]
                before = names[: names.index("faiss")] if "faiss" in names else []
                if "faiss" in names and not (torch_is_there or "torch" in before):
                    yield child.lineno
            elif "faiss" in packages and not torch_is_there:
                yield getattr(child, "lineno", 0)
            yield from scan(child, torch_is_there)
            torch_is_there = torch_is_there or "torch" in packages

    return list(scan(tree, False))


def test_names_handed_on_lazily_belong_to_their_module():
    lazy = """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from monai_al.data.reader import Reader
        def __getattr__(name):
            from monai_al.data import reader
            return getattr(reader, name)
    """
    sources = {"monai_al.data": lazy, "monai_al.data.reader": "", "monai_al.records.files": ""}
    assert floor_violations(parse_all(sources)) == []
    assert import_circles(parse_all(sources | {"monai_al.data.reader": "from monai_al.data import Reader"})) == []
    for module, n_bad in {"monai_al.metrics.a": 1, "monai_al.cli": 0}.items():
        user = {module: "from monai_al.data import Reader"}
        assert len(floor_violations(parse_all(sources | user))) == n_bad


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import torch\nimport faiss", []),
        ("import faiss\nimport torch", [1]),
        ("import faiss, torch", [1]),
        ("import torch, faiss", []),
        ("from faiss import Kmeans", [1]),
        ("import torch\ndef f():\n    import faiss", []),
        ("def f():\n    import faiss\nimport numpy", [2]),
        ("def f():\n    import torch\ndef g():\n    import faiss", [4]),
        ("def f():\n    from torch import nn\n    import faiss", []),
        ("faiss, has = optional_import('faiss')", [1]),
        ("try:\n    import faiss\nexcept ImportError:\n    faiss = None", [2]),
        ("import torch\ntry:\n    import faiss.contrib\nexcept ImportError:\n    pass", []),
        ("import numpy", []),
    ],
)
def test_faiss_checker_finds_exactly_the_violations(source, lines):
    assert faiss_before_torch(ast.parse(source)) == lines


def test_torch_is_imported_before_faiss():
    found = {name: faiss_before_torch(tree) for name, tree in modules_of(PACKAGE).items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


NEEDS = {"monai_al.integrations.monailabel": "monailabel"}  # module -> what it needs, in an environment of its own
IMPORTABLE = [
    name
    for name in files_of(PACKAGE)
    if not name.endswith("__main__") and (name not in NEEDS or importlib.util.find_spec(NEEDS[name]))
]


@pytest.mark.nightly  # the test above reads the same off the sources
def test_all_modules_load_torch_before_faiss():
    order = run_python(
        f"""
        import importlib, sys
        for name in {IMPORTABLE!r}:
            importlib.import_module(name)
        print(*sys.modules)
        """
    ).split()
    assert "torch" in order
    if "faiss" in order:
        assert order.index("torch") < order.index("faiss")


# -- (e) public names --------------------------------------------------------------------------------------------------


def lacks_of(module: ModuleType) -> list[str]:
    """What the public names of a module lack: existence, a docstring, an example.

    A name that comes from another public module of the package is judged there.
    """
    name = module.__name__
    found = [] if inspect.getdoc(module) else [f"{name} has no docstring"]
    if not hasattr(module, "__all__"):
        return [*found, f"{name} has no __all__"]
    for public in module.__all__:
        if not hasattr(module, public):
            found.append(f"{name}.{public} stands in __all__ but does not exist")
            continue
        thing = getattr(module, public)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        if thing.__module__ != name and not thing.__module__.rpartition(".")[2].startswith("_"):
            continue
        docs = [thing.__doc__ or ""]
        if not docs[0]:
            found.append(f"{name}.{public} has no docstring")
        if inspect.isclass(thing):
            docs += [inspect.getdoc(member) or "" for member in vars(thing).values() if callable(member)]
        if not any(">>>" in doc for doc in docs):
            found.append(f"{name}.{public} has no example")
    return found


@pytest.mark.parametrize("name", [name for name in IMPORTABLE if not name.rpartition(".")[2].startswith("_")])
def test_public_names_exist_with_docstring_and_example(name):
    assert lacks_of(importlib.import_module(name)) == []


def test_lacks_are_found():
    module = ModuleType("made_up", "Doc.")
    source = '''
    __all__ = ["good", "Good", "gone", "mute", "plain", "NUMBER"]
    NUMBER = 3
    def good():
        """Doc.

        >>> 1
        """
    class Good:
        """Doc."""
        def method(self):
            """Doc.

            >>> 1
            """
    def mute(): pass
    def plain():
        """Doc."""
    '''
    exec(textwrap.dedent(source), vars(module))
    assert lacks_of(module) == [
        "made_up.gone stands in __all__ but does not exist",
        "made_up.mute has no docstring",
        "made_up.mute has no example",
        "made_up.plain has no example",
    ]
    assert lacks_of(ModuleType("empty")) == ["empty has no docstring", "empty has no __all__"]


# -- (f) words, (g) packaging ------------------------------------------------------------------------------------------

OTHER_WORDS = re.compile(
    r"\b(acquisition (function|score|strategy|step)|(active learning|AL|query(ing)?) cycle)s?\b", re.I
)


def test_one_word_for_one_thing():
    files = [
        path
        for folder in ("monai_al", "bundles", "configs", "docs", "tutorials")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".md", ".yaml", ".json", ".ipynb"}
    ]
    assert files
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match.group()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if (match := OTHER_WORDS.search(line))
    ]
    assert found == []


def test_every_package_is_installed():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = set(config["options"]["packages"].split())
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("*.py")}
    mapped = {line.split("=")[0].strip() for line in config["options"]["package_dir"].strip().splitlines()}
    assert folders - listed == set()
    assert listed - folders - mapped == set()
    assert [f for f in folders if not (ROOT / f.replace(".", "/") / "__init__.py").exists()] == []

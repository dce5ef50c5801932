# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the bundles, configs and pages of documentation lie that come with the package, and how they are found."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = [
    "ASSET_KINDS",
    "CONFIG_SUFFIXES",
    "asset_candidates",
    "asset_folders",
    "asset_names",
    "bundle_config",
    "docs_page",
    "find_asset",
    "find_overlay",
]

ASSET_KINDS = ("bundles", "configs")
CONFIG_SUFFIXES = (".yaml", ".yml", ".json")
LOOP = "active_learning"  # the config of a bundle that runs the loop
# folders of configs that are laid over a bundle's loop, in the order in which a short name is looked up
OVERLAY_KINDS = ("datasets", "strategies", "selectors", "encoders", "annotators", "tracking", "handlers")
_NO_OVERLAYS = {  # other folders of configs, and what theirs are for
    "comparisons": "python -m monai_al compare --config {}",
    "training": 'it is laid over the training config: --train_overlays "[{}]"',
}


def asset_folders() -> dict[str, Path]:
    """The folders of bundles and configs: in the installed package, else in the source checkout around it.

    Returns:
        Kind -> folder, for the kinds that are there.

    Example:
        >>> set(asset_folders()) <= {"bundles", "configs"}
        True
    """
    found = {kind: _folder(kind) for kind in ASSET_KINDS}
    return {kind: folder for kind, folder in found.items() if folder is not None}


def docs_page(name: str) -> str:
    """Where a page of the documentation lies on this machine, for messages that send people there.

    Args:
        name: such as ``annotators.md``.

    Returns:
        Its path; ``docs/annotators.md`` where the package was installed without its pages.

    Example:
        >>> Path(docs_page("annotators.md")).parts[-2:]
        ('docs', 'annotators.md')
    """
    folder = _folder("docs")
    page = None if folder is None else folder / name
    return str(page) if page is not None and page.is_file() else f"docs/{name}"


def asset_names(kind: str, folder: Path) -> list[str]:
    """The names in a folder: sub-folders for bundles, config files without suffix, with their folder, for configs.

    Example:
        >>> asset_names("bundles", Path("no such folder"))
        []
    """
    if not folder.is_dir():
        return []
    if kind == "bundles":
        return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._")
    files = (path for path in folder.rglob("*") if path.suffix in CONFIG_SUFFIXES)
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in files)


def find_asset(name: str, folders: Mapping[str, Path] | None = None) -> Path:
    """The path of a bundle's folder, of a config, or of a file inside a bundle.

    Args:
        name: such as ``selective_uncertainty_spleen``, ``strategies/entropy`` or ``datasets/hippocampus.yaml``; the
            kind may stand in front of it, as in ``configs/strategies/entropy``.
        folders: kind -> folder. Default: :func:`asset_folders`.

    Raises:
        ValueError: nothing has this name; the message gives close matches.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     _ = Path(root, "entropy.yaml").write_text("")
        ...     find_asset("entropy", {"configs": Path(root)}).name
        'entropy.yaml'
    """
    folders = asset_folders() if folders is None else folders
    for path in asset_candidates(name.strip("/"), folders):
        if path.exists():
            return path
    known = [known for kind, folder in folders.items() for known in asset_names(kind, folder)]
    if not known:
        raise ValueError(
            f"no bundles and no configs are installed, so {name!r} is not there; install the package again"
        )
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    stems = difflib.get_close_matches(Path(name).stem, {k.rsplit("/", 1)[-1] for k in known}, n=3, cutoff=0.7)
    close += [k for k in known if k.rsplit("/", 1)[-1] in stems and k not in close][: 3 - len(close)]
    hint = f"did you mean {' or '.join(close)}?" if close else "'where' without a name lists all there is"
    raise ValueError(f"no bundle or config is called {name!r}; {hint}")


def asset_candidates(name: str, folders: Mapping[str, Path]) -> Iterator[Path]:
    """Where something of this name may lie, best first; nothing for a name that leads out of the folders.

    Args:
        name: as in :func:`find_asset`.
        folders: kind -> folder.

    Yields:
        Paths, whether they exist or not.

    Example:
        >>> [path.name for path in asset_candidates("entropy", {"configs": Path("configs")})]
        ['entropy', 'entropy.yaml', 'entropy.yml', 'entropy.json']
    """
    if not name or ".." in Path(name).parts or Path(name).is_absolute():
        return
    for kind, folder in folders.items():
        for inner in dict.fromkeys((name, name.removeprefix(f"{kind}/"))):
            yield from (folder / f"{inner}{suffix}" for suffix in ("", *CONFIG_SUFFIXES))


def bundle_config(name: str, folders: Mapping[str, Path] | None = None) -> Path:
    """The config that a bundle's name stands for.

    Args:
        name: a bundle (its loop), ``BUNDLE/CONFIG`` such as ``active_learning/inference``, the path of a config, or the
            path of a bundle's folder.
        folders: kind -> folder. Default: :func:`asset_folders`.

    Raises:
        ValueError: there is none; the message gives close matches.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     Path(root, "mine", "configs").mkdir(parents=True)
        ...     for config in ("active_learning", "inference"):
        ...         _ = Path(root, "mine", "configs", f"{config}.yaml").write_text("")
        ...     [bundle_config(name, {"bundles": Path(root)}).name for name in ("mine", "mine/inference")]
        ['active_learning.yaml', 'inference.yaml']
    """
    path = Path(name).expanduser()
    if path.suffix in CONFIG_SUFFIXES and path.is_file():
        return path
    root = (asset_folders() if folders is None else folders).get("bundles", Path("bundles"))
    bundles = asset_names("bundles", root)
    known, _, config = name.removeprefix("bundles/").strip("/").partition("/")
    if known in bundles:
        place, config = root / known / "configs", config.removeprefix("configs/") or LOOP
    elif name and path.is_dir():
        place, config = path / "configs", LOOP
    else:
        stems = [Path(entry).name for entry in asset_names("configs", root.parent / "configs")]
        of_it = f"it is an overlay: run active_learning {name}" if known in stems else _hint(known, bundles)
        raise ValueError(f"no bundle is called {name!r}; {_file_hint(path) or of_it}")
    found = _config_in(place, config)
    if found is None:
        configs = [file.stem for file in sorted(place.glob("*")) if file.suffix in CONFIG_SUFFIXES]
        raise ValueError(f"{place} holds no config {config!r}; {_hint(config, configs)}")
    return found


def find_overlay(name: str, own: Path, folders: Mapping[str, Path] | None = None) -> Path:
    """The path of an overlay.

    Args:
        name: one of ``configs`` with or without its folder (``strategies/entropy``, ``entropy``), one of the bundle
            (``paper``), or a path.
        own: the bundle's folder of configs.
        folders: kind -> folder. Default: :func:`asset_folders`.

    Raises:
        ValueError: there is none, where the message gives close matches; or it is a config for something else.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     Path(root, "strategies").mkdir()
        ...     _ = Path(root, "strategies", "entropy.yaml").write_text("")
        ...     find_overlay("entropy", Path("none"), {"configs": Path(root)}).name
        'entropy.yaml'
        >>> find_overlay("entropi", Path("none"), {"configs": Path("none")})
        Traceback (most recent call last):
        ...
        ValueError: no overlay is called 'entropi'; 'python -m monai_al where' lists all names
    """
    path = Path(name).expanduser()
    if path.suffix in CONFIG_SUFFIXES and path.is_file():
        return path
    configs = (asset_folders() if folders is None else folders).get("configs", Path("configs"))
    inner = name.removeprefix("configs/")
    kind, _, rest = inner.partition("/")
    if kind in _NO_OVERLAYS and _config_in(configs, inner) is not None:
        raise ValueError(f"{name!r} is no overlay of a loop; {_NO_OVERLAYS[kind].format(rest)}")
    places = [(configs, inner), *((configs / kind, inner) for kind in OVERLAY_KINDS), (own, inner)]
    found = next(filter(None, (_config_in(*place) for place in places)), None)
    if found is None:
        known = asset_names("configs", configs)
        short = [entry.partition("/")[2] for entry in known if entry.partition("/")[0] in OVERLAY_KINDS]
        own_names = [file.stem for file in sorted(own.glob("*")) if file.suffix in CONFIG_SUFFIXES]
        hint = _file_hint(path) or _hint(inner, [*short, *known, *own_names])
        raise ValueError(f"no overlay is called {name!r}; {hint}")
    return found


def _folder(kind: str) -> Path | None:
    package = Path(__file__).resolve().parent
    checkout = package.parent if (package.parent / "pyproject.toml").is_file() else package
    return next((place / kind for place in (package, checkout) if (place / kind).is_dir()), None)


def _config_in(folder: Path, name: str) -> Path | None:
    if not name or ".." in Path(name).parts or Path(name).is_absolute():
        return None
    stem = name.removesuffix(Path(name).suffix) if Path(name).suffix in CONFIG_SUFFIXES else name
    return next((folder / f"{stem}{end}" for end in CONFIG_SUFFIXES if (folder / f"{stem}{end}").is_file()), None)


def _file_hint(path: Path) -> str:
    """What to say of a name that may be the path of a config."""
    if path.is_file():
        return f"a config's name ends in {', '.join(CONFIG_SUFFIXES)}"
    if path.suffix in CONFIG_SUFFIXES:
        return f"{path} is {'a folder' if path.is_dir() else 'no file, either'}"
    return ""


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else "'python -m monai_al where' lists all names"

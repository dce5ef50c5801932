# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the bundles and configs lie that come with the package, and how they are found by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["ASSET_KINDS", "CONFIG_SUFFIXES", "asset_candidates", "asset_folders", "asset_names", "find_asset"]

ASSET_KINDS = ("bundles", "configs")
CONFIG_SUFFIXES = (".yaml", ".yml", ".json")


def asset_folders() -> dict[str, Path]:
    """The folders of bundles and configs: in the installed package, else in the source checkout around it.

    Returns:
        Kind -> folder, for the kinds that are there.

    Example:
        >>> set(asset_folders()) <= {"bundles", "configs"}
        True
    """
    package = Path(__file__).resolve().parent
    checkout = package.parent if (package.parent / "pyproject.toml").is_file() else package
    candidates = {kind: (package / kind, checkout / kind) for kind in ASSET_KINDS}
    found = {kind: next((f for f in choices if f.is_dir()), None) for kind, choices in candidates.items()}
    return {kind: folder for kind, folder in found.items() if folder is not None}


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
    close += [k for k in known if k.rsplit("/", 1)[-1] == Path(name).stem and k not in close]
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

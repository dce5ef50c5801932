# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What is checked of a run folder before its config is executed again."""

from __future__ import annotations

from pathlib import Path

from monai_al.bundle.foreign_code import foreign_code
from monai_al.bundle.run_record import training_of
from monai_al.bundle.workflow_file import changed_files
from monai_al.options import literal_of
from monai_al.records import RunFolderError
from monai_al.records.files import read_json
from monai_al.records.manifest import check_intact
from monai_al.records.signature import why_unsigned

__all__ = ["check_run", "check_trusted"]


def check_run(folder: str | Path, *, trust: bool = False) -> None:
    """Refuse a run folder that has changed since it was written, or whose config is not the user's own.

    Args:
        folder: the run folder.
        trust: execute the expressions and targets of its ``run.json``, whoever wrote them.

    Raises:
        RunFolderError: a file differs from what was written; or the folder is not known and not trusted: the message
            lists the expressions and targets that are not those of an installed bundle.

    Example:
        >>> check_run("no/run", trust=True)
    """
    check_intact(folder, reading=True)
    check_trusted(folder, trust=trust)


def check_trusted(folder: str | Path, *, trust: bool = False) -> None:
    """Refuse a run folder that this user did not make on this machine, unless it is trusted.

    Args:
        folder: the run folder.
        trust: as for :func:`check_run`.

    Raises:
        RunFolderError: the folder is not known and not trusted, or its Python workflow has changed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "run.json").write_text('{"config": {"training": {"seed": "$print(1)"}}}')
        ...     try:
        ...         check_trusted(folder)
        ...     except RunFolderError as error:
        ...         print(str(error).splitlines()[-1])
          seed: $print(1)
    """
    if str(trust).lower() == "true":  # MONAI's command line hands on "true"
        return
    path = Path(folder) / "run.json"
    why = why_unsigned(folder)
    if why is None:
        _refuse_changed_code(path)
        return
    try:
        found = foreign_code(training_of(read_json(path)))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise RunFolderError(f"{path} holds no config that can be read again ({error}); restore it") from None
    foreign = "All its expressions and targets are those of installed bundles, though their arguments may be others."
    if found:
        foreign = "Of it, no installed bundle holds" + "".join(f"\n  {id}: {text}" for id, text in found.items())
    raise RunFolderError(
        f"{folder} is not known as made by you on this machine ({why}), and reading it again executes the config that "
        f"its run.json holds: give --trust (in Python trust=True) if you trust who wrote it. {foreign}"
    )


def _refuse_changed_code(path: Path) -> None:
    """A Python workflow is executed as it was when the run was made."""
    training = training_of(read_json(path))
    changed = [str(file) for file in changed_files(training, literal_of(training.get("bundle_root")))]
    if changed:
        raise RunFolderError(
            f"{', '.join(changed)} has changed since {path.parent} was made with it, and reading the run again "
            "executes it: restore it, or give --trust (in Python trust=True) if you trust it as it is now"
        )

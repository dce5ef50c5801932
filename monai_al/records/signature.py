# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which run folders this user made on this machine: a keyed signature of what ``run.json`` says.

The config in ``run.json`` is code, as every MONAI config is: whoever reads a run again executes it. A folder that comes
from elsewhere has no signature by the user's own key.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import stat
from pathlib import Path

import filelock

from monai_al.records.files import write_file

__all__ = ["SIGNATURE", "SignatureError", "config_folder", "sign_run", "why_unsigned"]

SIGNATURE = "run.sig"
_KEY, _KEY_BYTES = "key", 32
_PATIENCE = 60.0  # seconds; another process makes a key at once, unless the file system cannot lock

logger = logging.getLogger(__name__)


class SignatureError(RuntimeError):
    """The user's key cannot be used; the message names its file and what to do.

    Example:
        >>> raise SignatureError("~/.config/monai_al/key: others can read it")
        Traceback (most recent call last):
        ...
        monai_al.records.signature.SignatureError: ~/.config/monai_al/key: others can read it
    """


def config_folder() -> Path:
    """The user's folder of settings: below ``XDG_CONFIG_HOME``, ``%APPDATA%`` on Windows, or else ``~/.config``.

    Raises:
        SignatureError: the user has no home folder.

    Example:
        >>> config_folder().name
        'monai_al'
    """
    for name in ("XDG_CONFIG_HOME", *(["APPDATA"] if os.name == "nt" else [])):
        given = os.environ.get(name, "")
        if os.path.isabs(given):
            return Path(given) / "monai_al"
    try:
        return Path.home() / ".config" / "monai_al"
    except RuntimeError as error:
        raise SignatureError(f"there is no home folder for a key ({error}); set XDG_CONFIG_HOME") from None


def sign_run(folder: str | Path) -> bool:
    """Write ``run.sig``: HMAC-SHA256 of ``run.json`` with the user's key, which is made where there is none.

    Without a key that can be used, the folder stays unsigned and a warning says so: no run fails for it.

    Args:
        folder: the run folder, whose ``run.json`` this process wrote or would write.

    Returns:
        Whether it is signed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "run.json").write_text("{}")
        ...     sign_run(folder), why_unsigned(folder)
        (True, None)
    """
    folder = Path(folder)
    try:
        signature = _signature(folder, _key() or _new_key())
    except (OSError, SignatureError) as error:
        logger.warning("%s is not signed, so that reading it again will ask for --trust: %s", folder, error)
        return False
    path = folder / SIGNATURE
    if not path.is_file() or path.read_text(encoding="utf-8", errors="replace") != signature:
        write_file(path, lambda file: file.write(signature.encode()))
    return True


def why_unsigned(folder: str | Path) -> str | None:
    """Why a run folder does not count as made by this user on this machine; None where it does.

    Args:
        folder: the run folder.

    Example:
        >>> why_unsigned("no/run")
        'it has no run.sig'
    """
    folder = Path(folder)
    path = folder / SIGNATURE
    if not path.is_file():
        return f"it has no {SIGNATURE}"
    try:
        key = _key()
        if key is None:
            return f"you have no key in {config_folder()}"
        signature = _signature(folder, key)
        is_same = hmac.compare_digest(path.read_bytes(), signature.encode())
    except (OSError, SignatureError) as error:
        return str(error)
    return None if is_same else f"{SIGNATURE} was written with another key, or run.json has changed since"


def _signature(folder: Path, key: bytes) -> str:
    content = b"monai_al run.json\n" + (folder / "run.json").read_bytes()
    return hmac.new(key, content, hashlib.sha256).hexdigest() + "\n"


def _key() -> bytes | None:
    """The user's key, None where there is none.

    Raises:
        OSError: it cannot be read.
        SignatureError: others can read it, or it is no key.
    """
    path = config_folder() / _KEY
    return _read_key(path) if path.exists() else None


def _read_key(path: Path) -> bytes:
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        raise SignatureError(f"{path}: others can read or change it (mode {mode:o}); remove it, and a new one is made")
    content = path.read_bytes().strip()
    if len(content) != 2 * _KEY_BYTES:
        raise SignatureError(f"{path} is no key; remove it, and a new one is made")
    return content


def _new_key() -> bytes:
    """Make a key; of several processes at once the first one does, and the others take its.

    Raises:
        OSError: it cannot be written.
    """
    path = config_folder() / _KEY
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with filelock.FileLock(path.with_name(f"{_KEY}.lock"), timeout=_PATIENCE):
        if not path.exists():
            write_file(path, lambda file: file.write(secrets.token_hex(_KEY_BYTES).encode() + b"\n"), mode=0o600)
    return _read_key(path)

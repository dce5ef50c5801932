# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

from monai_al.commands import COMMANDS, main


def test_every_command_is_listed():
    import monai_al.commands as package

    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    commands = [name for name in names if hasattr(importlib.import_module(f"monai_al.commands.{name}"), "add_to")]
    assert commands == sorted(COMMANDS)


@pytest.mark.parametrize("command", [[], *([name.replace("_", "-")] for name in COMMANDS)])
def test_help_has_examples(capsys, command):
    try:
        code = main([*command, "--help"])
    except SystemExit as stop:
        code = stop.code
    assert code == 0
    assert f"python -m monai_al {command[0] if command else 'where'}" in capsys.readouterr().out


def test_a_command_is_needed(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2


def test_help_and_where_import_neither_torch_nor_monai():
    code = (
        "import sys, monai_al.cli; from monai_al.commands import COMMANDS, main\n"
        "main(['where'])\n"
        "for command in ([], *([name.replace('_', '-')] for name in COMMANDS)):\n"
        "    try: main([*command, '--help'])\n"
        "    except SystemExit: pass\n"
        "print('loaded', sorted({'torch', 'monai', 'numpy', 'nibabel'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.endswith("loaded []\n")


def test_the_package_runs():
    done = subprocess.run([sys.executable, "-m", "monai_al", "--help"], check=True, capture_output=True, text=True)
    assert "python -m monai_al where" in done.stdout

"""The README's code blocks run, in order, and print what stands below them."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
from pathlib import Path

import pytest

README = Path(__file__).parent.parent.parent / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)
INSTALLS = "python3 -m venv"
"""How the two commands begin that the gate runs as they stand."""


def test_python_blocks_print_what_is_written(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "readme"}
    printed = ""
    for language, code in BLOCKS:
        if language == "python":
            if "distributed" in code:
                pytest.importorskip("distributed")
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(code, str(README), "exec"), names)
            printed = out.getvalue()
        elif language == "text":
            assert printed == code


def commands() -> list[str]:
    lines = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
    return [line for line in lines if not line.startswith(INSTALLS)]


def test_the_commands_run(tmp_path, monkeypatch) -> None:
    """In this process, which has imported all: `test_commands` starts some of their own."""
    monkeypatch.chdir(tmp_path)
    for line in commands():
        program, option, package, *arguments = shlex.split(line)
        assert (program, option) == ("python", "-m")
        assert importlib.import_module(f"{package}.__main__").main(arguments) == 0, line

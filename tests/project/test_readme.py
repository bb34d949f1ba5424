"""The README's code blocks run, in order, and print what stands below them."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
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


def test_the_commands_run(tmp_path) -> None:
    for line in commands():
        program, *arguments = shlex.split(line)
        assert program == "python"
        subprocess.run([sys.executable, *arguments], cwd=tmp_path, check=True, capture_output=True)

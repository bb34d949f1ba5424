"""The cache of compiled code: never stale, whole or made again, and its owner's alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from numerics import CacheError
from numerics.codegen import cache
from numerics.codegen.cache import CACHE_VARIABLE, cache_directory, load_generated
from numerics.codegen.kernels import compiled

ROOT = Path(__file__).parents[3]
PROGRAM = """
import numpy as np
import sympy as sp
from numerics.codegen.functions import compile_function
from numerics.geometry.projections import distance
x = sp.Symbol("x", real=True)
print(distance(np.array([3.0, 4.0]), np.zeros(2)), compile_function((x,), x + 1, "f")([1.0]))
"""
CHANGES = {
    "geometry/small_matrices.py": ("total += x[i] * y[i]", "total += 4 * x[i] * y[i]"),
    "codegen/printing.py": (
        "expr: sp.Integer) -> str:\n        return repr(float(expr))",
        "expr: sp.Integer) -> str:\n        return repr(2 * float(expr))",
    ),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def twice(x: float) -> float:
    """To be compiled."""
    return 2.0 * x


def test_a_change_in_another_file_is_seen(tmp_path) -> None:
    """In what a hand-written kernel calls (`distance` an inner product), and in the generator."""
    for package in ("derive", "numerics"):
        shutil.copytree(ROOT / package, tmp_path / package)

    def run() -> str:
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert run() == "5.0 2.0"
    for name, (old, new) in CHANGES.items():
        path = tmp_path / "numerics" / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")
    assert run() == "10.0 3.0"


def damaged(content: bytes) -> list[bytes]:
    """What a full disk, a killed machine or a bad one leave of a file."""
    flipped = [content[:i] + bytes([content[i] ^ 4]) + content[i + 1 :] for i in (0, 99, -9)]
    return [b"", content[: len(content) // 2], content[:-1], *flipped]


def test_damaged_machine_code_is_compiled_again(folder) -> None:
    def run() -> tuple[float, int]:
        kernel = compiled(twice)
        return kernel(3.0), sum(kernel.stats.cache_hits.values())

    assert run() == (6.0, 0)
    assert run() == (6.0, 1)
    (path,) = folder.glob("*.nbc")
    whole = path.read_bytes()
    for content in damaged(whole):
        path.write_bytes(content)
        assert run() == (6.0, 0)
        assert run() == (6.0, 1), "the file is whole again"


def test_a_damaged_module_is_generated_again(folder) -> None:
    sources = []

    def source() -> str:
        sources.append("def answer():\n    return 42  # some text that makes the file longer\n" * 2)
        return sources[-1]

    def run() -> int:
        module = load_generated("damaged", "content", source)
        return sys.modules.pop(module.__name__).answer()

    assert run() == run() == 42
    assert len(sources) == 1
    (path,) = folder.glob("*.py")
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        sources.clear()
        assert run() == run() == 42
        assert len(sources) == 1
    assert list(folder.iterdir()) == [path], "no byte code of unknown origin"


posix = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


@posix
def test_the_folder_is_its_owners_alone(folder) -> None:
    before = os.umask(0)
    try:
        compiled(twice)(1.0)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700


@posix
@pytest.mark.parametrize("mode", [0o1777, 0o770, 0o702])
def test_a_folder_that_others_can_write_to_is_refused(folder, mode) -> None:
    folder.mkdir()
    folder.chmod(mode)
    for use in (
        lambda: compiled(twice)(1.0),
        lambda: load_generated("refused", "content", lambda: ""),
    ):
        with pytest.raises(CacheError, match=rf"{folder}: .* mode {mode:o}.*{CACHE_VARIABLE}"):
            use()
    assert not list(folder.iterdir())


@posix
def test_what_belongs_to_another_user_is_not_executed(folder, monkeypatch) -> None:
    assert compiled(twice)(1.0) == 2.0
    (path,) = folder.iterdir()
    assert cache.read_own(path)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    assert cache.read_own(path) is None
    with pytest.raises(CacheError, match="not yours alone"):
        compiled(twice)(1.0)


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="homes of Linux")
@pytest.mark.parametrize("variable", [CACHE_VARIABLE, "XDG_CACHE_HOME"])
def test_no_home_is_named(variable, monkeypatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv(variable, "~no-such-user/x")
    with pytest.raises(CacheError, match=rf"~no-such-user/x.*set {CACHE_VARIABLE}"):
        cache_directory()

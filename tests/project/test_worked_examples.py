"""Every worked example runs, `python worked_examples/NAME.py`, and leaves its picture."""

from __future__ import annotations

import ast
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent.parent / "worked_examples"
MODELS = {"diagonal_net", "ellipse"}
"""Model files for `python -m numerics`."""
PARTS = {"pictures", "two_layer"}
"""What the examples share."""
NAMES = sorted({path.stem for path in FOLDER.glob("*.py")} - MODELS - PARTS)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_siblings_are_imported_as_a_script_finds_them(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, ast.unparse(node)
            assert not str(node.module).startswith("worked_examples"), ast.unparse(node)


PUBLIC = {
    *("derive", "derive.analysis", "derive.display", "derive.general"),
    *("derive.mechanisms", "derive.optimizers"),
    *("numerics", "numerics.networks", "numerics.networks.mechanisms", "numerics.noise_geometry"),
    *("numerics.plots", "numerics.plots.courses", "numerics.validation"),
}
"""Packages and modules whose names are for users."""

LISTED = {
    *("derive", "derive.analysis", "derive.display", "derive.general", "numerics.validation"),
}
"""Those that say which of their names are."""


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_what_examples_import_is_public(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            home = str(node.module)
            if home.partition(".")[0] in {"derive", "numerics"}:
                assert home in PUBLIC
            if home in LISTED:
                listed = importlib.import_module(home).__all__
                assert {alias.name for alias in node.names} <= {*listed}, ast.unparse(node)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_example_runs(name: str, tmp_path: Path) -> None:
    if "sklearn" in (FOLDER / f"{name}.py").read_text(encoding="utf-8"):
        pytest.importorskip("sklearn", reason="needs .[examples]")
    if "import jax" in (FOLDER / f"{name}.py").read_text(encoding="utf-8"):
        pytest.importorskip("jax", reason="needs .[networks]")
    here = tmp_path / FOLDER.name
    shutil.copytree(FOLDER, here, ignore=shutil.ignore_patterns("output", "__pycache__"))
    done = subprocess.run(
        [sys.executable, f"{FOLDER.name}/{name}.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = list((here / "output").iterdir())
    assert written
    assert all(path.stat().st_size for path in written)

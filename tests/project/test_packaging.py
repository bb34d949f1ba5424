"""What is shipped: light imports, one version everywhere, a wheel that is whole, a reference."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import derive
import numerics

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HEAVY = {"numba", "llvmlite", "matplotlib", "scipy", "jax"}


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)


def test_a_derivation_loads_no_numerical_library() -> None:
    timed = run(sys.executable, "-X", "importtime", "-c", "import derive").stderr
    loaded = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in timed.splitlines()}
    assert "sympy" in loaded
    assert not loaded & HEAVY


def test_the_version_is_the_same_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.M)[1] == PROJECT["version"]
    assert f"license: {PROJECT['license']}" in citation
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## (Unreleased|\[?{re.escape(PROJECT['version'])})", changes, re.M)


def test_every_requirement_has_a_lower_bound() -> None:
    extras = PROJECT["optional-dependencies"].values()
    for requirement in [*PROJECT["dependencies"], *(r for extra in extras for r in extra)]:
        assert re.fullmatch(r"[\w-]+>=[\d.]+", requirement), requirement


@pytest.mark.parametrize("package", [derive, numerics], ids=lambda package: package.__name__)
def test_everything_public_is_documented(package) -> None:
    assert sorted(package.__all__) == package.__all__
    for name in package.__all__:
        item = getattr(package, name)
        if inspect.isclass(item) or callable(item):
            assert inspect.getdoc(item), name


@pytest.mark.slow
def test_the_reference_is_built_without_a_warning(tmp_path) -> None:
    pytest.importorskip("pdoc", reason="needs .[docs]")
    line = re.search(r"pdoc (-d numpy.*?)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    arguments = line[1].replace("build/reference", str(tmp_path)).split()
    built = run(sys.executable, "-W", "error", "-m", "pdoc", *arguments)
    assert not built.stdout + built.stderr
    page = (tmp_path / "numerics.html").read_text(encoding="utf-8")
    assert "<h6" in page, "sections of numpydoc are headings"
    assert (tmp_path / "derive" / "mechanisms.html").exists()


@pytest.mark.slow
def test_wheel_and_source_hold_all_that_is_needed(tmp_path) -> None:
    pytest.importorskip("build", reason="needs build")
    run(sys.executable, "-m", "build", "--outdir", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("*.whl")
    (source,) = tmp_path.glob("*.tar.gz")
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in ("derive", "numerics")
        for path in [*(ROOT / package).rglob("*.py"), ROOT / package / "py.typed"]
    }
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert shipped == modules
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert modules | {"pyproject.toml", "README.md", "LICENSE"} <= names

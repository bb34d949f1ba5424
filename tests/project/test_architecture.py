"""The rules of the house, read off the syntax trees: which room may import what, and no cycles."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MODULES = sorted(
    path for package in ("derive", "numerics") for path in (ROOT / package).rglob("*.py")
)
GENERATORS = {
    "numerics/codegen/functions.py",
    "numerics/codegen/matrices.py",
    "numerics/codegen/printing.py",
}
ORDER = {
    "derive": (
        "errors command symbols certify symbolic reading theory laws matrices model mechanisms"
        " optimizers manifold noise equation rules analysis proofs display deductions documents"
        " general files export limit cycle_limit rule_limit adaptive_limit"
    ),
    "numerics": (
        "errors arguments formats random codegen geometry models simulation validation plots"
        " reports validator networks"
    ),
}
"""Rooms from the ground up: an import goes down, or stays in its room."""

UPWARD: set[tuple[str, str]] = set()
"""Imports that still go up, as (module, room)."""

SHELLS = {
    "derive/__main__.py",
    "derive/certify/checker.py",
    "derive/command.py",
    "numerics/__main__.py",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Absolute names of the modules that a file imports, those for type checkers too."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            stem = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            yield stem
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_library_tells_the_room(path: Path) -> None:
    name, used = name_of(path), roots(path)
    in_derive = name.startswith("derive/")
    if in_derive:
        assert not used & {"numerics", "scipy", "numba", "matplotlib"}
        assert "numpy" not in used or name.startswith("derive/symbolic/")
    elif name not in GENERATORS:
        assert not used & {"sympy", "mpmath", "symengine"}
    if not name.startswith("numerics/plots/"):
        assert "matplotlib" not in used
    if not name.startswith("numerics/networks/"):
        assert not used & {"jax", "jaxlib"}
    if name not in SHELLS:
        assert "argparse" not in used


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_shells_print_and_exit(path: Path) -> None:
    if name_of(path) in SHELLS:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "sys.exit", "exit", "eval", "exec"}, called


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_refusals_have_a_base_of_their_own(path: Path) -> None:
    """Who catches `SingularLimitError` catches them all, and no fault of the code itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = ast.unparse(node.exc).partition("(")[0]
            assert raised not in {"Exception", "OSError", "RuntimeError", "ValueError"}, raised


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_import_inside_a_function(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            hidden = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
            assert not hidden, f"{node.name} imports inside its body"


def test_imports_go_down() -> None:
    found = set()
    for path in MODULES:
        here = name_of(path).removesuffix(".py").split("/")
        if here[-1] in {"__init__", "__main__"} and len(here) == 2:
            continue
        floors = ORDER[here[0]].split()
        assert here[1] in floors, f"{name_of(path)} stands in no room; see ORDER"
        for target in imports(path):
            room = target.split(".")
            if room[0] == here[0] and len(room) > 1 and room[1] in floors:
                if floors.index(room[1]) > floors.index(here[1]):
                    found.add((".".join(here), room[1]))
            elif here[0] == "derive":
                assert room[0] != "numerics"
    assert found == UPWARD


def test_no_import_cycle() -> None:
    known = {name_of(path).removesuffix(".py").replace("/", "."): path for path in MODULES}
    graph = {
        name: {
            target
            for target in imports(path)
            if target in known and target != name and (name, target.split(".")[1]) not in UPWARD
        }
        for name, path in known.items()
    }
    list(graphlib.TopologicalSorter(graph).static_order())

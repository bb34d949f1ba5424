"""The rules of the house, read off the syntax trees: which room may import what, and no cycles."""

import ast
import graphlib
from collections import Counter
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
        "errors command symbols certify symbolic symbolic.numbers reading theory laws optimizers"
        " matrices model mechanisms manifold manifold.discovery noise equation rules rules.regimes"
        " analysis proofs display deductions documents.articles documents general files"
        " files.models export objectives limit jump_limit descent_limit cycle_limit rule_limit"
        " adaptive_limit"
    ),
    "numerics": (
        "errors arguments noise_geometry formats random codegen geometry models simulation"
        " simulation.descent simulation.limit validation.measurements validation plots reports"
        " validator networks"
    ),
}
"""Rooms from the ground up: an import goes down, or stays in its room."""

MOST_MODULES = 10
MOST_LINES = 400

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


def room_of(module: str) -> str:
    """The longest room that the module stands in, or its package if that is not listed."""
    package, *rest = module.split(".")
    floors = ORDER[package].split()
    rooms = (".".join(rest[:n]) for n in range(len(rest), 0, -1))
    return next((room for room in rooms if room in floors), package)


def test_imports_go_down() -> None:
    for path in MODULES:
        here = name_of(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        package = here.partition(".")[0]
        if here in {package, f"{package}.__main__"}:
            continue
        floors, room = ORDER[package].split(), room_of(here)
        assert room in floors, f"{name_of(path)} stands in no room; see ORDER"
        for target in imports(path):
            if target.split(".")[0] == package and room_of(target) in floors:
                assert floors.index(room_of(target)) <= floors.index(room), (here, target)
            elif package == "derive":
                assert target.split(".")[0] != "numerics"


def test_rooms_are_small() -> None:
    rooms = Counter(path.parent for path in MODULES if not path.stem.startswith("__"))
    assert {name_of(room): n for room, n in rooms.items() if n > MOST_MODULES} == {}


def test_modules_are_short() -> None:
    lines = {name_of(path): path.read_text(encoding="utf-8").count("\n") for path in MODULES}
    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}


def test_no_import_cycle() -> None:
    known = {name_of(path).removesuffix(".py").replace("/", "."): path for path in MODULES}
    graph = {
        name: {target for target in imports(path) if target in known and target != name}
        for name, path in known.items()
    }
    list(graphlib.TopologicalSorter(graph).static_order())

"""The table of changes, and what becomes of the tests when one is made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TABLE = Path(__file__).with_name("table.toml")

COPIED = ("derive", "numerics", "tests", "worked_examples", "pyproject.toml", "README.md")
"""What the tests need of the tree."""

SECONDS = 900
"""Tests that take longer count as failed: a change may well make them run for ever."""


class TableError(Exception):
    """The table does not fit the sources."""


@dataclass(frozen=True)
class Change:
    """One change of meaning.

    Attributes
    ----------
    file : str
        Which file to change, relative to the root.
    old, new : str
        A text that occurs once in it, and what to put in its place.
    tests : tuple of str
        Test files, of which the slow tests are not run, or tests in them, slow or not; one has
        to fail.
    equivalent : str
        Why no test can notice, where none can.
    """

    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    equivalent: str = ""

    def __str__(self) -> str:
        short = (" ".join(text.split()) or "nothing" for text in (self.old, self.new))
        return f"{self.file}: {' → '.join(short)}"

    def applied(self, root: Path = ROOT) -> str:
        """The changed text of the file.

        Raises
        ------
        TableError
            If the old text does not occur exactly once, or the new one is no Python.
        """
        text = (root / self.file).read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise TableError(f"{self}: the old text occurs {count} times, expected once")
        changed = text.replace(self.old, self.new)
        if changed == text:
            raise TableError(f"{self}: nothing is changed")
        try:
            compile(changed, self.file, "exec")
        except SyntaxError as error:
            raise TableError(f"{self}: {error}") from error
        return changed


def changes() -> list[Change]:
    """All changes of the table.

    Raises
    ------
    TableError
        If it names a test file that does not exist.
    """
    found = list(_read(tomllib.loads(TABLE.read_text(encoding="utf-8"))))
    for change in found:
        for test in change.tests:
            if not (ROOT / test.split("::")[0]).is_file():
                raise TableError(f"{change}: no test file {test}")
    return found


def _read(table: dict[str, dict]) -> Iterator[Change]:
    for file, entry in table.items():
        for change in entry["changes"]:
            tests = change.get("tests", entry.get("tests", []))
            yield Change(
                file, change["old"], change["new"], tuple(tests), change.get("equivalent", "")
            )


class Result(Enum):
    """What the tests say to a change."""

    KILLED = "killed"
    EXPLAINED = "explained"
    SURVIVED = "SURVIVED"


@dataclass(frozen=True)
class Copy:
    """A copy of the tree, to be changed in one place at a time."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> Copy:
        """Copy what the tests need."""
        unwanted = shutil.ignore_patterns("__pycache__", "output")
        for name in COPIED:
            source, target = ROOT / name, root / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=unwanted)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        return cls(root)

    def try_out(self, change: Change) -> Result:
        """Make a change, run its tests, and take it back."""
        path = self.root / change.file
        text = path.read_text(encoding="utf-8")
        path.write_text(change.applied(self.root), encoding="utf-8")
        try:
            noticed = not self.passes(change.tests)
        finally:
            path.write_text(text, encoding="utf-8")
        if noticed:
            return Result.KILLED
        return Result.EXPLAINED if change.equivalent else Result.SURVIVED

    def passes(self, tests: Sequence[str], processes: int = 0) -> bool:
        """Whether tests pass in this copy.

        Raises
        ------
        TableError
            If there is no such test.
        """
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        if all("::" in test for test in tests):  # named one by one, slow or not
            command += ["-m", ""]
        # Bytecode goes by the second of a change, in which there may be two.
        surroundings = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        surroundings.pop("SINGULAR_LIMIT_CACHE", None)  # the tests give each tree its own
        try:
            run = subprocess.run(
                [*command, "-n", str(processes), *tests],
                cwd=self.root,
                env=surroundings,
                capture_output=True,
                text=True,
                timeout=SECONDS * max(1, len(tests) if processes else 1),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        if run.returncode not in (0, 1, 2):
            raise TableError(f"{' '.join(tests)}: {run.stdout[-2000:]}{run.stderr[-2000:]}")
        return run.returncode == 0

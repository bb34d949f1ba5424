"""A limit as a file of plain NumPy functions, for use without this project."""

from __future__ import annotations

from os import PathLike

from derive import Limit
from derive.files.atomic_write import write_atomically


def write_numpy(limit: Limit, path: str | PathLike[str]) -> None:
    """Write a limit as a Python file that needs nothing but NumPy, whole or not at all.

    Parameters
    ----------
    limit : Limit
        Its parameters bound to numbers, and its step size too if it is a finite-step limit.
    path : path-like
        Name of the file, which holds what ``limit.to("numpy")`` says.

    Raises
    ------
    ProblemError, NotCoveredError
        As `Limit.to`.
    """
    source = limit.to("numpy")
    write_atomically(path, lambda file: file.write(source.encode()))

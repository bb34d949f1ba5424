"""Arrays and a description in one `.npz` file, without pickle, whole or absent."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from derive.errors import SavedFileError
from derive.files.atomic_write import write_atomically

MALFORMED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, ValueError, TypeError, KeyError),
    *(OSError, NotImplementedError, RuntimeError),
)
"""What reading a file of another kind may raise."""


def write_archive(
    path: str | PathLike[str], format_: str, version: int, content: Mapping[str, Any]
) -> None:
    """Write arrays under their names, with the format and its version.

    Parameters
    ----------
    path : path-like
        Name of the file, taken as it is.
    format_ : str
        What kind of file it is.
    version : int
        Version of that format.
    content : mapping of str to array_like
        Numbers, texts or arrays of them.
    """
    arrays = {"format": np.array(format_), "version": np.array(version)}
    arrays |= {name: np.asarray(value) for name, value in content.items()}

    def write(file: IO[bytes]) -> None:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    write_atomically(path, write)


def read_archive(
    path: str | PathLike[str], format_: str, version: int, names: set[str], writer: str
) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file written by `write_archive`.

    Parameters
    ----------
    path, format_, version
        As for `write_archive`; files of that version and of older ones are read.
    names : set of str
        What it must hold.
    writer : str
        The method that writes such files, for messages.

    Raises
    ------
    SavedFileError
        If the file is truncated, of another kind, or of a newer version.
    """
    with Path(path).open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                content = {name: archive[name] for name in archive.files}
        except MALFORMED as error:
            raise SavedFileError(
                f"{path}: not a whole file written by {writer} (truncated, damaged or of another "
                f"kind): {error}"
            ) from error
    if str(content.get("format")) != format_ or not names | {"version"} <= content.keys():
        raise SavedFileError(f"{path}: a .npz file, but not one written by {writer}")
    if int(content["version"]) > version:
        raise SavedFileError(
            f"{path}: written in version {int(content['version'])} of the format, this release "
            f"reads up to {version}; update singular-limit"
        )
    return content

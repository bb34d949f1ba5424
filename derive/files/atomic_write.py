"""Files that are either whole or absent."""

from __future__ import annotations

import errno
import glob
import os
import platform
import re
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import IO

HOST = re.sub(r"\W", "", platform.node())

PROBED_BYTES = 2**16
"""What is written to see whether a disk has room."""


def write_atomically(
    path: str | PathLike[str], write: Callable[[IO[bytes]], object], *, exclusive: bool = False
) -> None:
    """Let `write` fill a temporary file beside `path`, then move it there in one step.

    A new file gets the permissions that any new file gets; one that is replaced passes on its own.
    What killed processes of this machine have left of earlier attempts is removed.

    Parameters
    ----------
    path : path-like
        Where the file shall be; an older one is replaced.
    write : callable
        Receives the open binary file.
    exclusive : bool
        Whether an older file stays, and is an error.

    Raises
    ------
    FileExistsError
        If there is an older file that shall stay.
    """
    path = Path(path)
    _remove_leftovers(path)
    temporary = _temporary(path)
    try:
        with temporary.open("xb") as file:
            if path.exists():
                shutil.copymode(path, temporary)
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            _move_to_new_name(temporary, path)
        else:
            temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # as of a disk that is full
            error.filename = str(path)
        raise


def check_writable(path: str | PathLike[str]) -> None:
    """Refuse a path where no file could be written, before the work that would end in one.

    Raises
    ------
    OSError
        As writing a file there would.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = _temporary(path)
    try:
        try:
            temporary.write_bytes(bytes(PROBED_BYTES))
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        error.filename = str(path)
        raise


def _move_to_new_name(temporary: Path, path: Path) -> None:
    """Give a whole file its name, unless that is taken."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
    except OSError:  # a file system without hard links
        path.touch(exist_ok=False)
        temporary.replace(path)
    else:
        temporary.unlink()


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{HOST}-{os.getpid()}-{secrets.token_hex(8)}.part")


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files for `path` whose process is gone."""
    if os.name != "posix":
        return  # elsewhere there is no harmless way to ask
    for left in path.parent.glob(f".{glob.escape(path.name)}.{HOST}-*.part"):
        process = re.search(r"-(\d+)-[0-9a-f]+\.part$", left.name)
        if process and not _runs(int(process[1])):
            with suppress(OSError):
                left.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it is another user's
    return True

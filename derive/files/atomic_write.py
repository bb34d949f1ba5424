"""Files that are either whole or absent."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import IO


def write_atomically(path: str | PathLike[str], write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then move it there in one step.

    A new file gets the permissions that any new file gets; one that is replaced passes on its own.

    Parameters
    ----------
    path : path-like
        Where the file shall be; an older one is replaced.
    write : callable
        Receives the open binary file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            if path.exists():
                shutil.copymode(path, temporary)
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

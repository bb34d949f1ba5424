"""Generated Python modules, and where they and the machine code of all kernels are kept.

Both are executed when they are found, so the folder belongs to one user, and its files are read
only whole: each holds a digest of its content. Their names hold a digest of all sources, so that
no code outlives what it was made from.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numba
import numpy as np

from derive.files.atomic_write import write_atomically

from ..errors import CacheError

CACHE_VARIABLE = "SINGULAR_LIMIT_CACHE"
"""Environment variable that names another cache directory."""

SEAL = b"\n# sha256 of the lines above: "


def cache_directory() -> Path:
    """Where compiled code lives: `$SINGULAR_LIMIT_CACHE`, or the platform's user cache.

    Raises
    ------
    CacheError
        If neither that variable nor the home directory names a folder.
    """
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        base = given
    elif sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        path = Path(base).expanduser()
    except RuntimeError as error:  # no such user, or none in the list of users
        raise CacheError(
            f"no home directory for {base!r}, where compiled code would be kept; set "
            f"{CACHE_VARIABLE} to a directory of your own"
        ) from error
    return path if given else path / "singular-limit"


def load_generated(name: str, content: str, source: Callable[[], str]) -> ModuleType:
    """Import a generated module from its file, which is written first where it is not whole.

    Parameters
    ----------
    name : str
        A Python name that starts the module's name, for readers of the cache directory.
    content : str
        Everything that determines the text of the module but the generator itself; its hash ends
        the module's name.
    source : callable
        Makes the text of the module; called only if there is no whole file yet.

    Returns
    -------
    module
        With the functions that the text defines; the same object for the same content.

    Raises
    ------
    CacheError
        If the cache directory cannot be written, or others than its owner can write to it; the
        message names the variable that moves it.
    """
    module_name = f"{name}_{_digest(content)}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    path = private_directory() / f"{module_name}.py"
    text, mark, seal = (read_own(path) or b"").rpartition(SEAL)
    if not mark or seal.decode(errors="replace") != hashlib.sha256(text).hexdigest():
        text = source().encode()
        write_own(path, text + SEAL + hashlib.sha256(text).hexdigest().encode())
    spec = importlib.util.spec_from_loader(module_name, _Text(path, text))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # numba finds the functions that it unpickles through this name.
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


class _Text(importlib.abc.SourceLoader):
    """A module's text as it was read and checked; Python keeps no byte code of it."""

    def __init__(self, path: Path, text: bytes) -> None:
        self._path, self._text = path, text

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def get_data(self, path: str | bytes) -> bytes:
        return self._text


def private_directory() -> Path:
    """The cache directory, made if it is missing, and refused if others could put code there.

    Raises
    ------
    CacheError
        If it cannot be made, belongs to another user, or can be written to by others.
    """
    path = cache_directory()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    status = path.stat()
    if not _is_own(status) or (os.name == "posix" and status.st_mode & 0o022):
        raise CacheError(
            f"{path}: code is executed from this directory, and it is not yours alone (owner "
            f"{status.st_uid}, mode {status.st_mode & 0o7777:o}); expected a directory that you "
            f"own and nobody else can write to: chmod 700 it, or set {CACHE_VARIABLE} to another"
        )
    return path


def read_own(path: Path) -> bytes | None:
    """Content of a file of the cache; None if there is none, or it belongs to another user."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        return file.read() if _is_own(os.fstat(file.fileno())) else None
    return None


def write_own(path: Path, content: bytes) -> None:
    """Write a file of the cache, whole or not at all.

    Raises
    ------
    CacheError
        If that fails; the message names the variable that moves the cache.
    """
    try:
        write_atomically(path, lambda file: file.write(content))
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def _is_own(status: os.stat_result) -> bool:
    return os.name != "posix" or status.st_uid == os.geteuid()


def _unwritable(path: Path, error: OSError) -> CacheError:
    return CacheError(
        f"cannot write generated code to {path}: {error}; "
        f"set {CACHE_VARIABLE} to a directory of your own that can be written"
    )


@cache
def code_version() -> str:
    """Digest of every source that can matter, and of the versions of what compiles it.

    All of them, since a list by hand forgets one, and then old code runs under a new name.
    """
    root = Path(__file__).parents[2]
    sources = [p for name in ("derive", "numerics") for p in sorted((root / name).rglob("*.py"))]
    texts = [path.relative_to(root).as_posix().encode() + path.read_bytes() for path in sources]
    versions = (numba.__version__, np.__version__, version("sympy"), sys.version)
    return hashlib.sha256(b"\0".join(texts) + repr(versions).encode()).hexdigest()


def _digest(content: str) -> str:
    return hashlib.sha256((code_version() + content).encode()).hexdigest()[:16]

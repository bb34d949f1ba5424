"""Generated Python modules: files named by their content, in the user's cache directory.

Compiled code is cached by numba beside the module, so a model that was compiled once starts at
once, in every later process.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numba
import numpy as np

from derive.files.atomic_write import write_atomically

CACHE_VARIABLE = "SINGULAR_LIMIT_CACHE"
"""Environment variable that names another cache directory."""


def cache_directory() -> Path:
    """Where generated modules live: `$SINGULAR_LIMIT_CACHE`, or the platform's user cache."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "singular-limit"


def load_generated(name: str, content: str, source: Callable[[], str]) -> ModuleType:
    """Import a generated module from its file, which is written first where it is missing.

    Parameters
    ----------
    name : str
        A Python name that starts the module's name, for readers of the cache directory.
    content : str
        Everything that determines the text of the module but the generator itself; its hash ends
        the module's name.
    source : callable
        Makes the text of the module; called only if there is no file yet.

    Returns
    -------
    module
        With the functions that the text defines; the same object for the same content.

    Raises
    ------
    OSError
        If the cache directory cannot be written; the message names the variable that moves it.
    """
    module_name = f"{name}_{_digest(content)}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    path = cache_directory() / f"{module_name}.py"
    if not path.exists():
        _write(path, source())
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # numba finds the functions that it unpickles through this name.
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


def _write(path: Path, source: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: file.write(source.encode()))
    except OSError as error:
        raise OSError(
            f"cannot write generated code to {path.parent}: {error}; "
            f"set {CACHE_VARIABLE} to a directory that can be written"
        ) from error


@cache
def _surroundings() -> bytes:
    """The environment part of the cache key: every source that can matter, and versions.

    All of them, since a list by hand forgets one, and then old code runs under a new name.
    """
    root = Path(__file__).parents[2]
    sources = [p for name in ("derive", "numerics") for p in sorted((root / name).rglob("*.py"))]
    texts = [path.read_bytes() for path in sources]
    versions = (numba.__version__, np.__version__, version("sympy"), sys.version)
    return b"".join(texts) + repr(versions).encode()


def _digest(content: str) -> str:
    return hashlib.sha256(_surroundings() + content.encode()).hexdigest()[:16]

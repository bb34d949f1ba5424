"""Generated Python modules: files named by their content, in the user's cache directory.

Compiled code is cached by numba beside the module, so a model that was compiled once starts at
once, in every later process.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import numba
import numpy as np

from . import streams, vectormath
from .files import write_atomically

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


def load_generated(name: str, source: str) -> ModuleType:
    """Import `source` as a module, from a file whose name carries the hash of its content.

    Parameters
    ----------
    name : str
        A Python name that starts the module's name, for readers of the cache directory.
    source : str
        Text of the module.

    Returns
    -------
    module
        With the functions that `source` defines; the same object for the same text.

    Raises
    ------
    OSError
        If the cache directory cannot be written; the message names the variable that moves it.
    """
    module_name = f"{name}_{_digest(source)}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    path = cache_directory() / f"{module_name}.py"
    if not path.exists():
        _write(path, source)
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # A name of our own making: numba unpickles cached functions through it.
    sys.modules[module_name] = module
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


def _digest(source: str) -> str:
    """Hash of everything the compiled code depends on: its text, what it inlines, and versions."""
    digest = hashlib.sha256(source.encode())
    for helper in (streams, vectormath):
        assert helper.__file__ is not None
        digest.update(Path(helper.__file__).read_bytes())
    digest.update(f"{numba.__version__} {np.__version__} {sys.version}".encode())
    return digest.hexdigest()[:16]

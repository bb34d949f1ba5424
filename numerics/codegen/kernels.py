"""How loops are compiled, and how their machine code is kept from one process to the next.

numba's own cache sees changes in the file of a function, not in those of the functions that it
calls, and trusts what it finds. Here a file is named by all sources and read only whole.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.serialize import dumps

from .cache import code_version, private_directory, read_own, write_own

FAST = ("afn", "arcp", "contract", "nsz", "reassoc")
"""Floating-point freedom of compiled code: all but "nnan" and "ninf", so divergence is seen."""

DIGEST_BYTES = 32


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function with numba when it is first called, or take its code from the cache."""
    kernel: Any = njit(nogil=True, error_model="numpy", fastmath=set(FAST))(function)
    kernel._cache = _KernelCache(function)
    return kernel


class _Locator(_CacheLocator):
    """One folder for all; the numbers of lines tell functions of one name apart."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._place = f"{function.__module__}-{function.__code__.co_firstlineno}"

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator:
        return cls(py_func)

    def get_cache_path(self) -> str:
        return ""  # an import needs no folder

    def ensure_cache_path(self) -> None:
        private_directory()

    def get_source_stamp(self) -> str:
        return ""  # the names of files hold it

    def get_disambiguator(self) -> str:
        return self._place


class _KernelCacheImpl(CompileResultCacheImpl):
    _locator_classes: list[type[object]] = [_Locator]  # noqa: RUF012 (as numba declares it)


class _KernelFiles:
    """One file for each signature: a digest, then what numba pickles.

    Parameters
    ----------
    name : str
        What names of files begin with.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def load(self, key: Any) -> Any:
        """What was saved under a key; None if there is no intact file."""
        sealed = read_own(private_directory() / self._file_name(key)) or b""
        content = sealed[DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != sealed[:DIGEST_BYTES]:
            return None  # compiled again, the file is replaced
        return pickle.loads(content)

    def save(self, key: Any, data: Any) -> None:
        """Keep the reduced form of compiled code."""
        content = dumps(data)
        sealed = hashlib.sha256(content).digest() + content
        write_own(private_directory() / self._file_name(key), sealed)

    def flush(self) -> None:
        """Forget nothing: a function that is compiled again replaces its files."""

    def _file_name(self, key: Any) -> str:
        digest = hashlib.sha256(f"{code_version()} {key}".encode()).hexdigest()
        return f"{self._name}.{digest[:16]}.nbc"


class _KernelCache(FunctionCache):
    """numba's cache of a function, in the folder of generated code."""

    _impl_class = _KernelCacheImpl

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _KernelFiles(self._impl.filename_base)

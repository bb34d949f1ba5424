"""Ctrl-C while code is being compiled waits until it is, which takes seconds at most.

In the midst of numba's work an interrupt may be swallowed by a destructor or a callback, so that
the run goes on as if nothing had been pressed, or leave functions half compiled.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from numba.core import event


@contextmanager
def compiling_to_the_end() -> Iterator[None]:
    """Within this block, or the function it decorates, an interrupt waits for numba to finish."""
    if threading.current_thread() is not threading.main_thread():
        yield  # the main thread alone is interrupted
        return
    with event.install_listener("numba:compile", PostponedInterrupt()):
        yield


class PostponedInterrupt(event.Listener):
    """Holds back the interrupt signal from the start of numba's work to its end."""

    def __init__(self) -> None:
        self._depth = 0
        self._handler: Any = None
        self._came = False

    def on_start(self, event: event.Event) -> None:
        """Take the place of the handler; compilations nest, and blocks too."""
        if threading.current_thread() is not threading.main_thread():
            return
        if self._depth == 0:
            handler = signal.getsignal(signal.SIGINT)
            if isinstance(getattr(handler, "__self__", None), PostponedInterrupt):
                return
            self._came = False
            self._handler = signal.signal(signal.SIGINT, self._note)
        self._depth += 1

    def on_end(self, event: event.Event) -> None:
        """Give the place back, and pass on what came in between."""
        if threading.current_thread() is not threading.main_thread() or self._depth == 0:
            return
        self._depth -= 1
        if self._depth == 0:
            signal.signal(signal.SIGINT, self._handler or signal.default_int_handler)
            if self._came:
                signal.raise_signal(signal.SIGINT)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True

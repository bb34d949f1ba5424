"""Ctrl-C while code is compiled or loaded waits until it is, which takes seconds at most.

In the midst of numba's work an interrupt may be swallowed by a destructor or a callback, so that
the run goes on as if nothing had been pressed, or leave functions half compiled.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def compiling_to_the_end() -> Iterator[None]:
    """Hold an interrupt back until the end of this block, or of the function it decorates."""
    handler = signal.getsignal(signal.SIGINT)
    if (
        threading.current_thread() is not threading.main_thread()  # it alone is interrupted
        or handler is None  # one that is not Python's to put back
        or isinstance(handler, _Note)
    ):
        yield
        return
    note = _Note()
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if note.came:
            signal.raise_signal(signal.SIGINT)


class _Note:
    """Remembers that the signal came."""

    came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.came = True

"""Ctrl-C while code is being compiled waits until it is: numba cannot be used after half of it.

Compiling takes seconds at most. Without this, an interrupt at the wrong moment leaves functions
that fail with "no compiled object yet" for the rest of a session.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from numba.core import event


class PostponedInterrupt(event.Listener):
    """Holds back the interrupt signal from the start of numba's work to its end."""

    def __init__(self) -> None:
        self._depth = 0
        self._handler: Any = None
        self._came = False

    def on_start(self, event: event.Event) -> None:
        """Take the place of the handler; compilations nest."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._depth += 1
        if self._depth == 1:
            self._came = False
            self._handler = signal.signal(signal.SIGINT, self._note)

    def on_end(self, event: event.Event) -> None:
        """Give the place back, and pass on what came in between."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._depth -= 1
        if self._depth == 0:
            signal.signal(signal.SIGINT, self._handler or signal.default_int_handler)
            if self._came:
                signal.raise_signal(signal.SIGINT)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True


event.register("numba:compile", PostponedInterrupt())

"""SIGTERM and SIGHUP while a run is under way -> the same clean stop as Ctrl-C, with their code."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

_NAMES = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP


class Stopped(Exception):
    """A signal has stopped a run, and what was under way is removed."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.code = 128 + number
        """The exit code by which shells know the signal."""


@contextmanager
def terminable() -> Iterator[None]:
    """Make these signals interrupt the block, and raise Stopped once it has cleaned up.

    More of them are ignored from then on, until the process has ended: a service manager sends
    both. What is ignored already stays so, such as SIGHUP under nohup.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    found = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    handlers = {number: signal.getsignal(number) for number in found}
    before = {n: handler for n, handler in handlers.items() if handler != signal.SIG_IGN}
    received: list[int] = []

    def interrupt(number: int, frame: object) -> NoReturn:
        received.append(number)
        for each in before:
            signal.signal(each, _hear_nothing)
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    except BaseException:
        if received:  # whatever came of it, such as a terminal that is gone
            raise Stopped(received[0]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if received else handler)


def _hear_nothing(number: int, frame: object) -> None:
    """Ignore a signal that may be waiting already, of which Python complains under SIG_IGN."""

"""Signals while a run is under way -> a clean stop, at once or after what is under way.

The first Ctrl-C lets the run finish what is under way, the second stops it. SIGTERM and SIGHUP stop
it at once, with their own exit codes.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
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


@contextmanager
def pausable(say: Callable[[str], None]) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C in the block sets; the next one is a KeyboardInterrupt.

    say: tells a person how to go on from there.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.getsignal(signal.SIGINT)

    def pause(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say("finishing what is under way; Ctrl-C again stops now")

    if before != signal.SIG_IGN:
        signal.signal(signal.SIGINT, pause)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _hear_nothing(number: int, frame: object) -> None:
    """Ignore a signal that may be waiting already, of which Python complains under SIG_IGN."""

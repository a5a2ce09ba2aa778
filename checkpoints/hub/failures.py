"""What the Hub's client raises -> one message that says what to do."""

from __future__ import annotations

import errno
import importlib
from contextlib import suppress
from functools import cache

from ...grammar.diagnostics import CheckpointError, MergecError

LIMITED = 429
LASTING = 500
"""Status codes from this one on are the server's own trouble, which may pass."""


def failure(error: Exception, repo: str, revision: str | None, endpoint: str) -> MergecError:
    """The error of a repository that can't be read.

    E0630 (the Hub has none such for this reader), E0631 (gated), E0632 (not reached), E0634 (the
    disk), E0635 (no such revision).
    """
    from huggingface_hub import errors

    at = f"@{revision}" if revision else ""
    if isinstance(error, errors.GatedRepoError):
        return CheckpointError.of(
            "E0631",
            f"`{repo}` is gated: its licence has to be accepted",
            hint=f"accept it at {endpoint}/{repo} and log in: hf auth login, or set HF_TOKEN",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return CheckpointError.of(
            "E0635",
            f"`{repo}` has no revision `{revision}`",
            hint=f"its branches, tags and commits are listed at {endpoint}/{repo}/tree/main",
        )
    if isinstance(error, errors.RepositoryNotFoundError) or _status(error) == 401:
        return CheckpointError.of(
            "E0630",
            f"the Hub has no model `{repo}` that you may see",
            hint="check its name; a private one needs `hf auth login` or HF_TOKEN",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CheckpointError.of(
            "E0634",
            f"the disk is full: `{repo}{at}` can't be fetched",
            hint="free some, let HF_HOME name another disk, or keep nothing: --stream",
        )
    return CheckpointError.of(
        "E0632",
        f"`{repo}{at}` can't be read from {endpoint}: {_said(error)}",
        hint="check the network and HF_ENDPOINT; --offline does with what is on this machine",
    )


def passes(error: Exception) -> float | None:
    """Whether it may help to try again, and after how many seconds at least."""
    status = _status(error)
    if status is None:
        return 0.0 if isinstance(error, connection_errors()) else None
    if status == LIMITED or status >= LASTING:
        response = getattr(error, "response", None)
        text = "" if response is None else response.headers.get("Retry-After", "")
        return float(text) if text.isdecimal() else 0.0
    return None


@cache
def connection_errors() -> tuple[type[Exception], ...]:
    """What the HTTP client raises for a connection that can't be had, or breaks.

    The Hub's client uses httpx2 since its version 2, and httpx before.
    """
    found: list[type[Exception]] = [ConnectionError, TimeoutError]
    for name in ("httpx2", "httpx"):
        with suppress(ImportError):
            found.append(importlib.import_module(name).TransportError)
    return tuple(found)


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def _said(error: Exception) -> str:
    """The first line of what an error says."""
    if _status(error) == LIMITED:
        return "too many requests for this account or address; try again later"
    return next(iter(str(error).strip().splitlines()), type(error).__name__)

"""Prompts of experts -> the rows of their gates: what the base model makes of the prompts.

`cheap_embed` adds up the prompts' embeddings; `hidden` takes the state of the last token before
each layer, `hidden_avg` the mean over the tokens. A row is what the prompts give less what the
negative ones do, of length 1. Layers are loaded one at a time, so that one layer and the prompts'
states are all that is held; the rows are kept on disk by what they depend on.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ...whole_files import write_whole
from ..cache_home import cache_home
from ..checkpoint import Checkpoint
from .base_states import embedded, hidden_states, token_ids

if TYPE_CHECKING:
    import numpy as np

Texts = tuple[tuple[str, ...], tuple[str, ...]]
_VERSION = 1  # of the rows that are kept


@dataclass(frozen=True, eq=False)
class PromptGates:
    """The gates of one mixture. texts: each expert's prompts and negative prompts."""

    base: Checkpoint
    kind: Literal["hidden", "hidden_avg", "cheap_embed"]
    texts: tuple[Texts, ...]
    _found: list[Any] = field(default_factory=list, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def key(self) -> tuple[object, ...]:
        """What the rows depend on."""
        files = tuple(file.identity for file in self.base.files)
        return ("gate", _VERSION, self.kind, self.texts, files)

    def layer(self, number: int) -> np.ndarray[Any, Any]:
        """The rows of a layer, of every expert: (experts, width) in float32.

        Errors: RunError E0640 where transformers or tokenizers isn't installed.
        """
        with self._lock:
            if not self._found:
                self._found.append(self._kept_or_made())
            rows: np.ndarray[Any, Any] = self._found[0][number]
            return rows

    def _kept_or_made(self) -> np.ndarray[Any, Any]:
        import numpy as np

        digest = hashlib.sha256(json.dumps(self.key, default=str).encode()).hexdigest()
        path = cache_home() / "gates" / f"{digest[:32]}.npy"
        if path.is_file():
            try:
                kept: np.ndarray[Any, Any] = np.load(path, allow_pickle=False)
                return kept
            except (OSError, ValueError):
                path.unlink(missing_ok=True)
        made = self._make()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        stream = io.BytesIO()
        np.save(stream, made)
        write_whole(path, stream.getvalue(), shared=True)
        return made

    def _make(self) -> np.ndarray[Any, Any]:
        """(layers, experts, width)."""
        import numpy as np

        prompts = [text for pair in self.texts for side in pair for text in side]
        ids = token_ids(self.base, prompts)
        if self.kind == "cheap_embed":
            states = embedded(self.base, ids)
        else:
            states = hidden_states(self.base, ids, mean=self.kind == "hidden_avg")
        found, place = [], 0
        for positive, negative in self.texts:
            ends = place + len(positive), place + len(positive) + len(negative)
            row = self._side(states[:, place : ends[0]])
            if negative:
                row = row - self._side(states[:, ends[0] : ends[1]])
            found.append(_unit(row))
            place = ends[1]
        return np.stack(found, axis=1).astype(np.float32)

    def _side(self, states: np.ndarray[Any, Any]) -> Any:
        """Of one side's prompts: (layers, width)."""
        if self.kind == "cheap_embed":
            return _unit(states.sum(axis=1))
        return states.mean(axis=1)


def _unit(rows: np.ndarray[Any, Any]) -> Any:
    import numpy as np

    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-8)

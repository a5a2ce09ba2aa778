"""Names and shapes -> the tensors with a row for each token: embeddings, heads, their biases."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..source_tensors import SourceTensor
from ..tied_head import TOKEN_EMBEDDINGS

_EMBEDDINGS = (
    *TOKEN_EMBEDDINGS,
    "embed_in.weight",
    "tok_embeddings.weight",
    "backbone.embeddings.weight",
)
_SHARED = "shared.weight"  # of encoder and decoder
_HEAD = re.compile(
    r"(^|\.)(lm_head|embed_out|output|output_layer|output_projection|proj_out"
    r"|predictions|predictions\.decoder)\.(weight|bias)$"
)


def is_embedding(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor of this name and shape is a token embedding: (tokens, width)."""
    return len(shape) == 2 and (name.endswith(_EMBEDDINGS) or name == _SHARED)


def embedding_rows(tensors: Mapping[str, SourceTensor]) -> int | None:
    """Rows of a checkpoint's token embedding; None where it has none, or several sizes."""
    sizes = {t.shape[0] for name, t in tensors.items() if is_embedding(name, t.shape)}
    return sizes.pop() if len(sizes) == 1 else None


def has_token_rows(name: str, shape: tuple[int, ...], rows: int | None) -> bool:
    """Whether a tensor has a row for each of a checkpoint's `rows` tokens."""
    if not shape or shape[0] != rows:
        return False
    return is_embedding(name, shape) or _HEAD.search(name) is not None

"""A tied model's output projection, which it doesn't store -> its token embedding."""

from __future__ import annotations

from .checkpoint import Checkpoint
from .layers import is_head, main_sections
from .source_tensors import SourceTensor

TOKEN_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight")


def tied_embedding(checkpoint: Checkpoint, name: str) -> SourceTensor | None:
    """The embedding that stands for a head of this name that the checkpoint lacks, if one does."""
    if not is_head(name):
        return None
    ties = [section.get("tie_word_embeddings") for section in main_sections(checkpoint.config)]
    if True not in ties:
        return None
    found = [t for n, t in checkpoint.tensors.items() if n.endswith(TOKEN_EMBEDDINGS)]
    return found[0] if len(found) == 1 else None

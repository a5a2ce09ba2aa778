"""A base model and prompts -> the prompts' embeddings, or their states before each layer.

The model is made without weights, and its layers get theirs one after the other, so that one layer
and the prompts' states are all that is in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...grammar.diagnostics import CheckpointError, RunError
from ..checkpoint import Checkpoint
from ..element_bits import decode
from ..layers import Layers
from ..source_tensors import SourceTensor
from ..stores import OpenFile, StoredFile
from ..vocabularies.vocabulary import read_from, read_vocabulary
from ..vocabularies.vocabulary_tensors import is_embedding

if TYPE_CHECKING:
    import numpy as np


def token_ids(base: Checkpoint, prompts: Sequence[str]) -> list[list[int]]:
    """The ids of each prompt, after the token that texts begin with, if there is one.

    Errors: RunError E0640 without the tokenizers library, CheckpointError E0403 without a
    tokenizer.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise missing_extra("tokenizers") from None
    read = read_from(base.store)
    vocabulary, content = read_vocabulary(read, base.place), read("tokenizer.json")
    if vocabulary is None or content is None:
        message = f"{base.place} has no tokenizer: gates can't be made from prompts"
        raise CheckpointError.of("E0403", message)
    tokenizer = Tokenizer.from_str(content.decode())
    begin = vocabulary.special.get("bos_token", "")
    found = [tokenizer.encode(begin + text, add_special_tokens=False).ids for text in prompts]
    return [ids or [0] for ids in found]


def embedded(base: Checkpoint, ids: Sequence[Sequence[int]]) -> np.ndarray[Any, Any]:
    """The sum of each prompt's embeddings, for every layer: (layers, prompts, width)."""
    import numpy as np

    with _open_files() as opened:
        sums = np.stack([_rows(base, tokens, opened).sum(axis=0) for tokens in ids])
    return np.repeat(sums[None], Layers.of(base.tensors, base.config).count, axis=0)


def hidden_states(
    base: Checkpoint, ids: Sequence[Sequence[int]], *, mean: bool
) -> np.ndarray[Any, Any]:
    """Each prompt's state before each layer: (layers, prompts, width), in float32.

    mean: over its tokens; else that of its last one.
    Errors: RunError E0640 without transformers.
    """
    import numpy as np

    try:
        import torch
        import transformers
    except ImportError:
        raise missing_extra("transformers") from None
    config = transformers.AutoConfig.for_model(**base.config)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        made: Any = transformers.AutoModelForCausalLM
        model = made.from_config(config).model
    rotary = type(model.rotary_emb)(config=config)
    found: list[list[Any]] = []
    with torch.no_grad(), _open_files() as opened:
        states = [torch.from_numpy(_rows(base, tokens, opened))[None] for tokens in ids]
        for number, layer in enumerate(model.layers):
            found.append([_summary(state, mean) for state in states])
            if number == len(model.layers) - 1:
                break
            layer.to_empty(device="cpu")
            layer.load_state_dict(_layer_weights(base, number, opened))
            states = [_through(layer, rotary, state) for state in states]
            layer.to("meta")
    return np.stack([np.stack(layer) for layer in found])


def missing_extra(name: str) -> RunError:
    """What to raise where an optional library isn't installed."""
    error = RunError.of(
        "E0640",
        f"this needs {name}, which isn't installed",
        hint="pip install 'mergec[transformers]'",
    )
    assert isinstance(error, RunError)
    return error


def _through(layer: Any, rotary: Any, state: Any) -> Any:
    """A layer's output for one prompt: (1, tokens, width)."""
    import torch

    count = state.shape[1]
    places = torch.arange(count)[None]
    mask = torch.full((count, count), float("-inf")).triu(1)[None, None]
    out = layer(
        state,
        attention_mask=mask,
        position_ids=places,
        position_embeddings=rotary(state, places),
    )
    return out[0] if isinstance(out, tuple) else out


def _summary(state: Any, mean: bool) -> Any:
    return (state.mean(dim=1) if mean else state[:, -1])[0].numpy().copy()


def _layer_weights(base: Checkpoint, number: int, opened: _Opener) -> dict[str, Any]:
    """One layer's tensors in float32, by their names in it."""
    import torch

    layers = Layers.of(base.tensors, base.config)
    found = {}
    for name, tensor in base.tensors.items():
        place = layers.locate(name)
        if place is not None and place.layer == number:
            buffer = bytearray(tensor.nbytes)
            tensor.reader(opened).read(0, memoryview(buffer))
            values = torch.from_numpy(decode(buffer, tensor.dtype).copy())
            found[place.suffix] = values.reshape(tensor.shape)
    return found


def _rows(base: Checkpoint, tokens: Sequence[int], opened: _Opener) -> np.ndarray[Any, Any]:
    """The embeddings of some tokens, in float32: (tokens, width)."""
    import numpy as np

    tensor = _embedding(base)
    reader, width = tensor.reader(opened), tensor.shape[1]
    found = []
    for token in tokens:
        buffer = bytearray(width * tensor.dtype.itemsize)
        reader.read(token * len(buffer), memoryview(buffer))
        found.append(decode(buffer, tensor.dtype))
    return np.stack(found).astype(np.float32)


def _embedding(base: Checkpoint) -> SourceTensor:
    found = [t for name, t in base.tensors.items() if is_embedding(name, t.shape)]
    if len(found) != 1:
        message = f"{base.place} has {len(found)} token embeddings: gates need one"
        raise CheckpointError.of("E0403", message)
    return found[0]


class _Opener:
    """Opens files, each once."""

    def __init__(self) -> None:
        self.files: dict[StoredFile, OpenFile] = {}

    def __call__(self, file: StoredFile) -> OpenFile:
        if file not in self.files:
            self.files[file] = file.open()
        return self.files[file]


@contextmanager
def _open_files() -> Iterator[_Opener]:
    opener = _Opener()
    try:
        yield opener
    finally:
        for file in opener.files.values():
            file.close()

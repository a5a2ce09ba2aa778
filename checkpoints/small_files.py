"""A base checkpoint -> the small files beside its weights, copied to the output's folder.

Tokenizer, generation settings, processors, chat templates and licences go with the weights, by
name; anything else (weights in other formats, code, readmes) stays behind.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from ..grammar.diagnostics import RunError
from .checkpoint import Checkpoint
from .stores import Store, StoredFile, place_in

_OF_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "tokenizer.model.v*",
    "sentencepiece*.model",
    "*.spm",
    "spiece.model",
    "*.tiktoken",
    "tekken.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
)

SIDECARS = (
    "generation_config.json",
    *_OF_TOKENIZER,
    # what turns images, sound and video into inputs
    "preprocessor_config.json",
    "processor_config.json",
    "image_processor_config.json",
    "video_preprocessor_config.json",
    # sentence-transformers: its modules after the encoder
    "modules.json",
    "sentence_*_config.json",
    "config_sentence_transformers.json",
    "[1-9]_*/config.json",
    "[1-9]_*/model.safetensors",
    "LICENSE*",
    "LICENCE*",
    "NOTICE*",
)


def is_of_tokenizer(name: str) -> bool:
    """Whether a small file is a tokenizer's or its chat template's."""
    return any(fnmatchcase(name, pattern) for pattern in _OF_TOKENIZER)


def readable_sidecars(base: Checkpoint) -> list[StoredFile]:
    """The base's small files that go with its weights, each tried: it can be opened and read.

    config.json is not among them: the output's differs (see `edit_config`).
    Errors: E0603 for one that can't be read, RunError E0611 for one that leads out of the
    checkpoint.
    """
    return [_readable(base.store, name) for name in sidecars(base)]


def _readable(store: Store, name: str) -> StoredFile:
    if (elsewhere := store.leads_to(name)) is not None:
        raise RunError.of(
            "E0611",
            f"{place_in(store, name)} is a link to {elsewhere}, outside its checkpoint",
            hint="put the file itself there, if it belongs to the model",
        )
    opened = store.open(name)
    try:
        opened.read(0, memoryview(bytearray(min(1, opened.size))))
        return StoredFile(store, name, opened.size, opened.identity, "")
    finally:
        opened.close()


def sidecars(base: Checkpoint) -> list[str]:
    """The names of the base's small files that go with its weights, in order.

    None without a config.json: the folder of a lone file may be anyone's.
    """
    if not base.config:
        return []
    return sorted({name for pattern in SIDECARS for name in base.store.names(pattern)})

"""A base checkpoint -> the small files beside its weights, copied to the output's folder.

Tokenizer, generation settings, processors, chat templates and licences go with the weights, by
name; anything else (weights in other formats, code, readmes) stays behind.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..grammar.diagnostics import RunError
from .checkpoint import Checkpoint

SIDECARS = (
    "generation_config.json",
    # tokenizer
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
    # chat templates
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
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


def readable_sidecars(base: Checkpoint) -> list[Path]:
    """The base's small files that go with its weights, each tried: it can be opened and read.

    config.json is not among them: the output's differs (see `edit_config`).
    Errors: RunError E0603 for one that can't be read, E0611 for one that leads out of the
    checkpoint.
    """
    found = sidecars(base)
    for path in found:
        _refuse_leak(base, path)
        try:
            with path.open("rb") as stream:
                stream.read(1)
        except OSError as error:
            raise RunError.of("E0603", f"can't read {path}: {error.strerror}") from None
    return found


def _refuse_leak(base: Checkpoint, path: Path) -> None:
    """A link may lead to where its checkpoint lies, or into the same Hugging Face cache's blobs.

    Anything else could be any file of this machine, on its way into a published model.
    """
    root = Path(os.path.realpath(base.root))
    real = Path(os.path.realpath(path))
    allowed = [root]
    if root.parent.name == "snapshots":
        allowed.append(root.parent.parent / "blobs")
    if not any(real.is_relative_to(folder) for folder in allowed):
        raise RunError.of(
            "E0611",
            f"{path} is a link to {real}, outside its checkpoint",
            hint="put the file itself there, if it belongs to the model",
        )


def sidecars(base: Checkpoint) -> list[Path]:
    """The base's small files that go with its weights, in the order of their names.

    None without a config.json: the folder of a lone file may be anyone's.
    """
    if not base.config:
        return []
    found = {path for pattern in SIDECARS for path in base.root.glob(pattern)}
    return sorted(path for path in found if path.is_file())

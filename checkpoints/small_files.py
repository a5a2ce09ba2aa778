"""A base checkpoint -> the small files beside its weights, copied to the output's folder.

Tokenizer, generation settings, processors, chat templates and licences go with the weights, by
name; anything else (weights in other formats, code, readmes) stays behind.
"""

from __future__ import annotations

import shutil
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


def copy_sidecars(base: Checkpoint, to: Path) -> list[Path]:
    """Copy the base's small files into the folder `to`; return the copies.

    config.json is not among them: the output's differs (see `edit_config`).
    Errors: RunError E0603 for a file that can't be read or written.
    """
    copies = []
    for source in sidecars(base):
        target = to / source.relative_to(base.root)
        try:
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, target)
        except OSError as error:
            raise RunError.of("E0603", f"can't copy {source}: {error.strerror}") from None
        copies.append(target)
    return copies


def sidecars(base: Checkpoint) -> list[Path]:
    """The base's small files that go with its weights, in the order of their names.

    None without a config.json: the folder of a lone file may be anyone's.
    """
    if not base.config:
        return []
    found = {path for pattern in SIDECARS for path in base.root.glob(pattern)}
    return sorted(path for path in found if path.is_file())

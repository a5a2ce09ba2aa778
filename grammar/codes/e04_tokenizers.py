"""E04xx, W04xx: tokenizers and chat templates."""

from __future__ import annotations

from .code import Code

CODES = (
    Code(
        "E0401",
        "`tokenizer` is not supported yet",
        "The output has the tokenizer files of its base model.",
        "Leave the setting out.",
    ),
    Code(
        "E0402",
        "`chat_template` is not supported yet",
        "The output has the chat template of its base model.",
        "Leave the setting out.",
    ),
)

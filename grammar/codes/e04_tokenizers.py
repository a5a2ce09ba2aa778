"""E04xx, W04xx: tokenizers and chat templates."""

from __future__ import annotations

from .code import Code

CODES = (
    Code(
        "E0402",
        "this is no chat template",
        "A chat template is one of those that mergec knows, a file, or Jinja text.",
        "Correct its name, its path or its text.",
    ),
    Code(
        "E0403",
        "a tokenizer isn't there, or isn't what it should be",
        "Tokenizers are read from tokenizer.json: other formats, and files that are damaged, can't "
        "be reconciled with others.",
        "Write a tokenizer.json with transformers: `AutoTokenizer.from_pretrained(FOLDER)"
        ".save_pretrained(FOLDER)`.",
    ),
    Code(
        "E0404",
        "tokens that no embedding row serves",
        "A model that meets such a token reads past its embedding.",
        'Give each token a row (`"<|token|>" = model`, `= zero`), or choose a `tokenizer` that '
        "leaves it out.",
    ),
    Code(
        "E0405",
        "the vocabularies of a merge differ in size",
        "Embeddings of different sizes have no common shape, and what a row stands for differs.",
        "`tokenizer = union` keeps all tokens, `tokenizer = base` the base's; "
        "`--truncate-embeddings` cuts all to the smallest.",
    ),
    Code(
        "W0401",
        "a model has no tokenizer",
        "It is taken to have the base's.",
        "Put its tokenizer.json beside its weights.",
    ),
    Code(
        "W0402",
        "a chat template ends turns with tokens that aren't there",
        "The model would read the mark as several pieces of text, and go on after it.",
        'Add the token: `tokenizer = union { "<|token|>" = model }`.',
    ),
    Code(
        "W0403",
        "tokenizers of one size differ",
        "Rows that stand for different tokens are merged as if they stood for the same.",
        "`tokenizer = union` or `tokenizer = base` sorts them.",
    ),
    Code(
        "W0404",
        "a setting names a token that is gone",
        "The output's tokenizer hasn't the token that an id of the generation settings stood for.",
        "Look at generation_config.json of the output.",
    ),
)

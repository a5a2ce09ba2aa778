"""What a recipe says of its chat template -> the template's text, checked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from ...grammar.diagnostics import RecipeError, Span, did_you_mean
from .vocabulary import Vocabulary

TEMPLATES = ("chatml", "llama3", "mistral", "alpaca", "exaone")
_MARKS = {
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "llama3": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "exaone": ("[|endofturn|]",),
}
"""Tokens that a template ends turns with: without them a model never stops."""

_GENERATION = re.compile(r"\{%-?\s*(end)?generation\s*-?%\}")
"""Tags of transformers' own, around what an assistant says."""


def chat_template(
    asked: str, vocabularies: Sequence[Vocabulary], folder: Path, span: Span | None = None
) -> str | None:
    """The text of a template: one of TEMPLATES, `auto`, a file, or the Jinja text itself.

    vocabularies: of the sources; `auto` takes the template that most of them have, the first of
    those that are equally frequent, None where none has one. folder: what a path starts from.
    Errors: RecipeError E0402 at `span`: no such template or file, or text that isn't Jinja.
    """
    if asked == "auto":
        found = [t.strip() for v in vocabularies if (t := v.template) is not None]
        return Counter(found).most_common(1)[0][0] if found else None
    if asked in TEMPLATES:
        return files(f"{__package__}.templates").joinpath(f"{asked}.jinja").read_text("utf-8")
    text = asked if "{" in asked or "\n" in asked else _from_file(asked, folder, span)
    _check(text, asked, span)
    return text


def unknown_marks(asked: str, vocabulary: Vocabulary) -> list[str]:
    """Marks of a named template that a vocabulary has no token for."""
    return [mark for mark in _MARKS.get(asked, ()) if mark not in vocabulary.tokens]


def _from_file(asked: str, folder: Path, span: Span | None) -> str:
    path = folder / Path(asked).expanduser()
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
    known = ("auto", *TEMPLATES)
    near = did_you_mean(asked, known) or f"templates are {', '.join(known)}"
    message = f"`{asked}` is no chat template, and can't be read as a file: {problem}"
    raise RecipeError.of("E0402", message, span=span, hint=near)


def _check(text: str, asked: str, span: Span | None) -> None:
    """Only parsed, not run."""
    from jinja2 import Environment, TemplateSyntaxError

    try:
        Environment(extensions=["jinja2.ext.loopcontrols"]).parse(_GENERATION.sub("", text))
    except TemplateSyntaxError as error:
        where = "the chat template" if text == asked else f"the chat template {asked}"
        message = f"{where} isn't Jinja: line {error.lineno}: {error.message}"
        raise RecipeError.of("E0402", message, span=span) from None

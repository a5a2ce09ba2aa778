"""An output's vocabulary and chat template -> its tokenizer's files, and ids for its configs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...checkpoints.vocabularies.chat_templates import chat_template, unknown_marks
from ...checkpoints.vocabularies.reconcile import Counts
from ...checkpoints.vocabularies.token_ids import remap_ids
from ...checkpoints.vocabularies.tokenizer_files import tokenizer_files
from ...checkpoints.vocabularies.vocabulary import Vocabulary, read_from, read_vocabulary
from ...grammar.diagnostics import CheckpointError, Diagnostics, RecipeError
from ..binding.bound import Bound, Output
from ..binding.model_structure import config_source, sources_of
from ..lowering.output_vocabularies import OutputVocabulary

GENERATION_NAME = "generation_config.json"


@dataclass(frozen=True, eq=False)
class TokenFiles:
    """What an output has of its tokenizer that isn't its base's as it lies there.

    files: by name; empty where the base's are copied. old, new: vocabularies that ids in configs
    go from and to, where they differ. counts: of a tokenizer that was asked for, and the
    references of the sources that the counts number.
    """

    files: Mapping[str, bytes]
    old: Vocabulary | None = None
    new: Vocabulary | None = None
    counts: Counts | None = None
    references: tuple[str, ...] = ()

    def config(self, config: dict[str, Any]) -> dict[str, Any]:
        """A config with the ids that tokens have in the output."""
        if self.old is None or self.new is None:
            return config
        return remap_ids(config, self.old, self.new)[0]


def find_token_files(
    bound: Bound, vocabularies: Sequence[OutputVocabulary | None], problems: Diagnostics
) -> tuple[TokenFiles, ...]:
    """The tokenizers' files of every output.

    Reports E0402 (a chat template), E0403 (a tokenizer that can't be read), W0402 (tokens that a
    template needs and the vocabulary lacks), W0404 (ids whose token is gone).
    """
    found = []
    for output, vocabulary in zip(bound.outputs, vocabularies, strict=True):
        try:
            found.append(_token_files(output, vocabulary, problems))
        except (RecipeError, CheckpointError) as error:
            problems.items += error.diagnostics
            found.append(TokenFiles({}))
    return tuple(found)


def _token_files(
    output: Output, known: OutputVocabulary | None, problems: Diagnostics
) -> TokenFiles:
    changed = known is not None and known.vocabulary is not known.base
    if not changed and output.template is None:
        return TokenFiles({})
    vocabulary = known.vocabulary if known is not None else None
    if vocabulary is None:
        vocabulary = _own(output)
    template = None if output.template is None else _template(output, vocabulary, problems)
    files = tokenizer_files(vocabulary, template)
    if known is None or not changed or known.base is None:
        return TokenFiles(files)
    generation = known.base.read(GENERATION_NAME)
    if generation is not None:
        remapped, lost = remap_ids(_object(generation), known.base, vocabulary)
        files[GENERATION_NAME] = (json.dumps(remapped, indent=2) + "\n").encode()
        _report_lost(output, lost, problems)
    counts = None if known.reconciled is None else known.reconciled.counts
    references = tuple(source.reference for source in known.sources)
    return TokenFiles(files, known.base, vocabulary, counts, references)


def _own(output: Output) -> Vocabulary:
    """The base's vocabulary, which a chat template needs."""
    base = config_source(output).checkpoint
    place = output.template.span if output.template else output.span
    found = read_vocabulary(read_from(base.store), base.place, place)
    if found is None:
        message = f"{base.reference} has no tokenizer that a chat template could go with"
        raise RecipeError.of("E0403", message, span=place)
    return found


def _template(output: Output, vocabulary: Vocabulary, problems: Diagnostics) -> str | None:
    asked = output.template
    assert asked is not None
    others = []
    if asked.asked == "auto":
        for source in sources_of(output.value):
            checkpoint = source.checkpoint
            found = read_vocabulary(read_from(checkpoint.store), checkpoint.place, asked.span)
            others += [] if found is None else [found]
    if unknown := unknown_marks(asked.asked, vocabulary):
        problems.report(
            "W0402",
            f"the tokenizer has no token {' or '.join(f'`{mark}`' for mark in unknown)}, which "
            f"`{asked.asked}` ends turns with",
            asked.span,
            hint='`tokenizer = union { "<|token|>" = model }` adds one',
        )
    return chat_template(asked.asked, others, asked.folder, asked.span)


def _report_lost(output: Output, lost: Sequence[str], problems: Diagnostics) -> None:
    if lost:
        problems.report(
            "W0404",
            f"the tokenizer lacks the tokens of {', '.join(lost)}: {GENERATION_NAME} names none",
            output.span,
        )


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as error:
        message = f"{GENERATION_NAME} is not valid JSON: {error}"
        raise CheckpointError.of("E0403", message) from None
    return found if isinstance(found, dict) else {}

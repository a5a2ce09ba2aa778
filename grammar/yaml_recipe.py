"""mergekit YAML -> Recipe: the YAML front end.

A file of one document is one `save`. Of several documents the ones with a `name` are stages, each a
`let`; the one without (else the last) is the `save`. Its path is None: the caller says where.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from .diagnostics import Diagnostics, Label, SourceText, Span
from .signature import Signatures
from .syntax import ExprSyntax, Let, Name, Recipe, Save, Set, Setting, Statement
from .tokens import is_plain_name
from .yaml_merge import merge_expression
from .yaml_models import ModelReader, cast
from .yaml_nodes import Field, YamlReader
from .yaml_output import TOKENIZER_KEYS, input_dtype, output_settings

_KEYS = (
    "name",
    "merge_method",
    "models",
    "slices",
    "modules",
    "base_model",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "tokenizer",
    "chat_template",
    "int8_mask",
)
# Names that mean something of their own where a stage's name may stand.
_TAKEN = frozenset(("base", "union", "float32", "float16", "bfloat16"))


@dataclass
class _Document:
    """One document.

    identifier: the name of its `let`; dtype: of its result; used: the stages it merges.
    """

    node: yaml.Node
    fields: dict[str, Field]
    name: str | None
    identifier: str
    value: ExprSyntax | None = None
    dtype: ExprSyntax | None = None
    used: frozenset[str] = frozenset()


def parse_yaml(source: SourceText, signatures: Signatures) -> Recipe:
    """The syntax tree of a recipe in mergekit 0.1.5's YAML.

    signatures: what each merge method's `base_model` and parameters mean.

    Raises RecipeError with all errors of the file.
    """
    problems = Diagnostics()
    reader = YamlReader(source, problems)
    documents = _read_documents(reader)
    if not documents:
        problems.raise_errors()
    final = next((d for d in documents if d.name is None), documents[-1])
    stages = {d.name: d.identifier for d in documents if d.name is not None}
    settings: tuple[Setting, ...] = ()
    for document in documents:
        models = ModelReader(reader, stages, input_dtype(document.fields, reader))
        document.value = merge_expression(
            document.fields, document.node, reader, models, signatures
        )
        asked = output_settings(document.fields, reader, models)
        document.used = frozenset(models.used)
        document.dtype = next((s.value for s in asked if s.name == "dtype"), None)
        if document is final:
            settings = asked
        else:
            _refuse_tokenizer(document, final, problems)
    _round_stages(documents, final)
    ordered = _in_order(documents, problems)
    problems.raise_errors()
    return Recipe(_statements(ordered, final, settings, reader), source)


def _round_stages(documents: list[_Document], final: _Document) -> None:
    """Stages of another dtype than the result's are rounded; the others once, with the result.

    float32, which is computed in, is worth saying only where it becomes the result's.
    """
    for document in documents:
        value, dtype = document.value, document.dtype
        if document is final or value is None or dtype is None or final.dtype == dtype:
            continue
        if final.dtype is None or dtype != Name("float32", dtype.span):
            document.value = cast(value, dtype)


def _read_documents(reader: YamlReader) -> list[_Document]:
    problems = reader.problems
    roots = reader.documents()
    if not roots and not problems.errors:
        problems.report("E0122", "this file has no recipe in it", Span(reader.source, 0, 0))
    documents: list[_Document] = []
    taken = set(_TAKEN)
    for root in roots:
        fields = reader.fields(root, "a recipe", _KEYS)
        if not isinstance(root, yaml.MappingNode):
            continue
        name = reader.text(fields["name"].value) if "name" in fields else None
        documents.append(_Document(root, fields, name, _identifier(name or "merged", taken)))
    by_name: dict[str, Field] = {}
    for document in documents:
        if document.name is None:
            continue
        field = document.fields["name"]
        first = by_name.setdefault(document.name, field)
        if first is not field:
            problems.report(
                "E0116",
                f"two stages are called `{document.name}`",
                reader.span(field.value),
                related=(Label(reader.span(first.value), "the first"),),
            )
    unnamed = [document for document in documents if "name" not in document.fields]
    for document in unnamed[1:]:
        start = reader.span(document.node).start
        problems.report(
            "E0116",
            "only one document of a file can be without a `name`",
            Span(reader.source, start, start),
            hint="`name: …` makes it a stage that the others can use as a model",
        )
    return documents


def _identifier(name: str, taken: set[str]) -> str:
    """A name for a `let` that no other stage has."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "stage"
    if plain[0].isdigit() or not is_plain_name(plain) or plain in _TAKEN:
        plain = f"stage_{plain}"
    unique, count = plain, 1
    while unique in taken:
        count += 1
        unique = f"{plain}_{count}"
    taken.add(unique)
    return unique


def _refuse_tokenizer(document: _Document, final: _Document, problems: Diagnostics) -> None:
    """A stage isn't saved, so a tokenizer of its own can only be the one that the save has too."""
    for key in TOKENIZER_KEYS:
        field = document.fields.get(key)
        is_base = field is not None and field.value.value == "base"
        if field is not None and not is_base and not any(k in final.fields for k in TOKENIZER_KEYS):
            problems.report(
                "E0401",
                f"`{key}` of a stage has no effect: only the last merge is saved",
                field.key_span,
                hint="give it to the document that is saved",
            )


def _in_order(documents: list[_Document], problems: Diagnostics) -> list[_Document]:
    """The documents so that each follows the stages it uses, otherwise in the file's order."""
    ordered: list[_Document] = []
    placed: set[str] = set()
    waiting = list(documents)
    while waiting:
        ready = next((d for d in waiting if d.used <= placed), None)
        if ready is None:
            document = waiting[0]
            place = document.value.span if document.value else None
            names = " and ".join(f"`{d.name}`" for d in waiting[:3] if d.name is not None)
            problems.report("E0124", f"stages use each other in a circle: {names}", place)
            return documents
        waiting.remove(ready)
        ordered.append(ready)
        if ready.name is not None:
            placed.add(ready.name)
    return ordered


def _statements(
    documents: list[_Document],
    final: _Document,
    settings: tuple[Setting, ...],
    reader: YamlReader,
) -> tuple[Statement, ...]:
    """A `let` for each stage, and the `save`. A lone merge is saved without a name."""
    used = frozenset().union(*(document.used for document in documents))
    statements: list[Statement] = []
    for document in documents:
        value, span = document.value, reader.span(document.node)
        assert value is not None  # else a problem was raised
        if document is not final or final.name in used:
            place = reader.span(document.fields["name"].value)
            statements.append(Let(document.identifier, value, False, place, span))
    span = reader.span(final.node)
    if any(s.name == "dtype" and s.value == Name("float64", s.span) for s in settings):
        statements.insert(0, Set("compute", Name("float64", span), span, span))  # as mergekit does
    assert final.value is not None
    saved = Name(final.identifier, span) if final.name in used else final.value
    statements.append(Save(saved, None, settings, span))
    return tuple(statements)

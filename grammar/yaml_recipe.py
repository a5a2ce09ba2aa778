"""mergekit YAML -> Recipe: the YAML front end.

A file of one document is one `save`. Of several documents the ones with a `name` are stages, each a
`let`; the one without (else the last) is the `save`. Its path is None: the caller says where.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from .diagnostics import Diagnostics, Label, SourceText, Span
from .signature import Signatures
from .syntax import ExprSyntax, Let, Name, Recipe, Save, Set, Setting, Statement
from .tokens import is_plain_name
from .yaml_merge import IDLE, merge_expression
from .yaml_mixture import is_mixture, mixture_recipe
from .yaml_models import ModelReader, cast, first_model
from .yaml_nodes import Field, YamlReader, is_null
from .yaml_options import AS_WRITTEN, YamlOptions
from .yaml_output import TOKENIZER_KEYS, computed_dtype, input_dtype, output_settings

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

    identifier: the name of its `let`; dtype: of its result; used: the stages it merges; donor:
    the model whose config its result has.
    """

    node: yaml.Node
    fields: dict[str, Field]
    name: str | None
    identifier: str
    value: ExprSyntax | None = None
    dtype: ExprSyntax | None = None
    used: frozenset[str] = frozenset()
    donor: ExprSyntax | None = None


def parse_yaml(
    source: SourceText, signatures: Signatures, options: YamlOptions = AS_WRITTEN
) -> Recipe:
    """The syntax tree of a recipe in mergekit 0.1.5's YAML.

    signatures: what each merge method's `base_model` and parameters mean.

    Raises RecipeError with all errors of the file.
    """
    problems = Diagnostics()
    reader = YamlReader(source, problems, lax=options.lax)
    roots = reader.documents()
    if is_mixture(roots):
        return mixture_recipe(roots[0], reader, source)
    documents = _read_documents(reader, roots)
    if not documents:
        problems.raise_errors()
    final = _name_documents(documents, reader)
    stages = {d.name: d.identifier for d in documents if d.name is not None}
    settings: tuple[Setting, ...] = ()
    for document in documents:
        rounding = input_dtype(document.fields, reader, options)
        models = ModelReader(reader, stages, rounding)
        document.value = merge_expression(
            document.fields, document.node, reader, models, signatures
        )
        if document.value is not None and (dtype := computed_dtype(document.fields, rounding)):
            document.value = (
                cast(document.value, dtype) if options.round_like_mergekit else document.value
            )
        document.donor = _named_donor(document.fields, models)
        asked = output_settings(document.fields, reader, models)
        document.used = frozenset(models.used)
        document.dtype = next((s.value for s in asked if s.name == "dtype"), None)
        if document is final:
            settings = asked
        else:
            _warn_of_tokenizer(document, final, problems)
    _round_stages(documents, final, options)
    ordered = _in_order(documents, problems)
    problems.raise_errors()
    settings = (*settings, *_config(final, documents))
    statements = _statements(ordered, final, settings, reader)
    return Recipe(statements, source, warnings=tuple(problems.warnings))


def _name_documents(documents: list[_Document], reader: YamlReader) -> _Document:
    """The document that is saved: the last without a name, else the last; others get names."""
    unnamed = [d for d in documents if "name" not in d.fields]
    final = unnamed[-1] if unnamed else documents[-1]
    for position, document in enumerate(documents, 1):
        if document in unnamed and document is not final:
            document.name = f"merge-{position}"
            document.identifier = f"merge_{position}"
            start = reader.span(document.node).start
            reader.problems.report(
                "W0109",
                f"this document has no `name`: it is the stage `{document.name}`",
                Span(reader.source, start, start),
                hint="the last one without a name is saved; `name: …` names a stage",
            )
    return final


def _named_donor(fields: Mapping[str, Field], models: ModelReader) -> ExprSyntax | None:
    """The model that `base_model` names."""
    field = fields.get("base_model")
    if field is None or is_null(field.value):
        return None
    return models.reference(field)


def _config(final: _Document, documents: list[_Document]) -> tuple[Setting, ...]:
    """`config = …` where the saved merge wouldn't have the config of mergekit's choice anyway."""
    by_name = {document.identifier: document for document in documents}

    def donor(document: _Document) -> ExprSyntax | None:
        return resolved(document.donor or document.value)

    def resolved(expr: ExprSyntax | None) -> ExprSyntax | None:
        """The reference that an expression's config comes from, stages looked through."""
        found = first_model(expr)
        if isinstance(found, Name) and found.value in by_name:
            return donor(by_name[found.value])
        return found

    def by_default(expr: ExprSyntax | None) -> ExprSyntax | None:
        found = first_model(expr)
        if isinstance(found, Name) and found.value in by_name:
            return by_default(by_name[found.value].value)
        return found

    wanted = donor(final)
    if wanted is None or wanted == by_default(final.value):
        return ()
    return (Setting("config", wanted, wanted.span, wanted.span),)


def _round_stages(documents: list[_Document], final: _Document, options: YamlOptions) -> None:
    """Stages of another dtype than the result's are rounded; the others once, with the result.

    float32, which is computed in, is worth saying only where it becomes the result's.
    """
    for document in documents:
        value, dtype = document.value, document.dtype
        if document is final or value is None or dtype is None:
            continue
        if final.dtype == dtype and not options.round_like_mergekit:
            continue
        if final.dtype is None or dtype != Name("float32", dtype.span):
            document.value = cast(value, dtype)


def _read_documents(reader: YamlReader, roots: list[yaml.Node]) -> list[_Document]:
    problems = reader.problems
    if not roots and not problems.errors:
        problems.report("E0122", "this file has no recipe in it", Span(reader.source, 0, 0))
    documents: list[_Document] = []
    taken = set(_TAKEN)
    for root in roots:
        fields = reader.fields(root, "a recipe", _KEYS, IDLE)
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


def _warn_of_tokenizer(document: _Document, final: _Document, problems: Diagnostics) -> None:
    """A stage isn't saved, so a tokenizer of its own can only be the one that the save has too."""
    for key in TOKENIZER_KEYS:
        field = document.fields.get(key)
        is_base = field is not None and field.value.value == "base"
        if field is not None and not is_base and not any(k in final.fields for k in TOKENIZER_KEYS):
            problems.report(
                "W0107",
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
            named = document.fields.get("name")
            place = span if named is None else reader.span(named.value)
            statements.append(Let(document.identifier, value, False, place, span))
    span = reader.span(final.node)
    if any(s.name == "dtype" and s.value == Name("float64", s.span) for s in settings):
        statements.insert(0, Set("compute", Name("float64", span), span, span))  # as mergekit does
    assert final.value is not None
    saved = Name(final.identifier, span) if final.name in used else final.value
    statements.append(Save(saved, None, settings, span))
    return tuple(statements)

"""Plan -> a .mplan file; a .mplan file -> the same plan again, or the reason why it can't be.

The file holds the recipe's text, what it was compiled with, and what its plan depends on: the
identities of the sources' files, and a digest of every operation and choice. Running it compiles
again and compares, so that exactly the plan that was looked at is run, or nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from ... import __version__
from ...checkpoints.hub.hub import Hub
from ...checkpoints.local_store import what_changed
from ...grammar import YamlOptions
from ...grammar.diagnostics import Diagnostic, MergecError, RunError, SourceText
from ...grammar.recipe_file import read_recipe_file
from ...whole_files import write_whole
from .. import compile_recipe
from ..graph.graph import Invoke, Load, Write
from .plan import Plan

SUFFIX = ".mplan"
FORMAT = "mergec-plan"
FORMAT_VERSION = 1
_LISTED = 8  # changed files in one message


def plan_document(plan: Plan) -> dict[str, Any]:
    """What a plan file says, without its checksum. Paths are absolute."""
    request = plan.request
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "mergec": __version__,
        "recipe": {
            "name": plan.source.name,
            "path": _recipe_path(plan),
            "sha256": plan.source.sha256,
            "text": plan.source.text,
            "imports": [
                {"path": os.path.abspath(imported.name), "sha256": imported.sha256}
                for imported in sorted(plan.bound.imports, key=lambda source: source.name)
            ],
        },
        "options": {
            "folder": os.path.abspath(request.folder),
            "models": [os.path.abspath(model) for model in request.models],
            "set": dict(request.overrides),
            "out": None if request.out is None else os.path.abspath(request.out),
            "memory": plan.limit,
            "threads": plan.threads,
            "optimise": request.optimise,
            "truncate_embeddings": request.truncate_embeddings,
            "yaml": asdict(request.yaml),
            "stream": request.stream,
        },
        "sources": [
            {
                "reference": reference,
                "revision": checkpoint.revision,
                "files": [
                    {"path": file.store.real(file.name), "identity": list(file.identity)}
                    for file in checkpoint.files
                ],
            }
            for reference, checkpoint in plan.bound.sources.items()
        ],
        "predicted": {
            "peak_bytes": plan.peak_bytes,
            "lower_bound_bytes": plan.lower_bound_bytes,
            "bytes_read": plan.bytes_read,
            "bytes_written": plan.bytes_written,
            "bytes_spilled": plan.bytes_spilled,
            "tensors": sum(len(layout.slots) for layout in plan.layouts),
            "seconds": plan.seconds,
        },
        "plan_sha256": plan_digest(plan),
    }


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan file, all of it or nothing. Errors: RunError E0603."""
    document = plan_document(plan)
    text = json.dumps(document | {"sha256": _checksum(document)}, indent=2) + "\n"
    try:
        write_whole(path, text.encode(), shared=True)
    except OSError as error:
        raise RunError.of("E0603", f"can't write {path}: {error.strerror}") from None


def load_plan(path: Path) -> Plan:
    """The plan of a plan file, compiled again and found to be the same.

    Errors: RunError E0620 (not a plan file, or damaged), E0621 (of another version), E0622 (the
    recipe has changed), E0623 (a source has), E0624 (something else); and those of compiling.
    """
    document = _read(path)
    try:
        return _recompiled(document, path)
    except (KeyError, TypeError, AttributeError) as error:  # its checksum is right, and yet
        _refuse("E0620", f"{path} isn't a whole plan file: {error}", "")


def plan_digest(plan: Plan) -> str:
    """A hash of every operation with its parameters, and of every step's choices."""
    digest = hashlib.sha256()
    for node in plan.optimised.nodes:
        digest.update(repr((_operation(node.op), node.inputs, node.type.dtype.name)).encode())
    for output, layout in zip(plan.bound.outputs, plan.layouts, strict=True):
        shards = [(shard.name, shard.size) for shard in layout.shards]
        digest.update(repr((str(output.path), shards)).encode())
    for choice in plan.choices:
        row = (choice.held, sorted(choice.spilled), len(choice.sweeps), choice.peak, choice.read)
        digest.update(repr(row).encode())
    return digest.hexdigest()


def _operation(op: Load | Invoke | Write | object) -> tuple[Any, ...]:
    if isinstance(op, Load):
        return (
            "load",
            op.checkpoint.reference,
            op.tensor.name,
            op.tensor.shape,
            op.tensor.dtype.name,
        )
    if isinstance(op, Invoke):
        call = op.invocation
        return ("invoke", call.method.name, call.static, call.params, op.keys)
    if isinstance(op, Write):
        return ("write", op.output, op.name)
    return (type(op).__name__,)


def _read(path: Path) -> dict[str, Any]:
    again = "plan again: mergec plan RECIPE -o " + path.name
    try:
        text = read_recipe_file(path)
    except UnicodeDecodeError:
        _refuse("E0620", f"{path} isn't a plan file: it isn't text", again)
    except OSError as error:
        _refuse("E0620", f"can't read the plan {path}: {error.strerror}", again)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        begun = f'"{FORMAT}"' in text
        what = "is cut off, or damaged" if begun else "isn't a plan file"
        _refuse("E0620", f"{path} {what}: {error}", again)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        _refuse("E0620", f"{path} isn't a plan file: it doesn't say `{FORMAT}`", again)
    version = document.get("format_version")
    if version != FORMAT_VERSION:
        message = f"{path} has plan format {version}, this is mergec {__version__} with format"
        _refuse("E0621", f"{message} {FORMAT_VERSION}", again)
    if document.get("mergec") != __version__:
        message = f"{path} is by mergec {document.get('mergec')}, this is {__version__}"
        _refuse("E0621", message, again)
    checksum = document.pop("sha256", None)
    if checksum != _checksum(document):
        _refuse("E0620", f"{path} was changed after it was written", again)
    return document


def _recompiled(document: dict[str, Any], path: Path) -> Plan:
    _check_recipe(document["recipe"], path)
    _check_files(document["sources"], path)
    recipe, options = document["recipe"], document["options"]
    for name in ("threads", "memory", "optimise"):
        if type(options[name]) is not int or options[name] < (0 if name == "memory" else 1):
            _refuse("E0620", f"{path} isn't a whole plan file: `{name}` is {options[name]!r}", "")
    plan = compile_recipe(
        SourceText(recipe["name"], recipe["text"]),
        folder=Path(options["folder"]),
        models=[Path(model) for model in options["models"]],
        overrides=options["set"],
        out=options["out"],
        threads=options["threads"],
        memory=options["memory"],
        optimise_level=options["optimise"],
        truncate_embeddings=options.get("truncate_embeddings", False),
        yaml=YamlOptions(**options["yaml"]),
        hub=Hub(streams=options["stream"]),
    )
    now = {ref: _identities(ref, plan) for ref in plan.bound.sources}
    for source in document["sources"]:
        before = [tuple(file["identity"]) for file in source["files"]]
        if now.get(source["reference"]) != before:
            _refuse_sources([source["reference"]], path, "its files aren't those that were planned")
    if plan_digest(plan) != document["plan_sha256"]:
        _refuse(
            "E0624",
            f"the recipe doesn't compile to the plan of {path} any more",
            _again(document["recipe"], path),
        )
    return plan


def _check_recipe(recipe: dict[str, Any], plan: Path) -> None:
    """Refuse a recipe, or a file that it imports, whose text isn't the planned one any more."""
    files = [(recipe["path"], recipe["sha256"])] if recipe["path"] is not None else []
    files += [(entry["path"], entry["sha256"]) for entry in recipe["imports"]]
    for path, digest in files:
        try:
            changed = _digest(Path(path).read_text("utf-8")) != digest
            what = "has changed since"
        except (OSError, UnicodeDecodeError):
            changed, what = True, "can't be read any more, as it could be"
        if changed:
            _refuse("E0622", f"{path} {what} {plan.name} was made", _again(recipe, plan))


def _check_files(sources: list[dict[str, Any]], plan: Path) -> None:
    """Refuse sources whose files are gone or different, before their headers are read."""
    problems = []
    for source in sources:
        for file in source["files"]:
            if said := what_changed(file["path"], tuple(file["identity"])):
                problems.append((source["reference"], said))
    if problems:
        references = list(dict.fromkeys(reference for reference, _ in problems))
        _refuse_sources(references, plan, *(said for _, said in problems))


def _refuse_sources(references: list[str], plan: Path, *said: str) -> NoReturn:
    names = ", ".join(f"`{reference}`" for reference in references)
    verb = "has" if len(references) == 1 else "have"
    more = (f"… and {len(said) - _LISTED} more",) if len(said) > _LISTED else ()
    raise RunError(
        [
            Diagnostic(
                "E0623",
                f"{names} {verb} changed since {plan.name} was made",
                notes=(*said[:_LISTED], *more),
                hint="plan again, and look at what is different",
            )
        ]
    )


def _refuse(code: str, message: str, hint: str) -> NoReturn:
    error: MergecError = RunError.of(code, message, hint=hint or None)
    raise error from None


def _again(recipe: dict[str, Any], plan: Path) -> str:
    return f"plan again: mergec plan {recipe['path'] or 'RECIPE'} -o {plan.name}"


def _identities(reference: str, plan: Plan) -> list[tuple[Any, ...]]:
    return [tuple(file.identity) for file in plan.bound.sources[reference].files]


def _recipe_path(plan: Plan) -> str | None:
    """Where the recipe's file lies; None for a text that is none."""
    if plan.source.name.startswith("<"):
        return None
    return os.path.abspath(os.path.expanduser(plan.source.name))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(document: dict[str, Any]) -> str:
    return _digest(json.dumps(document, sort_keys=True))

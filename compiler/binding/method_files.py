"""`use "my_methods.py"` -> the merge methods of a Python file, run only where it is trusted.

A recipe can't make anybody run code: a file is loaded when the caller says so (`--trust`), or has
said so before of this very content, which is remembered by its digest.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from pathlib import Path

from ...grammar import syntax
from ...grammar.diagnostics import Diagnostics, SourceText, Span
from ...ops.method import Method, add_method, is_builtin
from .model_references import References


def trusted_list() -> Path:
    """The file of trusted digests: `$MERGEC_HOME/trusted`, else `~/.cache/mergec/trusted`."""
    home = os.environ.get("MERGEC_HOME")
    return (Path(home) if home else Path("~/.cache/mergec").expanduser()) / "trusted"


class MethodFiles:
    """Loads files of methods. trust: run what hasn't been trusted yet, and remember it.

    texts: the files that were loaded.
    """

    def __init__(self, references: References, problems: Diagnostics, *, trust: bool):
        self.texts: list[SourceText] = []
        self._references = references
        self._problems = problems
        self._trust = trust

    def use(self, path: syntax.String) -> None:
        """Make a file's methods known.

        Reports E0224 (a built-in method's name), E0225 (a file that can't be loaded, or has no
        method), E0226 (not trusted).
        """
        folder = self._references.folder_of(path.span.source)
        text = use_file(
            Path(os.path.abspath(folder / os.path.expanduser(path.value))),
            path.value,
            path.span,
            self._problems,
            trust=self._trust,
        )
        if text is not None:
            self.texts.append(text)


def use_methods(file: Path, *, trust: bool) -> None:
    """Make a file's methods known outside of a recipe. Raises RecipeError E0224 to E0226."""
    problems = Diagnostics()
    use_file(file, str(file), None, problems, trust=trust)
    problems.raise_errors()


def use_file(
    file: Path, shown: str, place: Span | None, problems: Diagnostics, *, trust: bool
) -> SourceText | None:
    """Make a file's methods known; its text, or None after a report (see MethodFiles.use)."""
    try:
        text = file.read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "it isn't a text file").lower()
        notes = (f"looked for {file}",)
        problems.report("E0225", f"can't read `{shown}`: {reason}", place, notes=notes)
        return None
    digest = hashlib.sha256(text.encode()).hexdigest()
    if trust:
        _remember(digest)
    elif not _is_trusted(digest):
        message = f"`{shown}` isn't trusted: it is Python code, which would run"
        hint = "look at it, then give `--trust`, once for this version of the file"
        problems.report("E0226", message, place, hint=hint)
        return None
    try:
        methods = load_methods(file, digest)
    except Exception as error:  # the file is anybody's code
        message = f"`{shown}` can't be loaded: {type(error).__name__}: {error}"
        problems.report("E0225", message, place)
        return None
    if not methods:
        hint = "`@mergec.method()` makes a function one"
        problems.report("E0225", f"`{shown}` has no merge method", place, hint=hint)
    for method in methods:
        if is_builtin(method.name):
            message = f"`{method.name}` of `{shown}` has the name of a built-in method"
            problems.report("E0224", message, place, hint="give it another name")
        else:
            add_method(method)
    return SourceText(str(file), text)


def load_methods(file: Path, digest: str) -> list[Method]:
    """The methods that a Python file defines. Raises whatever the file raises."""
    name = f"mergec_methods_{digest[:16]}"  # where kernels find its functions of whole tensors
    module = sys.modules.get(name)
    if module is None:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return [
        value
        for value in vars(module).values()
        if isinstance(value, Method) and value.function.__module__ == name
    ]


def _is_trusted(digest: str) -> bool:
    try:
        return digest in trusted_list().read_text("utf-8").split()
    except (OSError, RuntimeError):
        return False


def _remember(digest: str) -> None:
    """A file that can't be written is no reason not to go on: it is asked again the next time."""
    if _is_trusted(digest):
        return
    try:
        path = trusted_list()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(f"{digest}\n")
    except (OSError, RuntimeError):
        pass

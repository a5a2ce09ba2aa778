"""merge.lark -> its parser, from the table that an earlier process kept, else built and kept.

Building the table takes longer than all the rest of parsing a recipe. What is kept is JSON: it
holds no code, and nothing but Lark's own rules and states is made of it. The first line names the
grammar, Lark's version and the rest of the file; where it doesn't fit, or the folder can be written
by others, the table is built as if there were none.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import lark
from lark.grammar import Rule
from lark.lexer import Lexer, TerminalDef

from ..home import home_folder, is_private
from ..whole_files import write_whole

_FORMAT = 1  # of what is kept


def load_parser(grammar: str, lexer: type[Lexer], options: dict[str, Any]) -> lark.Lark:
    """The LALR parser of a grammar, whose tokens this lexer reads. options: Lark's others."""
    options = {**options, "parser": "lalr", "lexer": lexer}
    settled = sorted((name, value) for name, value in options.items() if isinstance(value, bool))
    key = f"{_FORMAT} {lark.__version__} {settled} {grammar}"
    kept = _read(key)
    if kept is not None:
        return _revived(kept, lexer, options)
    parser = lark.Lark(grammar, **options)
    _keep(key, parser)
    return parser


def _revived(kept: dict[str, Any], lexer: type[Lexer], options: dict[str, Any]) -> lark.Lark:
    data = kept["data"]
    data["options"] = {**options, "start": data["parser"]["parser_conf"]["start"]}
    data["parser"]["lexer_conf"]["lexer_type"] = lexer
    table = data["parser"]["parser"]
    table["tokens"] = _by_number(table["tokens"])
    table["states"] = {
        state: _by_number(actions) for state, actions in _by_number(table["states"]).items()
    }
    return lark.Lark.load({"data": data, "memo": _by_number(kept["memo"])})


def _by_number(entries: dict[str, Any]) -> dict[int, Any]:
    """Keys that are numbers again: JSON made them text."""
    return {int(number): value for number, value in entries.items()}


def _path() -> Path:
    return home_folder() / "grammar" / "merge-table"


def _heading(key: str, text: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + text).hexdigest().encode()


def _read(key: str) -> dict[str, Any] | None:
    """What is kept for this grammar; None if there is nothing whole, or not by its owner alone."""
    try:
        path = _path()
        if not is_private(path.parent):
            return None
        heading, _, text = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if heading != _heading(key, text):
        return None
    found: dict[str, Any] = json.loads(text)
    return found


def _keep(key: str, parser: lark.Lark) -> None:
    """Keep a parser's table for later processes, where there is a place for it."""
    data, memo = parser.memo_serialize([TerminalDef, Rule])
    del data["options"], data["parser"]["lexer_conf"]["lexer_type"]
    text = json.dumps({"data": data, "memo": memo}, separators=(",", ":")).encode()
    try:
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not is_private(path.parent):
            return
        write_whole(path, _heading(key, text) + b"\n" + text, shared=True)
    except OSError:  # it is built again next time
        return

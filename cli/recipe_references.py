"""Recipe -> the same recipe with its references to models replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..grammar.syntax import (
    Binary,
    Block,
    Conditional,
    Define,
    Each,
    ExprSyntax,
    For,
    Let,
    Match,
    Negate,
    Recipe,
    RowSyntax,
    Save,
    Setting,
    Slice,
    Statement,
    String,
)

Change = Callable[[String], String]


def map_references(recipe: Recipe, change: Change) -> Recipe:
    """The recipe with `change` applied to every string that stands where a model does."""
    return replace(recipe, statements=tuple(_statement(s, change) for s in recipe.statements))


def _statement(node: Statement, change: Change) -> Statement:
    match node:
        case Let():
            return replace(node, value=_model(node.value, change))
        case Save():
            settings = tuple(_setting(s, change, "tokenizer", "config") for s in node.settings)
            return replace(node, value=_model(node.value, change), settings=settings)
        case For():
            return replace(node, body=tuple(_statement(s, change) for s in node.body))
        case Define():
            return replace(node, value=_model(node.value, change))
        case _:
            return node


def _model(node: ExprSyntax, change: Change) -> ExprSyntax:
    match node:
        case String():
            return change(node)
        case Slice() | Negate():
            return replace(node, operand=_model(node.operand, change))
        case Binary():
            left, right = _model(node.left, change), _model(node.right, change)
            return replace(node, left=left, right=right)
        case Match():
            arms = (replace(arm, value=_model(arm.value, change)) for arm in node.arms)
            return replace(node, arms=tuple(arms))
        case Conditional():
            chosen, other = _model(node.chosen, change), _model(node.other, change)
            return replace(node, chosen=chosen, other=other)
        case Each():
            rows = tuple(replace(row, value=_model(row.value, change)) for row in node.rows)
            return replace(node, rows=rows)
        case Block():
            return replace(node, items=tuple(_item(item, change) for item in node.items))
        case _:
            return node


def _item(node: RowSyntax | Setting, change: Change) -> RowSyntax | Setting:
    if isinstance(node, RowSyntax):
        return replace(node, value=_model(node.value, change))
    return _setting(node, change, "base")


def _setting(node: Setting, change: Change, *names: str) -> Setting:
    """A setting of those names is a model, as is the source of a token or of a tokenizer."""
    if node.quoted or node.name in (*names, "source"):
        return replace(node, value=_model(node.value, change))
    return node

"""E02xx, W02xx: names and kinds: what is named, and what may stand where."""

from __future__ import annotations

from .code import Code

CODES = (
    Code(
        "E0201",
        "no method of that name",
        "`name { … }` is a merge method, `stack`, `cast` or another block of the language.",
        "`mergec methods` lists them.",
        'save slrp { "a/one", "b/two", t = 0.5 } to "./out"',
        'save slerp { "a/one", "b/two", t = 0.5 } to "./out"',
    ),
    Code(
        "E0202",
        "a name that isn't known here",
        "Names are defined by `let`, `param`, `for` and `import`, above the line that uses them.",
        "Define it first, or correct its spelling. A model reference is a string, in quotes.",
        'save bse to "./out"',
        'let base = "a/one"\nsave base to "./out"',
    ),
    Code(
        "E0203",
        "a name that has a meaning already",
        "A name or a setting of the recipe is given a value once; there is no shadowing.",
        "Choose another name.",
        'let x = "a/one"\nlet x = "b/two"\nsave x to "./out"',
        'let x = "a/one"\nlet y = "b/two"\nsave slerp { x, y, t = 0.5 } to "./out"',
    ),
    Code(
        "E0204",
        "a model, a delta or a value where another is wanted",
        "Every expression is a model, a delta (what one model has learned since another) or a "
        "value; they go together in a few ways only: `model - model` is a delta, a delta takes a "
        "factor, deltas add up, and `model + delta` is a model.",
        "The hint says what was likely meant; to average models use `linear`.",
        'save "a/one" + "b/two" to "./out"',
        'save "a/one" + ("b/two" - "c/base") to "./out"',
    ),
    Code(
        "E0205",
        "imports in a circle",
        "A recipe can't be made of itself.",
        "Move what both need into a third file.",
    ),
    Code(
        "E0206",
        "an import that can't be read",
        "The path of an import is relative to the recipe's own folder.",
        "Correct the path.",
        'import "nowhere.merge" as m\nsave m.x to "./out"',
        'save "a/one" to "./out"',
    ),
    Code(
        "E0207",
        "braces in a string that stand for no text",
        "`{NAME}` in a string is replaced by the value of a name, which must be a number, a word, "
        "a size or a string.",
        "Define the name, or double the braces to keep them.",
        'save "a/one" to "./out-{rate}"',
        'param rate = 0.5\nsave "a/one" to "./out-{rate}"',
    ),
    Code(
        "E0208",
        "not supported yet",
        "The language has a place for it, and this version can't do it.",
        "The hint names another way where there is one.",
    ),
    Code(
        "E0209",
        "a statement that can't be repeated",
        "`param`, `set`, `import`, `use` and `def` are for the whole recipe.",
        "Move it out of the `for`.",
        'for t in [0.1] { set seed = 1\nsave "a/one" to "./out" }',
        'set seed = 1\nsave "a/one" to "./out"',
    ),
    Code(
        "E0210",
        "no setting of that name",
        "`set`, `save` and their blocks take the settings that the hint names.",
        "Correct the name.",
        'set sed = 1\nsave "a/one" to "./out"',
        'set seed = 1\nsave "a/one" to "./out"',
    ),
    Code(
        "E0211",
        "a value that a setting refuses",
        "The message says what the setting takes.",
        "Give it such a value.",
        'save "a/one" to "./out" { shard = 5 }',
        'save "a/one" to "./out" { shard = 5GB }',
    ),
    Code(
        "E0212",
        "a recipe that saves nothing",
        "Only what is saved is computed.",
        'Add `save model to "./PATH"`.',
        'let a = "a/one"',
        'let a = "a/one"\nsave a to "./out"',
    ),
    Code(
        "E0213",
        "two outputs in one folder",
        "Every output has a folder of its own, and none lies inside another.",
        'Put the loop\'s name into the path, as in `"./out-{t}"`.',
        'save "a/one" to "./out"\nsave "b/two" to "./out"',
        'save "a/one" to "./out"\nsave "b/two" to "./out2"',
    ),
    Code(
        "E0214",
        "a path that can't be an output",
        "An output is a folder with a name of its own.",
        "Name a folder.",
        'save "a/one" to ""',
        'save "a/one" to "./out"',
    ),
    Code(
        "E0215",
        "no `param` of that name",
        "`--set NAME=VALUE` replaces the default of a `param`.",
        "Declare it with `param NAME = value`, or correct its spelling.",
    ),
    Code(
        "E0216",
        "a block that isn't a model",
        "`union { … }` is a value of a save's `tokenizer`.",
        "Move it there.",
        'save union { pad_to = 64 } to "./out"',
        'save "a/one" to "./out"',
    ),
    Code(
        "E0217",
        "a source where only settings stand",
        "The block takes `name = value` only.",
        'Write `"<|token|>" = model`.',
    ),
    Code(
        "E0218",
        "a value of another kind than its `param`",
        "The default of a `param` fixes its kind: a number, a string, a list.",
        "Give a value of that kind.",
    ),
    Code(
        "E0220",
        "a selector that means nothing",
        "`--select` takes names of stages, sources and outputs, with `+` before or after them, "
        "and `@` before.",
        "The hint lists the names.",
    ),
    Code(
        "W0201",
        "a name that nothing uses",
        "A `let` that no output needs is most likely left over, or its use is misspelt.",
        "Remove it.",
    ),
    Code(
        "W0202",
        "no effect",
        "It is understood and changes nothing in this place.",
        "Remove it, or move it where it counts.",
    ),
)

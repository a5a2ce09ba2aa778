"""E01xx, W01xx: the text of a recipe can't be read, in either language."""

from __future__ import annotations

from .code import Code

CODES = (
    Code(
        "E0101",
        "something else was expected here",
        "The text can't go on in this way: the message says what may stand at this place.",
        "Items are separated by a new line or a comma; an expression goes on over several lines "
        "only inside parentheses or brackets.",
        'save slerp { "a/one", "b/two", t = } to "./out"',
        'save slerp { "a/one", "b/two", t = 0.5 } to "./out"',
    ),
    Code(
        "E0102",
        "a character that means nothing here",
        "The language has no such sign outside of strings.",
        "Model references and paths are strings in straight double quotes, and comments begin "
        "with `#`.",
        "save 'a/one' to \"./out\"",
        'save "a/one" to "./out"',
    ),
    Code(
        "E0103",
        "a string is never closed",
        "A string ends on the line on which it begins.",
        'Close it with `"`; `\\n` is a new line inside a string.',
        'save "a/one to ./out',
        'save "a/one" to "./out"',
    ),
    Code(
        "E0104",
        "a number or size that can't be read",
        "Numbers look like `2`, `0.5`, `1e-5`; sizes like `5GB` (powers of 1000) and `512MiB` (of "
        "1024).",
        "Correct its digits or its unit.",
        'save "a/one" to "./out" { shard = 5Gb }',
        'save "a/one" to "./out" { shard = 5GB }',
    ),
    Code(
        "E0105",
        "brackets that don't match",
        "Every `(`, `[` and `{` needs its own closing bracket, and the other way round.",
        "Close what the message points at.",
        'save slerp { "a/one", "b/two", t = 0.5 to "./out"',
        'save slerp { "a/one", "b/two", t = 0.5 } to "./out"',
    ),
    Code(
        "E0106",
        "a `match` without a default",
        "Every tensor needs a value, also one that no pattern matches.",
        "Add `_: value` as the last arm.",
        'save slerp { "a/one", "b/two", t = match { mlp: 0.3 } } to "./out"',
        'save slerp { "a/one", "b/two", t = match { mlp: 0.3, _: 0.5 } } to "./out"',
    ),
    Code(
        "E0107",
        "a version of the language that this mergec doesn't know",
        "`mergec 1` at the top of a recipe says which version of the language it is written in.",
        "Upgrade mergec, or write the version that it knows.",
        'mergec 99\nsave "a/one" to "./out"',
        'mergec 1\nsave "a/one" to "./out"',
    ),
    Code(
        "E0108",
        "YAML in a file that isn't named so",
        "A recipe's language is told by its file's name, and this text begins as mergekit's YAML "
        "does.",
        "Give the file a name that ends in `.yaml` or `.yml`, or print it in the `.merge` language "
        "with `mergec convert`.",
        "merge_method: linear",
        'save "a/one" to "./out"',
    ),
    Code(
        "E0109",
        "nested too deeply",
        "Expressions, YAML and chains of stages are read and computed only to a fixed depth.",
        "Name parts with `let`; save a stage in between where a chain has thousands.",
    ),
    Code(
        "E0110",
        "the name of a setting in quotes",
        "Only tokens, in `union { … }`, are named by strings.",
        "Write the name without quotes.",
        'save slerp { "a/one", "b/two", "t" = 0.5 } to "./out"',
        'save slerp { "a/one", "b/two", t = 0.5 } to "./out"',
    ),
    Code(
        "E0111",
        "not valid YAML",
        "The YAML parser can't read the file; the message gives its reason.",
        "Indent with spaces, and quote strings that hold `: ` or begin with a special sign.",
        "models: [",
        "merge_method: passthrough\nmodels:\n  - model: a/one",
        "yaml",
    ),
    Code(
        "E0112",
        "the same name twice",
        "A setting, a column or a key can be given once in one place.",
        "Remove one of the two.",
        'save slerp { "a/one", "b/two", t = 0.5, t = 0.6 } to "./out"',
        'save slerp { "a/one", "b/two", t = 0.5 } to "./out"',
    ),
    Code(
        "E0113",
        "a key that nobody knows",
        "Neither mergec nor mergekit gives this key a meaning, so it is most likely misspelt.",
        "Correct it; keys that begin with `x-` and keys that only hold an anchor are let be, and "
        "`--lax-yaml` makes the rest warnings.",
        "merge_metod: passthrough\nmerge_method: passthrough\nmodels:\n  - model: a/one",
        "merge_method: passthrough\nmodels:\n  - model: a/one",
        "yaml",
    ),
    Code(
        "E0114",
        "a YAML value of the wrong form",
        "The key takes another kind of value: the message says which.",
        "Write it as the message says.",
        "merge_method: passthrough\nmodels: a/one",
        "merge_method: passthrough\nmodels:\n  - model: a/one",
        "yaml",
    ),
    Code(
        "E0115",
        "two keys that exclude each other",
        "`models`, `slices` and `modules` are three ways to say what is merged, and `tokenizer` "
        "says all that `tokenizer_source` does.",
        "Keep one of the two.",
        "merge_method: passthrough\nmodels:\n  - model: a/one\nslices: []",
        "merge_method: passthrough\nmodels:\n  - model: a/one",
        "yaml",
    ),
    Code(
        "E0116",
        "two stages of one name",
        "Other documents of the file use a stage as a model by its `name`.",
        "Give each its own.",
        "name: x\nmerge_method: passthrough\nmodels: [{model: a/one}]\n---\n"
        "name: x\nmerge_method: passthrough\nmodels: [{model: a/one}]",
        "name: x\nmerge_method: passthrough\nmodels: [{model: a/one}]\n---\n"
        "merge_method: passthrough\nmodels: [{model: x}]",
        "yaml",
    ),
    Code(
        "E0117",
        "a graph's text that can't be read back",
        "The text form of a graph is written by `mergec plan --emit graph` and read by tests.",
        "Print it again.",
    ),
    Code(
        "E0118",
        "an unknown escape in a string",
        'A backslash begins `\\"`, `\\\\`, `\\n`, `\\t`, `\\r`, `\\uXXXX` or `\\UXXXXXXXX`.',
        "Write a backslash as `\\\\`; in a path `/` works on every system.",
        'save "a\\one" to "./out"',
        'save "a/one" to "./out"',
    ),
    Code(
        "E0119",
        "a string that isn't Unicode",
        "Half of a surrogate pair is no character.",
        "Type the character itself.",
    ),
    Code(
        "E0120",
        "an arm after the default",
        "`_` matches every tensor, so what follows it is never reached.",
        "Move `_` to the end.",
        'save slerp { "a/one", "b/two", t = match { _: 0.5, mlp: 0.3 } } to "./out"',
        'save slerp { "a/one", "b/two", t = match { mlp: 0.3, _: 0.5 } } to "./out"',
    ),
    Code(
        "E0121",
        "the version isn't the first statement",
        "A version says how all that follows is read.",
        "Move `mergec 1` to the top.",
        'let a = "a/one"\nmergec 1\nsave a to "./out"',
        'mergec 1\nlet a = "a/one"\nsave a to "./out"',
    ),
    Code(
        "E0122",
        "a file without a recipe",
        "All of its documents are empty.",
        "Write a recipe into it.",
        "# nothing",
        "merge_method: passthrough\nmodels:\n  - model: a/one",
        "yaml",
    ),
    Code(
        "E0123",
        "nothing is merged",
        "A recipe says what it merges with `models`, `slices` or `modules`.",
        "`models` merges whole models, `slices` ranges of their layers.",
        "merge_method: passthrough",
        "merge_method: passthrough\nmodels:\n  - model: a/one",
        "yaml",
    ),
    Code(
        "E0124",
        "stages that use each other",
        "A stage's inputs must be known before it.",
        "Break the circle: one of them must use checkpoints only.",
        "name: x\nmerge_method: passthrough\nmodels: [{model: y}]\n---\n"
        "name: y\nmerge_method: passthrough\nmodels: [{model: x}]",
        "name: x\nmerge_method: passthrough\nmodels: [{model: a/one}]\n---\n"
        "name: y\nmerge_method: passthrough\nmodels: [{model: x}]",
        "yaml",
    ),
    Code(
        "E0125",
        "a pattern that can't be read",
        "In a quoted pattern `*` and `?` stand for characters of one segment of a name, `**` for "
        "any, and braces for a range of numbers (`{0..7}`, `{-4..-1}` from the end) or a list "
        "(`{q,k,v}_proj`).",
        "Write the signs that should mean themselves with two backslashes before them.",
        'save slerp { "a/one", "b/two", t = match { "layers.{0..": 0, _: 1 } } to "./out"',
        'save slerp { "a/one", "b/two", t = match { "layers.{0..3}": 0, _: 1 } } to "./out"',
    ),
    Code(
        "E0126",
        "a `for` that isn't a list, and not rows either",
        "Where a value stands, a `for` makes a list of the one value in its braces; in a block it "
        "makes the rows in its braces, each with its own columns.",
        "Write one value, or rows with their columns inside the braces.",
        'save linear { for m in ["a/one", "b/two"] { m } weight=1 } to "./out"',
        'save linear { for m in ["a/one", "b/two"] { m weight=1 } } to "./out"',
    ),
    Code(
        "W0105",
        "a pattern that matches no tensor",
        "The value of this arm is used for nothing, most likely since the pattern is misspelt.",
        "Correct the pattern; `mergec inspect MODEL` lists a model's tensors.",
    ),
    Code(
        "W0106",
        "filters without a default",
        "In the `.merge` language a `match` needs a default, so the last value is made it.",
        "Correct it if there are tensors that no filter matches.",
    ),
    Code(
        "W0107",
        "no effect in this place",
        "mergekit knows the name and ignores it here, and so does mergec: the method doesn't use "
        "it, or it stands on a level where nothing reads it.",
        "Remove it, or move it where the hint says.",
        "merge_method: passthrough\nmodels:\n  - model: a/one\n    parameters: {density: 0.5}",
        "merge_method: passthrough\nmodels:\n  - model: a/one",
        "yaml",
    ),
    Code(
        "W0108",
        "a key that nobody knows, let be",
        "`--lax-yaml` was given.",
        "Correct the key if it should have an effect.",
    ),
    Code(
        "W0110",
        "a key twice in YAML",
        "Of two equal keys YAML's readers take the last, mergekit's too.",
        "Remove the other.",
        "merge_method: linear\nmerge_method: passthrough\nmodels:\n  - model: a/one",
        "merge_method: passthrough\nmodels:\n  - model: a/one",
        "yaml",
    ),
    Code(
        "W0109",
        "a document without a name",
        "Of several documents one is saved, and the others are stages, which go by their names.",
        "Name it with `name: …`.",
        "merge_method: passthrough\nmodels: [{model: a/one}]\n---\n"
        "merge_method: passthrough\nmodels: [{model: merge-1}]",
        "name: first\nmerge_method: passthrough\nmodels: [{model: a/one}]\n---\n"
        "merge_method: passthrough\nmodels: [{model: first}]",
        "yaml",
    ),
)

"""Recipes and the trees that they bind to."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mergec.compiler.binding.bound import Bound, BoundExpr, Merge, Stage
from mergec.ops.dtypes import bfloat16, float16, float32, float64

BindText = Callable[..., Bound]
Show = Callable[[BoundExpr], str]

NEURAL_SLERP = """
let mix = slerp {
  "OpenPipe/mistral-ft-optimized-1218"
  "mlabonne/NeuralHermes-2.5-Mistral-7B"
  t = match {
    self_attn: [0, 0.5, 0.3, 0.7, 1]
    mlp:       [1, 0.5, 0.7, 0.3, 0]
    _:         0.5
  }
}
save mix to "./NeuralPipe-7B-slerp" { dtype = bfloat16 }
"""


def test_recipe_1_gradient_slerp(bind_text: BindText, show: Show) -> None:
    bound = bind_text(NEURAL_SLERP)
    (output,) = bound.outputs
    assert show(output.value) == (
        "mix: slerp(OpenPipe/mistral-ft-optimized-1218, mlabonne/NeuralHermes-2.5-Mistral-7B, "
        "t={self_attn: [0.0, 0.5, 0.3, 0.7, 1.0], mlp: [1.0, 0.5, 0.7, 0.3, 0.0], _: 0.5})"
    )
    assert output.path == Path("/recipes/NeuralPipe-7B-slerp")
    assert output.dtype is bfloat16
    assert output.shard_bytes == 5_000_000_000
    assert [stage.name for stage in bound.stages] == ["mix"]
    assert bound.name == "recipe.merge"
    assert bound.warnings == ()


def test_recipe_2_ties_with_columns(bind_text: BindText, show: Show) -> None:
    bound = bind_text("""
let merged = ties {
  base = "mistralai/Mistral-7B-v0.1@main"
  "a/one"  weight=0.5               density=0.5
  "b/two"  weight=[0, 0.3, 0.7, 1]  density=match { mlp: 0.5, _: 0.8 }
  normalize = true
}
save merged to "./out" { dtype = float16 }
""")
    assert show(bound.outputs[0].value) == (
        "merged: ties(base=mistralai/Mistral-7B-v0.1@main, a/one weight=0.5 density=0.5, "
        "b/two weight=[0.0, 0.3, 0.7, 1.0] density={mlp: 0.5, _: 0.8}, "
        "lambda=1.0, normalize=True, rescale=none, scope=tensor)"
    )
    merge = bound.stages[0].value
    assert isinstance(merge, Merge)
    assert merge.spans[0, "weight"].column == 19
    assert set(merge.spans) == {
        (0, "weight"), (0, "density"), (1, "weight"), (1, "density"), "normalize",
    }  # fmt: skip
    assert list(bound.sources) == ["mistralai/Mistral-7B-v0.1@main", "a/one", "b/two"]


def test_recipe_3_dare_ties(bind_text: BindText, show: Show) -> None:
    text = """
set seed = 42
let base = "mistralai/Mistral-7B-v0.1"
let merged = dare_ties {
  base = base
  "samir-fama/SamirGPT-v1"  weight=0.4  density=0.53
  "./local/einstein"LORA  weight=0.3  density=0.53
}
save merged to "./daredevil" {
  dtype         = bfloat16
  TOKENIZER
  shard         = 5GB
}
"""
    bound = bind_text(text.replace("LORA", "").replace("TOKENIZER", ""))
    assert bound.settings.seed == 42
    assert show(bound.outputs[0].value) == (
        "merged: dare_ties(base=mistralai/Mistral-7B-v0.1, "
        "samir-fama/SamirGPT-v1 weight=0.4 density=0.53, "
        "./local/einstein weight=0.3 density=0.53, "
        "lambda=1.0, normalize=False, rescale=density)"
    )
    supported = bind_text(
        text.replace("LORA", "").replace(
            "TOKENIZER",
            'tokenizer = union { pad_to = 64, "<|im_start|>" = base }, chat_template = chatml',
        )
    )
    (output,) = supported.outputs
    assert output.tokenizer is not None and output.template is not None
    assert (output.tokenizer.like, output.tokenizer.pad_to) == ("union", 64)
    given = output.tokenizer.tokens["<|im_start|>"]
    assert given.source is not None
    assert given.source.reference == "mistralai/Mistral-7B-v0.1"
    assert output.template.asked == "chatml"


def test_recipe_4_frankenmerge(bind_text: BindText, show: Show) -> None:
    bound = bind_text("""
let big = stack {
  "a/one"[0:32]
  "b/two"[24:32]  scale=match { o_proj: 0.0, down_proj: 0.0, _: 1.0 }
  slerp { "a/one"[20:32], "b/two"[20:32], t = 0.4 }
}
save big to "./big" { dtype = bfloat16 }
""")
    assert show(bound.outputs[0].value) == (
        "big: stack(a/one[0:32], "
        "passthrough(b/two[24:32] scale={o_proj: 0.0, down_proj: 0.0, _: 1.0}), "
        "slerp(a/one[20:32], b/two[20:32], t=0.4))"
    )


def test_recipe_5_hierarchy_shares_stages(bind_text: BindText, show: Show) -> None:
    bound = bind_text("""
let base    = "mistralai/Mistral-7B-v0.1"
let trinity = "janai-hq/trinity-v1"
let blend   = slerp { "x/hermes", "x/chat", t = 0.5 }
let core = dare_ties {
  base = base
  "x/instruct"  weight=0.08  density=0.5
  blend         weight=0.08  density=0.4
}
let std = match { self_attn: [0, 0.5, 1], _: 0.5 }
save slerp { core, trinity, t = std } to "./merge-14-v0.1" { dtype = bfloat16 }
save slerp { trinity, core, t = std } to "./merge-14-v0.2" { dtype = bfloat16 }
""")
    first, second = bound.outputs
    assert show(second.value) == (
        "slerp(janai-hq/trinity-v1, core: dare_ties(base=mistralai/Mistral-7B-v0.1, "
        "x/instruct weight=0.08 density=0.5, "
        "blend: slerp(x/hermes, x/chat, t=0.5) weight=0.08 density=0.4, "
        "lambda=1.0, normalize=False, rescale=density), t={self_attn: [0.0, 0.5, 1.0], _: 0.5})"
    )
    assert isinstance(first.value, Merge) and isinstance(second.value, Merge)
    assert first.value.rows[0].value is second.value.rows[1].value
    assert first.value.rows[1].value is second.value.rows[0].value
    assert [stage.name for stage in bound.stages] == ["blend", "core"]
    assert bound.warnings == ()


def test_recipe_6_sweep(bind_text: BindText, show: Show) -> None:
    bound = bind_text("""
let core = linear { "a/one" weight=1, "b/two" weight=1 }
for t in [0.1, 0.50, 1.0, 1e-5, 2] {
  save slerp { core, "openchat/openchat-3.5-1210", t = t } to "./sweep/t-{t}"
}
""")
    assert [output.path.name for output in bound.outputs] == [
        "t-0.1", "t-0.5", "t-1", "t-1e-5", "t-2",
    ]  # fmt: skip
    cores = {id(o.value.rows[0].value) for o in bound.outputs if isinstance(o.value, Merge)}
    assert len(cores) == 1
    assert show(bound.outputs[4].value).endswith("openchat/openchat-3.5-1210, t=2.0)")


MERGE14 = """
let base = "./base"
let core = task_arithmetic { base = base, "./x" weight=1 }
let other = slerp { "./missing", core, t = 0.5 }
save core to "./core"
"""


def test_recipe_7_arithmetic_and_import(bind_text: BindText, show: Show, catalog: Any) -> None:
    bound = bind_text(
        """
import "./sub/merge14.merge" as m14
param strength = 0.6
let base = "Qwen/Qwen2.5-7B@a09a354"
let math = "Qwen/Qwen2.5-Math-7B" - base
save base + strength * math - 0.1 * (m14.core - base) to "./blend" { dtype = bfloat16 }
""",
        files={"/recipes/sub/merge14.merge": MERGE14},
    )
    assert show(bound.outputs[0].value) == (
        "combination(combination(Qwen/Qwen2.5-7B@a09a354, "
        "math: difference(Qwen/Qwen2.5-Math-7B, Qwen/Qwen2.5-7B@a09a354), scale=0.6), "
        "difference(m14.core: task_arithmetic(base=./base, ./x weight=1.0, lambda=1.0, "
        "normalize=False), Qwen/Qwen2.5-7B@a09a354), scale=-0.1)"
    )
    assert [stage.name for stage in bound.stages] == ["math", "m14.core"]
    # Paths of the imported recipe are relative to it, and what isn't needed isn't opened.
    assert list(bound.sources) == [
        "Qwen/Qwen2.5-7B@a09a354",
        "Qwen/Qwen2.5-Math-7B",
        "./base",
        "./x",
    ]
    assert ("/recipes/sub", "./missing", False) not in catalog.opened
    assert bound.sources["./base"].place == "/recipes/sub/base"


ARITHMETIC = {
    "d": "d: difference(m, b)",
    "-d": "scaled(d: difference(m, b), scale=-1.0)",
    "2 * (0.5 * d)": "d: difference(m, b)",
    "d * 2": "scaled(d: difference(m, b), scale=2.0)",
    "d + e": "combination(d: difference(m, b), e: difference(n, b), scale=1.0)",
    "d - e": "combination(d: difference(m, b), e: difference(n, b), scale=-1.0)",
    "0.5 * d + e": "combination(e: difference(n, b), d: difference(m, b), scale=0.5)",
    "[0, 1] * d": "scaled(d: difference(m, b), scale=[0.0, 1.0])",
    "-[0, 1] * d": "scaled(d: difference(m, b), scale=[0.0, -1.0])",
    "2 * match { mlp: [0, 1], _: 3 } * d": (
        "scaled(d: difference(m, b), scale={mlp: [0.0, 2.0], _: 6.0})"
    ),
    "[0, 1] * ([1, 2] * d)": (
        "scaled(scaled(d: difference(m, b), scale=[1.0, 2.0]), scale=[0.0, 1.0])"
    ),
    "(2 + 3 * 4 - 1) * d": "scaled(d: difference(m, b), scale=13.0)",
    "cast { d, dtype = bfloat16 }": "cast(d: difference(m, b), dtype=bfloat16)",
    "d[0:2]": "d: difference(m, b)[0:2]",
    "match { mlp: d, _: 2 * e }": (
        "match(mlp: d: difference(m, b), _: scaled(e: difference(n, b), scale=2.0))"
    ),
}


@pytest.mark.parametrize("delta", ARITHMETIC)
def test_delta_arithmetic(bind_text: BindText, show: Show, delta: str) -> None:
    text = 'let b = "b"\nlet d = "m" - b\nlet e = "n" - b\n'
    bound = bind_text(f'{text}let x = {delta}\nsave "m" + x to "./out"')
    shown = show(bound.outputs[0].value)
    expected = ARITHMETIC[delta]
    if delta not in ("d", "2 * (0.5 * d)"):  # those are `d` under a second name
        expected = f"x: {expected}"
    assert shown == f"combination(m, {expected}, scale=1.0)"


MODELS = {
    "m + d": "combination(m, d: difference(m, b), scale=1.0)",
    "d + m": "combination(m, d: difference(m, b), scale=1.0)",
    "m - d": "combination(m, d: difference(m, b), scale=-1.0)",
    "m - [0, 1] * d": "combination(m, d: difference(m, b), scale=[0.0, -1.0])",
    "m + 0.6 * d - 0.1 * d": (
        "combination(combination(m, d: difference(m, b), scale=0.6), d, scale=-0.1)"
    ),
    "cast { m + d, dtype = float16 }": (
        "cast(combination(m, d: difference(m, b), scale=1.0), dtype=float16)"
    ),
    "match { mlp: linear { m weight=1 }, _: m }": (
        "match(mlp: linear(m weight=1.0, normalize=True), _: m)"
    ),
    'match { "*.mlp.*": "x/y", _: "b" }[2:]': "match(*.mlp.*: x/y, _: b)[2:]",
    "(m + d)[:4]": "combination(m, d: difference(m, b), scale=1.0)[:4]",
    "passthrough { m }": "passthrough(m scale=None)",
    "stack { m, m[4 - 2 : 2 * 4] scale=0.5 }": "stack(m, passthrough(m[2:8] scale=0.5))",
    "stack { m[0:1], m[1:2], scale = 2 }": (
        "stack(passthrough(m[0:1] scale=2.0), passthrough(m[1:2] scale=2.0))"
    ),
}


@pytest.mark.parametrize("model", MODELS)
def test_models(bind_text: BindText, show: Show, model: str) -> None:
    bound = bind_text(f'let m = "m"\nlet d = m - "b"\nsave {model} to "./out"')
    assert show(bound.outputs[0].value) == MODELS[model]


def test_sums_may_be_long(bind_text: BindText) -> None:
    terms = " + ".join(["0.001 * d"] * 100)
    bound = bind_text(f'let d = "m" - "b"\nsave "m" + {terms} to "./out"')
    depth, value = 0, bound.outputs[0].value
    while isinstance(value, Merge):
        depth, value = depth + 1, value.rows[0].value
    assert depth == 100


def test_a_column_as_a_setting_holds_for_all_rows(bind_text: BindText, show: Show) -> None:
    bound = bind_text('save linear { "a", "b" weight=2, weight = 1 } to "./out"')
    merge = bound.outputs[0].value
    assert show(merge) == "linear(a weight=1.0, b weight=2.0, normalize=True)"
    assert isinstance(merge, Merge)
    assert merge.spans[0, "weight"].column == 43
    assert merge.spans[1, "weight"].column == 31


def test_options_by_word_string_and_boolean(bind_text: BindText) -> None:
    for written, expected in {
        "l1": "l1", '"l1"': "l1", "true": "l1", "false": "none", "density": "density",
    }.items():  # fmt: skip
        block = f'dare_ties {{ base = "b", "a" weight=1 density=density, rescale = {written} }}'
        merge = bind_text(f'let density = 0.5\nsave {block} to "./out"').outputs[0].value
        assert isinstance(merge, Merge)
        assert merge.settings["rescale"] == expected
        assert merge.rows[0].columns["density"] == 0.5


def test_set(bind_text: BindText) -> None:
    settings = bind_text("""
let s = 3
set seed = s + 4
set dtype = float16
set compute = float64
set missing = copy
set nonfinite = allow
save "a" to "./out"
""").settings
    assert (settings.seed, settings.missing, settings.nonfinite) == (7, "copy", "allow")
    assert (settings.dtype, settings.compute) == (float16, float64)


def test_output_dtype(bind_text: BindText) -> None:
    bound = bind_text(
        'save "a" to "./x" { dtype = float32 }\nsave "a" to "./y"\nset dtype = float16'
    )
    assert [output.dtype for output in bound.outputs] == [float32, float16]
    assert bind_text('save "a" to "./x"').outputs[0].dtype is None


def test_output_settings(bind_text: BindText) -> None:
    bound = bind_text('save "a" to "~/x" { shard = 512MiB, license = "apache-2.0" }')
    (output,) = bound.outputs
    assert output.shard_bytes == 512 * 2**20
    assert output.license == "apache-2.0"
    assert output.path == Path.home() / "x"


def test_out_replaces_a_lone_path_and_is_the_folder_of_several(bind_text: BindText) -> None:
    one = 'save "a" to "./deep/x"'
    two = f'{one}\nsave "b" to "/elsewhere/y"'
    assert [o.path for o in bind_text(one, out="/o/m").outputs] == [Path("/o/m")]
    assert [o.path for o in bind_text(two, out="/o").outputs] == [Path("/o/x"), Path("/o/y")]
    assert bind_text(one, out="rel").outputs[0].path == Path.cwd() / "rel"


def test_loops_nest_and_scope(bind_text: BindText, show: Show) -> None:
    bound = bind_text("""
for m in ["a/one", "b/two"] {
  for t in [0.25, 0.5] {
    let mix = slerp { "base/x", m, t = t }
    save mix to "./{m}-{t}"
  }
}
for t in [1] { save "c" to "./last-{t}" }
""")
    assert [stage.name for stage in bound.stages] == [
        "mix[m=a/one, t=0.25]", "mix[m=a/one, t=0.5]",
        "mix[m=b/two, t=0.25]", "mix[m=b/two, t=0.5]",
    ]  # fmt: skip
    assert [str(o.path) for o in bound.outputs][1:3] == [
        "/recipes/a/one-0.5", "/recipes/b/two-0.25",
    ]  # fmt: skip
    assert list(bound.sources) == ["base/x", "a/one", "b/two", "c"]


def test_loops_over_models_and_named_lists(bind_text: BindText, show: Show) -> None:
    bound = bind_text("""
param ts = [0.5]
let core = slerp { "a", "b", t = 0.5 }
for m in [core, "c"] { let x = m - "b" }
for t in ts { save slerp { core, "c", t = t } to "./{t}" }
""")
    assert [output.path.name for output in bound.outputs] == ["0.5"]
    assert [warning.message for warning in bound.warnings] == ["`x` is never used"]


def test_double_braces_are_left_alone(bind_text: BindText) -> None:
    bound = bind_text('let t = 1\nsave "a" to "./x-{t}" { license = "{{t}} {0} {} { t }" }')
    assert bound.outputs[0].license == "{{t}} {0} {} { t }"
    assert bound.outputs[0].path.name == "x-1"


def test_globs_take_names_too(bind_text: BindText, show: Show) -> None:
    bound = bind_text("""
for i in [3] {
  save slerp { "a", "b", t = match { "*.layers.{i}.*": 1, _: 0 } } to "./{i}"
}""")
    assert show(bound.outputs[0].value) == "slerp(a, b, t={*.layers.3.*: 1.0, _: 0.0})"


@pytest.mark.parametrize(
    ("default", "text", "expected"),
    [
        ("0.6", "1", "1"),
        ("0.6", "-2.5e3", "-2500"),
        ('"a"', '"b c"', "b c"),
        ('"a"', "org/name@v1", "org/name@v1"),
        ("true", "false", "false"),
        ("bfloat16", "float32", "float32"),
        ("5GB", "1MiB", "1MiB"),
    ],
)
def test_overrides(bind_text: BindText, default: str, text: str, expected: str) -> None:
    recipe = f'param p = {default}\nsave "a" to "./out" {{ license = "{{p}}" }}'
    assert bind_text(recipe, overrides={"p": text}).outputs[0].license == expected


def test_unused_names_are_warnings(bind_text: BindText, catalog: Any) -> None:
    bound = bind_text(
        """
import "./x.merge" as x
param p = 1
let dead = slerp { "missing", "b", t = 0.5 }
save "a" to "./out"
""",
        files={"/recipes/x.merge": 'let m = "missing"'},
    )
    assert [(w.code, w.span.line, w.span.column) for w in bound.warnings if w.span] == [
        ("W0201", 2, 23), ("W0201", 3, 7), ("W0201", 4, 5),
    ]  # fmt: skip
    assert [reference for _, reference, _ in catalog.opened] == ["a"]


def test_each_reference_is_opened_once(bind_text: BindText, catalog: Any) -> None:
    bound = bind_text('save linear { "a", "a", "b", weight = 1 } to "./out"')
    assert [reference for _, reference, _ in catalog.opened] == ["a", "b"]
    merge = bound.outputs[0].value
    assert isinstance(merge, Merge)
    assert merge.rows[0].value is merge.rows[1].value


def test_a_diamond_of_imports_is_bound_once(bind_text: BindText) -> None:
    bound = bind_text(
        """
import "a.merge" as a
import "b.merge" as b
save linear { a.x, b.y, weight = 1 } to "./out"
""",
        files={
            "/recipes/a.merge": 'import "c.merge" as c\nlet x = c.one + (c.two - "b")',
            "/recipes/b.merge": 'import "c.merge" as see\nlet y = see.two',
            "/recipes/c.merge": 'let one = linear { "p" weight=1 }\nlet two = one[0:2]',
        },
    )
    names = [stage.name for stage in bound.stages]
    assert names == ["a.c.one", "a.c.two", "a.x"]


def test_keep_makes_a_stage(bind_text: BindText, show: Show) -> None:
    bound = bind_text('let x = "a" keep\nlet y = x\nsave y to "./out"')
    assert show(bound.outputs[0].value) == "x: a"
    assert isinstance(bound.stages[0], Stage) and bound.stages[0].keep


YAML = """
models:
  - model: models/a
    parameters: {weight: 0.5}
  - model: b/{two}
    parameters:
      weight:
        - filter: mlp
          value: 1
merge_method: dare_ties
base_model: models/base
parameters:
  density: [0.5, 1]
  normalize: [true, false]
dtype: bfloat16
"""


def test_yaml(bind_text: BindText, show: Show, catalog: Any) -> None:
    bound = bind_text(YAML, name="recipe.yaml")
    (output,) = bound.outputs
    assert show(output.value) == (
        "dare_ties(base=models/base, models/a weight=0.5 density=[0.5, 1.0], "
        "b/{two} weight={mlp: 1.0} density=[0.5, 1.0], "
        "lambda=1.0, normalize=[True, False], rescale=l1)"
    )
    assert output.path == Path.cwd() / "merged"
    assert output.dtype is bfloat16
    assert bind_text(YAML, name="recipe.yaml", out="/o/x").outputs[0].path == Path("/o/x")
    assert all(prefer_path for _, _, prefer_path in catalog.opened)


def test_binding_merge_14_takes_milliseconds(bind_text: BindText) -> None:
    rows = "\n".join(f'  "org/model-{i}" weight=0.08 density=0.4' for i in range(14))
    text = f"""
let base = "mistralai/Mistral-7B-v0.1"
let core = dare_ties {{
  base = base
{rows}
}}
let std = match {{ self_attn: [0, 0.5, 0.3, 0.7, 1], mlp: [1, 0.5, 0.7, 0.3, 0], _: 0.5 }}
save slerp {{ core, "janai-hq/trinity-v1", t = std }} to "./v1" {{ dtype = bfloat16 }}
save slerp {{ "janai-hq/trinity-v1", core, t = std }} to "./v2" {{ dtype = bfloat16 }}
"""
    bind_text(text)
    start = time.process_time()
    bound = bind_text(text)
    assert len(bound.sources) == 16
    assert time.process_time() - start < 0.2  # with parsing; about 12 ms on a laptop

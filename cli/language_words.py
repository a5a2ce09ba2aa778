"""Pages of `mergec methods` for the language's own words, which aren't merge methods."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "stack": """\
stack { "model"[a:b] scale=none, … }

Join layers of models into a deeper one.

Its rows are slices of models (`"m"[0:32]`, half-open), whole models, or merges of slices, in the
order in which their layers follow one another. What isn't a layer comes from the first row
(embeddings) and the last (final norm, head). config.json gets the new depth.

Column      kind
  scale     number; a `match` or a gradient too. Without one the bytes are copied.""",
    "cast": """\
cast { "model", dtype = bfloat16 }

Round a model or a delta to a dtype at this point.

A chain of stages is computed in the compute dtype and rounded once, where it is saved. `cast`
rounds in between, as a tool does that saves every stage.

Setting     kind
  dtype     float64 | float32 | float16 | bfloat16 | float8_e4m3fn | float8_e5m2""",
    "lora": """\
model + lora { "adapter" scale=1 }

Apply a LoRA adapter: a low-rank delta, added to the model as it is read.

Column      kind
  scale     number; a factor beside the adapter's own alpha / r""",
    "rename": """\
rename { "model", "old.{rest}" = "new.{rest}" }

The same model with its tensors called otherwise: a word in braces stands for any text, and goes
where it is written again. `mergec check` proposes the rules where the names of models differ.""",
    "match": """\
match { pattern: value, …, _: value }

Pick by tensor name: the first pattern that matches gives the value; `_` is the default.

  mlp                 a bare word: a name that contains it
  "layers.0"          quoted: a run of whole segments of the name
  "layers.*.mlp"      `*` and `?` within a segment, `**` across
  "layers.{0..7}"     a range of numbers, both ends in it; `{-4..-1}` counts from the end
  "{q,k,v}_proj"      a list
  experts?            with a `?` after it a pattern may match nothing

A value may be a gradient; where a model stands, the arms are models. A pattern that matches no
tensor is an error, one that earlier ones hide a warning.""",
}

"""E03xx, W03xx: models and parameters: what a merge is given, and whether its inputs fit."""

from __future__ import annotations

from .code import Code

CODES = (
    Code(
        "E0301",
        "too few or too many sources",
        "Every method says how many models it merges.",
        "`mergec methods NAME` says how many.",
        'save slerp { "a/one", t = 0.5 } to "./out"',
        'save slerp { "a/one", "b/two", t = 0.5 } to "./out"',
    ),
    Code(
        "E0302",
        "a parameter without a value",
        "The method has no default for it.",
        "Give it: a column after each source, a setting on a line of its own.",
        'save slerp { "a/one", "b/two" } to "./out"',
        'save slerp { "a/one", "b/two", t = 0.5 } to "./out"',
    ),
    Code(
        "E0303",
        "a base model is missing",
        "The method computes with what its sources have learned since a base.",
        'Add `base = "…"`; in YAML `base_model: …`.',
        'save ties { "a/one" weight=1 } to "./out"',
        'save ties { base = "c/base", "a/one" weight=1 } to "./out"',
    ),
    Code(
        "E0304",
        "no parameter of that name",
        "A method takes the columns and settings that `mergec methods NAME` lists, and no others.",
        "Correct the name.",
        'save ties { base = "c/base", "a/one" weight=1 desnity=0.5 } to "./out"',
        'save ties { base = "c/base", "a/one" weight=1 density=0.5 } to "./out"',
    ),
    Code(
        "E0305",
        "a parameter in the wrong place",
        "A column (`weight=0.5`) belongs to one source, a setting (`normalize = true`) to the "
        "whole merge.",
        "Move it: a setting stands on a line of its own, a column after its source.",
        'save slerp { "a/one", "b/two" t=0.5 } to "./out"',
        'save slerp { "a/one", "b/two", t = 0.5 } to "./out"',
    ),
    Code(
        "E0306",
        "a value that a parameter refuses",
        "The message says what the parameter takes: its kind and its bounds.",
        "Give it such a value.",
        'save ties { base = "c/base", "a/one" weight=1 density=-1 } to "./out"',
        'save ties { base = "c/base", "a/one" weight=1 density=0.5 } to "./out"',
    ),
    Code(
        "E0307",
        "a gradient of whole numbers",
        "A list gives values at evenly spaced knots over the layers: numbers change from one knot "
        "to the next, words and truth values hold until the next; for a count of steps neither "
        "has a meaning.",
        "Pick by tensor name with a `match`.",
        'save karcher { "a/one", "b/two", max_iter = [5, 10] } to "./out"',
        'save karcher { "a/one", "b/two", max_iter = match { mlp: 5, _: 10 } } to "./out"',
    ),
    Code(
        "E0308",
        "a list or `match` inside another",
        "An arm of a `match` is a value or a gradient, a knot of a gradient a number.",
        "Write the arms of both in one `match`.",
        'save slerp { "a/one", "b/two", t = [0, [1]] } to "./out"',
        'save slerp { "a/one", "b/two", t = [0, 1] } to "./out"',
    ),
    Code(
        "E0309",
        "values that a method can't compute with",
        "Each value is allowed, but together they have no result, such as weights that add up to "
        "0 and are to be normalised.",
        "Change one of them.",
    ),
    Code(
        "E0310",
        "not a safetensors file",
        "The file's header isn't one: it is cut off, another format, or a pointer of Git LFS.",
        "Fetch the file again.",
    ),
    Code(
        "E0311",
        "a tensor that an input lacks",
        "Inputs of a merge have the same tensors.",
        "Check that the models are of one architecture; `set missing = copy` or `skip` says what "
        "to do with such tensors.",
    ),
    Code(
        "E0312",
        "a tensor's entry in a header that can't be trusted",
        "Its dtype, shape, name or place doesn't make sense.",
        "Save the checkpoint again.",
    ),
    Code(
        "E0313",
        "the tensors don't fill their file",
        "In a safetensors file they lie one after the other, without gaps, to its end.",
        "The file is damaged or not complete: fetch it again.",
    ),
    Code(
        "E0314",
        "an index that can't be used",
        "`model.safetensors.index.json` maps tensors to files of its own folder.",
        "Save or fetch the checkpoint again.",
    ),
    Code(
        "E0315",
        "an index and its files disagree",
        "A tensor is missing where the index places it, or is in two files.",
        "Save or fetch the checkpoint again.",
    ),
    Code(
        "E0316",
        "a `config.json` that can't be read",
        "It isn't JSON, or nested beyond reason.",
        "Correct or fetch it again.",
    ),
    Code(
        "E0317",
        "an adapter where a model is wanted, or a model where an adapter is",
        "A LoRA adapter is no model without its base; `lora` takes one that peft has saved.",
        'Add it to its base: `model + lora { "adapter" }`.',
    ),
    Code(
        "E0318",
        "inputs of different shapes",
        "A merge computes element by element.",
        "Check that the models are of one architecture and size; the vocabulary is where "
        "fine-tuned models differ most often.",
    ),
    Code(
        "E0319",
        "integers that differ",
        "Only tensors of floating-point numbers can be merged; others are copied, so they must be "
        "the same in all inputs.",
        "Take such tensors from one of the models, with a `match`.",
    ),
    Code(
        "E0320",
        "a threshold over a model that isn't computed yet",
        "`scope = model` looks at all tensors before anything is computed, and this stage itself "
        "needs sums over whole tensors.",
        "Save the stage first, or use `scope = tensor`.",
    ),
    Code(
        "E0321",
        "layers that a model doesn't have",
        "A slice takes layers of a model with numbered layers, all its stacks equally deep, and "
        "inputs of a merge are equally deep.",
        "`mergec inspect MODEL` says how many layers a model has.",
    ),
    Code(
        "E0322",
        "a base where there is none",
        "The method doesn't compute with a base.",
        "If the model should be merged, make it a source; to take only its config and tokenizer, "
        "say so where the result is saved.",
        'save linear { base = "c/base", "a/one" weight=1 } to "./out"',
        'save linear { "a/one" weight=1 } to "./out"',
    ),
    Code(
        "E0323",
        "a base that a slice doesn't have",
        "In `slices` a base takes part with the layers that its entry among the sources names.",
        "Add it to the sources of the slice.",
        "merge_method: ties\nbase_model: c/base\nslices:\n  - sources:\n"
        "      - {model: a/one, layer_range: [0, 2], parameters: {weight: 1}}",
        "merge_method: ties\nbase_model: c/base\nslices:\n  - sources:\n"
        "      - {model: c/base, layer_range: [0, 2]}\n"
        "      - {model: a/one, layer_range: [0, 2], parameters: {weight: 1}}",
        "yaml",
    ),
    Code(
        "E0324",
        "tensors that no arm gives a value",
        "Filters without a default must match every tensor.",
        "Add a default.",
    ),
    Code(
        "E0325",
        "not one value for each model",
        "In `mergec.merge` a column is a list with a value for each model, or one value for all.",
        "Give as many values as there are models.",
    ),
    Code(
        "E0326",
        "not a range of layers",
        "`[a:b]` takes layers a up to b, whole numbers from 0, the second above the first.",
        "A range is half-open: `[0:32]` is 32 layers.",
        'save stack { "a/one"[4:4] } to "./out"',
        'save stack { "a/one"[0:4] } to "./out"',
    ),
    Code(
        "E0340",
        "models that make no mixture of experts",
        "Experts are dense models of one type, and each has what its gate is made from.",
        "Choose models of one type; give each expert `prompts`, or `gate = random`.",
    ),
    Code(
        "E0341",
        "a file of gates lacks some",
        "It must hold a gate for every layer, under the name that it has in the mixture.",
        "Write the tensors that the message names.",
    ),
    Code(
        "E0342",
        "a mixture of experts inside of a merge",
        "A mixture has tensors that no other model has.",
        "Save it as it is; merge its experts before.",
    ),
    Code(
        "E0327",
        "not a model",
        "`mergec.merge` takes models as mappings of names to torch tensors.",
        "Give `model.state_dict()`, or what `safetensors.torch.load_file` returns.",
    ),
    Code(
        "E0328",
        "an arm that matches no tensor",
        "Its value is used for nothing, most likely since the pattern is misspelt.",
        "Correct the pattern (`mergec inspect MODEL` lists a model's tensors), or allow it with a "
        "`?` after it: `experts?: 0.5`.",
    ),
    Code(
        "W0301",
        "the configs of the inputs differ",
        "What a config says of rotary embeddings, norms, heads or the vocabulary belongs to the "
        "weights, and the output has one config for all of them.",
        'Check that these models go together; `config = "…"` of a `save` says whose is taken.',
    ),
    Code(
        "W0302",
        "a SLERP whose base is neither of its sources",
        "mergekit computed such recipes before 22 January 2024, with the second source at t = 0.",
        "Name one of the two as `base_model`: it is the model at t = 0.",
        "merge_method: slerp\nbase_model: c/base\nmodels: [{model: a/one}, {model: b/two}]\n"
        "parameters: {t: 0.3}",
        "merge_method: slerp\nbase_model: b/two\nmodels: [{model: a/one}, {model: b/two}]\n"
        "parameters: {t: 0.3}",
        "yaml",
    ),
    Code(
        "W0303",
        "an arm that is never reached",
        "The first arm that matches a tensor gives its value, and earlier arms match all the "
        "tensors of this one.",
        "Put the narrower pattern first.",
    ),
    Code(
        "E0328",
        "an adapter of a kind that can't be merged",
        "LoRA adapters of peft are read; others, and what isn't a sum of a model and a product of "
        "two thin matrices, such as DoRA, aren't.",
        "Merge it with peft's `merge_and_unload`, and use the merged model.",
    ),
    Code(
        "E0329",
        "an adapter of another model",
        "It changes tensors that the model it is added to doesn't have.",
        "Add it to the model that it was trained for, or rename the model's tensors.",
    ),
    Code(
        "E0330",
        "a pickle that would call something",
        "A .bin, .pt, .pth or .ckpt file is a program; mergec reads what it says of tensors and "
        "runs nothing of it. One that names anything else, such as `os.system`, isn't opened.",
        "Don't load it elsewhere either, unless you know who made it; save its state dict alone.",
    ),
    Code(
        "E0332",
        "weights quantised in a way that isn't read",
        "8-bit floats with a scale for all, a row or a block, and MXFP4 are decoded as they are "
        "read; what GPTQ, AWQ, bitsandbytes and others pack isn't.",
        "Save the model in bfloat16 with the library that quantised it.",
    ),
    Code(
        "E0331",
        "an adapter of nothing",
        "`mergec extract` writes what a model differs in from its base, and they don't differ.",
        "Check which two models they are.",
    ),
    Code(
        "E0333",
        "a rename that doesn't fit",
        '`rename { model, "old.{rest}" = "new.{rest}" }` calls tensors otherwise: each rule '
        "is for some of them, and no two get one name.",
        "Compare the rule with the names that `mergec inspect MODEL --tensors` lists.",
        'save rename { "a", "none.{rest}" = "some.{rest}" } to "./o"',
        'save "a" to "./o"',
    ),
    Code(
        "E0334",
        "a GGUF file that isn't read",
        "GGUF files of Llama's, Qwen2's and Qwen3's architectures are read, in F32, F16, BF16, "
        "Q8_0, Q4_0, Q4_1, Q5_0, Q4_K, Q5_K and Q6_K; blocks are decoded by the package gguf.",
        "Install the package, or take the model's own weights.",
    ),
)

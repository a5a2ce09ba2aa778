"""Every recipe in examples/ compiles, is planned and runs, on small models of 32 layers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from mergec.compiler.graph.graph import Invoke
from mergec.compiler.planning.plan import Plan
from support.checkpoints import mistral_shapes
from support.merging import merge, plan_recipe, read_checkpoint

from .conftest import EXAMPLES, HIDDEN, LAYERS, RECIPES, VOCAB

GOLDEN = Path(__file__).with_name("digests.json")


class Expected(NamedTuple):
    outputs: tuple[str, ...]
    layers: int = 32
    dtype: str = "bfloat16"


EXPECTED = {
    "daredevil-7b": Expected(("Daredevil-7B",)),
    "linear-soup": Expected(("Mistral-7B-soup",)),
    "marcoro14-7b-slerp": Expected(("Marcoro14-7B-slerp",)),
    "marcoro14-on-merge-14": Expected(("Marcoro14-on-Merge-14",)),
    "merge-14": Expected(("Mistral-7B-Merge-14-v0.1", "Mistral-7B-Merge-14-v0.2")),
    "neuralpipe-7b-slerp": Expected(("NeuralPipe-7B-slerp",)),
    "neuralpipe-7b-ties": Expected(("NeuralPipe-7B-ties",), dtype="float16"),
    "neuralpipe-9b-merged": Expected(("NeuralPipe-9B-merged",), layers=40),
    "sweep": Expected(tuple(f"t-{t}" for t in (0.1, 0.3, 0.5, 0.7, 0.9))),
    "task-arithmetic": Expected(("OpenHermes-math",)),
}

PUBLISHED = sorted(recipe.stem for recipe in RECIPES if recipe.suffix == ".yaml")


def _outputs(recipe: Path, out: Path) -> list[Path]:
    """Where a recipe's outputs are when it ran with `out`."""
    names = EXPECTED[recipe.stem].outputs
    return [out] if len(names) == 1 else [out / name for name in names]


def _digest(folder: Path) -> str:
    """A hash of a checkpoint's weight files."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_example(recipe: Path, mirror: Path, tmp_path: Path, update_golden: bool) -> None:
    expected = EXPECTED[recipe.stem]
    report = merge(recipe, tmp_path / "1", models=[mirror], threads=1)
    assert list(report.outputs) == _outputs(recipe, tmp_path / "1")
    for folder in report.outputs:
        _check_checkpoint(folder, expected)
    digests = [_digest(folder) for folder in report.outputs]
    for threads in (2, 4):
        out = tmp_path / str(threads)
        merge(recipe, out, models=[mirror], threads=threads)
        assert [_digest(folder) for folder in _outputs(recipe, out)] == digests
    _check_golden(recipe.name, digests, mirror, update_golden)


def _check_checkpoint(folder: Path, expected: Expected) -> None:
    tensors = read_checkpoint(folder)
    shapes = mistral_shapes(expected.layers, HIDDEN, 2 * HIDDEN, VOCAB, HIDDEN // 2)
    assert {name: tuple(value.shape) for name, value in tensors.items()} == shapes
    for name, value in tensors.items():
        assert value.dtype == getattr(torch, expected.dtype), name
        assert torch.isfinite(value).all() and value.any(), name
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["num_hidden_layers"] == expected.layers
    assert config["vocab_size"] == VOCAB
    assert config["architectures"] == ["MistralForCausalLM"]
    assert config.get("dtype", config.get("torch_dtype")) == expected.dtype
    assert (folder / "mergec.json").is_file()


def _check_golden(name: str, digests: list[str], mirror: Path, update: bool) -> None:
    """The bytes are those that they always were: a change of them must be meant."""
    inputs = hashlib.sha256("".join(map(_digest, sorted(mirror.glob("*/*")))).encode()).hexdigest()
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    if update:
        if golden.get("inputs") != inputs:
            golden = {"inputs": inputs, "outputs": {}}
        golden["outputs"][name] = digests
        golden["outputs"] = dict(sorted(golden["outputs"].items()))
        GOLDEN.write_text(json.dumps(golden, indent=2) + "\n", encoding="utf-8")
    elif golden["inputs"] != inputs:
        pytest.skip("this machine's torch generates other test models than the digests are for")
    else:
        assert digests == golden["outputs"][name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_yaml_and_merge_forms_agree(name: str, mirror: Path, tmp_path: Path) -> None:
    for suffix in (".yaml", ".merge"):
        merge(EXAMPLES / f"{name}{suffix}", tmp_path / suffix, models=[mirror])
    ours, published = (read_checkpoint(tmp_path / suffix) for suffix in (".merge", ".yaml"))
    assert ours.keys() == published.keys()
    for tensor, value in ours.items():
        assert torch.equal(_bits(value), _bits(published[tensor])), tensor


def _bits(value: torch.Tensor) -> torch.Tensor:
    return value.contiguous().view(torch.uint8)


def _invocations(plan: Plan, method: str) -> int:
    return sum(
        isinstance(node.op, Invoke) and node.op.invocation.method.name == method
        for node in plan.optimised.nodes
    )


def _tensors(layers: int = LAYERS) -> int:
    return len(mistral_shapes(layers, HIDDEN, 2 * HIDDEN, VOCAB, HIDDEN // 2))


def test_merge_14_reads_each_source_tensor_as_often_for_two_outputs_as_for_one(
    mirror: Path, tmp_path: Path
) -> None:
    one = merge(
        'import "./merge-14.merge" as merge_14\n'
        'save merge_14.v0_1 to "./v0.1" { dtype = bfloat16 }\n',
        tmp_path / "one",
        models=[mirror],
        folder=EXAMPLES,
    )
    both = merge(EXAMPLES / "merge-14.merge", tmp_path / "both", models=[mirror])
    assert both.bytes_read == one.bytes_read + _needed_by_v0_2_alone(mirror)
    assert _digest(tmp_path / "one") == _digest(tmp_path / "both" / "Mistral-7B-Merge-14-v0.1")


def _needed_by_v0_2_alone(mirror: Path) -> int:
    """Bytes of the source tensors that v0.2 needs and v0.1 doesn't.

    Where t is 0, v0.1 is the core and v0.2 is trinity, one model; where t is 1, v0.1 is trinity and
    v0.2 is the core, fifteen.
    """
    trinity = read_checkpoint(mirror / "janai-hq" / "trinity-v1")
    models_by_place = {
        "layers.0.self_attn": 1,
        "layers.31.self_attn": 15,
        "layers.0.mlp": 15,
        "layers.31.mlp": 1,
    }
    return sum(
        models * value.nbytes
        for place, models in models_by_place.items()
        for name, value in trinity.items()
        if place in name
    )


def test_merge_14_computes_its_core_once(mirror: Path, tmp_path: Path) -> None:
    plan = plan_recipe(EXAMPLES / "merge-14.merge", tmp_path, models=[mirror])
    assert len(plan.bound.outputs) == 2
    assert _invocations(plan, "dare_ties") == _tensors()
    stages = {stage.name for stage in plan.bound.stages}
    assert {"core", "v0_1", "v0_2"} <= stages


@pytest.mark.slow
def test_a_hierarchy_is_what_its_stages_are_one_at_a_time(mirror: Path, tmp_path: Path) -> None:
    merge(
        'import "./merge-14.merge" as merge_14\n'
        'save merge_14.core to "./core" { dtype = float32 }\n',
        tmp_path / "core",
        models=[mirror],
        folder=EXAMPLES,
    )
    merge(
        f'import "{EXAMPLES}/merge-14.merge" as merge_14\n'
        'save slerp { "./core", "janai-hq/trinity-v1", t = merge_14.std } to "./staged" '
        "{ dtype = bfloat16 }\n",
        tmp_path / "staged",
        models=[mirror],
    )
    merge(EXAMPLES / "merge-14.merge", tmp_path / "both", models=[mirror])
    assert _digest(tmp_path / "staged") == _digest(tmp_path / "both" / "Mistral-7B-Merge-14-v0.1")


def test_a_sweep_computes_its_core_once(mirror: Path, tmp_path: Path) -> None:
    sweep = EXAMPLES / "sweep.merge"
    plan = plan_recipe(sweep, tmp_path, models=[mirror])
    assert _invocations(plan, "ties") == _tensors()
    assert _invocations(plan, "slerp") == 5 * _tensors()
    assert len(plan.components) == _tensors()
    five = merge(sweep, tmp_path / "five", models=[mirror])
    text = sweep.read_text(encoding="utf-8").replace("[0.1, 0.3, 0.5, 0.7, 0.9]", "[0.3]")
    one = merge(text, tmp_path / "one", models=[mirror])
    assert five.bytes_read == one.bytes_read
    assert _digest(tmp_path / "five" / "t-0.3") == _digest(tmp_path / "one")


def test_a_parameter_of_the_command_line_changes_the_result(mirror: Path, tmp_path: Path) -> None:
    recipe = EXAMPLES / "task-arithmetic.merge"
    merge(recipe, tmp_path / "default", models=[mirror])
    for strength in ("0.6", "0.4"):
        out = tmp_path / strength
        merge(recipe, out, models=[mirror], overrides={"strength": strength})
    assert _digest(tmp_path / "0.6") == _digest(tmp_path / "default")
    assert _digest(tmp_path / "0.4") != _digest(tmp_path / "default")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["neuralpipe-7b-slerp", "neuralpipe-9b-merged", "merge-14"])
def test_transformers_loads_the_result(name: str, mirror: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers isn't installed")
    recipe = EXAMPLES / f"{name}.merge"
    merge(recipe, tmp_path / "out", models=[mirror])
    for folder in _outputs(recipe, tmp_path / "out"):
        model, loading = transformers.AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True
        )
        assert not any(loading.values()), loading
        assert len(model.model.layers) == EXPECTED[name].layers
        logits = model(torch.arange(8)[None]).logits
        assert logits.shape == (1, 8, VOCAB)
        assert torch.isfinite(logits).all()
        for tensor, value in read_checkpoint(folder).items():
            assert torch.equal(model.state_dict()[tensor], value), tensor

"""The published methods: laws, edge cases, models beside sources, layers' positions, in recipes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kernels.harness import Call
from mergec.compiler.graph.graph_text import parse_graph, print_graph
from mergec.grammar.diagnostics import RecipeError, RunError
from mergec.ops.method import find_method
from mergec.ops.opaque_functions import one_thread
from methods import reference_beyond as reference
from support.checkpoints import tiny_mistral, write_checkpoint
from support.merging import merge, plan_recipe, read_checkpoint

Tensors = Mapping[str, torch.Tensor]
SPECTRAL = ("tsvm", "iso_c", "iso_cts", "wudi")
TASKS = (*SPECTRAL, "magmax", "consensus_ta", "pcb")


def merged(name: str, xs: list[torch.Tensor], base: torch.Tensor | None, **values: Any) -> Any:
    """The method in float64; other parameters keep their defaults."""
    method = find_method(name)
    assert method is not None
    for p in method.parameters:
        if p.name not in values:
            values[p.name] = [p.default] * len(xs) if p.per_source else p.default
    return Call(method, xs, base, values).eager(torch.float64)


def randoms(count: int, *shape: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count)]


# Laws -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_the_order_of_the_models_does_not_matter(name: str) -> None:
    a, b, c, base = randoms(4, 12, 20)
    forwards, backwards = merged(name, [a, b, c], base), merged(name, [c, b, a], base)
    torch.testing.assert_close(forwards, backwards, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [*TASKS, "lines"])
def test_models_that_are_the_base_leave_it_as_it_is(name: str) -> None:
    more: dict[str, Any] = {"weight": [1.0, 1.0], "position": 0.5} if name == "lines" else {}
    for shape in ((6, 9), (9, 6), (7,), (4, 3, 2)):
        (base,) = randoms(1, *shape)
        torch.testing.assert_close(merged(name, [base, base], base, **more), base)


@pytest.mark.parametrize("name", ["tsvm", "magmax"])
def test_one_model_is_itself(name: str) -> None:
    for shape in ((6, 9), (9, 6), (7,), (4, 3, 2)):
        x, base = randoms(2, *shape)
        torch.testing.assert_close(merged(name, [x], base), x)


def test_tasks_in_different_subspaces_do_not_disturb_each_other_in_tsvm() -> None:
    a, b, base = torch.zeros(3, 8, 8, dtype=torch.float64)
    a[:4, :4], b[4:, 4:] = randoms(2, 4, 4)
    torch.testing.assert_close(merged("tsvm", [a, b], base), a + b)


def test_iso_c_has_an_even_spectrum() -> None:
    a, b, base = randoms(3, 10, 6)
    values = torch.linalg.svdvals(merged("iso_c", [a, b], base) - base)
    mean = torch.linalg.svdvals(a + b - 2 * base).mean()
    torch.testing.assert_close(values, mean.expand(6))


@pytest.mark.parametrize("name", ["tsvm", "iso_c", "iso_cts"])
def test_models_that_learned_the_same_low_rank_change_stay_finite(name: str) -> None:
    (base,), (u, v) = randoms(1, 12, 20), (randoms(1, 12, 2)[0], randoms(1, 2, 20)[0])
    found = merged(name, [base + u @ v, base + u @ v], base) - base
    assert bool(found.isfinite().all())
    torch.testing.assert_close(u @ torch.linalg.lstsq(u, found).solution, found)


def test_wudi_lowers_the_interference() -> None:
    a, b, base = (x * 0.01 for x in randoms(3, 10, 14))

    def interference(x: torch.Tensor) -> float:
        deltas = (a - base, b - base)
        return float(sum(((x - base - d) @ d.T).square().sum() / d.square().sum() for d in deltas))

    before = interference(base + (a - base) + (b - base))
    assert interference(merged("wudi", [a, b], base)) < before


def test_consensus_of_no_task_is_task_arithmetic_and_needs_enough_tasks() -> None:
    a, b, base = randoms(3, 5, 7)
    torch.testing.assert_close(merged("consensus_ta", [a, b], base, agreement=0), a + b - base)
    with pytest.raises(RecipeError, match="`agreement` is 3"):
        import mergec

        mergec.merge("consensus_ta", [{"w": a}, {"w": b}], base={"w": base}, agreement=3)


def test_pcb_clamps_at_the_smallest_magnitude_there_is() -> None:
    method = find_method("pcb")
    assert method is not None
    a, b, base = (x.float() for x in randoms(3, 9, 11))
    values = {"ratio": 0.5, "clip": 0.0, "lambda": 1.0, "scope": "tensor"}
    for shift in (3.0, 30.0):  # no difference to the base is near 0
        call = Call(method, [a + shift, b + shift], base, values)
        torch.testing.assert_close(call.compiled(), call.eager(), rtol=1e-5, atol=1e-5)


def test_rotate_undoes_a_rotation() -> None:
    for shape in ((30, 8), (8, 30)):
        (b,) = randoms(1, *shape)
        turn, _ = torch.linalg.qr(randoms(1, shape[1], shape[1])[0])
        centre = b.mean(0)
        a = (b - centre) @ turn + centre
        torch.testing.assert_close(merged("rotate", [a, b], None), b)


def test_the_geometric_median_ignores_an_outlier_and_may_be_a_model() -> None:
    a, b, c = ([torch.tensor(p, dtype=torch.float64)] for p in ([0.0, 0], [1.0, 0], [0.0, 1]))
    far = torch.tensor([1e6, 1e6], dtype=torch.float64)
    found = merged("geometric_median", [*a, *b, *c, far], None, weight=[1.0] * 4)
    assert float(found.norm()) < 1.0
    found = merged("geometric_median", [*a, *b, *c], None, weight=[5.0, 1.0, 1.0])
    torch.testing.assert_close(found, a[0])
    found = merged("geometric_median", [*b, *c], None, weight=[1.0, 1.0])
    torch.testing.assert_close(found, (b[0] + c[0]) / 2)


def test_regmean_keeps_the_mean_where_no_input_was_seen() -> None:
    a, b = randoms(2, 3, 4)
    seen = torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64))
    found = merged("regmean", [a, b], None, statistics=[seen, 3 * seen])
    torch.testing.assert_close(found[:, :2], (a + 3 * b)[:, :2] / 4)
    torch.testing.assert_close(found[:, 2:], (a + b)[:, 2:] / 2)


# In recipes -------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Base `b`, fine-tunes `m1`, `m2`, with Fisher information `f1`, `f2` and Grams `g1`, `g2`."""
    for name, seed in (("b", 0), ("m1", 1), ("m2", 2)):
        tiny_mistral(tmp_path / name, seed, layers=3, hidden=16, vocab=24)
    generator = torch.Generator().manual_seed(9)
    for number in (1, 2):
        model = read_checkpoint(tmp_path / f"m{number}")
        shares = {n: torch.rand(x.shape, generator=generator) for n, x in model.items()}
        inputs = {n: torch.randn(64, x.shape[-1], generator=generator) for n, x in model.items()}
        grams = {n: x.T @ x for n, x in inputs.items() if "proj" in n}
        write_checkpoint(tmp_path / f"f{number}", shares, {})
        write_checkpoint(tmp_path / f"g{number}", grams, {})
    return tmp_path


def _arrays(tensors: Tensors) -> dict[str, Any]:
    return {name: x.double().numpy() for name, x in tensors.items()}


def _run(folder: Path, text: str, out: str = "out", **options: Any) -> dict[str, torch.Tensor]:
    merge(
        f'set dtype = float32\nlet o = {text}\nsave o to "./o"\n',
        folder / out,
        folder=folder,
        **options,
    )
    return read_checkpoint(folder / out)


def _assert_close(found: torch.Tensor, wanted: Any) -> None:
    worst = float(np.abs(found.double().numpy() - wanted).max())
    assert worst <= 2e-6 * float(np.abs(wanted).max()), worst


def test_lines_scales_by_layer(folder: Path) -> None:
    found = _run(folder, 'lines { base = "./b", "./m1" weight=2, "./m2", alpha = 0.1, beta = 0.8 }')
    b, m1, m2 = (_arrays(read_checkpoint(folder / n)) for n in ("b", "m1", "m2"))
    for name, x in found.items():
        layer = int(name.split(".")[2]) if ".layers." in name else 0
        values = {"weight": [2, 1], "position": layer / 2, "alpha": 0.1, "beta": 0.8}
        _assert_close(x, reference.lines([m1[name], m2[name]], b[name], **values))


def test_a_position_is_not_for_recipes(folder: Path) -> None:
    with pytest.raises(RecipeError, match="`lines` has no parameter `position`"):
        _run(folder, 'lines { base = "./b", "./m1", position = 1 }')


def test_fisher_takes_a_model_beside_each_source(folder: Path) -> None:
    found = _run(folder, 'fisher { "./m1" statistics="./f1" weight=2, "./m2" statistics="./f2" }')
    m1, m2, f1, f2 = (_arrays(read_checkpoint(folder / n)) for n in ("m1", "m2", "f1", "f2"))
    for name, x in found.items():
        beside = [f1[name], f2[name]]
        wanted = reference.fisher([m1[name], m2[name]], statistics=beside, weight=[2, 1])
        _assert_close(x, wanted)


def test_a_model_beside_a_slice_is_read_by_the_names_of_what_is_sliced(folder: Path) -> None:
    row = '"./m1"[1:3] statistics="./f1"'
    found = _run(folder, f'fisher {{ {row}, "./m2"[1:3] statistics="./f2" }}')
    sliced = _run(
        folder,
        'fisher { "./m1"[1:3] statistics="./f1"[1:3], "./m2"[1:3] statistics="./f2"[1:3] }',
        "sliced",
    )
    whole = _run(folder, 'fisher { "./m1" statistics="./f1", "./m2" statistics="./f2" }', "whole")
    for name, x in found.items():
        there = name
        if ".layers." in name:
            layer = int(name.split(".")[2])
            there = name.replace(f".{layer}.", f".{layer + 1}.", 1)
        assert torch.equal(x, whole[there]) and torch.equal(x, sliced[name])


def test_regmean_solves_where_there_are_grams_and_averages_elsewhere(folder: Path) -> None:
    found = _run(
        folder, 'regmean { "./m1" statistics="./g1", "./m2" statistics="./g2", alpha = 0.8 }'
    )
    m1, m2, g1, g2 = (_arrays(read_checkpoint(folder / n)) for n in ("m1", "m2", "g1", "g2"))
    for name, x in found.items():
        if name in g1:
            beside = [g1[name], g2[name]]
            wanted = reference.regmean([m1[name], m2[name]], statistics=beside, alpha=0.8)
        else:
            wanted = (m1[name] + m2[name]) / 2
        _assert_close(x, wanted)


def test_infinity_in_a_gram_matrix_is_refused_by_name(folder: Path) -> None:
    grams = read_checkpoint(folder / "g2")
    name = next(iter(grams))
    grams[name][1, 2] = float("inf")
    write_checkpoint(folder / "g2", grams, {})
    with pytest.raises(RunError, match=f"`{name}` of ./g2 holds NaN or infinity"):
        _run(folder, 'regmean { "./m1" statistics="./g1", "./m2" statistics="./g2" }')


@pytest.mark.parametrize(
    "text",
    [
        'lines { base = "./b", "./m1" }',
        'fisher { "./m1" statistics="./f1", "./m2" statistics="./f2" weight=2 }',
        'regmean { "./m1" statistics="./g1", "./m2" statistics="./g2" }',
    ],
)
def test_the_graph_prints_and_reads_back(folder: Path, text: str) -> None:
    plan = plan_recipe(f'let o = {text}\nsave o to "./o"\n', folder / "out", folder=folder)
    for graph in (plan.graph, plan.optimised):
        printed = list(print_graph(graph))
        again = parse_graph("\n".join(printed), plan.bound.sources.values(), [plan.source])
        assert list(print_graph(again)) == printed


def test_the_plan_counts_what_functions_of_whole_tensors_read(folder: Path) -> None:
    text = 'regmean { "./m1" statistics="./g1", "./m2" statistics="./g2" }'
    report = merge(f'let o = {text}\nsave o to "./o"\n', folder / "out", folder=folder)
    assert report.bytes_read == report.planned_read


def test_a_model_of_weight_0_takes_its_statistics_with_it(folder: Path) -> None:
    text = 'fisher { "./m1" statistics="./f1", "./m2" statistics="./f2" weight=0 }'
    plan = plan_recipe(f'let o = {text}\nsave o to "./o"\n', folder / "out", folder=folder)
    assert plan.bytes_read * 2 < 3 * plan.bytes_written


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ('fisher { "./m1" statistics="./f1", "./m2" }', "E0302", "needs a model for `statistics`"),
        ('fisher { "./m1", "./m2", statistics = "./f1" }', "E0305", "for each source"),
        ('fisher { "./m1" statistics=0.5, "./m2" statistics="./f2" }', "E0204", "must be a model"),
        ('fisher { "./m1" statistics="./g1", "./m2" statistics="./f2" }', "E0311", "lacks"),
        ('regmean { "./m1" statistics="./f1", "./m2" statistics="./f2" }', "E0318", "shape"),
    ],
)
def test_refusals(folder: Path, text: str, code: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        _run(folder, text)
    assert code in [d.code for d in caught.value.diagnostics]


@pytest.mark.parametrize("name", [*SPECTRAL, "pcb"])
def test_threads_and_memory_do_not_change_a_byte(folder: Path, name: str) -> None:
    text = f'{name} {{ base = "./b", "./m1", "./m2" }}'
    first = _run(folder, text, threads=1)
    second = _run(folder, text, "again", threads=2)
    assert all(torch.equal(x, second[n]) for n, x in first.items())


def test_whole_functions_have_one_thread_and_give_the_others_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with one_thread(), one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)

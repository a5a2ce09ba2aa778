"""What processors get: loops of vector instructions, without calls, and without spills."""

from __future__ import annotations

import platform
import re

import pytest
from kernels.assembly import innermost_loops
from kernels.calls import all_methods, bfloat16_call
from kernels.harness import segments
from mergec.compiler.kernels.compiled import kernel_assembly, kernel_llvm
from mergec.compiler.kernels.mathematics import Kernel, mathematics
from mergec.machine_code.target import AVX2, AVX512, Processor

METHODS = all_methods()
STREAMED = ("linear", "slerp", "nuslerp", "karcher", "model_stock", "ties", "dare_ties", "della")
STREAMED += ("breadcrumbs", "sce", "task_arithmetic", "multislerp", "nearswap")
PROCESSORS = pytest.mark.parametrize("processor", [AVX2, AVX512], ids=["avx2", "avx512"])

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="reads x86 assembly"
)


def _kernels(method: str, sources: int) -> list[Kernel]:
    program, _ = bfloat16_call(METHODS[method], sources).program("bfloat16")
    return [mathematics(program, segment) for segment in segments(program)]


def _check(kernel: Kernel, processor: Processor, spills: bool) -> None:
    """The loop over elements is the longest; those over staged blocks are as strict."""
    loops = innermost_loops(kernel_assembly(kernel, processor))
    elements = loops[0]
    assert elements.vectors > len(kernel.inputs) + len(kernel.outputs), kernel.text
    assert elements.vectors > elements.instructions / 2, (elements, kernel.text)
    for loop in loops:
        if loop.vectors:
            assert loop.calls == 0, (loop, kernel.text)
            assert spills or loop.spills == 0, (loop, kernel.text)


@PROCESSORS
@pytest.mark.parametrize("method", STREAMED)
def test_loops_of_two_sources_are_vectors_without_calls_and_spills(
    method: str, processor: Processor
) -> None:
    for kernel in _kernels(method, 2):
        _check(kernel, processor, spills=False)


@PROCESSORS
@pytest.mark.parametrize("method", STREAMED)
def test_loops_of_eight_sources_are_vectors(method: str, processor: Processor) -> None:
    for kernel in _kernels(method, 8):  # sixteen registers are few for eight sources and a vote
        _check(kernel, processor, spills=processor == AVX2)


def test_products_and_sums_are_rounded_apart() -> None:
    for method in ("linear", "dare_ties", "slerp"):
        for kernel in _kernels(method, 2):
            text = kernel_assembly(kernel, AVX512)
            assert "vfmadd" not in text and "vfmsub" not in text and "vfnmadd" not in text
            assert not re.search(r"f(add|mul|sub|div) (fast|contract|reassoc)", kernel_llvm(kernel))


def test_a_processor_changes_the_vectors_and_nothing_else() -> None:
    (kernel,) = _kernels("linear", 2)
    wide, narrow = (kernel_llvm(kernel, processor) for processor in (AVX512, AVX2))
    assert "<16 x float>" in wide and "<16 x float>" not in narrow
    assert wide.replace("<16 x", "<8 x").count("fmul") == narrow.count("fmul")

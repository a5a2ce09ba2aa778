"""Plan -> its schedule as text: each kind of step with its sweeps, the steps, the kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..compiler.kernels.mathematics import Kernel, mathematics
from ..compiler.planning.plan import Plan, needed_bytes
from ..compiler.planning.strategies import Strategy
from ..compiler.sweeps.components import Component, Template
from ..compiler.sweeps.program import Sweep
from ..quantities import binary_size, count, decimal_size
from .plan_facts import value_names


def schedule_text(plan: Plan) -> Iterator[str]:
    """The steps in order, each with its kind's name, its volume and the tensors that it writes."""
    kinds: dict[tuple[Template, tuple[Sweep, ...]], str] = {}
    steps = list(zip(plan.components, plan.choices, strict=True))
    for component, choice in steps:
        kind = (component.template, choice.sweeps)
        if kind not in kinds:
            kinds[kind] = f"K{len(kinds)}"
            names = value_names(plan, component)
            yield from _kind(kinds[kind], component.template, choice, names)
    yield ""
    for number, (component, choice) in enumerate(steps):
        needed = needed_bytes(choice, plan.threads)
        yield _step(number, kinds[component.template, choice.sweeps], component, choice, needed)


def _kind(
    name: str, template: Template, choice: Strategy, values: Mapping[int, str]
) -> Iterator[str]:
    program = template.program
    if template.copies:
        yield f"{name}  copies bytes"
        return
    inputs = " ".join(str(dtype) for dtype in program.inputs)
    outputs = " ".join(str(dtype) for _, dtype in program.outputs)
    yield f"{name}  {count(len(choice.sweeps), 'sweep')}: {inputs} -> {outputs}"
    for value, stage in values.items():
        held = "spilled" if value in choice.spilled else "held"
        yield f"    %{value} is {stage}" + (f", {held}" if value in choice.held else "")
    for index, node in enumerate(program.nodes):
        words = [node.name, *(f"%{i}" for i in node.args), *(str(a) for a in node.attr)]
        yield f"    %{index} = {' '.join(words)}  ({node.kind.value})"
    for number, sweep in enumerate(choice.sweeps):
        yield f"    sweep {number}: {_sweep(sweep)}"


def _sweep(sweep: Sweep) -> str:
    parts = [f"reads inputs {_listed(sweep.reads)}"] if sweep.reads else []
    for segment in sweep.segments:
        if segment.fetches:
            parts.append(f"reads back {_values(segment.fetches)}")
        if segment.sums:
            parts.append(f"sums {_values(segment.sums)}")
        for look in segment.looks:
            closer = " again, closer, if need be" if look.number else ""
            parts.append(f"looks for %{look.selection}{closer}")
        if segment.stores:
            parts.append(f"stores {_values(segment.stores)}")
        if segment.writes:
            parts.append(f"writes outputs {_listed(segment.writes)}")
    return ", ".join(parts)


def _values(nodes: tuple[int, ...]) -> str:
    return " ".join(f"%{node}" for node in nodes)


def _listed(numbers: tuple[int, ...]) -> str:
    return " ".join(map(str, numbers))


def _step(number: int, kind: str, component: Component, choice: Strategy, needed: int) -> str:
    targets = [f"{t.output}:{t.name}" for names in component.targets for t in names]
    shape = "x".join(map(str, component.shape)) or "scalar"
    return (
        f"step {number}  {kind}  {shape}  reads {decimal_size(choice.read)}  "
        f"needs {binary_size(needed)}  -> {', '.join(targets)}"
    )


def kernels_text(plan: Plan) -> Iterator[str]:
    """The mathematics of every kernel that the plan runs, each once."""
    return _kernels(plan, lambda kernel: kernel.text)


def llvm_text(plan: Plan) -> Iterator[str]:
    """The same as LLVM IR. Imports llvmlite."""
    from ..compiler.kernels.compiled import kernel_llvm

    return _kernels(plan, kernel_llvm)


def assembly_text(plan: Plan) -> Iterator[str]:
    """The same as this machine's processor gets it. Imports llvmlite."""
    from ..compiler.kernels.compiled import kernel_assembly

    return _kernels(plan, kernel_assembly)


def _kernels(plan: Plan, text_of: Callable[[Kernel], str]) -> Iterator[str]:
    seen: set[str] = set()
    done: set[tuple[Template, tuple[Sweep, ...]]] = set()
    for component, choice in zip(plan.components, plan.choices, strict=True):
        template = component.template
        if (template, choice.sweeps) in done:
            continue
        done.add((template, choice.sweeps))
        for number, sweep in enumerate(choice.sweeps):
            for segment in sweep.segments:
                kernel = mathematics(template.program, segment)
                if kernel.text not in seen:
                    seen.add(kernel.text)
                    yield f"# sweep {number} of {component.targets[0][0].name} and others like it"
                    yield text_of(kernel)

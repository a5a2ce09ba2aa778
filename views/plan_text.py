"""Plan -> what `mergec plan` prints: sources, stages, sharing, memory, volume, time, disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..compiler.binding.stage_selection import shown_path, source_name
from ..compiler.planning.estimate import DISK_RATE, Estimate, estimate
from ..compiler.planning.plan import Plan
from ..quantities import count, decimal_size, duration
from .columns import UNLIMITED, paragraph, table
from .fetch_text import fetch_text, fetched, to_fetch
from .memory_text import memory_text
from .plan_facts import disks, dtypes_of, operations, seed
from .stages import Shown, StageFacts, Stages

_REASONS = 24  # stages whose treatment is explained
_QUIET = ("written", "fused")


def plan_text(
    plan: Plan, version: str, width: int = UNLIMITED, shown: Shown | None = None
) -> Iterator[str]:
    """The lines of a plan; `version` is mergec's. `shown` limits sources and stages."""
    bound = plan.bound
    parts = [
        count(len(bound.sources), "source"),
        count(len(bound.stages), "stage"),
        count(len(bound.outputs), "output"),
    ]
    digest = plan.source.sha256[:6]
    yield f"{bound.name} · mergec {version} · recipe {digest} · {', '.join(parts)}"
    yield ""
    stages = Stages(plan)
    visible = shown or (lambda name: True)
    sources = list(_sources(plan, visible, width))
    if len(sources) > 1:
        yield from sources
        yield ""
    yield from _stages(stages, visible, width)
    yield ""
    yield from _reasons(stages, visible, width)
    if shown is not None:
        yield "The whole plan, of which this is a part:"
        yield ""
    yield from _figures(plan, stages, width)


def _sources(plan: Plan, shown: Shown, width: int) -> Iterator[str]:
    rows: list[Sequence[str]] = []
    for reference, checkpoint in plan.bound.sources.items():
        if not shown(source_name(plan.bound, reference)):
            continue
        dtype, *others = dtypes_of(checkpoint)
        rows.append(
            (
                f"  {reference}",
                (checkpoint.revision or "")[:7],
                dtype + (f" +{len(others)}" if others else ""),
                f"{len(checkpoint.files):,}",
                f"{len(checkpoint.tensors):,}",
                decimal_size(checkpoint.nbytes),
                decimal_size(missing) if (missing := to_fetch(plan, checkpoint)) else "–",
            )
        )
    head = ("Sources", "revision", "dtype", "files", "tensors", "size", "to fetch")
    columns = len(head) if any(row[-1] != "–" for row in rows) else len(head) - 1
    lines = [row[:columns] for row in [head, *rows]]
    yield from table(lines, right=range(3, columns), width=width)


def _stages(stages: Stages, shown: Shown, width: int) -> Iterator[str]:
    lines = [(f"  {line.text}", line.tensors, line.size, line.how) for line in stages.tree(shown)]
    head = ("Stages", "tensors", "size", "how")
    yield from table([head, *lines], right=(1, 2), width=width)


def _reasons(stages: Stages, shown: Shown, width: int) -> Iterator[str]:
    """Why what isn't fused isn't, and what needs no computing."""
    told: list[tuple[str, str]] = []
    for facts in stages.facts():
        if shown(facts.name):
            told += [(facts.name, reason) for reason in _reasons_of(facts)]
    head = "Why"
    before = ""
    for name, reason in told[:_REASONS]:
        said = f"{name}: {reason}" if name != before else f"and {reason}"
        yield from paragraph(head, said, width)
        head, before = "", name
    if len(told) > _REASONS:
        yield from paragraph("", f"… {len(told) - _REASONS} more with --json", width)
    if told:
        yield ""


def _reasons_of(facts: StageFacts) -> Iterator[str]:
    if any(fate.how not in _QUIET for fate in facts.treatments):
        for fate in facts.treatments:
            some = f"{count(fate.tensors, 'tensor')} " if len(facts.treatments) > 1 else ""
            yield some + fate.reason
    if facts.folded:
        yield f"{count(facts.folded, 'tensor')} taken from an input as they are"


def _at_most(plan: Plan) -> str:
    most = plan.bytes_read_most
    more = f" ({decimal_size(most)} if thresholds take another look)"
    return more if most > plan.bytes_read else ""


def _figures(plan: Plan, stages: Stages, width: int) -> Iterator[str]:
    facts = stages.facts()
    reused = [stage for stage in facts if stage.uses > 1]
    yield from paragraph("Sharing", _sharing(plan, reused), width)
    yield from paragraph("Optimised", _optimised(plan, facts), width)
    yield from memory_text(plan, width)
    shards = sum(len(layout.shards) for layout in plan.layouts)
    spill = f" · spill {decimal_size(plan.bytes_spilled)}" if plan.bytes_spilled else ""
    yield from paragraph(
        "I/O",
        f"read {decimal_size(plan.bytes_read)}{_at_most(plan)} · "
        f"write {decimal_size(plan.bytes_written)} ({count(shards, 'file')}){spill}",
        width,
    )
    if (found := fetched(plan)) is not None:
        for line in fetch_text(found):
            yield from paragraph("Fetch", line, width)
    yield from paragraph("Time", time_text(estimate(plan)), width)
    head = "Disk"
    for disk in disks(plan):
        short = "" if disk.free >= disk.need else " – not enough"
        spilt = f", {decimal_size(disk.spill)} of it for spill files" if disk.spill else ""
        yield from paragraph(
            head,
            f"need {decimal_size(disk.need)}{spilt} in {shown_path(str(disk.folder))} "
            f"({decimal_size(disk.free)} free){short}",
            width,
        )
        head = ""
    for planned in plan.outputs:
        if "tokenizer" in planned.facts:
            yield from paragraph("Tokens", tokens_text(planned.facts["tokenizer"]), width)
    if (drawn := seed(plan)) is not None:
        yield from paragraph("Seed", f"{drawn}; `set seed = …` draws other random masks", width)
    yield from paragraph("Warnings", f"{len(plan.warnings) or 'none'}", width)


def tokens_text(facts: Mapping[str, Any]) -> str:
    """What reconciling tokenizers does: how many tokens, and whose rows they get."""
    said = [f"{facts['tokens']:,} tokens, {facts['shared']:,} of them in every source"]
    if facts["added"]:
        said.append(f"{facts['added']:,} new to the base")
    given = [f"{rows:,} of {name}" for name, rows in facts["donated"].items()]
    given += [f"{facts['averaged']:,} means of their owners"] if facts["averaged"] else []
    given += [f"{facts['zero']:,} zero"] if facts["zero"] else []
    if given:
        said.append(f"rows that a source lacks: {', '.join(given)}")
    said += [f"{facts['padded']:,} rows of padding"] if facts["padded"] else []
    for name, tokens in facts["dropped"].items():
        said.append(f"{tokens:,} of {name} left out, which its embedding has no rows for")
    return "; ".join(said)


def _sharing(plan: Plan, reused: Sequence[StageFacts]) -> str:
    shared = [f"{facts.name} computed once, used {facts.uses} times" for facts in reused]
    return "; ".join([f"{count(plan.loads, 'load')}, {plan.distinct_loads:,} distinct", *shared])


def _optimised(plan: Plan, facts: Sequence[StageFacts]) -> str:
    made = operations(plan)
    folded = made["written"] - made["computed"]
    kinds = len({component.template for component in plan.components})
    inner = [stage for stage in facts if not stage.output and stage.tensors]
    text = (
        f"{count(made['written'], 'operation')}, {folded:,} folded away; "
        f"{count(len(plan.components), 'step')} of {count(kinds, 'kind')}"
    )
    unwritten = sum(stage.bytes for stage in inner if not _is_output(plan, stage.name))
    if unwritten:
        again = sum(stage.bytes * stage.uses for stage in inner if not _is_output(plan, stage.name))
        text += (
            f"; stages that are never stored save {decimal_size(unwritten)} written and "
            f"{decimal_size(again)} read, against one stage at a time"
        )
    return text


def _is_output(plan: Plan, stage: str) -> bool:
    """Whether a stage is written as it is."""
    return any(getattr(output.value, "name", None) == stage for output in plan.bound.outputs)


def time_text(made: Estimate) -> str:
    """The estimate, and what it takes for granted."""
    rate = f"{decimal_size(DISK_RATE)}/s assumed"
    text = f"about {duration(made.total)} on this machine"
    text += f", bound by its disk ({rate}); " if made.disk_bound else "; "
    if made.cached is None:
        text += "the page cache is unknown, so all sources count as on disk"
    elif made.cached < 0.995:
        text += f"{made.cached:.0%} of the sources are in the page cache, the rest on disk"
    else:
        text += "the sources are in the page cache"
    if not made.disk_bound and (made.cached or 0) < 0.995:
        text += f" ({rate})"
    if made.uncounted:
        text += f"; the linear algebra of {', '.join(made.uncounted)} comes on top"
    if made.kernels:
        text += f"; {count(made.kernels, 'kernel')} to compile first"
    return text

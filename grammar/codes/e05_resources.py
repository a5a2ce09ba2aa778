"""E05xx, W05xx: memory, disk, processors, permissions."""

from __future__ import annotations

from .code import Code

CODES = (
    Code(
        "E0501",
        "not enough disk space",
        "The space of an output is reserved before anything is computed.",
        "Free some, or choose an output path on another disk.",
    ),
    Code(
        "E0502",
        "a place that can't be written to",
        "The system refuses to create or change files there.",
        "Choose a folder that you may write to.",
    ),
    Code(
        "E0503",
        "something else is in the way",
        "mergec replaces its own outputs only.",
        "Choose another path, or move it away.",
    ),
    Code(
        "E0504",
        "another mergec is at work there",
        "Two runs can't write one output.",
        "Wait until it is done, or choose another path.",
    ),
    Code(
        "E0505",
        "an output that is an input",
        "The output's folder is, or holds, a checkpoint that the recipe reads.",
        "Save to another path.",
    ),
    Code(
        "E0506",
        "too little memory",
        "No way to compute the named step fits into the limit.",
        "The message says the smallest limit that works; `--memory min` takes it.",
    ),
    Code(
        "E0507",
        "a scratch file that fails",
        "The plan keeps values in scratch files where memory is short.",
        "Give more memory, or free disk space beside the output.",
    ),
    Code("E0510", "a graph with a cycle", "No order of its nodes exists.", "Break the cycle."),
    Code(
        "E0511",
        "a size that isn't a number of bytes",
        "The scheduler takes whole numbers from 0.",
        "Correct the size.",
    ),
    Code("E0512", "an edge to an unknown node", "Nodes have numbers from 0.", "Correct the edge."),
    Code(
        "E0513",
        "a flag that isn't true or false",
        "Whether a node is kept, and whether it may overwrite an input, is yes or no.",
        "Correct the flag.",
    ),
    Code(
        "E0514",
        "tables of different lengths",
        "The scheduler's tables have an entry for each node.",
        "Make them as long as there are nodes.",
    ),
    Code(
        "E0515",
        "a limit of states that isn't one",
        "The search takes a whole number above 0.",
        "Correct the limit.",
    ),
    Code(
        "E0520",
        "not a memory limit",
        "Limits look like `8GiB`, `512MB`, a number of bytes, or `min`.",
        "Units are KB, MB, GB (powers of 1000) and KiB, MiB, GiB (of 1024).",
    ),
    Code("E0521", "not a number of threads", "At least one is needed.", "Leave it out for all."),
    Code(
        "E0522",
        "a kernel cache that others can write to",
        "What is loaded from it runs, so it must be yours alone.",
        "`chmod 700` the folder, or set MERGEC_HOME to one of your own.",
    ),
    Code(
        "E0523",
        "a backend that can't be used",
        "Generated machine code runs on the CPU alone.",
        "`--backend torch`.",
    ),
    Code(
        "W0502",
        "kernels aren't kept",
        "The cache's folder can't be used, so they are compiled again in every run.",
        "Set MERGEC_HOME to a folder that you may write to.",
    ),
)

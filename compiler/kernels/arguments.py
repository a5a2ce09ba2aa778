"""What a kernel is told of selections, and where in its results it puts what it counts.

`cuts` has a row a selection. CUT, UNTIL: magnitudes whose bits are above CUT are kept, and those
equal to it up to tensor index UNTIL. The rest is for looks: magnitudes are counted in bins of
2 ** SHIFT bit patterns from LOW on (modulo the word's width; in none if SHIFT is OFF). If SHIFT is
KEEP, those from LOW up to SPAN above it are put in the look's bins instead, less LOW, in the order
of their index, as many as there is room for. COUNT guesses from GUESS on are counted exactly; the
index of the WANTED-th element that equals the first guess is found (of none if 0).

`sums` gets a float64 for each sum, then LOOK_FIELDS for each look: the index that was found or -1,
for each guess how many magnitudes are above it and how many are equal to it, and at KEPT how many
were to be kept; last, 1 or 0 for
NaN or infinity in the inputs that are checked.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..sweeps.program import Segment

CUT, UNTIL, LOW, SPAN, SHIFT, WANTED, COUNT, GUESS = range(8)
MOST_GUESSES = 8
CUT_FIELDS = GUESS + MOST_GUESSES
OFF, KEEP = 64, 65
LOOK_FIELDS = 2 + 2 * MOST_GUESSES
KEPT = LOOK_FIELDS - 1

STORAGE: dict[str, str] = {
    "float64": "float64",
    "float32": "float32",
    "float16": "uint16",
    "bfloat16": "uint16",
    "float8_e4m3fn": "uint8",
    "float8_e5m2": "uint8",
}
"""The numpy type that a kernel sees a buffer of each dtype as."""

NONFINITE = {"bfloat16": 0x7F80, "float16": 0x7C00, "float8_e5m2": 0x7C, "float8_e4m3fn": 0x7F}
"""The bits that are all set in a small float that isn't finite: of magnitudes the least such."""

TAIL = ("count", "start", "scalars", "keys", "cuts", "sums", "bins")
"""A kernel's last arguments, after its buffers: two integers, and arrays."""

ARRAYS = ("float64", "uint64", "uint64", "float64", "uint32")
"""The types of the arrays."""

BLOCK = 1024
LANES = 64
"""Elements that sums and looks take at once, and partial sums that a sum has."""


def sum_slots(segment: Segment) -> int:
    """How many float64 results a tile gives."""
    return len(segment.sums) + LOOK_FIELDS * len(segment.looks) + bool(segment.checks)


def look_slots(segment: Segment) -> Iterator[int]:
    """For each look of a segment, where its results begin among the sums."""
    for number in range(len(segment.looks)):
        yield len(segment.sums) + LOOK_FIELDS * number

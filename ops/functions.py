"""The mathematics that merge methods are written in: functions on symbols and on torch tensors.

On symbols each call adds a node to the trace that the compiler fuses into kernels; on torch tensors
and floats it computes at once, which is the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .method_error import MethodError
from .primitives import TABLE
from .symbols import Attribute, Mask, Number, Scalar, Selection, Symbol, Tensor, Tracer


def apply(name: str, *args: Any, attr: Attribute = ()) -> Any:
    """Add the primitive to the trace if any argument is a symbol, else compute it with torch."""
    for arg in args:
        if isinstance(arg, Symbol):
            return arg.tracer.apply(name, args, attr)
    primitive = TABLE[name]
    if primitive.evaluate and all(isinstance(arg, (int, float)) for arg in args):
        return primitive.evaluate(*args)
    assert primitive.eager is not None
    return primitive.eager(*args, *attr)


def where(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y; per element, or once for scalars."""
    return apply("where", condition, x, y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of two, per element."""
    return apply("minimum", x, y)


def maximum(x: Any, y: Any) -> Any:
    """The larger of two, per element."""
    return apply("maximum", x, y)


def equal(x: Any, y: Any) -> Any:
    """Whether two numbers are equal, per element (`==` on symbols is identity)."""
    return apply("equal", x, y)


def sqrt(x: Any) -> Any:
    """The square root, correctly rounded; of a negative number NaN."""
    return apply("sqrt", x)


def sin(x: Number) -> Scalar:
    """The sine of a scalar in radians."""
    return apply("sin", x)  # type: ignore[no-any-return]


def cos(x: Number) -> Scalar:
    """The cosine of a scalar in radians."""
    return apply("cos", x)  # type: ignore[no-any-return]


def arccos(x: Number) -> Scalar:
    """The angle in [0, π] of a cosine in [-1, 1]."""
    return apply("arccos", x)  # type: ignore[no-any-return]


def floor(x: Number) -> Scalar:
    """The largest whole number that isn't above x."""
    return apply("floor", x)  # type: ignore[no-any-return]


def numel(x: Any, pool: int | None = None) -> Scalar:
    """The number of elements of a tensor, which all tensors of a call have, or of a `pool`'s."""
    if pool is not None:
        return _tracer(x).add("pool_numel", (), (pool,))  # type: ignore[return-value]
    if isinstance(x, Symbol):
        return x.tracer.add("numel")  # type: ignore[return-value]
    return apply("numel", x)  # type: ignore[no-any-return]


def dot(x: Tensor, y: Tensor) -> Scalar:
    """Σ x·y over all elements, in float64."""
    return apply("dot", x, y)  # type: ignore[no-any-return]


def norm(x: Tensor) -> Scalar:
    """The Euclidean norm over all elements, in float64."""
    return sqrt(dot(x, x))  # type: ignore[no-any-return]


def total(x: Tensor) -> Scalar:
    """Σ x over all elements, in float64."""
    return apply("sum", x)  # type: ignore[no-any-return]


def largest(x: Tensor, k: Scalar, pool: int | None = None) -> Selection:
    """The cut that tells the k elements of largest |x|; among equals the lowest index is first.

    pool: the number of one of the method's thresholds. x is then all of the values that the method
    is looking at under this number, one tensor after the other through the model, and equals at the
    cut are all kept. The run finds it in passes over the model before it computes anything.
    Errors: MethodError for a pool on torch tensors, which are one tensor and not a model.
    """
    if pool is None:
        return apply("largest", x, k)  # type: ignore[no-any-return]
    return _tracer(x).apply("largest_of_pool", (x, k), (pool,))  # type: ignore[return-value]


def _tracer(x: Any) -> Tracer:
    if not isinstance(x, Symbol):
        raise MethodError("`scope = model` needs whole models: it works in recipes")
    return x.tracer


def selected(x: Tensor, selection: Selection) -> Mask:
    """Whether each element of x is among those that the selection of x kept; exactly k are."""
    return apply("selected", x, selection)  # type: ignore[no-any-return]


def rounded(x: Tensor, dtype: str) -> Tensor:
    """Each element rounded to a dtype (by name), ties to even, and back to the compute dtype."""
    return apply("round", x, attr=(dtype,))  # type: ignore[no-any-return]


def cut_magnitude(selection: Selection) -> Scalar:
    """The smallest magnitude that a selection keeps: the k-th largest |x|."""
    return apply("cut_magnitude", selection)  # type: ignore[no-any-return]


def kth_magnitude(x: Tensor, rank: Callable[[Any], Any], pool: int | None = None) -> Any:
    """The magnitude of a rank among those of x, the largest being the first.

    rank: gives it for the number of elements, or of a `pool`'s.
    """
    return cut_magnitude(largest(x, rank(numel(x, pool)), pool))


def in_order(
    x: Tensor, place: Callable[[Any], Any], pools: tuple[int | None, int | None] = (None, None)
) -> Any:
    """The element at a place in ascending order, from 0 on, which the number of elements gives.

    Where it is at least 0 it is found from the top, and the cut among the negative magnitudes is 0;
    else the other way round.
    """
    above = kth_magnitude(maximum(x, 0.0), lambda n: n - place(n), pools[0])
    below = kth_magnitude(minimum(x, 0.0), lambda n: place(n) + 1.0, pools[1])
    return above - below


def on_host(function: Callable[..., Sequence[float]], count: int, *args: Any) -> list[Any]:
    """`count` scalars that a plain function of floats gives, as an iteration on a Gram matrix.

    The function stands at the top of its module and takes and gives floats.
    """
    return _on("host", function, count, args)


def on_rows(function: Callable[..., Sequence[Any]], count: int, *args: Any) -> list[Any]:
    """`count` tensors whose every row depends on that row of the arguments.

    The function stands at the top of its module. It takes float32 numpy arrays of shape (rows,
    columns) (and floats) and gives arrays that broadcast to that shape. A vector is one row.
    """
    return _on("rows", function, count, args)


def on_whole(function: Callable[..., Sequence[Any]], count: int, *args: Any) -> list[Any]:
    """`count` tensors that need whole tensors, such as a singular value decomposition.

    The function stands at the top of its module. It takes float32 torch tensors (and floats) and
    gives tensors of the same shape. The plan holds its arguments and results in memory.
    """
    return _on("whole", function, count, args)


def _on(kind: str, function: Callable[..., Any], count: int, args: tuple[Any, ...]) -> list[Any]:
    path = f"{function.__module__}:{function.__qualname__}"
    bundle = apply(kind, *args, attr=(path,))
    return [apply(f"{kind}_item", bundle, attr=(i,)) for i in range(count)]


def gram(xs: Sequence[Tensor]) -> list[list[Scalar]]:
    """The symmetric matrix of inner products x_i·x_j."""
    upper = {(i, j): dot(xs[i], xs[j]) for i in range(len(xs)) for j in range(i, len(xs))}
    return [[upper[min(i, j), max(i, j)] for j in range(len(xs))] for i in range(len(xs))]

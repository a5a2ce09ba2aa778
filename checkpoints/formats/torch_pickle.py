"""The pickle in a torch archive -> names and places of its tensors, with nothing called.

A pickle is a program. This reader knows the few functions that rebuild tensors, and stands in for
them; whatever else a pickle wants to call is refused by its name, before anything has happened.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ...grammar.diagnostics import CheckpointError
from ...ops.dtypes import BY_NAME, DType
from ..printable import printable

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
}
_MODULES = ("torch", "torch.storage", "torch.cuda")


@dataclass(frozen=True, slots=True)
class StorageRef:
    """A storage: the archive's member that holds it, and what its elements are."""

    key: str
    dtype: DType


@dataclass(frozen=True, slots=True)
class PickledTensor:
    """A tensor in a storage: `offset` and `stride` count elements."""

    storage: StorageRef
    dtype: DType
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Named:
    """Stands for something that a pickle names. It can be called, and can't be changed."""

    name: str
    call: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.call(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError(f"it changes {self.name}")


class _Dictionary(dict[Any, Any]):
    """What an ordered dictionary is here; the attributes that modules give theirs are dropped."""

    def __setstate__(self, state: object) -> None:
        pass


def read_pickle(data: bytes, place: str) -> object:
    """What is pickled, with PickledTensors where tensors are.

    Errors: CheckpointError E0330 (it would call something), E0310 (it can't be read).
    """
    try:
        return _Reader(io.BytesIO(data), place).load()
    except CheckpointError:
        raise
    except Exception as error:  # whatever a crafted stream of opcodes leads to
        message = f"{place} can't be read: {printable(str(error))}"
        raise CheckpointError.of("E0310", message) from None


class _Reader(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, place: str) -> None:
        super().__init__(stream, encoding="utf-8")
        self._place = place

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if (known := _KNOWN.get(full)) is not None:
            return _Named(full, known)
        if module in _MODULES and name in _STORAGES:
            return _Named(full, lambda *arguments: self._refuse(full))
        if module == "torch" and name in BY_NAME:
            return BY_NAME[name]
        return self._refuse(full)

    def persistent_load(self, pid: Any) -> StorageRef:
        kind, storage, key, *_ = pid
        name = getattr(storage, "name", "").rpartition(".")[2]
        if kind != "storage" or name not in _STORAGES or type(key) is not str:
            raise pickle.UnpicklingError("a storage isn't described as torch does")
        return StorageRef(key, BY_NAME[_STORAGES[name]])

    def _refuse(self, name: str) -> NoReturn:
        raise CheckpointError.of(
            "E0330",
            f"{self._place} would call `{printable(name)}`: it isn't only tensors",
            hint="if you trust it, save its weights alone: torch.save(model.state_dict(), …)",
        )


def _tensor(
    storage: StorageRef, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *rest: Any
) -> PickledTensor:
    numbers = (offset, *shape, *stride)
    if type(storage) is not StorageRef or len(shape) != len(stride):
        raise pickle.UnpicklingError("a tensor isn't described as torch does")
    if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        raise pickle.UnpicklingError("a tensor's place isn't made of whole numbers")
    return PickledTensor(storage, storage.dtype, offset, tuple(shape), tuple(stride))


def _typed_tensor(
    storage: StorageRef,
    offset: int,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    requires_grad: bool,
    hooks: Any,
    dtype: DType,
    *rest: Any,
) -> PickledTensor:
    found = _tensor(storage, offset, shape, stride)
    if type(dtype) is not DType:
        raise pickle.UnpicklingError("a tensor's dtype isn't one of torch's")
    return PickledTensor(found.storage, dtype, offset, found.shape, found.stride)


def _parameter(data: PickledTensor, *rest: Any) -> PickledTensor:
    return data


_KNOWN: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": lambda *pairs: _Dictionary(*pairs),
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": lambda sizes=(): tuple(sizes),
    "torch.device": lambda *names: None,
}

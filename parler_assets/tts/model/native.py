"""The compiled functions of `column.cpp`, and what they take: weights in panels, structures of addresses."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from parler_assets.speech.codec.native import compiled, threads

SOURCE = Path(__file__).with_name("column.cpp")


@cache
def library() -> ctypes.CDLL | None:
    """The functions with the types of their arguments, None where they cannot be compiled."""
    functions = compiled(SOURCE)
    if functions is not None:
        sizes, pointer = ctypes.c_long, ctypes.c_void_p
        functions.lanes.restype = sizes
        functions.multiply.argtypes = [pointer, sizes, sizes, pointer, pointer, sizes, ctypes.c_int, ctypes.c_int]
        functions.column.argtypes = [pointer, pointer, pointer, sizes, *[pointer] * 6, ctypes.c_int]
    return functions


class Panels:
    """Weights (out, in) in panels of as many outputs as a register holds: (panels, in, lanes), zeros behind the last.

    Attributes:
        whole: whether `out` is a whole number of panels.
    """

    def __init__(self, weight: Tensor, functions: ctypes.CDLL) -> None:
        self.out, self.functions = weight.shape[0], functions
        lanes = int(functions.lanes())
        padded = pad(weight, (0, 0, 0, -self.out % lanes))
        self.whole = len(padded) == self.out
        self.panels = padded.unflatten(0, (-1, lanes)).transpose(1, 2).contiguous()

    def __call__(self, x: Tensor, base: Tensor | None = None) -> Tensor:
        """The product with x (..., in), added to a base (..., out), perhaps in place, which needs whole panels."""
        x = x.contiguous()
        count, width, lanes = self.panels.shape
        y = x.new_empty(*x.shape[:-1], count * lanes) if base is None else base.contiguous()
        self.functions.multiply(
            x.data_ptr(), x.numel() // width, width, self.panels.data_ptr(), y.data_ptr(), count * lanes,
            base is not None, threads(x.numel() * count * lanes),
        )  # fmt: skip
        return y[..., : self.out]


PAIR = ctypes.c_void_p * 2


class Shape(ctypes.Structure):
    _fields_ = [
        *[(name, ctypes.c_long) for name in ("rows", "width", "inner", "heads", "groups", "cross_groups", "size")],
        *[(name, ctypes.c_long) for name in ("at", "room", "states", "turn")],
        ("epsilon", ctypes.c_float),
    ]


class Layer(ctypes.Structure):
    _fields_ = [
        ("own_norm", PAIR), ("project", ctypes.c_void_p), ("own_out", ctypes.c_void_p),
        ("cross_norm", PAIR), ("cross_queries", ctypes.c_void_p), ("cross_out", ctypes.c_void_p),
        ("last_norm", PAIR), ("widen", ctypes.c_void_p), ("narrow", ctypes.c_void_p),
    ]  # fmt: skip


class Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("keys", "values", "cross_keys", "cross_values")]


def address(tensor: Tensor | None) -> int | None:
    """Where a contiguous float32 tensor lies, None for None."""
    if tensor is None:
        return None
    if tensor.dtype != torch.float32 or not tensor.is_contiguous():
        raise ValueError(f"a contiguous float32 tensor is needed, not {tensor.dtype} with strides {tensor.stride()}")
    return tensor.data_ptr()


def array(kind: type[ctypes.Structure], rows: list[tuple[Any, ...]]) -> ctypes.Array:
    """Structures one after another, their fields given in order."""
    return (kind * len(rows))(*[kind(*row) for row in rows])

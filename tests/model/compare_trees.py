"""Compares .tflite files by LiteRT's own object API: python compare_trees.py [--load] ORIGINAL COPY [ORIGINAL COPY ...]

Every field of both trees must be equal, NaN equal to NaN, absent apart from empty. With --load, LiteRT's interpreter
must load and prepare each copy. Prints what differs; exit status 1 if anything does.
"""

import sys

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def differences(a, b, place):
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        same = type(a) is type(b) and a.dtype == b.dtype and a.tobytes() == b.tobytes()
        return [] if same else [f"{place}: {a!r} became {b!r}"]
    if type(a) is not type(b):
        return [f"{place}: {a!r} became {b!r}"]
    if isinstance(a, list):
        if len(a) != len(b):
            return [f"{place}: {len(a)} elements became {len(b)}"]
        return [d for i, (x, y) in enumerate(zip(a, b)) for d in differences(x, y, f"{place}[{i}]")]
    if hasattr(a, "__dict__"):
        return [d for key in vars(a) for d in differences(vars(a)[key], vars(b)[key], f"{place}.{key}")]
    return [] if a == b or (a != a and b != b) else [f"{place}: {a!r} became {b!r}"]


def tree(path):
    with open(path, "rb") as file:
        return schema.ModelT.InitFromPackedBuf(bytearray(file.read()))


def why_not_loaded(path):
    try:
        Interpreter(path, experimental_op_resolver_type=OpResolverType.BUILTIN_REF).allocate_tensors()
    except (ValueError, RuntimeError) as error:
        return [f"LiteRT refuses the copy: {error}"]
    return []


def main():
    load = "--load" in sys.argv
    paths = [argument for argument in sys.argv[1:] if argument != "--load"]
    failed = False
    for original, copy in zip(paths[::2], paths[1::2]):
        found = differences(tree(original), tree(copy), "model") + (why_not_loaded(copy) if load else [])
        for line in found[:20]:
            print(f"{original}: {line}")
        failed = failed or bool(found)
    sys.exit(failed)


if __name__ == "__main__":
    main()

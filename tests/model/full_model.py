"""Writes a model with LiteRT's object API in which every field of every table is set: python full_model.py FILE

One operator for each member of both option unions; all vectors filled, every number different from its default. It
means nothing and runs nowhere: it is for readers and writers. Tables whose vectors are absent, and empty, are in it too.
"""

import functools
import inspect
import itertools
import re
import sys

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

# Numbers that must keep to a value.
FIXED = {
    ("ModelT", "version"): 3,
    ("BufferT", "offset"): 0,
    ("BufferT", "size"): 0,
    ("OperatorT", "largeCustomOptionsOffset"): 0,
    ("OperatorT", "largeCustomOptionsSize"): 0,
}
SOURCE = inspect.getsource(schema)
counter = itertools.count()


@functools.cache
def fields(name):
    """field -> type, and union field -> union, of the object class `name`."""
    source = SOURCE.split(f"\nclass {name}(object):", 1)[1].split("\nclass ", 1)[0]
    kinds = dict(re.findall(r"self\.(\w+) = \w+  # type: (.+)", source))
    creators = dict(re.findall(r"self\.(\w+) = (\w+)Creator\(", source))
    return kinds, creators


def number(default):
    """Small enough for every integer type, and not the default."""
    value = next(counter) % 97 + 3
    return value if value != default else value + 1


def members(union):
    enum = getattr(schema, union)
    return {value: name for name, value in vars(enum).items() if isinstance(value, int) and value}


def value(kind, default, table, field):
    if (table, field) in FIXED:
        return FIXED[table, field]
    if kind == "int":
        return number(default)
    if kind == "float":
        return number(default) / 4
    if kind == "bool":
        return not default
    if kind.startswith("Optional[str]"):
        return f"{field} ü {next(counter)}"
    inner = re.match(r"(?:Optional\[)?List\[(.+?)\]", kind)
    if inner and inner[1] in ("int", "float", "bool"):
        return [value(inner[1], 0, table, field) for _ in range(3)]
    if inner:
        return [filled(inner[1].strip("'")) for _ in range(2)]
    return filled(re.search(r"(\w+T)\b", kind)[1])


def filled(name, **chosen):
    """An object of class `name` with all fields set; a union takes its next member in turn unless one is `chosen`."""
    table = getattr(schema, name)()
    kinds, creators = fields(name)
    for field, union in creators.items():
        tag = chosen.get(field, next(counter) % len(members(union)) + 1)
        setattr(table, field + "Type", tag)
        setattr(table, field, filled(members(union)[tag] + "T") if tag else None)
    for field, kind in kinds.items():
        if field not in creators and field.removesuffix("Type") not in creators:
            setattr(table, field, value(kind, getattr(table, field), name, field))
    return table


def main():
    model = filled("ModelT")
    graph = model.subgraphs[0]
    graph.operators = [filled("OperatorT", builtinOptions=tag) for tag in members("BuiltinOptions")]
    graph.operators += [filled("OperatorT", builtinOptions2=tag) for tag in members("BuiltinOptions2")]
    graph.operators += [schema.OperatorT(), filled("OperatorT", builtinOptions=0, builtinOptions2=0)]
    graph.tensors += [filled("TensorT") for _ in range(12)]
    bare = schema.TensorT()
    bare.shape = []
    bare.name = ""
    bare.quantization = schema.QuantizationParametersT()
    bare.variantTensors = []
    graph.tensors += [schema.TensorT(), bare]
    empty = schema.BufferT()
    empty.data = []
    model.buffers += [schema.BufferT(), empty]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    with open(sys.argv[1], "wb") as file:
        file.write(builder.Output())


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Derives src/model/schema.fbs from the schema module of the ai-edge-litert wheel.

    python tools/derive_schema.py              print the schema
    python tools/derive_schema.py -o FILE      write it to FILE
    python tools/derive_schema.py --check FILE exit 1 unless FILE is what would be written

The wheel holds no .fbs file, only `schema_py_generated.py`, the Python code that FlatBuffers generated from it.
That code says everything that decides the bytes of a file: the slot of each field, its type and its default,
the members of the unions, and the values of the enums. It does not say which enum a number stands for, so such
fields come out as plain integers; that also keeps values that a later schema adds.
Fields that were deprecated have no accessor: their slots come out as placeholders that nothing reads or writes.
"""

import argparse
import ast
import importlib.metadata
import importlib.util
import re
import sys

MODULE = "ai_edge_litert.schema_py_generated"
PACKAGE = "ai-edge-litert"

SCALARS = {
    "Bool": "bool", "Int8": "byte", "Uint8": "ubyte", "Int16": "short", "Uint16": "ushort", "Int32": "int",
    "Uint32": "uint", "Int64": "long", "Uint64": "ulong", "Float32": "float", "Float64": "double",
}


def snake(name):
    """CamelCase accessor -> snake_case field."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def constant(node):
    """The value of `return 3`, `return -1`, `return None`."""
    return ast.literal_eval(node.value)


def default_text(value, scalar):
    if scalar == "bool":
        return " = true" if value else ""
    return f" = {value}" if value else ""


class Table:
    """One FlatBuffers table: its fields by slot."""

    def __init__(self, node, unions, stored_defaults):
        self.name = node.name
        methods = {m.name: m for m in node.body if isinstance(m, ast.FunctionDef)}
        self.fields = {}
        for name, method in methods.items():
            code = ast.unparse(method)
            slot = re.search(r"self\._tab\.Offset\((\d+)\)", code)
            if not slot or self.derived(name, methods):
                continue
            slot = (int(slot[1]) - 4) // 2
            self.fields[slot] = (snake(name), self.type_of(name, method, code, unions, stored_defaults))

    @staticmethod
    def derived(name, methods):
        """Whether an accessor is a second view of a field: its length, presence or union tag."""
        for suffix in ("AsNumpy", "Length", "IsNone"):
            base = name.removesuffix(suffix)
            if base != name and base in methods and len(methods[base].args.args) == 2:
                return True
        base = name.removesuffix("Type")
        return base != name and base in methods and "_tab.Union(" in ast.unparse(methods[base])

    def type_of(self, name, method, code, unions, stored_defaults):
        vector = "_tab.Vector(" in code
        scalar = re.search(r"_tab\.Get\(flatbuffers\.number_types\.(\w+)Flags", code)
        table = re.search(r"obj = (\w+)\(\)", code)
        if "_tab.Union(" in code:
            return unions[self.name, name]
        if "_tab.String(" in code:
            return "[string]" if vector else "string"
        if scalar:
            scalar = SCALARS[scalar[1]]
            if vector:
                return f"[{scalar}]"
            default = constant(method.body[-1])
            if default != stored_defaults[self.name, name]:
                sys.exit(f"{self.name}.{name}: read and written defaults differ")
            return scalar + default_text(default, scalar)
        if table:
            return f"[{table[1]}]" if vector else table[1]
        sys.exit(f"{self.name}.{name}: unknown kind of field")

    def text(self):
        lines = [f"table {self.name} {{"]
        next_slot = 0
        for slot, (name, kind) in sorted(self.fields.items()):
            is_union = kind.startswith("union ")
            kind = kind.removeprefix("union ")
            first = slot - 1 if is_union else slot
            lines += [f"  unused_{gap}:ubyte (deprecated);" for gap in range(next_slot, first)]
            lines.append(f"  {name}:{kind};")
            next_slot = slot + 1
        return "\n".join([*lines, "}"])


def constants_of(node):
    """The `NAME = number` lines of an enum class."""
    return {
        line.targets[0].id: line.value.value
        for line in node.body
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, int)
    }


def union_members(function):
    """tag name -> table name, from `if unionType == Union.Tag: return TableT.InitFromBuf(...)`."""
    return dict(re.findall(r"unionType == \w+\.(\w+):\s+return (\w+)T\.InitFromBuf", ast.unparse(function)))


def enum_text(name, values):
    width = "byte" if max(values.values()) <= 127 else "int"
    body = ",\n".join(f"  {key} = {value}" for key, value in sorted(values.items(), key=lambda item: item[1]))
    return f"enum {name}:{width} {{\n{body}\n}}"


def union_text(name, values, members):
    ordered = sorted((value, key) for key, value in values.items() if value)
    if [value for value, _ in ordered] != list(range(1, len(ordered) + 1)):
        sys.exit(f"union {name}: the tags have gaps")
    if any(members.get(key) != key for _, key in ordered):
        sys.exit(f"union {name}: a tag is not named after its table")
    return f"union {name} {{\n" + ",\n".join(f"  {key}" for _, key in ordered) + "\n}"


def derive(source, version):
    tree = ast.parse(source)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    names = {node.name for node in classes}
    creators = {f.name.removesuffix("Creator"): union_members(f) for f in functions if f.name.endswith("Creator")}

    # `TableAddField(builder, x): builder.PrependInt8Slot(slot, x, default)`
    stored_defaults = {}
    for function in functions:
        found = re.search(r"Prepend\w+Slot\(\d+, [^,]+, (.+)\)$", ast.unparse(function.body[0]))
        if found:
            for table in names:
                field = function.name.removeprefix(f"{table}Add")
                if field != function.name:
                    stored_defaults[table, field] = ast.literal_eval(found[1])

    # `self.field = UnionCreator(self.fieldType, table.Field())` in a table's object class
    unions = {}
    for node in classes:
        for union, field in re.findall(r"= (\w+)Creator\(self\.\w+, \w+\.(\w+)\(\)\)", ast.unparse(node)):
            unions[node.name.removesuffix("T"), field] = f"union {union}"

    parts = []
    for node in classes:
        if constants_of(node):
            values = constants_of(node)
            parts.append(
                union_text(node.name, values, creators[node.name])
                if node.name in creators
                else enum_text(node.name, values)
            )
        elif not (node.name.endswith("T") and node.name[:-1] in names):
            parts.append(Table(node, unions, stored_defaults).text())

    header = (
        f"// Derived from {MODULE} of {PACKAGE} {version} by tools/derive_schema.py: do not edit.\n\n"
        'namespace tflite;\n\nfile_identifier "TFL3";\nfile_extension "tflite";\n'
    )
    return "\n\n".join([header.rstrip(), *parts, "root_type Model;"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description="Derive the TFLite schema from the ai-edge-litert wheel.")
    parser.add_argument("-o", "--output", help="file to write")
    parser.add_argument("--check", metavar="FILE", help="compare with FILE instead of writing")
    args = parser.parse_args()
    spec = importlib.util.find_spec(MODULE)
    with open(spec.origin, encoding="utf-8") as file:
        text = derive(file.read(), importlib.metadata.version(PACKAGE))
    if args.check:
        with open(args.check, encoding="utf-8") as file:
            if file.read() != text:
                sys.exit(f"{args.check} is not what {MODULE} gives: run tools/derive_schema.py -o {args.check}")
    elif args.output:
        with open(args.output, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()

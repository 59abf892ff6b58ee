"""Elementwise operators with two inputs, and the ones that choose between inputs.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0:
- Equal shapes run at any rank; broadcasting runs up to rank 8 in every operator here, beyond that the process aborts
  (SELECT_V2 refuses it). Quantization parameters never have to agree between tensors, and no version is tied to a type.
- int8 kernels with scales: SUB, MUL, DIV, SQUARED_DIFFERENCE, PRELU and the comparisons. int8 kernels that look at the
  stored numbers only: MAXIMUM, MINIMUM, FLOOR_DIV, FLOOR_MOD, SELECT, SELECT_V2. POW has none. int8 DIV refuses a real
  divisor of 0 when it runs and so may fail on data alone: it has no cases here.
- SUB aborts where 2 * max(s1, s2) / (2^20 * s_out) is exactly 1 and computes nonsense above; SQUARED_DIFFERENCE aborts
  where (2 * max(s1, s2))^2 / (2^14 * s_out) reaches 1. The comparisons multiply each operand by its own scale, abort
  on a scale of exactly 1 and shift by a negative amount above. MUL is exact up to a multiplier of about 2^14. Cases
  stay below all of these.
- The comparisons compare real values rounded to multiples of 1/256: small scales make different values equal.
- FLOOR_DIV and integer FLOOR_MOD and DIV refuse a divisor of 0 when they run; int8 -128 / -1 wraps and is left out.
  FLOOR_DIV divides in double whatever the type. POW with one exponent >= 1 multiplies repeatedly when it broadcasts;
  int32 refuses a negative exponent. PRELU needs an alpha that broadcasts to the input's shape, it need not be constant.
- SELECT takes a condition of x's shape, a scalar, or one of rank 1 with x's first dimension; x and y have one shape.
  Any element type works, bits are copied.
"""
import numpy as np
from ai_edge_litert import schema_py_generated as s

from build import ACTIVATIONS, TYPES, Graph, Quant, activation_limits, float_samples, int8_samples, options
from cases_elementwise import BROADCAST

TYPES.setdefault(np.dtype(np.bool_), s.TensorType.BOOL)
TYPES.setdefault(np.dtype(np.int64), s.TensorType.INT64)

DTYPES = {"int8": np.int8, "int32": np.int32, "int64": np.int64, "float": np.float32, "bool": np.bool_}
OPTIONS = {"SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions", "POW": "PowOptions",
           "MAXIMUM": "MaximumMinimumOptions", "MINIMUM": "MaximumMinimumOptions",
           "SQUARED_DIFFERENCE": "SquaredDifferenceOptions", "FLOOR_DIV": "FloorDivOptions",
           "FLOOR_MOD": "FloorModOptions", "EQUAL": "EqualOptions", "NOT_EQUAL": "NotEqualOptions",
           "LESS": "LessOptions", "LESS_EQUAL": "LessEqualOptions", "GREATER": "GreaterOptions",
           "GREATER_EQUAL": "GreaterEqualOptions", "LOGICAL_AND": "LogicalAndOptions",
           "LOGICAL_OR": "LogicalOrOptions"}
COMPARISONS = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
FUSED = ("SUB", "MUL", "DIV")
INT8 = ("SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD", "PRELU", *COMPARISONS)
INT32 = ("SUB", "MUL", "DIV", "POW", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD",
         *COMPARISONS)
FLOAT = (*INT32, "PRELU")
DEFAULT = dict(a=(1, 4, 5, 3), b=(1, 4, 5, 3), const=None, value=None, same=False, act="none",
               scales=(0.02, 0.03, 0.035), zps=(-3, 5, 1))


def samples(rng, op, kind, operand, shape, zero_point):
    """Samples of one operand in the operator's domain."""
    divides = op in ("DIV", "FLOOR_DIV", "FLOOR_MOD")
    if kind == "bool":
        return rng.random((3, *shape)) < 0.5
    if kind == "int8":
        x = int8_samples(rng, shape, zero_point)
        if op in ("FLOOR_DIV", "FLOOR_MOD"):
            x = np.where(x == 0, np.int8(1), x) if operand else np.maximum(x, np.int8(-127))
        return x
    if kind in ("int32", "int64"):
        low, high = (0, 5) if op == "POW" and operand else (-5, 6) if op == "POW" or op in COMPARISONS else (-999, 1000)
        x = rng.integers(low, high, (3, *shape)).astype(DTYPES[kind])
        if divides and operand:
            x[1:] %= 13
            x[x == 0] = -7
        return x
    if op in COMPARISONS:
        return (rng.integers(-6, 7, (3, *shape)) / 4).astype(np.float32)
    if op == "POW":
        return rng.uniform(*((-3, 3) if operand else (0.2, 3)), (3, *shape)).astype(np.float32)
    if op in ("FLOOR_DIV", "FLOOR_MOD"):  # quotients that every order of computing finds exactly
        if operand:
            return rng.choice([-4, -2, -1, -0.5, 0.5, 1, 2, 4], (3, *shape)).astype(np.float32)
        return (rng.integers(-200, 201, (3, *shape)) / 8).astype(np.float32)
    x = float_samples(rng, shape)
    if divides and operand:
        x = np.where(x < 0, x - np.float32(0.2), x + np.float32(0.2))
    return x


def binary(op, kind, **changes):
    """A maker of one case; `const` is the operand (0 or 1) that is a constant, `value` is what it holds everywhere."""
    p = DEFAULT | changes

    def make(rng):
        g, limits, shapes = Graph(), (-128, 127), (p["a"], p["b"])
        dtype, compares = DTYPES[kind], op in COMPARISONS
        quants = [Quant(np.float32(q), z) if kind == "int8" else None for q, z in zip(p["scales"], p["zps"])]
        operands, inputs, data = [], [], []
        for i, shape in enumerate(shapes):
            if p["same"] and i:
                operands *= 2
                break
            x = samples(rng, op, kind, 1 if p["same"] else i, shape, p["zps"][i])
            if p["const"] == i:
                x = x[0] if p["value"] is None else np.full(shape, p["value"], dtype)
                operands.append(g.const(x, quants[i]))
            else:
                operands.append(g.add(shape, dtype, quants[i]))
                inputs.append(operands[-1])
                data.append(x)
        y = g.add(np.broadcast_shapes(*shapes), np.bool_ if compares else dtype, None if compares else quants[2])
        version = 2 if kind == "int8" and op != "PRELU" else 1
        fields = dict(fusedActivationFunction=ACTIVATIONS[p["act"]]) if op in FUSED else {}
        g.op(op, version, operands, [y], options(OPTIONS[op], **fields) if op in OPTIONS else None)
        what = f"{op} {kind} {list(p['a'])} {list(p['b'])} {p['act']}" + " one tensor twice" * p["same"]
        if p["const"] is not None:
            what += f" operand {p['const']} constant"
        if kind == "int8":
            what += f" scales {p['scales']} zp {p['zps']}"
            limits = activation_limits(p["act"], p["scales"][2], p["zps"][2])
        kinds = "int8" if kind != "float" else "mixed" if compares else "float"
        return dict(what=what, kind=kinds, model=g.finish(inputs, [y]), inputs=data, limits=limits)
    return make


def text(*shapes):
    """Shapes for a name."""
    return "_by_".join("x".join(map(str, shape)) or "scalar" for shape in shapes)


WIDE = [((2, 1, 2, 1, 1, 1, 2, 1), (1, 3, 1, 1, 1, 2, 1, 3)), ((1, 4, 5, 3), (4, 5, 3)), ((), (1, 2, 3))]
RANK_7 = (1, 2, 1, 3, 2, 2, 3)
# Scales whose results spread over int8, then ratios far from one; (input, input, output).
SCALES = {
    "SUB": [(1, 0.001, 1), (0.001, 1, 1), (0.001, 1, 0.01), (0.02, 0.02, 0.02), (0.02, 0.02, 5), (1, 1, 1e-5),
            (1e-4, 1e-4, 0.004), (0.25, 0.5, 0.5)],
    "MUL": [(1, 0.001, 0.1), (0.1, 0.1, 0.01), (0.02, 0.02, 0.0004), (0.02, 0.03, 5), (1, 1, 1e-3), (1e-3, 1e-3, 1e-3),
            (0.25, 0.5, 0.125), (3, 2, 900)],
    "SQUARED_DIFFERENCE": [(0.02, 0.02, 0.2), (1, 0.001, 90), (0.001, 1, 90), (0.02, 0.02, 1e-4), (0.05, 0.03, 0.01),
                           (1e-3, 1e-3, 0.005), (0.5, 0.25, 0.25)],
    "PRELU": [(1, 0.001, 1), (0.02, 0.01, 0.02), (0.02, 0.03, 5), (0.5, 0.25, 0.125), (0.1, 0.1, 0.001),
              (0.001, 0.02, 1e-3)],
}
ZERO_POINTS = [(-128, -128, -128), (127, 127, -128), (-128, 127, 0), (127, -128, 127)]


def with_scales(op, broadcast):
    """The int8 cases of an operator that multiplies: shapes, constants, scales, zero points."""
    name = op.lower()
    base = {} if op != "PRELU" else dict(b=(1, 1, 3))
    for a, b in broadcast:
        yield f"{name}_int8_{text(a, b)}", binary(op, "int8", a=a, b=b)
    yield f"{name}_int8_same_shape_{text(RANK_7)}", binary(op, "int8", a=RANK_7, b=RANK_7)
    yield f"{name}_int8_same_tensor", binary(op, "int8", same=True, scales=(0.02, 0.02, 0.02), zps=(4, 4, -9))
    yield f"{name}_int8_const_1_3", binary(op, "int8", const=1, b=(3,))
    if op != "PRELU":
        yield f"{name}_int8_const_0_scalar", binary(op, "int8", const=0, a=())
        yield f"{name}_int8_const_1_scalar", binary(op, "int8", const=1, b=())
    for i, scales in enumerate(SCALES[op]):
        yield f"{name}_int8_scales_{i}", binary(op, "int8", scales=scales, **base)
    for zps in ZERO_POINTS:
        yield f"{name}_int8_zp_{'_'.join(map(str, zps))}", binary(op, "int8", zps=zps, **base)
    if op in FUSED:
        for act in ("relu", "relu6", "relu_n1_to_1"):
            yield f"{name}_int8_{act}", binary(op, "int8", act=act)
            yield f"{name}_int8_{act}_broadcast", binary(op, "int8", act=act, b=(3,), zps=(9, -60, -100))


def binary_grid(scale):
    """int8 with scales, int8 without, comparisons, then the other types."""
    to_first = [(a, b) for a, b in BROADCAST if np.broadcast_shapes(a, b) == a]
    yield from with_scales("SUB", BROADCAST[0::4] + WIDE)
    yield from with_scales("MUL", BROADCAST[1::4] + WIDE)
    yield from with_scales("SQUARED_DIFFERENCE", BROADCAST[2::6] + WIDE[:1])
    yield from with_scales("PRELU", to_first[::4])
    one = dict(scales=(0.02, 0.02, 0.02), zps=(4, 4, 4))
    for i, op in enumerate(("MAXIMUM", "MINIMUM", "FLOOR_DIV", "FLOOR_MOD")):
        name, (a, b) = op.lower(), BROADCAST[17 + i]
        yield f"{name}_int8_same", binary(op, "int8", **one)
        yield f"{name}_int8_{text(a, b)}", binary(op, "int8", a=a, b=b, **one)
        yield f"{name}_int8_const", binary(op, "int8", const=1, b=(3,), **one)
        yield f"{name}_int8_scales_ignored", binary(op, "int8")
    for i, op in enumerate(COMPARISONS):
        name, (a, b) = op.lower(), BROADCAST[5 + i]
        yield f"{name}_int8_{text(a, b)}", binary(op, "int8", a=a, b=b, scales=(0.5, 0.25, 1), zps=(3, 6, 0))
        yield f"{name}_int8_const", binary(op, "int8", const=1, b=(), value=12, scales=(0.05, 0.8, 1), zps=(-5, 10, 0))
        yield f"{name}_int8_small_scales", binary(op, "int8", scales=(1e-4, 3e-3, 1), zps=(-128, -120, 0))
        yield f"{name}_int8_same_scales", binary(op, "int8", scales=(0.9, 0.9, 1), zps=(-20, -20, 0))
    for kind, ops in (("float", FLOAT), ("int32", INT32)):
        for i, op in enumerate(ops):
            pool = to_first if op == "PRELU" else BROADCAST + WIDE
            a, b = pool[(5 * i + 3 * (kind == "float")) % len(pool)]
            yield f"{op.lower()}_{kind}_{text(a, b)}", binary(op, kind, a=a, b=b)
            if kind == "float" and op not in COMPARISONS:
                changes = dict(const=1, b=(3,)) if i % 2 else dict(a=RANK_7, b=RANK_7)
                yield f"{op.lower()}_float_{'const' if i % 2 else 'same_shape'}", binary(op, kind, **changes)
        for op in FUSED:
            for act in ("relu", "relu6", "relu_n1_to_1") if kind == "float" else ("relu6",):
                yield f"{op.lower()}_{kind}_{act}", binary(op, kind, act=act, b=(3,))
    for value in (2, 3, 0.5, 0, -1):
        yield f"pow_float_exponent_{value}", binary("POW", "float", const=1, b=(), value=value)
    yield "pow_float_constant_base", binary("POW", "float", const=0, a=(), value=2)
    yield "pow_int32_exponent_3", binary("POW", "int32", const=1, b=(1,), value=3)
    for op in ("MUL", "DIV", "FLOOR_MOD", "MAXIMUM", "EQUAL"):
        yield f"{op.lower()}_float_same_tensor", binary(op, "float", same=True)
    for op in ("SUB", "MUL", "MINIMUM", "FLOOR_MOD", "NOT_EQUAL", "GREATER"):
        yield f"{op.lower()}_int64", binary(op, "int64", a=(2, 3, 4), b=(3, 1))
    for op in ("LOGICAL_AND", "LOGICAL_OR"):
        yield f"{op.lower()}_bool_same", binary(op, "bool")
        yield f"{op.lower()}_bool_broadcast", binary(op, "bool", a=(2, 1, 2, 1, 2), b=(1, 3, 1, 3, 1))
        yield f"{op.lower()}_bool_const", binary(op, "bool", const=1, b=(3,))
    for op in ("EQUAL", "NOT_EQUAL"):
        yield f"{op.lower()}_bool", binary(op, "bool", b=(5, 1))
    for i in range(round(8 * scale)):
        rng = np.random.default_rng([i, 21])
        op = ("SUB", "MUL", "SQUARED_DIFFERENCE", "PRELU")[i % 4]
        first, second, ratio = 10 ** rng.uniform(-2, 0, 3)
        out = dict(SUB=max(first, second), MUL=60 * first * second,
                   SQUARED_DIFFERENCE=90 * max(first, second) ** 2, PRELU=first)[op] * 3 * ratio
        pool = to_first if op == "PRELU" else BROADCAST
        a, b = pool[rng.integers(len(pool))]
        act = ("none", "relu", "relu6", "relu_n1_to_1")[rng.integers(4)] if op in FUSED else "none"
        yield f"{op.lower()}_int8_random_{i:03d}", binary(
            op, "int8", a=a, b=b, act=act, scales=tuple(float(np.float32(v)) for v in (first, second, out)),
            zps=tuple(int(z) for z in rng.integers(-128, 128, 3)))


def choice_samples(rng, kind, shape):
    """Samples of any type."""
    if kind == "bool":
        return rng.random((3, *shape)) < 0.5
    if kind in ("int32", "int64"):
        return rng.integers(-10**6, 10**6, (3, *shape)).astype(DTYPES[kind])
    return int8_samples(rng, shape, 4) if kind == "int8" else float_samples(rng, shape)


def select(op, kind, cond, x, y, const=(), out=None):
    """A maker of one case; `const` names the operands (0 is the condition) that are constants."""
    def make(rng):
        g, operands, inputs, data = Graph(), [], [], []
        quant = Quant(np.float32(0.05), 4) if kind == "int8" else None
        for i, (shape, k, q) in enumerate([(cond, "bool", None), (x, kind, quant), (y, kind, quant)]):
            values = choice_samples(rng, k, shape)
            if i in const:
                operands.append(g.const(values[0], q))
            else:
                operands.append(g.add(shape, DTYPES[k], q))
                inputs.append(operands[-1])
                data.append(values)
        shape = out or (x if op == "SELECT" else np.broadcast_shapes(cond, x, y))
        z = g.add(shape, DTYPES[kind], quant)
        version = 2 if kind == "int8" and op == "SELECT" else 1
        g.op(op, version, operands, [z], options("SelectOptions" if op == "SELECT" else "SelectV2Options"))
        what = f"{op} {kind} {list(cond)} ? {list(x)} : {list(y)}" + "".join(f" operand {i} constant" for i in const)
        return dict(what=what, kind="float" if kind == "float" else "int8", model=g.finish(inputs, [z]), inputs=data)
    return make


def logical_not(shape):
    """A maker of one LOGICAL_NOT case."""
    def make(rng):
        g = Graph()
        x, y = g.add(shape, np.bool_), g.add(shape, np.bool_)
        g.op("LOGICAL_NOT", 1, [x], [y], options("LogicalNotOptions"))
        return dict(what=f"LOGICAL_NOT {list(shape)}", kind="int8", model=g.finish([x], [y]),
                    inputs=[choice_samples(rng, "bool", shape)])
    return make


S = (1, 4, 5, 3)
# Shapes of the condition, x and y.
SELECTS = [(S, S, S), ((7,), (7,), (7,)), (RANK_7, RANK_7, RANK_7), ((), S, S), ((1,), S, S),
           ((2,), (2, 3, 4), (2, 3, 4)), ((3,), (3, 5), (3, 5)), ((), (), ())]
SELECTS_V2 = [(S, S, S), ((), S, S), (S, (), ()), (S, (), S), (S, S, ()), ((1, 4, 1, 1), S, S), ((3,), S, S),
              (S, (3,), (5, 1)), ((1, 4, 1, 3), (1, 1, 5, 1), (1,)), ((5, 1), (1, 3), (4, 1, 1)),
              ((2, 1, 1, 2), (1, 3, 1, 2), (1, 1, 4, 1)), ((2, 1, 2, 1, 2), (1, 3, 1, 3, 1), (2, 3, 1, 1, 1)),
              ((2, 1, 2, 1, 1, 1, 2, 1), (1, 3, 1, 1, 1, 2, 1, 3), (1,)), ((1, 6, 7), (6, 1), (7,)), ((1,), (1, 1), ())]


def select_grid(scale):
    """Both kinds over the lists above, other types and constants."""
    for op, shapes in (("SELECT", SELECTS), ("SELECT_V2", SELECTS_V2)):
        for kind in ("int8", "float"):
            for i, (cond, x, y) in enumerate(shapes):
                yield f"{op.lower()}_{kind}_{i:02d}", select(op, kind, cond, x, y)
            for const in ((0,), (1,), (2,), (1, 2)):
                name = f"{op.lower()}_{kind}_const_{''.join(map(str, const))}"
                yield name, select(op, kind, S, S, S if op == "SELECT" else (3,), const)
        for kind in ("int32", "int64", "bool"):
            yield f"{op.lower()}_{kind}", select(op, kind, S, S, S)
            cond = (1,) if op == "SELECT" else (5, 1)
            yield f"{op.lower()}_{kind}_{text(cond)}", select(op, kind, cond, S, S)
    # One element everywhere: the declared shape of the output stays.
    yield "select_float_one_element", select("SELECT", "float", (1, 1), (1,), (), out=(1, 1, 1))
    yield "select_v2_int8_one_element", select("SELECT_V2", "int8", (1, 1), (1,), (), out=(1, 1, 1))
    for shape in ((), (7,), S, RANK_7):
        yield f"logical_not_{text(shape)}", logical_not(shape)


FAMILIES = {"binary": binary_grid, "select": select_grid}

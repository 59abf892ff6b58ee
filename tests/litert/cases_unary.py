"""Elementwise operators with one input: activations, roots, exponentials, signs.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0:
- ELU, CEIL and ROUND are not registered in it at all, so they have no cases; SQUARE, FLOOR, SIN, COS and SIGN have no
  int8 kernel. Every rank runs, a scalar too.
- LOGISTIC, TANH, GELU, EXP and LOG look int8 up in 256 entries computed in float: the real input, the function, times
  the float reciprocal of the output scale, round half away from zero, plus the zero point, clamp. LOGISTIC insists on
  an output scale of exactly 1/256 and takes any zero point; TANH insists on nothing. LOG of a real value <= 0 is the
  smallest output. An EXP beyond 2^31 output steps is 127 on x86_64; the source leaves that conversion undefined.
- HARD_SWISH works in 16-bit fixed point and refuses input scale / (128 * output scale) >= 1.
- SQRT cuts the fraction of the output off, it does not round. SQRT and RSQRT refuse a negative real input when they
  run; RSQRT of 0 is 127 whatever the scales.
- NEG changes the sign of the stored int8 and ignores scales and zero points; -128 stays -128.
- LOGISTIC float is exp(x) below -9 and 1 above 16.62. RELU_N1_TO_1, RELU_0_TO_1, HARD_SWISH, NEG, SQUARE, FLOOR, SIN
  and COS have version 1 only, int8 included.
"""
import numpy as np

from build import Graph, Quant, activation_limits, float_samples, int8_samples, options

# The schema has no options for the others.
OPTIONS = {"HARD_SWISH": "HardSwishOptions", "LEAKY_RELU": "LeakyReluOptions", "GELU": "GeluOptions",
           "EXP": "ExpOptions", "ABS": "AbsOptions", "NEG": "NegOptions", "SQUARE": "SquareOptions",
           "COS": "CosOptions", "SIGN": "SignOptions"}
VERSION_1_ONLY = {"HARD_SWISH", "RELU_N1_TO_1", "RELU_0_TO_1", "NEG"}
NON_NEGATIVE = {"SQRT", "RSQRT"}
ALL = (256,)


def samples(rng, op, kind, shape, zero_point):
    """Samples in the operator's domain; of the shape `ALL`, every int8 value in three orders."""
    if kind == "int8":
        if shape == ALL:
            x = np.arange(-128, 128)
            x = np.stack([x, x[::-1], rng.permutation(x)]).astype(np.int8)
        else:
            x = int8_samples(rng, shape, zero_point)
        return np.maximum(x, np.int8(zero_point)) if op in NON_NEGATIVE else x
    if kind == "int32":
        return rng.integers(-1000, 1001, (3, *shape)).astype(np.int32)
    if op in ("LOG", "RSQRT", "SQRT"):
        x = (10 ** rng.uniform(-2, 2, (3, *shape))).astype(np.float32)
        if op == "SQRT":
            x[2] *= rng.random(shape) < 0.5
        return x
    if op in ("EXP", "SIN", "COS"):
        x = rng.uniform(-10, 10, (3, *shape)).astype(np.float32)
        x[2] *= rng.random(shape) < 0.5
        return x
    x = float_samples(rng, shape, 2.0)
    if op == "FLOOR":
        x[2] = np.rint(4 * rng.normal(0, 2, shape)) / 4
    return x


def unary(op, kind, shape, quants=((0.05, -3), (0.04, 5)), **fields):
    """A maker of one case; `quants` are (scale, zero point) of the input and the output, `fields` the options."""
    def make(rng):
        g, limits = Graph(), (-128, 127)
        dtype = {"int8": np.int8, "int32": np.int32, "float": np.float32}[kind]
        (s_in, z_in), (s_out, z_out) = quants
        q_in, q_out = (Quant(np.float32(s), z) if kind == "int8" else None for s, z in quants)
        x, y = g.add(shape, dtype, q_in), g.add(shape, dtype, q_out)
        version = 2 if kind == "int8" and op not in VERSION_1_ONLY else 1
        g.op(op, version, [x], [y], options(OPTIONS[op], **fields) if op in OPTIONS else None)
        what = f"{op} {list(shape)}" + "".join(f" {k} {v}" for k, v in fields.items())
        if kind == "int8":
            what += f" scales {(s_in, s_out)} zp {(z_in, z_out)}"
            limits = activation_limits(op.lower(), s_out, z_out)
        return dict(what=what, kind="float" if kind == "float" else "int8", model=g.finish([x], [y]),
                    inputs=[samples(rng, op, kind, shape, z_in)], limits=limits)
    return make


# (scale, zero point) of the input and the output: typical, the extremes of the zero point, a ratio far below and far
# above one, equal ones.
TYPICAL = [
    ((0.05, -3), (0.04, 5)), ((0.05, -128), (0.03, -128)), ((0.1, 127), (0.02, 127)), ((0.02, 0), (2.0, 0)),
    ((1.0, 10), (0.01, -20)), ((0.03, 7), (0.03, 7)), ((0.001, 0), (0.02, -128)), ((4.0, -128), (0.05, 100)),
]
IN = [(0.05, -3), (0.001, 0), (0.03, -128), (0.1, 127), (1.0, 10), (20.0, 0)]
INT8 = {
    "LOGISTIC": [(q, (1 / 256, -128)) for q in IN] + [((0.05, 4), (1 / 256, 0)), ((0.05, 4), (1 / 256, 60))],
    "TANH": [(q, (1 / 128, 0)) for q in IN] + [((0.02, 4), (0.01, 100)), ((0.02, -9), (1e-3, -128))],
    "HARD_SWISH": [*TYPICAL, ((0.05, 2), (0.0004, -90)), ((0.0234375, 0), (0.0234375, -112))],
    "RELU": TYPICAL,
    "RELU6": TYPICAL,
    "RELU_N1_TO_1": TYPICAL,
    "RELU_0_TO_1": TYPICAL,
    "LEAKY_RELU": TYPICAL,
    "GELU": [*TYPICAL[:5], ((0.02, 0), (0.012, -114))],
    "RSQRT": [((0.05, -128), (0.05, -128)), ((0.001, -128), (0.2, -128)), ((1.0, -128), (1 / 128, -128)),
              ((0.1, 0), (0.03, -10)), ((4.0, -128), (0.001, -128)), ((0.03, -128), (0.3, 90)),
              ((0.02, -77), (0.02, 0))],
    "SQRT": [((0.05, -128), (0.015, -128)), ((1.0, -128), (0.0625, -128)), ((0.1, 0), (0.02, -128)),
             ((0.3, 100), (0.05, -60)), ((1e-4, -128), (0.1, 0)), ((4.0, -128), (0.01, -30)),
             ((0.02, -128), (0.02, 0))],
    "EXP": [((0.02, 0), (0.05, -128)), ((0.04, 127), (1 / 256, -128)), ((0.05, -3), (1.0, -128)),
            ((0.1, -128), (100.0, 0)), ((0.2, 10), (0.01, -128)), ((0.001, 5), (0.01, -50)), ((0.03, 60), (0.03, 60))],
    "LOG": [((0.05, -128), (0.04, 0)), ((1.0, -128), (0.05, -10)), ((0.01, 0), (0.03, 20)),
            ((0.001, -128), (0.06, 127)), ((20.0, -100), (0.01, -128)), ((0.5, 100), (0.5, 3))],
    "ABS": TYPICAL,
    "NEG": [((0.05, 0), (0.05, 0)), ((0.05, -128), (0.05, -128)), ((0.05, 127), (0.05, 127)), ((0.05, 5), (0.02, -7))],
}
SHAPES = [(1, 4, 5, 3), (2, 3, 1, 5)]
ALPHAS = (0.1, 0.3, 0.01, 1.5, 0.2, 1.0, 0.25, 0.0)
FLOAT = ["LOGISTIC", "TANH", "HARD_SWISH", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "GELU",
         "RSQRT", "SQRT", "EXP", "LOG", "ABS", "NEG", "SQUARE", "FLOOR", "SIN", "COS", "SIGN"]


def variants(op):
    """(suffix of the name, options) of an operator."""
    if op == "GELU":
        return [("", dict(approximate=False)), ("_tanh", dict(approximate=True))]
    return [("", dict(alpha=0.1) if op == "LEAKY_RELU" else {})]


def unary_grid(scale):
    """Every int8 value through every pair of quantizations, some shapes, then the floats."""
    for op, quants in INT8.items():
        for suffix, fields in variants(op):
            name = op.lower() + suffix
            for i, pair in enumerate(quants):
                if op == "LEAKY_RELU":
                    fields = dict(alpha=ALPHAS[i])
                yield f"{name}_int8_all_{i}", unary(op, "int8", ALL, pair, **fields)
            for i, shape in enumerate(SHAPES):
                yield f"{name}_int8_{'x'.join(map(str, shape))}", unary(op, "int8", shape, quants[i], **fields)
    for i, alpha in enumerate((-0.25, -3.0)):
        yield f"leaky_relu_int8_negative_alpha_{i}", unary("LEAKY_RELU", "int8", ALL, TYPICAL[i * 4], alpha=alpha)
    for op in ("TANH", "RELU6", "ABS"):
        yield f"{op.lower()}_int8_scalar", unary(op, "int8", (), INT8[op][0])
        yield f"{op.lower()}_int8_7", unary(op, "int8", (7,), INT8[op][0])
    for op in FLOAT:
        for suffix, fields in variants(op):
            for shape in SHAPES:
                yield f"{op.lower()}{suffix}_float_{'x'.join(map(str, shape))}", unary(op, "float", shape, **fields)
    yield "leaky_relu_float_negative_alpha", unary("LEAKY_RELU", "float", (1, 4, 5, 3), alpha=-0.5)
    yield "leaky_relu_float_large_alpha", unary("LEAKY_RELU", "float", (1, 4, 5, 3), alpha=1.5)
    yield "tanh_float_scalar", unary("TANH", "float", ())
    yield "relu_float_6d", unary("RELU", "float", (1, 2, 3, 2, 2, 3))
    for op in ("ABS", "NEG", "SIGN"):
        yield f"{op.lower()}_int32", unary(op, "int32", (2, 3, 1, 5))
    for i in range(round(7 * scale)):
        rng = np.random.default_rng([i, 20])
        op = ("HARD_SWISH", "RELU", "RELU6", "LEAKY_RELU", "ABS", "GELU", "TANH")[i % 7]
        (s_in, s_out), zps = 10 ** rng.uniform(-2, -0.5, 2), rng.integers(-128, 128, 2)
        fields = {"GELU": dict(approximate=bool(i % 2)), "LEAKY_RELU": dict(alpha=float(np.float32(rng.random())))}
        pair = tuple((float(np.float32(s)), int(z)) for s, z in zip((s_in, s_out), zps))
        yield f"{op.lower()}_int8_random_{i:03d}", unary(op, "int8", ALL, pair, **fields.get(op, {}))


FAMILIES = {"unary": unary_grid}

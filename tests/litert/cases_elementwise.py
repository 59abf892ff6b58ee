"""ADD and MEAN.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0:
- ADD: any rank runs with equal shapes; broadcasting gave right results up to rank 8, int8 and float, also where every
  dimension alternates. A fused TANH is accepted and ignored. An int8 output scale so small that
  2 * max(s1, s2) / (2^20 * s_out) reaches 1 aborts the process.
- MEAN: int8 has one path for all axes, ranks, keep_dims and scales (the special case for axes [1,2] of a 4-D tensor
  is compiled into the optimized kernels only): the sum in int32, then one multiplication by a 32-bit multiplier. Axes
  may repeat and be negative, the axis tensor may be a scalar, and no axes at all only requantize.
"""
import numpy as np

from build import ACTIVATIONS, Graph, Quant, activation_limits, float_samples, int8_samples, options

ADD_DEFAULT = dict(a=(1, 4, 5, 3), b=(1, 4, 5, 3), const=None, act="none", scales=(0.02, 0.03, 0.035), zps=(-3, 5, 1))


def add(kind, **changes):
    """A maker of one ADD case; `const` is the operand (0 or 1) that is a constant."""
    p = ADD_DEFAULT | changes

    def make(rng):
        g, shapes, limits = Graph(), (p["a"], p["b"]), (-128, 127)
        quants = [Quant(np.float32(s), z) for s, z in zip(p["scales"], p["zps"])] if kind == "int8" else [None] * 3
        dtype = np.int8 if kind == "int8" else np.float32
        operands, inputs, samples = [], [], []
        for i, shape in enumerate(shapes):
            x = int8_samples(rng, shape, p["zps"][i]) if kind == "int8" else float_samples(rng, shape)
            if p["const"] == i:
                operands.append(g.const(x[0], quants[i]))
            else:
                operands.append(g.add(shape, dtype, quants[i]))
                inputs.append(operands[-1])
                samples.append(x)
        y = g.add(np.broadcast_shapes(*shapes), dtype, quants[2])
        g.op("ADD", 2 if kind == "int8" else 1, operands, [y],
             options("AddOptions", fusedActivationFunction=ACTIVATIONS[p["act"]]))
        what = f"{list(p['a'])} + {list(p['b'])} {p['act']}"
        if p["const"] is not None:
            what += f" operand {p['const']} constant"
        if kind == "int8":
            what += f" scales {p['scales']} zp {p['zps']}"
            limits = activation_limits(p["act"], p["scales"][2], p["zps"][2])
        return dict(what=what, kind=kind, model=g.finish(inputs, [y]), inputs=samples, limits=limits)
    return make


SAME = [(7,), (1, 9), (1, 3, 5), (1, 4, 5, 3), (2, 3, 4, 5), (1, 2, 3, 2, 4), (1, 2, 3, 2, 2, 3), (1, 2, 1, 3, 2, 2, 3)]
BROADCAST = [
    ((1, 4, 5, 3), (3,)), ((3,), (1, 4, 5, 3)), ((1, 4, 5, 3), (1,)), ((1, 4, 5, 3), (1, 1, 1, 3)),
    ((1, 4, 5, 3), (1, 4, 5, 1)), ((1, 4, 5, 3), (1, 4, 1, 3)), ((1, 4, 5, 3), (1, 1, 5, 1)),
    ((1, 4, 1, 3), (1, 1, 5, 1)), ((1, 1, 5, 3), (1, 4, 1, 1)), ((1, 4, 5, 3), (5, 3)), ((1, 4, 5, 3), (4, 1, 1)),
    ((2, 3, 4, 5), (1, 3, 1, 5)), ((1, 7), (1, 1)), ((1, 7), (1,)), ((1, 6, 7), (1, 6, 1)), ((1, 6, 7), (6, 1)),
    ((1, 2, 3, 2, 4), (4,)), ((1, 2, 3, 2, 4), (1, 2, 1, 2, 1)), ((1, 2, 1, 2, 4), (1, 1, 3, 1, 4)),
    ((1, 2, 3, 2, 2, 3), (3,)), ((1, 2, 1, 2, 1, 3), (1, 1, 3, 1, 2, 1)),
    ((2, 1, 2, 1), (1, 3, 1, 3)), ((2, 1, 2, 1, 2), (1, 3, 1, 3, 1)), ((2, 1, 2, 1, 2, 1), (1, 3, 1, 3, 1, 3)),
]


def add_grid(scale):
    """Shapes, constants, activations, then scales and zero points."""
    def text(shape):
        return "x".join(map(str, shape)) or "scalar"

    for kind in ("int8", "float"):
        for shape in SAME:
            yield f"{kind}_same_{text(shape)}", add(kind, a=shape, b=shape)
        for a, b in BROADCAST:
            yield f"{kind}_{text(a)}_plus_{text(b)}", add(kind, a=a, b=b)
        for const, shape in [(0, ()), (1, ()), (0, (1,)), (1, (1,)), (1, (3,)), (0, (1, 4, 5, 3)), (1, (1, 4, 5, 3))]:
            shapes = {"a": shape} if const == 0 else {"b": shape}
            yield f"{kind}_const_{const}_{text(shape)}", add(kind, const=const, **shapes)
        for act in ("relu", "relu6", "relu_n1_to_1", "tanh"):
            yield f"{kind}_act_{act}", add(kind, act=act)
            yield f"{kind}_act_{act}_broadcast", add(kind, act=act, b=(3,))
    scale_sets = [(1, 0.001, 1), (0.001, 1, 1), (1, 0.001, 0.002), (0.001, 1, 0.01), (0.02, 0.02, 0.02),
                  (0.02, 0.02, 0.04), (0.02, 0.02, 5), (1e-4, 1e-4, 30), (3, 2, 1e-4), (1, 1, 1e-5), (0.25, 0.5, 0.5),
                  (1e-5, 2e-5, 1.7e-5)]
    for i, scales in enumerate(scale_sets):
        yield f"int8_scales_{i:02d}", add("int8", a=(1, 8, 8, 4), b=(1, 8, 8, 4), scales=scales)
    for zps in [(-128, -128, -128), (127, 127, 127), (-128, 127, 0), (127, -128, -128), (0, 0, 127)]:
        yield "int8_zp_" + "_".join(map(str, zps)), add("int8", zps=zps)
    for i in range(round(12 * scale)):
        rng = np.random.default_rng([i, 5])
        scales = tuple(float(np.float32(10 ** e)) for e in rng.uniform(-3, 0, 3))
        a, b = BROADCAST[rng.integers(len(BROADCAST))]
        act = ("none", "relu", "relu6", "relu_n1_to_1")[rng.integers(4)]
        zps = tuple(int(z) for z in rng.integers(-128, 128, 3))
        yield f"int8_random_{i:03d}", add("int8", a=a, b=b, scales=scales, zps=zps, act=act)


def mean(kind, shape, axes, keep, scales=(0.03, 0.03), zps=(4, 4)):
    """A maker of one MEAN case. A scalar axis is given as an int."""
    def make(rng):
        g = Graph()
        dtype = np.int8 if kind == "int8" else np.float32
        quants = [Quant(np.float32(s), z) if kind == "int8" else None for s, z in zip(scales, zps)]
        x = g.add(shape, dtype, quants[0])
        axis = g.const(np.int32(axes).reshape(() if isinstance(axes, int) else len(axes)))
        out_shape = np.mean(np.zeros(shape), axis=tuple({a % len(shape) for a in np.atleast_1d(axes).astype(int)}),
                            keepdims=keep).shape
        y = g.add(out_shape, dtype, quants[1])
        g.op("MEAN", 2 if kind == "int8" else 1, [x, axis], [y], options("ReducerOptions", keepDims=keep))
        samples = int8_samples(rng, shape, zps[0]) if kind == "int8" else float_samples(rng, shape)
        what = f"{list(shape)} axes {axes}" + " keep_dims" * keep
        if kind == "int8":
            what += f" scales {scales} zp {zps}"
        return dict(what=what, kind=kind, model=g.finish([x], [y]), inputs=[samples])
    return make


AXES = [((1, 4, 5, 6), (1, 2)), ((1, 4, 5, 6), (2, 1)), ((1, 7, 7, 8), (1, 2)), ((1, 4, 5, 6), (-2, -3)),
        ((1, 4, 5, 6), (1,)), ((1, 4, 5, 6), (2,)), ((1, 4, 5, 6), (3,)), ((1, 4, 5, 6), (-1,)), ((1, 4, 5, 6), 3),
        ((1, 4, 5, 6), (0,)), ((1, 4, 5, 6), (1, 3)), ((1, 4, 5, 6), (1, 2, 3)), ((1, 4, 5, 6), (0, 1, 2, 3)),
        ((2, 4, 5, 6), (0,)), ((2, 4, 5, 6), (0, 3)), ((1, 4, 5, 6), (1, 1, -3)), ((1, 9, 5), (1,)), ((1, 9, 5), (2,)),
        ((1, 9), (1,)), ((9,), (0,)), ((1, 2, 3, 4, 5), (1, 3)), ((1, 2, 3, 4, 5), (2, 3, 4)),
        ((1, 2, 2, 3, 2, 3), (1, 4)), ((1, 4, 5), ())]


def mean_grid(scale):
    """Axes and keep_dims, sizes, then scales and zero points."""
    for kind in ("int8", "float"):
        for i, (shape, axes) in enumerate(AXES):
            for keep in (True, False):
                yield f"{kind}_axes_{i:02d}_{'keep' if keep else 'drop'}", mean(kind, shape, axes, keep)
        for size in (1, 2, 3, 4, 7, 16, 25, 49):
            yield f"{kind}_size_{size}", mean(kind, (1, size, 1, 12), (1, 2), True)
        yield f"{kind}_size_4000", mean(kind, (1, 40, 100, 3), (1, 2), True)
        yield f"{kind}_size_4000_drop", mean(kind, (1, 4000, 3), (1,), False)
        yield f"{kind}_size_20000", mean(kind, (1, 20000), (1,), False)
    scale_sets = [(0.03, 0.03), (0.03, 0.01), (0.03, 0.001), (0.01, 0.03), (0.001, 3), (1, 0.01), (0.5, 0.25)]
    zp_sets = [(4, 4), (-128, -128), (127, 127), (-128, 127), (127, -128), (0, -7)]
    for i, scales in enumerate(scale_sets):
        for j, zps in enumerate(zp_sets):
            yield f"int8_scales_{i}_zp_{j}", mean("int8", (1, 3, 5, 16), (1, 2), j % 2 == 0, scales, zps)
    for i in range(round(10 * scale)):
        rng = np.random.default_rng([i, 6])
        shape = (1, *(int(d) for d in rng.integers(1, 8, 3)))
        axes = tuple(int(a) for a in rng.permutation([1, 2, 3])[:rng.integers(1, 4)])
        scales = tuple(float(np.float32(10 ** e)) for e in rng.uniform(-2, -1, 2))
        zps = tuple(int(z) for z in rng.integers(-128, 128, 2))
        yield f"int8_random_{i:03d}", mean("int8", shape, axes, bool(rng.integers(2)), scales, zps)


FAMILIES = {"add": add_grid, "mean": mean_grid}

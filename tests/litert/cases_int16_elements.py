"""Operators of int16 that have no weights.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0:
- Zero points must be 0 almost everywhere.
- LOGISTIC demands an output scale of exactly 1/32768, TANH and SOFTMAX one close to it. LOGISTIC and TANH interpolate
  between 256 values of one table, EXP, LOG, RSQRT and GELU between 513 that are made from the scales.
- Refused: CEIL, COS, ELU, FLOOR, HARD_SWISH, RELU_0_TO_1, RELU_N1_TO_1, ROUND, SIGN, SIN, SQUARE, POW,
  SQUARED_DIFFERENCE, L2_NORMALIZATION, LOG_SOFTMAX, L2_POOL_2D, ARG_MAX, CUMSUM, SPACE_TO_DEPTH, DEPTH_TO_SPACE.
- PRELU takes its slopes as int8, with any zero point.
- RSQRT stops at a value that is not positive.
- SUM reads its input as uint8, NEG and DIV compute the stored numbers, as do LESS and the others but EQUAL and
  NOT_EQUAL.
"""
import itertools

import numpy as np
from ai_edge_litert import schema_py_generated as s

from build import ACTIVATIONS, TYPES, Graph, Quant, activation_limits, int8_samples, options

TYPES.setdefault(np.dtype(np.int64), s.TensorType.INT64)
TYPES.setdefault(np.dtype(np.bool_), s.TensorType.BOOL)
LIMITS = (-32768, 32767)
ONE = np.float32(1 / 32768)


def samples_of(rng, shape):
    """int16 samples: the whole range, its extremes, values close to 0."""
    return int8_samples(rng, shape, 0, np.int16)


def one(name, version, shape=(1, 3, 5, 7), out=None, scales=(0.001, 0.001), opts=None, consts=(), first=False,
        limits=LIMITS, samples=None):
    """A maker of an operator with one int16 input and constants behind (or before) it."""
    def make(rng):
        g = Graph()
        x = g.add(shape, np.int16, Quant(np.float32(scales[0])))
        out_shape = shape if out is None else out
        y = g.add(out_shape, np.int16, Quant(np.float32(scales[1])))
        ids = [g.const(c, Quant(np.float32(scales[1])) if c.dtype == np.int16 else None) for c in consts]
        g.op(name, version, ids + [x] if first else [x] + ids, [y], opts)
        what = f"{name} {list(shape)} to {list(out_shape)} scales {scales[0]:g} {scales[1]:g}"
        x_samples = samples_of(rng, shape) if samples is None else samples
        return dict(what=what, kind="int8", model=g.finish([x], [y]), inputs=[x_samples], limits=limits)
    return make


def all_values():
    """Every int16, in three samples."""
    values = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
    return np.stack([values, values[::-1], np.roll(values, 1)]).reshape(3, 1, 65536)


def unary_grid(scale):
    """Every function over scales, for all 65 536 inputs."""
    def case(name, version, scales, text, opts=None):
        fields = dict(shape=(1, 65536), samples=all_values())
        return f"{name.lower()}_{text}", one(name, version, scales=scales, opts=opts, **fields)

    powers = [2.0 ** -k for k in (8, 10, 11, 12, 13, 14, 15)]
    for scale_in in (*powers, 1 / 4096 * 1.0005, 1e-7, 1e-5, 3e-4, 0.00123, 0.01, 0.17, 1.0, 4.0):
        for name in ("LOGISTIC", "TANH"):
            yield case(name, 3, (scale_in, ONE), f"{scale_in:g}")
    for i, scales in enumerate([(0.001, 0.001), (0.0005, 0.0007), (0.002, 0.0001), (1e-5, 0.3), (0.25, 0.25), (3e-5, 3e-5)]):
        for name in ("RELU", "RELU6", "ABS"):
            yield case(name, 3, scales, i)
        for alpha in (0.2, -0.3, 1.7):
            yield case("LEAKY_RELU", 2, scales, f"{alpha}_{i}", options("LeakyReluOptions", alpha=alpha))
        for approximate in (False, True):
            opts = options("GeluOptions", approximate=approximate)
            yield case("GELU", 2, scales, f"{'tanh' if approximate else 'erf'}_{i}", opts)
    for i, scales in enumerate([(0.0001, 0.001), (3e-4, 0.6), (1e-5, 4.3e-5), (0.01, 1.0)]):
        yield case("EXP", 2, scales, i)
        yield case("LOG", 2, (scales[0], scales[1] * 0.01), i)
        # LiteRT stops at a value that is not positive.
        positive = np.stack([np.roll(np.arange(1, 32768, dtype=np.int16), n) for n in range(3)]).reshape(3, 1, 32767)
        for j, out in enumerate((1e-4, 0.0013)):
            yield f"sqrt_{i}_{j}", one("SQRT", 2, (1, 32767), scales=(scales[0], out), samples=positive)
        yield f"rsqrt_{i}", one("RSQRT", 3, (1, 32767), scales=(scales[0], scales[1] * 0.1), samples=positive)


def two(name, version, shapes=((1, 3, 5, 7), (1, 3, 5, 7)), scales=(0.001, 0.0013, 0.002), opts=None, constant=False,
        act="none", answer=False, dtype=np.int16, zero_point=0):
    """A maker of an operator with two int16 inputs, or a second one of `dtype`."""
    def make(rng):
        g = Graph()
        a = g.add(shapes[0], np.int16, Quant(np.float32(scales[0])))
        quant = Quant(np.float32(scales[1]), zero_point)
        values = int8_samples(rng, shapes[1], zero_point, dtype)
        b = g.const(values[0], quant) if constant else g.add(shapes[1], dtype, quant)
        shape = np.broadcast_shapes(*shapes)
        y = g.add(shape, np.bool_) if answer else g.add(shape, np.int16, Quant(np.float32(scales[2])))
        g.op(name, version, [a, b], [y], opts)
        inputs, samples = ([a], [samples_of(rng, shapes[0])]) if constant else ([a, b], [samples_of(rng, shapes[0]), values])
        if answer and not constant:
            # Equal numbers too.
            samples[1].reshape(-1)[::3] = np.resize(samples[0].reshape(-1)[::3], samples[1].reshape(-1)[::3].shape)
        what = f"{name} {shapes} scales {scales} {act}" + " constant" * constant
        limits = activation_limits(act, np.float32(scales[2]), 0, *LIMITS)
        return dict(what=what, kind="int8", model=g.finish(inputs, [y]), inputs=samples, limits=limits)
    return make


SCALES = [(0.001, 0.0013, 0.002), (0.001, 0.001, 0.001), (3e-5, 0.01, 0.0087), (0.3, 1e-4, 0.11), (0.001, 0.0013, 1e-6)]
SHAPES = [((1, 3, 5, 7), (1, 3, 5, 7)), ((1, 3, 5, 7), (7,)), ((1, 3, 1, 7), (1, 1, 5, 1)), ((1, 7), (2, 3, 7)),
          ((1, 1), (1, 9))]


def binary_grid(scale):
    """Sums and products over scales, shapes and activations, then what compares."""
    arithmetic = {"ADD": (3, "AddOptions", {"potScaleInt16": False}), "SUB": (5, "SubOptions", {"potScaleInt16": False}),
                  "MUL": (4, "MulOptions", {})}
    for name, (version, kind, fields) in arithmetic.items():
        low = name.lower()
        for i, scales in enumerate(SCALES):
            if name == "MUL":
                scales = (scales[0], scales[1], scales[0] * scales[1] * (20000, 300, 33000, 2, 32768)[i])
            yield f"{low}_scales_{i}", two(name, version, scales=scales, opts=options(kind, **fields))
        for i, shapes in enumerate(SHAPES):
            for constant in (False, True):
                opts = options(kind, **fields)
                text = f"{low}_shapes_{i}" + "_constant" * constant
                if not constant or len(shapes[0]) >= len(shapes[1]):
                    yield text, two(name, version, shapes=shapes, opts=opts, constant=constant)
        for act in ("relu", "relu6", "relu_n1_to_1"):
            opts = options(kind, fusedActivationFunction=ACTIVATIONS[act], **fields)
            yield f"{low}_{act}", two(name, version, opts=opts, act=act, scales=(0.001, 0.0013, 0.0004))
    for name, kind in (("ADD", "AddOptions"), ("SUB", "SubOptions")):
        # The flag counts only where all scales are powers of two.
        yield f"{name.lower()}_flag_of_powers", two(name, 1, opts=options(kind, potScaleInt16=True))
        power = (2.0 ** -12, 2.0 ** -11, 2.0 ** -11)
        yield f"{name.lower()}_powers", two(name, 3, opts=options(kind, potScaleInt16=False), scales=power)
        yield f"{name.lower()}_power_kernel", two(name, 1, opts=options(kind, potScaleInt16=True), scales=power)
    for name in ("MAXIMUM", "MINIMUM"):
        for i, shapes in enumerate(SHAPES):
            yield f"{name.lower()}_shapes_{i}", two(name, 4, shapes=shapes, scales=(0.001,) * 3)
    for i, scales in enumerate(SCALES):
        for zero in (0, -17):
            slopes = dict(dtype=np.int8, zero_point=zero, constant=i % 2 == 0)
            scales = (scales[0], scales[1] * 100, scales[2])
            text = f"prelu_scales_{i}" + f"_zp_{zero}" * bool(zero)
            yield text, two("PRELU", 1, shapes=((1, 3, 5, 7), (1, 1, 7)), scales=scales, **slopes)
    for name, version in (("LESS", 3), ("LESS_EQUAL", 2), ("GREATER", 2), ("GREATER_EQUAL", 3)):
        for i, scales in enumerate([(0.001, 0.001), (0.001, 0.5)]):
            yield f"{name.lower()}_{i}", two(name, version, scales=(*scales, 1), answer=True)
    for i, scales in enumerate([(0.001, 0.001), (0.001, 0.0013), (0.5, 0.25), (1e-6, 2e-6)]):
        for name, version in (("EQUAL", 5), ("NOT_EQUAL", 4)):
            yield f"{name.lower()}_{i}", two(name, version, scales=(*scales, 1), answer=True)
            yield f"{name.lower()}_{i}_broadcast", two(name, version, scales=(*scales, 1), answer=True,
                                                      shapes=((1, 3, 5, 7), (1, 3, 1, 7)))


def pool_grid(scale):
    """Windows, strides and paddings; then means, extremes and sizes of images."""
    for name, kernel, stride, padding in itertools.product(("MAX_POOL_2D", "AVERAGE_POOL_2D"), [(2, 2), (3, 2), (1, 3)],
                                                           [(1, 1), (2, 2)], (0, 1)):
        h, w = 7, 6
        out = [-(-n // st) if padding == 0 else -(-(n - k + 1) // st) for n, k, st in
               zip((h, w), kernel, stride, strict=True)]
        for act in ("none", "relu6") if padding else ("none",):
            opts = options("Pool2DOptions", padding=padding, strideH=stride[0], strideW=stride[1],
                           filterHeight=kernel[0], filterWidth=kernel[1], fusedActivationFunction=ACTIVATIONS[act])
            text = f"{name.lower()}_{kernel[0]}x{kernel[1]}_{stride[0]}_{'same' if padding == 0 else 'valid'}_{act}"
            yield text, one(name, 3, (1, h, w, 5), (1, *out, 5), opts=opts)


def reduce_grid(scale):
    """Axes, kept or not; a mean also with other scales, and of many."""
    for keep, axes in itertools.product((False, True), [(1, 2), (3,), (1,), (0, 2), (0, 1, 2, 3)]):
        shape = (2, 4, 5, 7)
        out = [1 if i in axes else n for i, n in enumerate(shape)] if keep else [
            n for i, n in enumerate(shape) if i not in axes]
        fields = dict(opts=options("ReducerOptions", keepDims=keep), consts=[np.array(axes, np.int32)])
        text = "_".join(map(str, axes)) + "_keep" * keep
        for name in ("REDUCE_MAX", "REDUCE_MIN"):
            yield f"{name.lower()}_{text}", one(name, 3, shape, tuple(out), **fields)
        for i, scales in enumerate([(0.001, 0.001), (0.001, 0.0003), (0.0007, 0.01)]):
            yield f"mean_{text}_{i}", one("MEAN", 3, shape, tuple(out), scales, **fields)
    for count in (3, 64, 1000, 40000):
        opts = options("ReducerOptions", keepDims=False)
        yield f"mean_of_{count}", one("MEAN", 3, (1, count, 3), (1, 3), (0.001, 0.0004), opts, [np.array([1], np.int32)])


def softmax_grid(scale):
    """Depths, scales and betas."""
    for depth, rows in itertools.product((1, 2, 7, 101, 1000), (1, 3)):
        yield f"depth_{depth}_rows_{rows}", one("SOFTMAX", 3, (1, rows, depth), scales=(0.0003, ONE),
                                               opts=options("SoftmaxOptions", beta=1.0))
    for s_in, beta in itertools.product((1e-6, 1e-5, 1e-4, 0.001, 0.03, 1.0), (1.0, 0.3, 2.5)):
        yield f"scale_{s_in:g}_beta_{beta}", one("SOFTMAX", 3, (1, 3, 21), scales=(s_in, ONE),
                                                opts=options("SoftmaxOptions", beta=beta))


def resize_grid(scale):
    """Sizes, corners and centres."""
    sizes = [((4, 5), (8, 10)), ((4, 5), (7, 3)), ((1, 1), (3, 4)), ((6, 6), (2, 2)), ((3, 3), (3, 7))]
    for i, (size, to) in enumerate(sizes):
        for corners, centres in ((False, False), (True, False), (False, True)):
            consts, text = [np.array(to, np.int32)], f"{i}" + "_corners" * corners + "_centres" * centres
            shapes = ((1, *size, 3), (1, *to, 3))
            fields = dict(alignCorners=corners, halfPixelCenters=centres)
            yield f"bilinear_{text}", one("RESIZE_BILINEAR", 4, *shapes, consts=consts,
                                         opts=options("ResizeBilinearOptions", **fields))
            yield f"nearest_{text}", one("RESIZE_NEAREST_NEIGHBOR", 4, *shapes, consts=consts,
                                        opts=options("ResizeNearestNeighborOptions", **fields))


def matmul(shapes, adj=(False, False), dtype=np.int16, scales=(0.001, 0.002, 0.7)):
    """A maker of one BATCH_MATMUL case."""
    def make(rng):
        a, b = (np.zeros(sh).swapaxes(-1, -2) if t else np.zeros(sh) for sh, t in zip(shapes, adj, strict=True))
        out = np.matmul(a, b).shape
        g = Graph()
        x = g.add(shapes[0], np.int16, Quant(np.float32(scales[0])))
        z = g.add(shapes[1], dtype, Quant(np.float32(scales[1])))
        y = g.add(out, np.int16, Quant(np.float32(scales[2])))
        g.op("BATCH_MATMUL", 3, [x, z], [y], options("BatchMatMulOptions", adjX=adj[0], adjY=adj[1]))
        values = int8_samples(rng, shapes[1], 0, dtype)
        what = f"{shapes} adj {adj} {np.dtype(dtype)} scales {scales}"
        return dict(what=what, kind="int8", model=g.finish([x, z], [y]), inputs=[samples_of(rng, shapes[0]), values],
                    limits=LIMITS)
    return make


def matmul_grid(scale):
    """Shapes and which operand is transposed; scales."""
    for adj in itertools.product((False, True), (False, True)):
        a, b = (5, 3) if adj[0] else (3, 5), (7, 5) if adj[1] else (5, 7)
        for dtype in (np.int16, np.int8):
            if dtype == np.int8 and adj != (False, False):
                continue
            text = f"adj_{int(adj[0])}{int(adj[1])}_{np.dtype(dtype)}"
            yield text, matmul(((1, *a), (1, *b)), adj, dtype, (0.001, 0.002, 0.7 if dtype == np.int16 else 0.003))
    yield "broadcast", matmul(((2, 3, 3, 5), (1, 5, 7)))
    yield "depth_600", matmul(((1, 2, 600), (1, 600, 3)), scales=(0.001, 0.002, 20))
    for i, scales in enumerate([(0.001, 0.001, 1e-6), (0.01, 0.01, 30), (1e-4, 1e-4, 0.2)]):
        yield f"scales_{i}", matmul(((1, 3, 5), (1, 5, 7)), scales=scales)


def several(name, version, shape, n_in, outs, opts, consts=(), first=False):
    """A maker of an operator with several inputs or outputs."""
    def make(rng):
        g, quant = Graph(), Quant(np.float32(0.001))
        xs = [g.add(shape, np.int16, quant) for _ in range(n_in)]
        ys = [g.add(out, np.int16, quant) for out in outs]
        ids = [g.const(c) for c in consts]
        g.op(name, version, ids + xs if first else xs + ids, ys, opts)
        what = f"{name} {n_in} of {shape} to {outs}"
        return dict(what=what, kind="int8", model=g.finish(xs, ys), inputs=[samples_of(rng, shape) for _ in xs],
                    limits=LIMITS)
    return make


def select(name):
    """A maker of SELECT or SELECT_V2."""
    def make(rng):
        g, shape, quant = Graph(), (1, 3, 5, 7), Quant(np.float32(0.001))
        c, a, b = g.add(shape, np.bool_), g.add(shape, np.int16, quant), g.add(shape, np.int16, quant)
        y = g.add(shape, np.int16, quant)
        g.op(name, 1, [c, a, b], [y])
        inputs = [rng.random((3, *shape)) < 0.5, samples_of(rng, shape), samples_of(rng, shape)]
        return dict(what=name, kind="int8", model=g.finish([c, a, b], [y]), inputs=inputs, limits=LIMITS)
    return make


def move_grid(scale):
    """Everything that only moves elements; odd sizes, as two elements lie in a word."""
    i32 = lambda *v: np.array(v, np.int32)
    shape = (1, 3, 5, 7)
    pads = np.array([[0, 0], [1, 2], [0, 1], [3, 0]], np.int32)
    yield "reshape", one("RESHAPE", 1, shape, (1, 15, 7), consts=[i32(1, 15, 7)])
    yield "expand_dims", one("EXPAND_DIMS", 1, shape, (1, 1, 3, 5, 7), consts=[i32(1)])
    yield "squeeze", one("SQUEEZE", 1, (1, 3, 1, 7), (1, 3, 7), opts=options("SqueezeOptions", squeezeDims=[2]))
    for perm in ((0, 2, 1, 3), (0, 3, 1, 2), (0, 3, 2, 1)):
        out = tuple(shape[p] for p in perm)
        yield f"transpose_{''.join(map(str, perm))}", one("TRANSPOSE", 5, shape, out, consts=[i32(*perm)])
    yield "pad", one("PAD", 3, shape, (1, 6, 6, 10), consts=[pads])
    yield "padv2", one("PADV2", 3, shape, (1, 6, 6, 10), consts=[pads, np.array([-1234], np.int16)])
    for mode in (0, 1):
        yield f"mirror_pad_{mode}", one("MIRROR_PAD", 3, shape, (1, 6, 6, 10), consts=[pads],
                                       opts=options("MirrorPadOptions", mode=mode))
    yield "slice", one("SLICE", 4, shape, (1, 2, 3, 5), consts=[i32(0, 1, 1, 2), i32(1, 2, 3, 5)])
    yield "strided_slice", one("STRIDED_SLICE", 1, shape, (1, 2, 5, 4),
                               consts=[i32(0, 0, 0, 0), i32(1, 3, 5, 7), i32(1, 2, 1, 2)],
                               opts=options("StridedSliceOptions"))
    yield "tile", one("TILE", 1, shape, (1, 6, 5, 21), consts=[i32(1, 2, 1, 3)])
    yield "broadcast_to", one("BROADCAST_TO", 3, (1, 3, 1, 7), (1, 3, 5, 7), consts=[i32(1, 3, 5, 7)])
    yield "reverse_v2", one("REVERSE_V2", 1, shape, consts=[i32(3)])
    yield "gather", one("GATHER", 4, shape, (1, 3, 4, 7), consts=[i32(4, 0, 0, 2)], opts=options("GatherOptions", axis=2))
    yield "gather_last", one("GATHER", 4, shape, (1, 3, 5, 3), consts=[i32(6, 0, 3)], opts=options("GatherOptions", axis=3))
    yield "gather_nd", one("GATHER_ND", 3, shape, (2, 5, 7), consts=[np.array([[0, 1], [0, 2]], np.int32)])
    yield "space_to_batch_nd", one("SPACE_TO_BATCH_ND", 4, (1, 4, 6, 3), (4, 2, 4, 3),
                                   consts=[i32(2, 2), np.array([[0, 0], [1, 1]], np.int32)])
    yield "batch_to_space_nd", one("BATCH_TO_SPACE_ND", 4, (4, 2, 3, 3), (1, 4, 5, 3),
                                   consts=[i32(2, 2), np.array([[0, 0], [1, 0]], np.int32)])
    for axis in (1, 3):
        out = tuple(n * (3 if i == axis else 1) for i, n in enumerate(shape))
        yield f"concatenation_{axis}", several("CONCATENATION", 3, shape, 3, [out],
                                              options("ConcatenationOptions", axis=axis))
    yield "pack", several("PACK", 3, shape, 2, [(1, 3, 5, 7, 2)], options("PackOptions", axis=4, valuesCount=2))
    yield "unpack", several("UNPACK", 4, shape, 1, [(1, 3, 7)] * 5, options("UnpackOptions", axis=2, num=5))
    yield "split", several("SPLIT", 4, (1, 3, 5, 6), 1, [(1, 3, 5, 3)] * 2, options("SplitOptions", numSplits=2),
                           [np.array(3, np.int32)], first=True)
    yield "split_v", several("SPLIT_V", 1, shape, 1, [(1, 3, 5, 2), (1, 3, 5, 5)], options("SplitVOptions", numSplits=2),
                             [i32(2, 5), np.array(3, np.int32)])
    yield "select", select("SELECT")
    yield "select_v2", select("SELECT_V2")


FAMILIES = {
    "int16_unary": unary_grid,
    "int16_binary": binary_grid,
    "int16_pool": pool_grid,
    "int16_reduce": reduce_grid,
    "int16_softmax": softmax_grid,
    "int16_resize": resize_grid,
    "int16_matmul": matmul_grid,
    "int16_move": move_grid,
}

"""Pools, resizes and reductions.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0:
- AVERAGE_POOL_2D and MAX_POOL_2D of int8 do not rescale; an average is rounded half away from zero.
- RESIZE_BILINEAR of int8 works with 10 fractional bits; align_corners and half_pixel_centers exclude each other.
- SUM of int8 reads and writes its bytes as uint8 (a mistake the default kernel does not share), so there are no cases.
- REDUCE_MAX and REDUCE_MIN of int8 demand equal parameters.
"""
import numpy as np

import build
from ai_edge_litert import schema_py_generated as s
from build import ACTIVATIONS, Graph, Quant, activation_limits, float_samples, int8_samples, options

build.TYPES.setdefault(np.dtype(np.bool_), s.TensorType.BOOL)
build.TYPES.setdefault(np.dtype(np.int64), s.TensorType.INT64)


def values(rng, kind, shape, zero_point):
    """Samples of a kind."""
    if kind == "int8":
        return int8_samples(rng, shape, zero_point)
    if kind == "int32":
        return rng.integers(-50, 50, (build.SAMPLES, *shape)).astype(np.int32)
    if kind == "bool":
        return rng.random((build.SAMPLES, *shape)) < 0.7
    return float_samples(rng, shape)


DTYPES = {"int8": np.int8, "float": np.float32, "int32": np.int32, "bool": np.bool_}


def pool(op, kind, shape, size, stride, same, act="none", quant=(0.04, -5)):
    """A maker of one pool."""
    def make(rng):
        q = Quant(np.float32(quant[0]), quant[1]) if kind == "int8" else None
        g = Graph()
        _, h, w, c = shape
        if same:
            out = (shape[0], -(-h // stride[0]), -(-w // stride[1]), c)
        else:
            out = (shape[0], (h - size[0]) // stride[0] + 1, (w - size[1]) // stride[1] + 1, c)
        x, y = g.add(shape, DTYPES[kind], q), g.add(out, DTYPES[kind], q)
        g.op(op, 2 if kind == "int8" else 1, [x], [y], options(
            "Pool2DOptions", padding=0 if same else 1, strideH=stride[0], strideW=stride[1], filterHeight=size[0],
            filterWidth=size[1], fusedActivationFunction=ACTIVATIONS[act]))
        limits = activation_limits(act, *quant) if kind == "int8" else (-128, 127)
        return dict(what=f"{op} {shape} {size} stride {stride} same {same} {act}", kind=kind, limits=limits,
                    model=g.finish([x], [y]), inputs=[values(rng, kind, shape, quant[1])])
    return make


def resize(op, kind, shape, size, corners, half):
    """A maker of one resize."""
    def make(rng):
        q = Quant(np.float32(0.1), 3) if kind == "int8" else None
        g = Graph()
        x, y = g.add(shape, DTYPES[kind], q), g.add((shape[0], *size, shape[3]), DTYPES[kind], q)
        name = "ResizeBilinearOptions" if op == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
        g.op(op, 3, [x, g.const(np.array(size, np.int32))], [y],
             options(name, alignCorners=corners, halfPixelCenters=half))
        return dict(what=f"{op} {shape} to {size} corners {corners} half {half}", kind=kind,
                    model=g.finish([x], [y]), inputs=[values(rng, kind, shape, 3)])
    return make


def reduce(op, kind, shape, axes, keep, out_type=None):
    """A maker of one reduction; ARG_MAX and ARG_MIN have one axis."""
    def make(rng):
        q = Quant(np.float32(0.1), 3) if kind == "int8" else None
        g = Graph()
        kept = tuple(1 if d in {a % len(shape) for a in axes} else n for d, n in enumerate(shape))
        out = kept if keep else tuple(n for d, n in enumerate(shape) if d not in {a % len(shape) for a in axes})
        x = g.add(shape, DTYPES[kind], q)
        if op.startswith("ARG"):
            y = g.add(out, out_type)
            code = s.TensorType.INT64 if out_type == np.int64 else s.TensorType.INT32
            g.op(op, 2 if kind == "int8" else 1, [x, g.const(np.array(axes[0], np.int32))], [y],
                 options("ArgMaxOptions" if op == "ARG_MAX" else "ArgMinOptions", outputType=code))
        else:
            y = g.add(out, DTYPES[kind], q)
            g.op(op, 2 if kind == "int8" else 1, [x, g.const(np.array(axes, np.int32))], [y],
                 options("ReducerOptions", keepDims=keep))
        judged = "float" if kind == "float" and not op.startswith("ARG") else "int8"
        return dict(what=f"{op} {shape} {axes} keep {keep}", kind=judged, model=g.finish([x], [y]),
                    inputs=[values(rng, kind, shape, 3)])
    return make


def pool_grid(scale):
    """Shapes, windows, strides, paddings, activations."""
    geometries = [((1, 6, 7, 3), (2, 2), (2, 2)), ((1, 5, 5, 4), (3, 3), (1, 1)), ((2, 4, 4, 1), (3, 2), (2, 1)),
                  ((1, 7, 7, 5), (7, 7), (1, 1)), ((1, 9, 8, 2), (1, 4), (3, 2)), ((1, 4, 6, 9), (2, 3), (1, 2))]
    for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"):
        for kind in ("float", "int8"):
            if op == "L2_POOL_2D" and kind == "int8":
                continue
            for i, (shape, size, stride) in enumerate(geometries):
                for same in (True, False):
                    yield f"{op.lower()}_{kind}_{i}_{'same' if same else 'valid'}", pool(op, kind, shape, size, stride, same)
            for act in ("relu", "relu6", "relu_n1_to_1"):
                yield f"{op.lower()}_{kind}_{act}", pool(op, kind, (1, 6, 6, 3), (2, 2), (2, 2), True, act)
            for i, quant in enumerate([(0.5, -128), (0.001, 127), (3.0, 0)]):
                yield f"{op.lower()}_{kind}_quant_{i}", pool(op, kind, (1, 6, 6, 3), (3, 3), (2, 2), True, "relu6", quant)
    sizes = [((1, 4, 5, 3), (8, 10)), ((1, 6, 6, 2), (3, 3)), ((2, 3, 5, 1), (7, 4)), ((1, 1, 1, 4), (3, 3)),
             ((1, 7, 9, 2), (1, 1)), ((1, 5, 4, 3), (5, 4)), ((1, 8, 8, 2), (13, 21))]
    for op in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        for kind in ("float", "int8"):
            for i, (shape, size) in enumerate(sizes):
                for corners, half in ((False, False), (True, False), (False, True)):
                    yield f"{op.lower()}_{kind}_{i}_{corners}_{half}".lower(), resize(op, kind, shape, size, corners, half)


def reduce_grid(scale):
    """Axes, ranks, types."""
    shapes = [((1, 4, 5, 3), (1, 2)), ((1, 4, 5, 3), (3,)), ((6, 7), (0,)), ((6, 7), (-1,)), ((2, 3, 4), (0, 2)),
              ((2, 3, 2, 3, 2), (1, 3)), ((9,), (0,))]
    for op in ("SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL"):
        kinds = {"SUM": ("float", "int32"), "REDUCE_PROD": ("float", "int32"), "REDUCE_ANY": ("bool",),
                 "REDUCE_ALL": ("bool",)}.get(op, ("float", "int8", "int32"))
        for kind in kinds:
            for i, (shape, axes) in enumerate(shapes):
                for keep in (False, True):
                    yield f"{op.lower()}_{kind}_{i}_{keep}".lower(), reduce(op, kind, shape, axes, keep)
    for op in ("ARG_MAX", "ARG_MIN"):
        for kind in ("float", "int8", "int32"):
            for out_type in (np.int32, np.int64):
                for i, (shape, axis) in enumerate([((2, 7), 1), ((2, 7), 0), ((1, 3, 4, 5), -1), ((1, 3, 4, 5), 1), ((6,), 0)]):
                    yield (f"{op.lower()}_{kind}_{np.dtype(out_type)}_{i}",
                           reduce(op, kind, shape, (axis,), False, out_type))


FAMILIES = {"pool": pool_grid, "reduce": reduce_grid}

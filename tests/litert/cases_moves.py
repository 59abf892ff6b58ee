"""Operators that move elements, and those that pick them by indices.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0: int8 tensors move as bytes; scales and zero points are not
looked at, except by CONCATENATION, which refuses int8 inputs whose parameters differ from the output's. PAD fills with
the output's zero point. GATHER and its relatives refuse an index that is out of range when they run.
"""
import numpy as np

import build
from ai_edge_litert import schema_py_generated as s
from build import Graph, Quant, float_samples, int8_samples, options

build.TYPES.setdefault(np.dtype(np.bool_), s.TensorType.BOOL)
build.TYPES.setdefault(np.dtype(np.int64), s.TensorType.INT64)
QUANT = Quant(np.float32(0.07), -11)
KINDS = {"int8": np.int8, "float": np.float32, "int32": np.int32}


def samples(rng, kind, shape):
    """Samples of a kind."""
    if kind == "int8":
        return int8_samples(rng, shape, QUANT.zero_point)
    if kind == "int32":
        return rng.integers(-10**6, 10**6, (build.SAMPLES, *shape)).astype(np.int32)
    return float_samples(rng, shape)


def activation(g, kind, shape):
    """Add an activation of a kind."""
    return g.add(shape, KINDS[kind], QUANT if kind == "int8" else None)


def move(op, kind, shapes, outs, before=(), after=(), opts=None, version=None, constant=None):
    """A maker of one case: `before` and `after` are constant arrays around the moved inputs, `constant` the input that
    is a constant."""
    def make(rng):
        g, ids, inputs, data = Graph(), [], [], []
        for i, shape in enumerate(shapes):
            x = samples(rng, kind, shape)
            if i == constant:
                ids.append(g.const(x[0], QUANT if kind == "int8" else None))
            else:
                ids.append(activation(g, kind, shape))
                inputs.append(ids[-1])
                data.append(x)
        ys = [activation(g, kind, shape) for shape in outs]
        first = [g.const(np.array(a)) for a in before]
        last = [g.const(np.array(a), QUANT if np.array(a).dtype == np.int8 else None) for a in after]
        v = version or (2 if kind == "int8" else 1)
        g.op(op, v, first + ids + last, ys, opts)
        what = f"{op} {[list(x) for x in shapes]} to {[list(y) for y in outs]} {[np.array(a).tolist() for a in after]}"
        return dict(what=what, kind="float" if kind == "float" else "int8", model=g.finish(inputs, ys), inputs=data)
    return make


def ints(*values):
    """A constant int32 array."""
    return np.array(values, np.int32)


def move_grid(scale):
    """Every operator, for floats, int8 and int32."""
    def concat(shapes, axis):
        out = list(shapes[0])
        out[axis] = sum(x[axis] for x in shapes)
        return tuple(out)

    for kind in KINDS:
        def case(name, *args, **more):
            return f"{name}_{kind}", move(args[0], kind, *args[1:], **more)

        sets = [([(1, 4, 5, 3), (1, 4, 5, 2)], 3), ([(1, 4, 5, 3), (1, 2, 5, 3), (1, 1, 5, 3)], 1),
                ([(7,), (2,), (5,)], 0), ([(1, 3, 4)] * 4, -1), ([(2, 3)] * 6, 0), ([(1, 2, 3, 2, 2)] * 2, 2)]
        for i, (shapes, axis) in enumerate(sets):
            opts = options("ConcatenationOptions", axis=axis)
            for constant in (None, 1):
                yield case(f"concatenation_{i}_{constant}", "CONCATENATION", shapes, [concat(shapes, axis)], opts=opts,
                           constant=constant)
        for i, (shape, axis) in enumerate([((3, 4), 0), ((3, 4), 1), ((3, 4), -1), ((1, 2, 3), 2), ((5,), 0)]):
            out = list(shape)
            out.insert(axis + len(shape) + 1 if axis < 0 else axis, 3)
            yield case(f"pack_{i}", "PACK", [shape] * 3, [tuple(out)], opts=options("PackOptions", axis=axis, valuesCount=3))
        for i, (shape, axis) in enumerate([((3, 4), 0), ((3, 4, 2), 1), ((2, 3, 2), -1)]):
            out = tuple(np.delete(shape, axis))
            yield case(f"unpack_{i}", "UNPACK", [shape], [out] * shape[axis],
                       opts=options("UnpackOptions", axis=axis, num=shape[axis]))
        pads = [((1, 4, 5, 3), [[0, 0], [1, 2], [3, 0], [0, 0]]), ((1, 4, 5, 3), [[0, 0], [0, 0], [0, 0], [2, 1]]),
                ((5,), [[1, 3]]), ((2, 3), [[0, 0], [0, 0]]), ((1, 2, 3, 2, 2), [[0, 0], [1, 0], [0, 1], [0, 0], [1, 1]])]
        for i, (shape, pad) in enumerate(pads):
            out = tuple(n + a + b for n, (a, b) in zip(shape, pad))
            yield case(f"pad_{i}", "PAD", [shape], [out], after=[np.array(pad, np.int32)])
            yield case(f"padv2_{i}", "PADV2", [shape], [out],
                       after=[np.array(pad, np.int32), np.array(5, KINDS[kind])])
        if kind != "int32":
            for i, (shape, pad) in enumerate(pads):
                out = tuple(n + a + b for n, (a, b) in zip(shape, pad))
                for mode in (0, 1):
                    most = [[min(a, n - 1 + mode), min(b, n - 1 + mode)] for n, (a, b) in zip(shape, pad)]
                    out = tuple(n + a + b for n, (a, b) in zip(shape, most))
                    yield case(f"mirror_pad_{i}_{mode}", "MIRROR_PAD", [shape], [out],
                               after=[np.array(most, np.int32)], opts=options("MirrorPadOptions", mode=mode))
        perms = [((1, 4, 5, 3), (0, 3, 1, 2)), ((2, 3, 4), (2, 0, 1)), ((3, 5), (1, 0)), ((2, 3, 4, 2, 3), (4, 2, 0, 3, 1)),
                 ((1, 6, 1, 4), (0, 2, 1, 3)), ((2, 3, 2, 2, 3, 2), (5, 0, 3, 1, 4, 2)), ((4,), (0,))]
        for i, (shape, perm) in enumerate(perms):
            yield case(f"transpose_{i}", "TRANSPOSE", [shape], [tuple(shape[p] for p in perm)], after=[ints(*perm)])
        for i, (shape, begin, size) in enumerate([((1, 4, 5, 3), (0, 1, 2, 0), (1, 2, -1, 3)), ((7,), (3,), (4,)),
                                                  ((2, 3, 4), (1, 0, 1), (1, -1, 2))]):
            out = tuple(n - b if k == -1 else k for n, b, k in zip(shape, begin, size))
            yield case(f"slice_{i}", "SLICE", [shape], [out], after=[ints(*begin), ints(*size)])
        for i, (shape, axis, n) in enumerate([((1, 4, 6, 3), 2, 3), ((4, 6), 0, 2), ((1, 2, 3, 8), -1, 4)]):
            out = list(shape)
            out[axis] //= n
            yield case(f"split_{i}", "SPLIT", [shape], [tuple(out)] * n, before=[np.array(axis, np.int32)],
                       opts=options("SplitOptions", numSplits=n))
        for i, (shape, axis, sizes) in enumerate([((1, 4, 6, 3), 2, (1, 3, 2)), ((7, 2), 0, (4, -1))]):
            full = [shape[axis] - sum(k for k in sizes if k > 0) if k == -1 else k for k in sizes]
            outs = [tuple(k if d == axis else n for d, n in enumerate(shape)) for k in full]
            yield case(f"split_v_{i}", "SPLIT_V", [shape], outs, after=[ints(*sizes), np.array(axis, np.int32)],
                       opts=options("SplitVOptions", numSplits=len(sizes)))
        for i, (shape, times) in enumerate([((1, 2, 3, 2), (1, 2, 1, 3)), ((4,), (3,)), ((2, 3), (2, 2))]):
            yield case(f"tile_{i}", "TILE", [shape], [tuple(np.multiply(shape, times))], after=[ints(*times)], version=1)
        for i, (shape, out) in enumerate([((1, 1, 3), (2, 4, 3)), ((3,), (2, 3)), ((2, 1), (3, 2, 4)), ((1,), (5,))]):
            yield case(f"broadcast_to_{i}", "BROADCAST_TO", [shape], [out], after=[ints(*out)], version=2 if kind != "int8" else 3)
        if kind != "int8":
            for i, (shape, axes) in enumerate([((2, 5, 3), (1,)), ((4,), (0,)), ((1, 3, 4, 2), (1, 2))]):
                yield case(f"reverse_v2_{i}", "REVERSE_V2", [shape], [shape], after=[ints(*axes)], version=1)
        yield case("space_to_depth", "SPACE_TO_DEPTH", [(1, 4, 6, 3)], [(1, 2, 3, 12)],
                   opts=options("SpaceToDepthOptions", blockSize=2))
        yield case("depth_to_space", "DEPTH_TO_SPACE", [(1, 2, 3, 12)], [(1, 4, 6, 3)], version=1,
                   opts=options("DepthToSpaceOptions", blockSize=2))
        yield case("squeeze", "SQUEEZE", [(1, 4, 1, 3)], [(4, 3)], opts=options("SqueezeOptions", squeezeDims=[0, 2]),
                   version=1)
        yield case("expand_dims", "EXPAND_DIMS", [(4, 3)], [(4, 1, 3)], after=[np.array(1, np.int32)], version=1)
        for i, (n, h, w, block, pad) in enumerate([(1, 4, 6, (2, 3), ((0, 0), (0, 0))), (1, 5, 4, (3, 2), ((1, 0), (1, 1))),
                                                   (2, 3, 3, (2, 2), ((0, 1), (1, 0)))]):
            out_h, out_w = (h + sum(pad[0])) // block[0], (w + sum(pad[1])) // block[1]
            big, small = (n, h, w, 2), (n * block[0] * block[1], out_h, out_w, 2)
            yield case(f"space_to_batch_nd_{i}", "SPACE_TO_BATCH_ND", [big], [small],
                       after=[ints(*block), np.array(pad, np.int32)])
            yield case(f"batch_to_space_nd_{i}", "BATCH_TO_SPACE_ND", [small], [big],
                       after=[ints(*block), np.array(pad, np.int32)])


def gather(kind, shape, index, axis, batch, out, as_input, high):
    """A maker of one GATHER case."""
    def make(rng):
        g = Graph()
        x, y = activation(g, kind, shape), activation(g, kind, out)
        picks = rng.integers(0, high, (build.SAMPLES, *index)).astype(np.int32)
        ids = g.add(index, np.int32) if as_input else g.const(picks[0])
        g.op("GATHER", 5 if batch else 2 if kind == "int8" else 1, [x, ids], [y],
             options("GatherOptions", axis=axis, batchDims=batch))
        inputs, data = ([x, ids], [samples(rng, kind, shape), picks]) if as_input else ([x], [samples(rng, kind, shape)])
        return dict(what=f"GATHER {shape} {index} axis {axis} batch {batch}", kind="float" if kind == "float" else "int8",
                    model=g.finish(inputs, [y]), inputs=data)
    return make


def lookup(op, kind, shape, index, out, highs, version):
    """A maker of one GATHER_ND or EMBEDDING_LOOKUP case, the indices being an input and the table a constant."""
    def make(rng):
        g = Graph()
        table = g.const(samples(rng, kind, shape)[0], QUANT if kind == "int8" else None)
        ids, y = g.add(index, np.int32), activation(g, kind, out)
        tuples = index[:-1] if op == "GATHER_ND" else index
        picks = np.stack([rng.integers(0, h, (build.SAMPLES, *tuples)) for h in highs], -1).astype(np.int32)
        picks = picks.reshape(build.SAMPLES, *index)
        g.op(op, version, [table, ids] if op == "GATHER_ND" else [ids, table], [y])
        return dict(what=f"{op} {shape} {index}", kind="float" if kind == "float" else "int8",
                    model=g.finish([ids], [y]), inputs=[picks])
    return make


def cast(source, target):
    """A maker of one CAST case."""
    def make(rng):
        g = Graph()
        x, y = g.add((1, 3, 5), source), g.add((1, 3, 5), target)
        if source == np.float32:
            data = float_samples(rng, (1, 3, 5), 20.0)
        elif source == np.bool_:
            data = rng.random((build.SAMPLES, 1, 3, 5)) < 0.5
        else:
            data = rng.integers(-100, 100, (build.SAMPLES, 1, 3, 5)).astype(source)
        g.op("CAST", 1, [x], [y], options("CastOptions"))
        kind = "float" if target == np.float32 else "int8"
        return dict(what=f"CAST {source} to {target}", kind=kind, model=g.finish([x], [y]), inputs=[data])
    return make


def row(op, shape, out, consts, opts, outs=None, kind="float", data=None):
    """A maker of one case of CUMSUM, TOPK_V2 or ONE_HOT."""
    def make(rng):
        g = Graph()
        x = g.add(shape, np.int32 if op == "ONE_HOT" else np.float32)
        ys = [g.add(o, t) for o, t in outs or [(out, np.float32)]]
        g.op(op, 1, [x, *(g.const(np.array(c)) for c in consts)], ys, options(*opts[:1], **opts[1]) if opts else None)
        values = rng.integers(-1, 6, (build.SAMPLES, *shape)).astype(np.int32) if op == "ONE_HOT" else float_samples(rng, shape)
        return dict(what=f"{op} {shape}", kind=kind, model=g.finish([x], ys), inputs=[values])
    return make


def gather_grid(scale):
    """Indices as constants and as inputs."""
    for kind in ("float", "int8", "int32"):
        for as_input in (False, True):
            sets = [((5, 3), (4,), 0, 0, (4, 3)), ((2, 5, 3), (2, 2), 1, 0, (2, 2, 2, 3)), ((4, 6), (3,), -1, 0, (4, 3)),
                    ((2, 5, 3), (2, 4), 1, 1, (2, 4, 3)), ((7,), (1, 5), 0, 0, (1, 5))]
            for i, (shape, index, axis, batch, out) in enumerate(sets):
                yield (f"gather_{kind}_{i}_{'input' if as_input else 'const'}",
                       gather(kind, shape, index, axis, batch, out, as_input, shape[axis]))
    for kind in ("float", "int8"):
        yield f"gather_nd_{kind}_0", lookup("GATHER_ND", kind, (4, 5, 3), (2, 2), (2, 3), (4, 5), 2 if kind == "int8" else 1)
        yield f"gather_nd_{kind}_1", lookup("GATHER_ND", kind, (6, 3), (2, 3, 1), (2, 3, 3), (6,), 2 if kind == "int8" else 1)
    yield "embedding_lookup_float", lookup("EMBEDDING_LOOKUP", "float", (9, 4), (5,), (5, 4), (9,), 1)
    types = (np.float32, np.int32, np.int64, np.bool_, np.int8)
    for source in types:
        for target in types:
            if source != target:
                yield f"cast_{np.dtype(source)}_{np.dtype(target)}", cast(source, target)
    for exclusive in (False, True):
        for reverse in (False, True):
            for axis in (0, 1, -1):
                yield (f"cumsum_{exclusive}_{reverse}_{axis}".lower(),
                       row("CUMSUM", (2, 4, 3), (2, 4, 3), [np.array(axis, np.int32)],
                           ("CumsumOptions", dict(exclusive=exclusive, reverse=reverse))))
    for k in (1, 3, 7):
        yield (f"topk_v2_{k}", row("TOPK_V2", (2, 7), None, [np.array(k, np.int32)], ("TopKV2Options", {}),
                                   [((2, k), np.float32), ((2, k), np.int32)]))
    for axis, out in ((-1, (2, 3, 5)), (0, (5, 2, 3)), (1, (2, 5, 3))):
        yield (f"one_hot_{axis}", row("ONE_HOT", (2, 3), out, [np.array(5, np.int32), np.float32(2.5), np.float32(-1)],
                                      ("OneHotOptions", dict(axis=axis))))


FAMILIES = {"move": move_grid, "gather": gather_grid}

"""Models whose shapes are computed as they run, and weights that have to be unpacked: all of it is known beforehand.

The judge computes it at run time; what comes after must be the same.
"""
from functools import partial

import numpy as np

import build
from ai_edge_litert import schema_py_generated as s
from build import Graph, float_samples, options

build.TYPES.setdefault(np.dtype(np.float16), s.TensorType.FLOAT16)
build.TYPES.setdefault(np.dtype(np.int64), s.TensorType.INT64)
build.TYPES.setdefault(np.dtype(np.bool_), s.TensorType.BOOL)


def ints(*values):
    """A constant int32 array."""
    return np.array(values, np.int32)


def add(g, op, version, inputs, shape, dtype, opts=None):
    """Append an operator with one output."""
    y = g.add(shape, dtype)
    g.op(op, version, inputs, [y], opts)
    return y


def batch_reshape(rng):
    """Flattening as Keras writes it: the batch is cut out of the shape and packed with the rest."""
    g = Graph()
    x = g.add((1, 4, 5, 3), np.float32)
    shape = add(g, "SHAPE", 1, [x], (4,), np.int32, options("ShapeOptions", outType=s.TensorType.INT32))
    batch = add(g, "STRIDED_SLICE", 1, [shape, g.const(ints(0)), g.const(ints(1)), g.const(ints(1))], (), np.int32,
                options("StridedSliceOptions", shrinkAxisMask=1))
    packed = add(g, "PACK", 1, [batch, g.const(np.array(60, np.int32))], (2,), np.int32,
                 options("PackOptions", valuesCount=2, axis=0))
    flat = add(g, "RESHAPE", 1, [x, packed], (1, 60), np.float32)
    y = add(g, "TANH", 1, [flat], (1, 60), np.float32)
    return dict(what="SHAPE, STRIDED_SLICE, PACK, RESHAPE", kind="float", model=g.finish([x], [y]),
                inputs=[float_samples(rng, (1, 4, 5, 3))])


def arithmetic(rng):
    """Halves of a dimension by FLOOR_DIV, a product of dimensions, RANGE and FILL."""
    g = Graph()
    x = g.add((1, 6, 4), np.float32)
    shape = add(g, "SHAPE", 1, [x], (3,), np.int32, options("ShapeOptions", outType=s.TensorType.INT32))
    height = add(g, "GATHER", 1, [shape, g.const(np.array(1, np.int32))], (), np.int32, options("GatherOptions", axis=0))
    half = add(g, "FLOOR_DIV", 1, [height, g.const(np.array(2, np.int32))], (), np.int32, options("FloorDivOptions"))
    total = add(g, "REDUCE_PROD", 1, [shape, g.const(ints(0))], (), np.int32, options("ReducerOptions"))
    steps = add(g, "RANGE", 1, [g.const(np.array(0, np.int32)), half, g.const(np.array(1, np.int32))], (3,), np.int32,
                options("RangeOptions"))
    rows = add(g, "GATHER", 1, [x, steps], (1, 3, 4), np.float32, options("GatherOptions", axis=1))
    real = add(g, "CAST", 1, [total], (), np.float32, options("CastOptions"))
    scaled = add(g, "MUL", 1, [rows, real], (1, 3, 4), np.float32, options("MulOptions"))
    fours = add(g, "FILL", 1, [g.const(ints(3, 4)), g.const(np.float32(0.25))], (3, 4), np.float32, options("FillOptions"))
    y = add(g, "ADD", 1, [scaled, fours], (1, 3, 4), np.float32, options("AddOptions"))
    return dict(what="GATHER, FLOOR_DIV, REDUCE_PROD, RANGE, CAST, FILL", kind="float", model=g.finish([x], [y]),
                inputs=[float_samples(rng, (1, 6, 4))])


def halves(rng):
    """Weights of float16 behind DEQUANTIZE."""
    g = Graph()
    x = g.add((1, 5, 5, 3), np.float32)
    weights = add(g, "DEQUANTIZE", 3, [g.const(rng.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float16))], (4, 3, 3, 3), np.float32)
    bias = add(g, "DEQUANTIZE", 3, [g.const(rng.normal(0, 0.3, 4).astype(np.float16))], (4,), np.float32)
    conv = add(g, "CONV_2D", 1, [x, weights, bias], (1, 5, 5, 4), np.float32, options(
        "Conv2DOptions", strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1))
    y = add(g, "RELU", 1, [conv], (1, 5, 5, 4), np.float32)
    return dict(what="float16 CONV_2D and RELU", kind="float", model=g.finish([x], [y]),
                inputs=[float_samples(rng, (1, 5, 5, 3))])


def unread(rng):
    """An operator that nobody reads, and one on constants only."""
    g = Graph()
    x = g.add((1, 7), np.float32)
    add(g, "EXP", 1, [x], (1, 7), np.float32, options("ExpOptions"))
    table = add(g, "TRANSPOSE", 1, [g.const(rng.normal(0, 1, (7, 3)).astype(np.float32)), g.const(ints(1, 0))], (3, 7), np.float32)
    y = add(g, "FULLY_CONNECTED", 1, [x, table, -1], (1, 3), np.float32, options("FullyConnectedOptions"))
    return dict(what="EXP unread, TRANSPOSE of weights", kind="float", model=g.finish([x], [y]),
                inputs=[float_samples(rng, (1, 7))])


def masked(rng):
    """A mask of the lowest float, which no scale can hold."""
    g = Graph()
    x = g.add((2, 6), np.float32)
    keep = add(g, "GREATER", 1, [x, g.const(np.float32(0))], (2, 6), np.bool_, options("GreaterOptions"))
    low = g.const(np.float32(-3e38))
    chosen = add(g, "SELECT_V2", 1, [keep, x, low], (2, 6), np.float32, options("SelectV2Options"))
    y = add(g, "SOFTMAX", 1, [chosen], (2, 6), np.float32, options("SoftmaxOptions", beta=1.0))
    data = np.abs(rng.normal(0, 1, (build.SAMPLES, 2, 6))).astype(np.float32)
    data[:, :, ::2] *= -1
    # The sum of both ends of the range is not finite.
    data[:, 0, 1] = 3e38
    return dict(what="SELECT_V2 of -3e38", kind="float", model=g.finish([x], [y]), inputs=[data])


def branch(rng, condition):
    """IF whose condition is a constant, or computed from a shape; one branch passes its argument on."""
    g = Graph()
    x = g.add((2, 4), np.float32)
    hidden = add(g, "TANH", 1, [x], (2, 4), np.float32)
    if condition == "shape":
        shape = add(g, "SHAPE", 1, [x], (2,), np.int32, options("ShapeOptions", outType=s.TensorType.INT32))
        rows = add(g, "GATHER", 1, [shape, g.const(np.array(0, np.int32))], (), np.int32, options("GatherOptions", axis=0))
        test = add(g, "GREATER", 1, [rows, g.const(np.array(1, np.int32))], (), np.bool_, options("GreaterOptions"))
    else:
        test = g.const(np.array(condition))
    taken, passed = Graph(g), Graph(g)
    a = taken.add((2, 4), np.float32)
    w = taken.const(rng.normal(0, 1, (4, 4)).astype(np.float32))
    product = add(taken, "FULLY_CONNECTED", 1, [a, w, -1], (2, 4), np.float32, options("FullyConnectedOptions"))
    fixed = taken.const(rng.normal(0, 1, (2, 4)).astype(np.float32))
    taken.subgraph("then", [a], [product, fixed])
    b = passed.add((2, 4), np.float32)
    passed.subgraph("else", [b], [b, add(passed, "EXP", 1, [b], (2, 4), np.float32, options("ExpOptions"))])
    results = [g.add((2, 4), np.float32) for _ in range(2)]
    g.op("IF", 1, [test, hidden], results, options("IfOptions", thenSubgraphIndex=taken.number,
                                                   elseSubgraphIndex=passed.number))
    y = add(g, "ADD", 1, results, (2, 4), np.float32, options("AddOptions"))
    return dict(what=f"IF by {condition}", kind="float", model=g.finish([x], [y]), inputs=[float_samples(rng, (2, 4))])


def sum_of_four(rng):
    """ADD_N of four operands, one of them twice and one constant."""
    g = Graph()
    x, y = g.add((1, 5), np.float32), g.add((1, 5), np.float32)
    table = g.const(rng.normal(0, 1, (1, 5)).astype(np.float32))
    total = add(g, "ADD_N", 1, [x, y, table, x], (1, 5), np.float32, options("AddNOptions"))
    z = add(g, "TANH", 1, [total], (1, 5), np.float32)
    return dict(what="ADD_N", kind="float", model=g.finish([x, y], [z]),
                inputs=[float_samples(rng, (1, 5)), float_samples(rng, (1, 5))])


def tail(rng):
    """An operator at the end that zeropoint does not compute, beside outputs that it does."""
    g = Graph()
    x = g.add((3, 4), np.float32)
    w = g.const(rng.normal(0, 1, (4, 4)).astype(np.float32))
    y = add(g, "FULLY_CONNECTED", 1, [x, w, -1], (3, 4), np.float32, options("FullyConnectedOptions"))
    rows = g.const(np.array([[4], [0], [2]], np.int32))
    spread = add(g, "SCATTER_ND", 1, [rows, y, g.const(ints(6, 4))], (6, 4), np.float32, options("ScatterNdOptions"))
    z = add(g, "TANH", 1, [y], (3, 4), np.float32)
    return dict(what="SCATTER_ND at the end", kind="float", model=g.finish([x], [spread, z]),
                inputs=[float_samples(rng, (3, 4))])


def large_table(rng):
    """Indices that would be larger than what they are computed of: they stay computed."""
    g = Graph()
    x = g.add((400,), np.float32)
    rows, columns = np.arange(200, dtype=np.int32).reshape(-1, 1), np.arange(150, dtype=np.int32).reshape(1, -1)
    table = add(g, "ADD", 1, [g.const(rows), g.const(columns)], (200, 150), np.int32, options("AddOptions"))
    picked = add(g, "GATHER", 1, [x, table], (200, 150), np.float32, options("GatherOptions", axis=0))
    y = add(g, "REDUCE_MAX", 1, [picked, g.const(ints(1))], (200,), np.float32, options("ReducerOptions"))
    return dict(what="GATHER by computed indices", kind="float", model=g.finish([x], [y]),
                inputs=[float_samples(rng, (400,))])


def constant_output(rng):
    """Outputs that are constants, in the file and computed from a shape, one of them read as well."""
    g = Graph()
    x = g.add((2, 4), np.float32)
    table = g.const(rng.normal(0, 1, (2, 4)).astype(np.float32))
    shape = add(g, "SHAPE", 1, [x], (2,), np.int32, options("ShapeOptions", outType=s.TensorType.INT32))
    y = add(g, "ADD", 1, [x, table], (2, 4), np.float32, options("AddOptions"))
    return dict(what="constants as outputs", kind="float", model=g.finish([x], [y, table, shape, x]),
                inputs=[float_samples(rng, (2, 4))])


def compressed(lists):
    """A level that visits the indices of each list."""
    level = s.DimensionMetadataT()
    level.format = s.DimensionType.SPARSE_CSR
    ends = np.cumsum([0] + [len(indices) for indices in lists])
    # Segments as int32, indices in a byte each: a file may choose.
    level.arraySegmentsType, level.arraySegments = s.SparseIndexVector.Int32Vector, s.Int32VectorT()
    level.arraySegments.values = ends.astype(np.int32)
    level.arrayIndicesType, level.arrayIndices = s.SparseIndexVector.Uint8Vector, s.Uint8VectorT()
    level.arrayIndices.values = np.array([i for indices in lists for i in indices], np.uint8)
    return level


def dense(size):
    """A level that visits every index."""
    level = s.DimensionMetadataT()
    level.format, level.denseSize = s.DimensionType.DENSE, size
    return level


def set_sparse(g, index, order, blocked, levels, values):
    """Give a constant the values of a sparse one."""
    t = s.SparsityParametersT()
    t.traversalOrder, t.dimMetadata = np.array(order, np.int32), levels
    t.blockMap = np.array(blocked, np.int32) if blocked else None
    g.tensors[index].sparsity = t
    g.buffers[g.tensors[index].buffer].data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)


def sparse(rng, dtype, block):
    """Weights of FULLY_CONNECTED behind DENSIFY: rows of single columns, or blocks of 1 x 4."""
    g = Graph()
    rows, columns = 6, 8
    x = g.add((3, columns), np.float32)
    keep = rng.random((rows, columns // block)) < 0.5
    keep[2], keep[3, 0] = False, True
    w = rng.normal(0, 1, (rows, columns)).astype(dtype) * np.repeat(keep, block, axis=1).astype(dtype)
    packed = g.const(w)
    values = w.reshape(rows, -1, block)[keep]
    rest = [dense(block)] if block > 1 else []
    set_sparse(g, packed, [0, 1] + [2] * len(rest), [1] * len(rest),
               [dense(rows), compressed([np.flatnonzero(row) for row in keep])] + rest, values)
    weights = add(g, "DENSIFY", 1, [packed], w.shape, dtype, options("DensifyOptions"))
    if dtype != np.float32:
        weights = add(g, "DEQUANTIZE", 3, [weights], w.shape, np.float32)
    y = add(g, "FULLY_CONNECTED", 1, [x, weights, -1], (3, rows), np.float32, options("FullyConnectedOptions"))
    return dict(what=f"DENSIFY of {np.dtype(dtype)}, blocks of {block}", kind="float", model=g.finish([x], [y]),
                inputs=[float_samples(rng, (3, columns))])


def sparse_filter(rng):
    """A filter whose output channels are walked last, and whose inputs lie in blocks of two."""
    g = Graph()
    x = g.add((1, 4, 4, 6), np.float32)
    filters, inputs = 4, 6
    keep = rng.random((inputs // 2, filters)) < 0.6
    keep[:, 1], keep[0, 0] = False, True
    w = np.zeros((filters, 1, 1, inputs), np.float32)
    values = []
    for i, o in zip(*np.nonzero(keep)):
        pair = rng.normal(0, 1, 2).astype(np.float32)
        w[o, 0, 0, 2 * i:2 * i + 2] = pair
        values.append(pair)
    packed = g.const(w)
    set_sparse(g, packed, [3, 1, 2, 0, 4], [3],
               [dense(inputs // 2), dense(1), dense(1), compressed([np.flatnonzero(row) for row in keep]), dense(2)],
               np.array(values))
    weights = add(g, "DENSIFY", 1, [packed], w.shape, np.float32, options("DensifyOptions"))
    bias = g.const(rng.normal(0, 1, filters).astype(np.float32))
    y = add(g, "CONV_2D", 1, [x, weights, bias], (1, 4, 4, filters), np.float32, options(
        "Conv2DOptions", strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1))
    return dict(what="DENSIFY of a filter, channels last", kind="float", model=g.finish([x], [y]),
                inputs=[float_samples(rng, (1, 4, 4, 6))])


def grid(scale):
    """The models above."""
    for make in (batch_reshape, arithmetic, halves, unread, masked):
        yield make.__name__, make
    for dtype in (np.float32, np.float16):
        for block in (1, 4):
            yield f"sparse_{np.dtype(dtype)}_{block}", partial(sparse, dtype=dtype, block=block)
    yield "sparse_filter", sparse_filter
    for condition in (True, False, "shape"):
        yield f"branch_{condition}".lower(), partial(branch, condition=condition)
    yield "constant_output", constant_output
    yield "sum_of_four", sum_of_four
    yield "large_table", large_table
    yield "tail", tail


FAMILIES = {"folded": grid}

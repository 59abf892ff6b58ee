"""Operators that move elements without changing them, and those that pick, convert or sort elements.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0:
- Equal scale and zero point are demanded by CONCATENATION (int8 inputs that differ from the output are refused when
  the tensors are allocated), MIRROR_PAD, EXPAND_DIMS, PACK, UNPACK, SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, and
  between PADV2's value and output when it runs. All others move bytes and look at no parameter.
- PAD and SPACE_TO_BATCH_ND fill int8 with the output's zero point, everything else with 0.
- PAD and PADV2 stop at rank 5, SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND take rank 3 and 4, SPACE_TO_DEPTH and
  DEPTH_TO_SPACE rank 4 only; the others run up to rank 6 at least.
- REVERSE_V2 refuses axes that are not contiguous, and runs with axes in any order.
- GATHER, GATHER_ND and EMBEDDING_LOOKUP refuse indices out of range when they run; ONE_HOT has no "on" for them.
- CAST saturates float to integers and truncates toward zero, integer to integer keeps the low bits. It reads int8 as
  plain numbers: scale and zero point mean nothing to it. CUMSUM has no int8.
- TOPK_V2 sorts downward, the lower index first among equals.
"""
import numpy as np
from ai_edge_litert import schema_py_generated as s

import build
from build import Graph, Quant, float_samples, int8_samples, options

build.TYPES.setdefault(np.dtype(np.bool_), s.TensorType.BOOL)
build.TYPES.setdefault(np.dtype(np.int64), s.TensorType.INT64)

QUANT = Quant(np.float32(0.07), -11)
KINDS = {"int8": np.int8, "float": np.float32, "int32": np.int32, "int64": np.int64, "bool": np.bool_}
# Versions other than 2 for int8 and 1 for the rest.
VERSIONS = {"BROADCAST_TO": (2, 3), "SQUEEZE": (1, 1), "EXPAND_DIMS": (1, 1), "TILE": (1, 1), "DEPTH_TO_SPACE": (1, 1),
            "ONE_HOT": (1, 1), "CAST": (1, 1), "GATHER_ND": (1, 1), "EMBEDDING_LOOKUP": (1, 2), "CUMSUM": (1, 1),
            "REVERSE_V2": (1, 3)}


def samples(rng, kind, shape):
    """Samples of a kind."""
    if kind == "int8":
        return int8_samples(rng, shape, QUANT.zero_point)
    if kind == "float":
        return float_samples(rng, shape)
    if kind == "bool":
        return rng.random((build.SAMPLES, *shape)) < 0.5
    return rng.integers(-10**6, 10**6, (build.SAMPLES, *shape)).astype(KINDS[kind])


def ints(*values):
    """A constant int32 array, the form of all shape arguments."""
    return np.array(values, np.int32)


def node(op, kind, inputs, outs, opts=None, note="", out_kinds=None, out_quant=QUANT):
    """A maker of one case.

    An input is the shape of a moved tensor, `("const", shape)` for one that is constant, `("index", shape, limits)`
    for an int32 input of the model, the number of an earlier input to use it again, or an array.
    """
    def make(rng):
        g, operands, model_inputs, data, text = Graph(), [], [], [], []
        quant = QUANT if kind == "int8" else None
        for item in inputs:
            item = np.array(item) if isinstance(item, np.generic) else item
            text.append(item.tolist() if isinstance(item, np.ndarray) else item)
            if isinstance(item, np.ndarray):
                operands.append(g.const(item, quant if item.dtype == np.int8 else None))
            elif isinstance(item, int):
                operands.append(operands[item])
            elif item[:1] == ("const",):
                operands.append(g.const(samples(rng, kind, item[1])[0], quant))
            else:
                if item[:1] == ("index",):
                    _, shape, limits = item
                    operands.append(g.add(shape, np.int32))
                    data.append(rng.integers(0, limits, (build.SAMPLES, *shape)).astype(np.int32))
                else:
                    operands.append(g.add(item, KINDS[kind], quant))
                    data.append(samples(rng, kind, item))
                model_inputs.append(operands[-1])
        kinds = out_kinds or [kind] * len(outs)
        ys = [g.add(shape, KINDS[k], out_quant if k == "int8" else None) for shape, k in zip(outs, kinds, strict=True)]
        g.op(op, VERSIONS.get(op, (1, 2))[kind == "int8"], operands, ys, opts)
        what = f"{op} {kind} {text} to {[list(o) for o in outs]} {note}".strip()
        return dict(what=what, kind="float" if "float" in kinds else "int8", model=g.finish(model_inputs, ys),
                    inputs=data)
    return make


def text(*shapes):
    """Shapes in a case's name."""
    return "_".join("x".join(map(str, shape)) or "scalar" for shape in shapes)


def concatenation_grid():
    """Counts, axes, a constant among the inputs, one tensor twice."""
    for kind in ("int8", "float", "int32"):
        def concatenation(name, axis, *shapes, inputs=None):
            out = np.concatenate([np.zeros(x) for x in shapes], axis).shape
            opts = options("ConcatenationOptions", axis=axis)
            return f"concatenation_{kind}_{name}", node("CONCATENATION", kind, inputs or shapes, [out], opts,
                                                         f"axis {axis}")
        base = (1, 3, 4, 2)
        for axis in range(-4, 4):
            if kind != "int32" or axis in (1, -1):
                other = tuple(5 if i == axis % 4 else d for i, d in enumerate(base))
                yield concatenation(f"axis_{axis}".replace("-", "m"), axis, base, other)
        for count in range(3, 7):
            yield concatenation(f"of_{count}", 2, *((1, 4, i + 1) for i in range(count)))
        if kind == "int32":
            continue
        for shape, axis in [((7,), 0), ((1, 9), 1), ((1, 9), 0), ((1, 3, 5), 1), ((2, 3, 4), 0), ((1, 2, 3, 2, 4), 3),
                            ((1, 2, 3, 2, 2, 3), 2), ((1, 2, 3, 2, 2, 3), -1)]:
            yield concatenation(f"{text(shape)}_axis_{axis}".replace("-", "m"), axis, shape, shape)
        for position in range(3):
            shapes = [(1, 2, 3), (1, 4, 3), (1, 1, 3)]
            inputs = [("const", x) if i == position else x for i, x in enumerate(shapes)]
            yield concatenation(f"const_{position}", 1, *shapes, inputs=inputs)
        yield concatenation("same_twice", 2, (1, 3, 4), (1, 3, 4), inputs=[(1, 3, 4), 0])
        yield concatenation("same_apart", 1, *[(1, 2, 4)] * 4, inputs=[(1, 2, 4), (1, 2, 4), 0, 0])


PADDINGS = [((7,), [(2, 3)]), ((1, 9), [(0, 0), (1, 4)]), ((1, 3, 5), [(0, 0), (2, 1), (0, 0)]),
            ((1, 4, 5, 3), [(0, 0), (1, 1), (2, 2), (0, 0)]), ((1, 4, 5, 3), [(0, 0), (0, 1), (0, 1), (0, 0)]),
            ((1, 4, 5, 3), [(0, 0), (0, 0), (0, 0), (1, 2)]), ((2, 3, 2, 2), [(1, 1), (0, 2), (1, 0), (0, 1)]),
            ((1, 4, 5, 3), [(0, 0)] * 4), ((1, 2, 3, 2, 3), [(0, 0), (1, 0), (0, 2), (1, 1), (2, 1)])]
MIRRORS = [((7,), [(2, 3)]), ((1, 9), [(0, 0), (1, 8)]), ((1, 5, 4), [(0, 0), (4, 4), (0, 3)]),
           ((1, 4, 5, 3), [(0, 0), (1, 1), (2, 2), (0, 0)]), ((1, 4, 5, 3), [(0, 0), (3, 0), (0, 4), (2, 2)]),
           ((2, 3, 2, 3, 2), [(1, 0), (0, 2), (1, 1), (2, 0), (0, 1)]),
           ((1, 2, 3, 2, 2, 3), [(0, 0), (1, 0), (0, 2), (1, 1), (0, 1), (2, 2)])]


def pad_grid():
    """PAD, PADV2 and MIRROR_PAD."""
    for kind in ("int8", "float", "int32"):
        for i, (shape, pads) in enumerate(PADDINGS):
            if kind == "int32" and i not in (1, 6):
                continue
            out = tuple(d + a + b for d, (a, b) in zip(shape, pads))
            yield f"pad_{kind}_{i}", node("PAD", kind, [shape, ints(*pads)], [out], options("PadOptions"))
            value = {"int8": np.int8(77 - 20 * i), "float": np.float32(1.5 - i), "int32": np.int32(12345)}[kind]
            yield f"padv2_{kind}_{i}", node("PADV2", kind, [shape, ints(*pads), np.array(value)], [out],
                                            options("PadV2Options"))
        for mode, name in ((s.MirrorPadMode.REFLECT, "reflect"), (s.MirrorPadMode.SYMMETRIC, "symmetric")):
            opts = options("MirrorPadOptions", mode=mode)
            for i, (shape, pads) in enumerate(MIRRORS):
                if kind != "int32" or i == 3:
                    out = tuple(d + a + b for d, (a, b) in zip(shape, pads))
                    yield f"mirror_pad_{kind}_{name}_{i}", node("MIRROR_PAD", kind, [shape, ints(*pads)], [out], opts,
                                                                name)
        if kind != "int32":
            yield f"mirror_pad_{kind}_symmetric_full", node(
                "MIRROR_PAD", kind, [(1, 3, 4), ints((0, 0), (3, 3), (4, 4))], [(1, 9, 12)],
                options("MirrorPadOptions", mode=s.MirrorPadMode.SYMMETRIC), "symmetric")


def shape_grid():
    """SQUEEZE, EXPAND_DIMS, TRANSPOSE, SLICE, TILE, BROADCAST_TO and REVERSE_V2."""
    for kind in ("int8", "float", "int32"):
        few = kind == "int32"
        squeezes = [((1, 3, 1, 4), ()), ((1, 3, 1, 4), (0,)), ((1, 3, 1, 4), (2,)), ((1, 3, 1, 4), (-2, 0)), ((1, 1), ()),
                    ((1, 1, 2, 1, 3, 1), (1, 3))]
        for i, (shape, dims) in enumerate(squeezes[:1 if few else None]):
            out = np.squeeze(np.zeros(shape), tuple(dims) or None).shape
            yield f"squeeze_{kind}_{i}", node("SQUEEZE", kind, [shape], [out],
                                              options("SqueezeOptions", squeezeDims=list(dims)), f"dims {dims}")
        for i, (shape, axis) in enumerate([((1, 4, 3), 1), ((1, 4, 3), 0), ((1, 4, 3), -1), ((1, 4, 3), -4), ((5,), 0),
                                           ((1, 2, 3, 2, 2), 3)][:1 if few else None]):
            out = np.expand_dims(np.zeros(shape), axis).shape
            axis = np.int32(axis).reshape((1,) if i % 2 else ())
            yield f"expand_dims_{kind}_{i}", node("EXPAND_DIMS", kind, [shape, axis], [out],
                                                  options("ExpandDimsOptions"))
        perms = [(0,), (1, 0), (0, 1), (0, 2, 1), (2, 1, 0), (1, 2, 0), (0, 3, 1, 2), (0, 2, 3, 1), (3, 2, 1, 0),
                 (0, 1, 3, 2), (0, 2, 1, -1), (0, 1, 2, 3), (0, 4, 1, 3, 2), (4, 3, 2, 1, 0), (0, 5, 1, 4, 2, 3),
                 (5, 4, 3, 2, 1, 0), (0, 3, 1, 5, 2, 4), (0, 1, 4, 2, 5, 3)]
        for perm in [(0, 2, 1), (0, 3, 1, 2)] if few else perms:
            shape = (2, 3, 4, 5, 2, 3)[:len(perm)]
            out = tuple(shape[p] for p in perm)
            yield f"transpose_{kind}_{text(perm)}".replace("-", "m"), node(
                "TRANSPOSE", kind, [shape, ints(*perm)], [out], options("TransposeOptions"))
        slices = [((7,), (2,), (3,)), ((1, 9), (0, 4), (1, -1)), ((1, 5, 6), (0, 1, 2), (1, 3, 2)),
                  ((2, 5, 6), (1, 0, 0), (-1, -1, -1)), ((1, 4, 5, 3), (0, 1, 2, 1), (1, 2, 3, 1)),
                  ((1, 3, 4, 2, 5), (0, 1, 0, 1, 2), (1, 2, 4, 1, 3)),
                  ((1, 2, 3, 2, 3, 2), (0, 1, 1, 0, 1, 0), (1, 1, 2, 2, 2, 1))]
        for i, (shape, begin, size) in enumerate(slices[2:3] if few else slices):
            out = tuple(d - b if n < 0 else n for d, b, n in zip(shape, begin, size))
            yield f"slice_{kind}_{i}", node("SLICE", kind, [shape, ints(*begin), ints(*size)], [out],
                                            options("SliceOptions"))
        tiles = [((7,), (3,)), ((1, 5), (1, 4)), ((1, 3, 4), (1, 2, 3)), ((2, 3), (3, 1)), ((1, 3, 2, 2), (1, 2, 1, 3)),
                 ((1, 2, 1, 2, 3), (1, 1, 4, 2, 1)), ((1, 2, 1, 2, 1, 3), (1, 2, 2, 1, 3, 1)), ((1, 3, 4), (1, 1, 1))]
        for i, (shape, multiples) in enumerate(tiles[2:3] if few else tiles):
            out = tuple(d * m for d, m in zip(shape, multiples))
            yield f"tile_{kind}_{i}", node("TILE", kind, [shape, ints(*multiples)], [out], options("TileOptions"))
        broadcasts = [((1,), (7,)), ((3,), (1, 4, 3)), ((1, 1, 3), (1, 4, 3)), ((1, 4, 1), (1, 4, 6)), ((4, 1), (2, 4, 3)),
                      ((1, 4, 1, 3), (2, 4, 5, 3)), ((1, 2, 1, 3, 1), (1, 2, 4, 3, 2)), ((2, 1, 3), (2, 2, 2, 2, 2, 3)),
                      ((1, 4, 3), (1, 4, 3))]
        for i, (shape, out) in enumerate(broadcasts[1:2] if few else broadcasts):
            yield f"broadcast_to_{kind}_{i}", node("BROADCAST_TO", kind, [shape, ints(*out)], [out],
                                                   options("BroadcastToOptions"))
        reverses = [((7,), (0,)), ((1, 9), (1,)), ((1, 4, 5), (1,)), ((1, 4, 5), (-1,)), ((2, 4, 5), (0, 1, 2)),
                    ((1, 4, 5, 3), (2, 1)), ((1, 4, 5, 3), (-2, 1)), ((1, 2, 3, 2, 4), (2, 3)),
                    ((1, 2, 3, 2, 2, 3), (3, 4, 5))]
        for i, (shape, axes) in enumerate(reverses[2:3] if few else reverses):
            yield f"reverse_v2_{kind}_{i}", node("REVERSE_V2", kind, [shape, ints(*axes)], [shape],
                                                 options("ReverseV2Options"))


def split_grid():
    """SPLIT, SPLIT_V, PACK and UNPACK."""
    for kind in ("int8", "float", "int32"):
        few = kind == "int32"
        splits = [((1, 4, 6), 2, 3), ((1, 4, 6), 1, 2), ((1, 4, 6), -1, 6), ((4, 3), 0, 2), ((8,), 0, 4),
                  ((1, 4, 5, 3), -3, 2), ((1, 2, 3, 4, 2), 3, 2), ((1, 4, 6), 2, 1)]
        for i, (shape, axis, count) in enumerate(splits[:1] if few else splits):
            out = tuple(d // count if k == axis % len(shape) else d for k, d in enumerate(shape))
            yield f"split_{kind}_{i}", node("SPLIT", kind, [np.int32(axis).reshape(()), shape], [out] * count,
                                            options("SplitOptions", numSplits=count))
        parts = [((1, 4, 6), 2, (1, 2, 3)), ((1, 4, 6), 1, (3, 1)), ((1, 4, 6), -1, (2, -1)), ((5, 3), 0, (1, 4)),
                 ((9,), 0, (4, 5)), ((1, 4, 5, 3), 2, (1, 1, 3)), ((1, 2, 3, 4, 2), 3, (3, 1))]
        for i, (shape, axis, sizes) in enumerate(parts[:1] if few else parts):
            rest = shape[axis] - sum(n for n in sizes if n > 0)
            outs = [tuple((rest if n < 0 else n) if k == axis % len(shape) else d for k, d in enumerate(shape))
                    for n in sizes]
            yield f"split_v_{kind}_{i}", node("SPLIT_V", kind, [shape, ints(*sizes), np.int32(axis).reshape(())], outs,
                                              options("SplitVOptions", numSplits=len(sizes)))
        packs = [((1, 4, 3), 0, 2), ((1, 4, 3), 1, 3), ((1, 4, 3), -1, 2), ((1, 4, 3), -2, 4), ((5,), 0, 2), ((5,), 1, 3),
                 ((1, 2, 3, 2), 2, 2), ((1, 2, 3, 2, 2), 4, 2), ((1, 4, 3), 1, 1)]
        for i, (shape, axis, count) in enumerate(packs[:2] if few else packs):
            out = np.stack([np.zeros(shape)] * count, axis).shape
            opts = options("PackOptions", valuesCount=count, axis=axis)
            yield f"pack_{kind}_{i}", node("PACK", kind, [shape] * count, [out], opts, f"axis {axis}")
        opts = options("PackOptions", valuesCount=3, axis=1)
        yield f"pack_{kind}_const_twice", node("PACK", kind, [(1, 4), ("const", (1, 4)), 0], [(1, 3, 4)], opts, "axis 1")
        unpacks = [((1, 4, 3), 1), ((1, 4, 3), 2), ((1, 4, 3), -1), ((2, 4, 3), 0), ((5,), 0), ((1, 2, 3, 2), -2),
                   ((1, 2, 3, 2, 2), 2), ((1, 2, 2, 2, 2, 3), 5)]
        for i, (shape, axis) in enumerate(unpacks[:1] if few else unpacks):
            axis_size, out = shape[axis], tuple(np.delete(shape, axis).tolist())
            yield f"unpack_{kind}_{i}", node("UNPACK", kind, [shape], [out] * axis_size,
                                             options("UnpackOptions", num=axis_size, axis=axis), f"axis {axis}")


def space_grid():
    """SPACE_TO_DEPTH, DEPTH_TO_SPACE, SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND."""
    for kind in ("int8", "float", "int32"):
        few = kind == "int32"
        for (b, h, w, c), block in [((1, 4, 6, 3), 2), ((1, 6, 3, 2), 3), ((2, 2, 4, 1), 2), ((1, 3, 2, 4), 1)][
                :1 if few else None]:
            small, large = (b, h // block, w // block, c * block * block), (b, h, w, c)
            yield f"space_to_depth_{kind}_{text(large)}_by_{block}", node(
                "SPACE_TO_DEPTH", kind, [large], [small], options("SpaceToDepthOptions", blockSize=block))
            yield f"depth_to_space_{kind}_{text(small)}_by_{block}", node(
                "DEPTH_TO_SPACE", kind, [small], [large], options("DepthToSpaceOptions", blockSize=block))
        # (spatial shape with batch and depth, block, paddings or crops)
        spaces = [((1, 4, 6, 3), (2, 2), [(0, 0), (0, 0)]), ((1, 4, 6, 3), (2, 3), [(0, 0), (0, 0)]),
                  ((1, 3, 5, 2), (2, 2), [(0, 1), (1, 0)]), ((2, 3, 4, 2), (3, 2), [(2, 1), (1, 1)]),
                  ((1, 4, 4, 2), (1, 2), [(1, 0), (0, 0)]), ((1, 6, 3), (2,), [(0, 0)]), ((1, 5, 3), (3,), [(1, 0)]),
                  ((1, 4, 5, 2), (4, 4), [(4, 0), (0, 3)])]
        for i, (shape, block, pads) in enumerate(spaces[2:3] if few else spaces):
            inner = tuple((d + a + b) // n for d, n, (a, b) in zip(shape[1:], block, pads))
            other = (shape[0] * int(np.prod(block)), *inner, shape[-1])
            arguments = [ints(*block), ints(*pads)]
            yield f"space_to_batch_nd_{kind}_{i}", node("SPACE_TO_BATCH_ND", kind, [shape, *arguments], [other],
                                                        options("SpaceToBatchNDOptions"))
            yield f"batch_to_space_nd_{kind}_{i}", node("BATCH_TO_SPACE_ND", kind, [other, *arguments], [shape],
                                                        options("BatchToSpaceNDOptions"))


def move_grid(scale):
    """Everything that moves whole tensors; nothing of it is random."""
    for grid in (concatenation_grid, pad_grid, shape_grid, split_grid, space_grid):
        yield from grid()


def gather_shape(shape, index_shape, axis, batch_dims):
    """The output shape of a GATHER."""
    axis, batch_dims = axis % len(shape), batch_dims + (len(index_shape) if batch_dims < 0 else 0)
    return shape[:axis] + index_shape[batch_dims:] + shape[axis + 1:]


# (shape, shape of the indices, axis, batch_dims)
GATHERS = [((7,), (3,), 0, 0), ((7,), (), 0, 0), ((1, 9), (4,), 1, 0), ((1, 5, 4), (3,), 1, 0), ((1, 5, 4), (2, 3), 1, 0),
           ((1, 5, 4), (6,), -1, 0), ((1, 5, 4), (), 1, 0), ((6, 4), (1, 5), 0, 0), ((6, 4), (2, 3), 0, 0),
           ((1, 4, 5, 3), (2,), 2, 0), ((1, 4, 5, 3), (2, 2), 3, 0), ((2, 5, 4), (2, 3), 1, 1), ((2, 5, 4), (2, 3), 2, 1),
           ((2, 3, 5), (2, 3, 2), 2, 2), ((2, 5, 4), (2, 3), 1, -1), ((1, 2, 3, 4, 2), (3,), 3, 0),
           ((2, 3, 4, 2), (2, 3, 2), 2, 2), ((2, 3, 4, 2), (2, 5), 2, 1)]
# (shape, shape of the indices)
GATHER_NDS = [((7,), (3, 1)), ((5, 4), (3, 1)), ((5, 4), (3, 2)), ((1, 5, 4), (2, 2)), ((1, 5, 4), (6, 3)),
              ((2, 3, 4), (2, 2, 1)), ((2, 3, 4), (1, 2, 3, 2)), ((2, 3, 4, 2), (5, 3)), ((2, 3, 4), (2,)), ((2, 3, 4), (3,)),
              ((2, 2, 3, 2, 2), (4, 4))]
CASTS = [("float", "int32"), ("float", "int8"), ("float", "bool"), ("float", "int64"), ("int32", "float"),
         ("int32", "int8"), ("int32", "bool"), ("int32", "int64"), ("int8", "float"), ("int8", "int32"),
         ("int8", "bool"), ("int8", "int64"), ("bool", "float"), ("bool", "int32"), ("bool", "int8"),
         ("bool", "int64"), ("int64", "float"), ("int64", "int32"), ("int64", "int8"), ("int64", "bool"),
         ("float", "float"), ("int8", "int8"), ("int32", "int32")]


def cast(source, target, shape):
    """A maker of one CAST case, with halves, both signs and values beyond int8 among the numbers."""
    def make(rng):
        g, quants = Graph(), [QUANT if k == "int8" else None for k in (source, target)]
        x, y = (g.add(shape, KINDS[k], q) for k, q in zip((source, target), quants))
        g.op("CAST", 1, [x], [y], options("CastOptions", inDataType=build.TYPES[np.dtype(KINDS[source])],
                                          outDataType=build.TYPES[np.dtype(KINDS[target])]))
        data = samples(rng, source, shape)
        if source == "float":
            data = (data * np.float32(60)).astype(np.float32)
            data[1] = np.rint(data[1]) + np.float32(0.5)
        return dict(what=f"CAST {source} to {target} {list(shape)}", kind="float" if target == "float" else "int8",
                    model=g.finish([x], [y]), inputs=[data])
    return make


def topk(kind, shape, k):
    """A maker of one TOPK_V2 case; the second sample has many equal elements."""
    def make(rng):
        g, quant = Graph(), QUANT if kind == "int8" else None
        x, count = g.add(shape, KINDS[kind], quant), g.const(np.int32(k).reshape(()))
        y, index = g.add((*shape[:-1], k), KINDS[kind], quant), g.add((*shape[:-1], k), np.int32)
        g.op("TOPK_V2", 2 if kind == "int8" else 1, [x, count], [y, index], options("TopKV2Options"))
        data = samples(rng, kind, shape)
        data[1] = rng.integers(-2, 3, shape)
        return dict(what=f"TOPK_V2 {kind} {list(shape)} k {k}", kind="float" if kind == "float" else "int8",
                    model=g.finish([x], [y, index]), inputs=[data])
    return make


def gather_grid(scale):
    """The lists above; random GATHERs last."""
    for kind in ("int8", "float", "int32"):
        few = kind == "int32"
        for i, (shape, index_shape, axis, batch) in enumerate(GATHERS[3:5] if few else GATHERS):
            yield from gathers(kind, f"{i:02d}", shape, index_shape, axis, batch)
        for i, (shape, index_shape) in enumerate(GATHER_NDS[3:4] if few else GATHER_NDS):
            depth = index_shape[-1]
            out = index_shape[:-1] + shape[depth:]
            rng = np.random.default_rng([i, 21])
            constant = rng.integers(0, shape[:depth], index_shape).astype(np.int32)
            opts = options("GatherNdOptions")
            yield f"gather_nd_{kind}_const_{i:02d}", node("GATHER_ND", kind, [shape, constant], [out], opts)
            yield f"gather_nd_{kind}_input_{i:02d}", node(
                "GATHER_ND", kind, [shape, ("index", index_shape, shape[:depth])], [out], opts)
        for rows, columns, count in [(9, (5,), 4), (1, (3,), 2), (20, (8,), 1), (6, (2, 3), 5), (6, (2, 2, 3), 3)][
                :1 if few else None]:
            yield f"embedding_lookup_{kind}_{text((rows, *columns))}_of_{count}", node(
                "EMBEDDING_LOOKUP", kind, [("index", (count,), rows), ("const", (rows, *columns))],
                [(count, *columns)])
    for per_row in (False, True):
        yield f"embedding_lookup_hybrid_{'row' if per_row else 'tensor'}", hybrid_lookup(9, 5, 4, per_row)
    for i, (shape, depth, axis) in enumerate([((4,), 5, -1), ((1, 4), 5, -1), ((1, 4), 3, 1), ((1, 4), 3, 0), ((2, 3), 6, 2),
                                              ((1, 2, 3), 4, 2), ((), 4, -1)]):
        at = len(shape) if axis < 0 else axis
        out = shape[:at] + (depth,) + shape[at:]
        for name, on, off in (("plain", 1, 0), ("values", 2.5, -0.75)):
            # The indices run past the depth: those have no element that is on.
            yield f"one_hot_float_{i}_{name}", node(
                "ONE_HOT", "float", [("index", shape, depth + 2), np.array(depth, np.int32), np.array(on, np.float32),
                                     np.array(off, np.float32)], [out], options("OneHotOptions", axis=axis), f"axis {axis}")
    for source, target in CASTS:
        yield f"cast_{source}_{target}", cast(source, target, (1, 5, 7))
    for kind in ("float", "int32"):
        for i, (shape, axis) in enumerate([((7,), 0), ((1, 9), 1), ((1, 4, 5), 1), ((1, 4, 5), -1), ((2, 3, 4), 0),
                                           ((1, 3, 4, 2), 2), ((1, 2, 3, 2, 2, 3), 2)]):
            for exclusive in (False, True):
                for reverse in (False, True):
                    if i < 4 or exclusive == reverse:
                        flags = "_exclusive" * exclusive + "_reverse" * reverse
                        yield f"cumsum_{kind}_{i}{flags}", node(
                            "CUMSUM", kind, [shape, np.int32(axis).reshape(())], [shape],
                            options("CumsumOptions", exclusive=exclusive, reverse=reverse), flags)
    for kind in ("int8", "float", "int32"):
        for shape, k in [((9,), 3), ((1, 9), 1), ((1, 9), 9), ((1, 4, 6), 2), ((2, 3, 2, 8), 5)][:2 if kind == "int32"
                                                                                                 else None]:
            yield f"topk_v2_{kind}_{text(shape)}_{k}", topk(kind, shape, k)
    for i in range(round(8 * scale)):
        rng = np.random.default_rng([i, 22])
        shape = tuple(int(d) for d in rng.integers(2, 6, rng.integers(1, 5)))
        index_shape = tuple(int(d) for d in rng.integers(1, 4, rng.integers(1, 3)))
        yield from gathers("int8", f"random_{i:03d}", shape, index_shape, int(rng.integers(len(shape))), 0)


def gathers(kind, name, shape, index_shape, axis, batch):
    """One GATHER with constant indices and one whose indices are an input."""
    out = gather_shape(shape, index_shape, axis, batch)
    opts = options("GatherOptions", axis=axis, batchDims=batch)
    constant = np.random.default_rng([len(shape), axis % len(shape), 23]).integers(0, shape[axis], index_shape)
    note = f"axis {axis} batch_dims {batch}"
    yield f"gather_{kind}_const_{name}", node("GATHER", kind, [shape, np.array(constant, np.int32)], [out], opts, note)
    yield f"gather_{kind}_input_{name}", node("GATHER", kind, [shape, ("index", index_shape, shape[axis])], [out], opts,
                                              note)


def hybrid_lookup(rows, columns, count, per_row):
    """A maker of one EMBEDDING_LOOKUP in an int8 table with a float output; one scale, or one a row."""
    def make(rng):
        g = Graph()
        scales = rng.uniform(0.01, 0.1, rows).astype(np.float32) if per_row else np.float32(0.03)
        x = g.add((count,), np.int32)
        table = g.const(rng.integers(-127, 128, (rows, columns)).astype(np.int8), Quant(scales))
        y = g.add((count, columns), np.float32)
        g.op("EMBEDDING_LOOKUP", 4 if per_row else 2, [x, table], [y])
        data = rng.integers(0, rows, (build.SAMPLES, count)).astype(np.int32)
        return dict(what=f"EMBEDDING_LOOKUP int8 table, float output, per row {per_row}", kind="float",
                    model=g.finish([x], [y]), inputs=[data])
    return make


FAMILIES = {"move": move_grid, "gather": gather_grid}

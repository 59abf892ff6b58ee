"""RESHAPE and STRIDED_SLICE: data is moved, never changed, so both kinds must be equal to the bit.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0:
- RESHAPE: a shape tensor wins over the option; -1 works in both, once; neither of them means a scalar; a wrong number
  of elements is refused.
- STRIDED_SLICE: every mask, also ellipsis with new_axis or shrink, runs up to rank 6 at least. An empty result is
  allowed. An index beyond the axis under shrink_axis, or shrink_axis with a negative stride, is not refused and reads
  memory it should not: neither has a defined result.
"""
import numpy as np

from build import Graph, Quant, float_samples, int8_samples, options

QUANT = Quant(np.float32(0.07), -11)


def activation(g, kind, shape):
    """Add an activation of either kind."""
    return g.add(shape, np.int8 if kind == "int8" else np.float32, QUANT if kind == "int8" else None)


def samples(rng, kind, shape):
    """Samples of either kind."""
    return int8_samples(rng, shape, QUANT.zero_point) if kind == "int8" else float_samples(rng, shape)


def reshape(kind, shape, out_shape, tensor=None, new_shape=None):
    """A maker of one RESHAPE case: the wanted shape as a constant tensor, as an option, or both (the tensor wins)."""
    def make(rng):
        g = Graph()
        x, y = activation(g, kind, shape), activation(g, kind, out_shape)
        inputs = [x] if tensor is None else [x, g.const(np.array(tensor, np.int32))]
        opts = None if new_shape is None else options("ReshapeOptions", newShape=list(new_shape))
        g.op("RESHAPE", 1, inputs, [y], opts)
        what = f"{list(shape)} to {list(out_shape)}, tensor {tensor}, option {new_shape}"
        return dict(what=what, kind=kind, model=g.finish([x], [y]), inputs=[samples(rng, kind, shape)])
    return make


# (input shape, output shape, as asked for). A -1 is allowed in the tensor and in the option.
RESHAPES = [
    ((1, 4, 6), (1, 24), (1, 24)), ((1, 4, 6), (1, 24), (1, -1)), ((1, 4, 6), (24,), (-1,)),
    ((1, 4, 6), (4, 6), (4, 6)), ((1, 4, 6), (4, 6), (-1, 6)), ((1, 24), (1, 2, 3, 4), (1, 2, -1, 4)),
    ((1, 24), (2, 12), (2, -1)), ((2, 12), (1, 24), (1, 24)), ((2, 3, 4), (4, 6), (4, -1)),
    ((1, 2, 3, 4, 5), (1, 6, 20), (1, 6, 20)), ((1, 112, 6, 4), (1, 112, 24), (1, 112, 24)),
    ((1, 24), (1, 1, 2, 1, 3, 4), (1, 1, 2, 1, 3, 4)), ((1, 4, 6), (1, 4, 6), (1, 4, 6)), ((1, 1), (1,), (1,)),
    ((1,), (1, 1, 1), (1, 1, 1)),
]


def reshape_grid(scale):
    """Every shape asked for in each of the three ways."""
    for kind in ("int8", "float"):
        for i, (shape, out_shape, wanted) in enumerate(RESHAPES):
            yield f"{kind}_tensor_{i:02d}", reshape(kind, shape, out_shape, tensor=wanted)
            yield f"{kind}_option_{i:02d}", reshape(kind, shape, out_shape, new_shape=wanted)
        yield f"{kind}_both_differ", reshape(kind, (1, 4, 6), (1, 24), tensor=(1, 24), new_shape=(1, 6, 4))
        yield f"{kind}_to_scalar_tensor", reshape(kind, (1, 1), (), tensor=())
        # A legacy option of [0] means a scalar.
        yield f"{kind}_to_scalar_option", reshape(kind, (1, 1), (), new_shape=(0,))


# An ellipsis that stands for no dimension (three indices beside it for a rank of three) is left out: LiteRT lets it
# swallow one dimension and ignores the last index, unlike TensorFlow; no converter writes it.
MASKS = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")


def strided_slice(kind, shape, begin, end, strides, flags=None):
    """A maker of one STRIDED_SLICE case; `flags` holds masks as numbers, by the names in `MASKS`, and "offset"."""
    flags = flags or {}
    assert set(flags) <= {*MASKS, "offset"}
    bits, offset = {m: flags.get(m, 0) for m in MASKS}, flags.get("offset", False)

    def make(rng):
        g = Graph()
        x = activation(g, kind, shape)
        y = activation(g, kind, np.zeros(shape)[numpy_index(begin, end, strides, offset, bits)].shape)
        indices = [g.const(np.array(v, np.int32)) for v in (begin, end, strides)]
        fields = {m.replace("_axis", "Axis") + "Mask": v for m, v in bits.items()}
        g.op("STRIDED_SLICE", 2, [x, *indices], [y], options("StridedSliceOptions", offset=offset, **fields))
        what = f"{list(shape)} {begin}:{end}:{strides}" + " offset" * offset
        what += "".join(f" {m} {v:#b}" for m, v in bits.items() if v)
        return dict(what=what, kind=kind, model=g.finish([x], [y]), inputs=[samples(rng, kind, shape)])
    return make


def numpy_index(begin, end, strides, offset, bits):
    """The same slice for numpy, to declare the output's shape."""
    index = []
    for i, (b, e, step) in enumerate(zip(begin, end, strides)):
        if bits["ellipsis"] >> i & 1:
            index.append(Ellipsis)
        elif bits["new_axis"] >> i & 1:
            index.append(None)
        elif bits["shrink_axis"] >> i & 1:
            index.append(b)
        else:
            index.append(slice(None if bits["begin"] >> i & 1 else b,
                               None if bits["end"] >> i & 1 else (b + e if offset else e), step))
    return tuple(index)


A, B, C, D, E = (7,), (1, 9), (1, 5, 6), (1, 4, 5, 3), (1, 3, 4, 2, 5)
SLICES = {
    "rank1": (A, [1], [5], [1]), "rank1_step": (A, [0], [7], [3]), "rank1_reverse": (A, [-1], [-8], [-1]),
    "rank1_reverse_step": (A, [6], [0], [-2]), "rank1_clamped": (A, [-100], [100], [2]),
    "rank2": (B, [0, 2], [1, 8], [1, 2]), "rank2_batch_reverse": ((2, 9), [1, 8], [-3, -10], [-1, -1]),
    "rank3": (C, [0, 1, 2], [1, 4, 6], [1, 1, 1]), "rank3_negative": (C, [0, -3, -4], [1, -1, -1], [1, 1, 2]),
    "rank4": (D, [0, 1, 1, 0], [1, 4, 5, 3], [1, 2, 3, 2]),
    "rank4_reverse": (D, [0, 3, 4, 2], [1, 0, 0, 0], [1, -1, -2, -1]),
    "rank5": (E, [0, 1, 0, 0, 1], [1, 3, 4, 2, 5], [1, 1, 2, 1, 2]),
    "rank5_reverse": (E, [0, -1, -1, -1, -1], [1, -4, -4, -3, -5], [1, -1, -2, -1, -1]),
    "rank6": ((1, 2, 3, 2, 3, 2), [0, 0, 1, 0, 0, 0], [1, 2, 3, 2, 3, 2], [1, 1, 1, 1, 2, 1]),
    "fewer_indices": (D, [0, 1], [1, 3], [1, 1]), "batch_of_3": ((3, 4, 5), [1, 0, 0], [3, 4, 5], [1, 1, 2]),
}
MASKED = {
    "last_step": ((1, 112, 8), [0, -1, 0], [0, 0, 0], [1, 1, 1], dict(begin=5, end=5, shrink_axis=2)),
    "begin": (D, [9, 1, 9, 1], [1, 4, 4, 3], [1, 1, 1, 1], dict(begin=0b0101)),
    "end": (D, [0, 1, 1, 1], [9, 4, 0, 3], [1, 1, 1, 1], dict(end=0b0101)),
    "begin_end_reverse": (D, [0, 0, 0, 0], [0, 0, 0, 0], [1, -1, -2, -1], dict(begin=15, end=15)),
    "shrink_first": ((2, 4, 5), [1, 0, 0], [2, 4, 5], [1, 1, 1], dict(shrink_axis=1)),
    "shrink_negative": (C, [0, -2, 1], [1, -1, 5], [1, 1, 1], dict(shrink_axis=2)),
    "shrink_last": (C, [0, 0, -1], [1, 5, 0], [1, 1, 1], dict(shrink_axis=4)),
    "shrink_two": (D, [0, 2, 3, 0], [1, 3, 4, 3], [1, 1, 1, 1], dict(shrink_axis=6)),
    "shrink_all": (C, [0, 2, 3], [1, 3, 4], [1, 1, 1], dict(shrink_axis=7)),
    "new_axis_front": (C, [0, 0, 1, 2], [1, 1, 4, 6], [1, 1, 1, 1], dict(new_axis=1)),
    "new_axis_middle": (C, [0, 0, 1, 2], [1, 1, 4, 6], [1, 1, 1, 1], dict(new_axis=2)),
    "new_axis_last": (C, [0, 1, 2, 0], [1, 4, 6, 1], [1, 1, 1, 1], dict(new_axis=8)),
    "ellipsis_front": (D, [0, 1], [0, 3], [1, 1], dict(ellipsis=1)),
    "ellipsis_middle": (D, [0, 0, 0], [1, 0, 2], [1, 1, 1], dict(ellipsis=2)),
    "ellipsis_last": (D, [0, 1, 0], [1, 3, 0], [1, 1, 1], dict(ellipsis=4)),
    "ellipsis_of_one": (C, [0, 0, 1], [1, 0, 5], [1, 1, 1], dict(ellipsis=2)),
    "ellipsis_shrink": (D, [0, 0, 1], [1, 0, 2], [1, 1, 1], dict(ellipsis=2, shrink_axis=4)),
    "ellipsis_new_axis": (C, [0, 0, 1], [0, 1, 4], [1, 1, 1], dict(ellipsis=1, new_axis=2)),
    "new_axis_ellipsis": (D, [0, 0, 1], [1, 0, 3], [1, 1, 1], dict(new_axis=1, ellipsis=2)),
    "new_axis_shrink": (C, [0, 0, 2, 1], [1, 1, 3, 5], [1, 1, 1, 1], dict(new_axis=1, shrink_axis=4)),
    "offset": (C, [0, 1, 2], [1, 3, 4], [1, 1, 1], dict(offset=True)),
    "offset_step": (D, [0, 1, 0, 1], [1, 3, 4, 2], [1, 2, 3, 1], dict(offset=True)),
}


def slice_grid(scale):
    """The lists above, for both kinds, and random ranges without masks."""
    for kind in ("int8", "float"):
        for name, arguments in SLICES.items():
            yield f"{kind}_{name}", strided_slice(kind, *arguments)
        for name, arguments in MASKED.items():
            yield f"{kind}_mask_{name}", strided_slice(kind, *arguments)
    for i in range(round(12 * scale)):
        rng = np.random.default_rng([i, 8])
        shape = tuple(int(d) for d in rng.integers(2, 7, rng.integers(1, 6)))
        begin, end, strides = [], [], []
        for size in shape:
            first, last = sorted(int(v) for v in rng.choice(size, 2, replace=False))
            step = int(rng.integers(1, 4))
            forward = rng.random() < 0.6
            begin.append(first if forward else last)
            end.append(last + 1 if forward else (first - 1 if first else -size - 1))
            strides.append(step if forward else -step)
        yield f"int8_random_{i:03d}", strided_slice("int8", shape, begin, end, strides)


FAMILIES = {"reshape": reshape_grid, "strided_slice": slice_grid}

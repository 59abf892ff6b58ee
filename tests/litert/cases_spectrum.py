"""RFFT2D and what is taken of its complex numbers.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0: lengths are powers of two; the image is cut or padded with
zeros; the transform is computed in double. A width of 1 gives an imaginary part that is not 0: no case.
"""
import numpy as np

import build
from ai_edge_litert import schema_py_generated as s
from build import Graph, float_samples, options

build.TYPES.setdefault(np.dtype(np.complex64), s.TensorType.COMPLEX64)


def spectrum(op, shape, lengths):
    """A maker of RFFT2D and one operator behind it."""
    def make(rng):
        g = Graph()
        out = (*shape[:-2], lengths[0], lengths[1] // 2 + 1)
        x, z, y = g.add(shape, np.float32), g.add(out, np.complex64), g.add(out, np.float32)
        g.op("RFFT2D", 1, [x, g.const(np.array(lengths, np.int32))], [z], options("Rfft2dOptions"))
        g.op(op, 1, [z], [y])
        return dict(what=f"{op} of {shape} lengths {lengths}", kind="float", model=g.finish([x], [y]),
                    inputs=[float_samples(rng, shape)])
    return make


def grid(scale):
    """Shapes that fit, are cut and are padded."""
    for i, (shape, lengths) in enumerate([((1, 8), (1, 8)), ((1, 3, 1, 16), (1, 16)), ((2, 1, 10), (1, 16)), ((1, 20), (1, 8)),
                                          ((4, 8), (4, 8)), ((1, 3, 5), (4, 4)), ((2, 3, 1, 400), (1, 512)), ((3, 5), (4, 2))]):
        for op in ("COMPLEX_ABS", "REAL", "IMAG"):
            yield f"{op.lower()}_{i}", spectrum(op, shape, lengths)


FAMILIES = {"spectrum": grid}

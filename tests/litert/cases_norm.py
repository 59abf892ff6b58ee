"""L2_NORMALIZATION, LOG_SOFTMAX and LOCAL_RESPONSE_NORMALIZATION, all along the last dimension.

Facts about BUILTIN_REF, from the kernels of LiteRT 2.3.0 and measured with ai-edge-litert 2.3.0:
- L2_NORMALIZATION int8 demands an output scale of 1/128 and zero point 0; its input may have any, and the input scale
  is never read. A row of zeros gives zeros, a sum of squares of 1 gives +-128 clipped to 127. Any rank from 1. The
  float kernel divides by max(norm, 1e-6). A fused activation is refused.
- LOG_SOFTMAX int8 demands an output scale of 1/16 and zero point 127; the input's zero point is never read. An input
  scale of 2^-26 (1.5e-8) or less aborts the process, and so leaves no case here. Differences below about -31 / s_in
  are left out of the sum; whatever is below the output's range gives -128.
- LOCAL_RESPONSE_NORMALIZATION is float alone, rank 4. Its window is the channels c - radius ... c + radius - 1, one
  fewer than TensorFlow's; radius 0 is an empty window.
"""
import numpy as np

from build import Graph, Quant, SAMPLES, float_samples, int8_samples, options

SHAPES = [(5,), (1, 1), (1, 2), (1, 7), (3, 16), (1, 4, 33), (2, 3, 5), (1, 2, 3, 8), (2, 2, 2, 2, 3), (1, 256)]
OUTPUT = {"l2": Quant(np.float32(1 / 128), 0), "log_softmax": Quant(np.float32(1 / 16), 127)}
OPERATOR = {"l2": "L2_NORMALIZATION", "log_softmax": "LOG_SOFTMAX"}
OPTIONS = {"l2": "L2NormOptions", "log_softmax": "LogSoftmaxOptions"}

LOW = {"extremes": (-128, 127), "low": (-128, -127), "high": (126, 127)}


def int8_values(rng, shape, how, zero_point):
    """Samples: "mixed", few values, "near" the zero point, "equal" rows, or "single": one value beside the zero point.
    """
    whole = (SAMPLES, *shape)
    if how == "mixed":
        return int8_samples(rng, shape, zero_point)
    if how in LOW:
        return rng.choice(LOW[how], whole).astype(np.int8)
    if how == "near":
        x = zero_point + rng.integers(-2, 3, whole)
    elif how == "equal":
        x = np.broadcast_to(rng.integers(-128, 128, (*whole[:-1], 1)), whole)
    elif how == "zero":
        x = np.full(whole, zero_point)
    elif how == "single":
        x = np.full(whole, zero_point)
        step = np.array([1, -1, 2, -3, 100, -100])[rng.integers(6, size=whole[:-1])]
        np.put_along_axis(x, rng.integers(shape[-1], size=(*whole[:-1], 1)), zero_point + step[..., None], -1)
    elif how == "ramp":
        x = -128 + np.arange(np.prod(whole)).reshape(whole) % 256
    else:
        raise ValueError(how)
    return np.clip(x, -128, 127).astype(np.int8)


def norm(which, kind, shape=(3, 16), scale=0.05, zero_point=-7, values="mixed", spread=1.0, offset=0.0):
    """A maker of one L2_NORMALIZATION or LOG_SOFTMAX case."""
    def make(rng):
        g = Graph()
        if kind == "int8":
            x = g.add(shape, np.int8, Quant(np.float32(scale), zero_point))
            y = g.add(shape, np.int8, OUTPUT[which])
            samples = int8_values(rng, shape, values, zero_point)
            what = f"{list(shape)} scale {scale:g} zp {zero_point} {values}"
        else:
            x, y = g.add(shape, np.float32), g.add(shape, np.float32)
            samples = float_samples(rng, shape, spread) + np.float32(offset)
            if values == "zero":
                samples[:] = 0
            what = f"{list(shape)} spread {spread:g} offset {offset:g} {values}"
        g.op(OPERATOR[which], 2 if kind == "int8" else 1, [x], [y], options(OPTIONS[which]))
        return dict(what=f"{which} {what}", kind=kind, model=g.finish([x], [y]), inputs=[samples])
    return make


def local_response(shape=(1, 3, 4, 8), radius=2, bias=1.0, alpha=0.1, beta=0.5, spread=1.0):
    """A maker of one LOCAL_RESPONSE_NORMALIZATION case."""
    def make(rng):
        g = Graph()
        x, y = g.add(shape, np.float32), g.add(shape, np.float32)
        g.op("LOCAL_RESPONSE_NORMALIZATION", 1, [x], [y], options(
            "LocalResponseNormalizationOptions", radius=radius, bias=bias, alpha=alpha, beta=beta))
        return dict(what=f"local_response {list(shape)} radius {radius} bias {bias:g} alpha {alpha:g} beta {beta:g}",
                    kind="float", model=g.finish([x], [y]), inputs=[float_samples(rng, shape, spread)])
    return make


def grid(scale):
    """Shapes, then values, zero points and scales, then random points."""
    for which in ("l2", "log_softmax"):
        for shape in SHAPES:
            for kind in ("int8", "float"):
                yield f"{which}_{kind}_shape_{'x'.join(map(str, shape))}", norm(which, kind, shape)
        for values in ("extremes", "low", "high", "near", "equal", "zero", "single", "ramp"):
            yield f"{which}_int8_values_{values}", norm(which, "int8", (4, 24), values=values)
        for zero_point in (-128, 0, 127):
            yield f"{which}_int8_zp_{zero_point}", norm(which, "int8", zero_point=zero_point)
            yield f"{which}_int8_zp_{zero_point}_near", norm(which, "int8", zero_point=zero_point, values="near")
        yield f"{which}_float_zero", norm(which, "float", values="zero")
        for spread in (1e-9, 1e-4, 30.0):
            yield f"{which}_float_spread_{spread:g}", norm(which, "float", spread=spread)
        yield f"{which}_float_offset_50", norm(which, "float", offset=50)
    for depth in (3, 9, 100, 1400):
        yield f"l2_int8_extremes_depth_{depth}", norm("l2", "int8", (1, depth), zero_point=-128, values="high")
        yield f"l2_int8_ramp_depth_{depth}", norm("l2", "int8", (1, depth), zero_point=0, values="ramp")
    for value in (1e-12, 1e3):
        yield f"l2_int8_scale_{value:g}", norm("l2", "int8", scale=value)
    for value in (2e-8, 1e-6, 1e-4, 1e-3, 1 / 256, 1 / 64, 1 / 16, 0.1, 0.125, 0.2, 0.5, 1, 3.7, 10, 31, 33, 1e5):
        yield f"log_softmax_int8_scale_{value:g}", norm("log_softmax", "int8", (2, 64), scale=value, values="ramp")
    for value in (1e-3, 1 / 16, 0.2, 10):
        yield f"log_softmax_int8_scale_{value:g}_mixed", norm("log_softmax", "int8", (2, 64), scale=value)
    for depth in (2, 300, 1400):
        for value in (0.01, 0.2):
            yield f"log_softmax_int8_equal_depth_{depth}_scale_{value}", norm(
                "log_softmax", "int8", (1, depth), values="equal", scale=value)
    for radius in (0, 1, 2, 3, 5, 20):
        yield f"local_response_float_radius_{radius}", local_response(radius=radius)
    for shape in ((1, 1, 1, 1), (2, 3, 3, 5), (1, 2, 2, 33)):
        yield f"local_response_float_shape_{'x'.join(map(str, shape))}", local_response(shape)
    for bias, alpha, beta in [(1, 1, 1), (2, 1e-4, 0.75), (0.5, 4, 0.5), (1, 0, 0.5), (3, 0.2, 0), (1, 0.3, 2.5),
                              (1, 0.1, -1)]:
        yield f"local_response_float_bias_{bias:g}_alpha_{alpha:g}_beta_{beta:g}", local_response(
            bias=bias, alpha=alpha, beta=beta)
    for i in range(round(8 * scale)):
        rng = np.random.default_rng([i, 404])
        for which in ("l2", "log_softmax"):
            shape = (*(int(d) for d in rng.integers(1, 4, rng.integers(1, 4))), int(rng.integers(1, 50)))
            yield f"{which}_int8_random_{i:03d}", norm(
                which, "int8", shape, scale=float(10 ** rng.uniform(-3, 0)), zero_point=int(rng.integers(-128, 128)),
                values=["mixed", "near", "single", "ramp"][rng.integers(4)])


FAMILIES = {"norm": grid}

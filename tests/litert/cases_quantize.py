"""SOFTMAX, QUANTIZE and DEQUANTIZE.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0:
- SOFTMAX int8: the output must have zero point -128 and a scale within 0.1 % of 1/256 (int16 out of int8 also runs).
  Rank 0 is refused, rank 5 runs. An input scale times beta of 2^-26 or less, so also beta 0, aborts the process. No
  options means beta 0 (harmless in float: equal shares).
- QUANTIZE from float: round(x / scale) with the division in float, half away from zero. From 2^31 steps on, and for
  infinities and NaN, the conversion to an integer is undefined; on x86 it gives -2^31, then the zero point is added
  with wrap-around: mostly the lower limit, the upper one for a negative zero point.
- QUANTIZE between integers rounds twice like CONV_2D.
- DEQUANTIZE: scale * (q - zero point) in double, then to float; an int16 zero point must be 0.
"""
import numpy as np

from build import SAMPLES, Graph, Quant, float_samples, int8_samples, options


def softmax(kind, shape, beta=1.0, scale=0.1, zero_point=-3):
    """A maker of one SOFTMAX case. LiteRT demands an int8 output of scale 1/256 and zero point -128."""
    def make(rng):
        g = Graph()
        if kind == "int8":
            x = g.add(shape, np.int8, Quant(np.float32(scale), zero_point))
            y = g.add(shape, np.int8, Quant(np.float32(1 / 256), -128))
            samples = int8_samples(rng, shape, zero_point)
        else:
            x, y = g.add(shape, np.float32), g.add(shape, np.float32)
            samples = float_samples(rng, shape, 3)
        g.op("SOFTMAX", 2 if kind == "int8" else 1, [x], [y], options("SoftmaxOptions", beta=beta))
        what = f"{list(shape)} beta {beta}" + (f" scale {scale:g} zp {zero_point}" if kind == "int8" else "")
        return dict(what=what, kind=kind, model=g.finish([x], [y]), inputs=[samples])
    return make


def softmax_grid(scale):
    """Depths and ranks, then beta and input scale."""
    shapes = [(7,), (1, 1), (1, 2), (1, 7), (1, 1000), (3, 7), (1, 4, 5), (2, 3, 5), (1, 3, 4, 6), (2, 2, 2, 2)]
    for kind in ("int8", "float"):
        for shape in shapes:
            yield f"{kind}_shape_{'x'.join(map(str, shape))}", softmax(kind, shape)
        for beta in (0.5, 2.7):
            yield f"{kind}_beta_{beta}", softmax(kind, (1, 7), beta)
            yield f"{kind}_beta_{beta}_rank_4", softmax(kind, (1, 3, 4, 6), beta)
    for s in (1e-6, 1e-4, 1e-3, 0.01, 0.0487, 0.3, 1, 4, 30, 1000):
        for depth in (2, 7, 101):
            yield f"int8_scale_{s:g}_depth_{depth}", softmax("int8", (1, depth), 1.0, s)
    for zero_point in (-128, 0, 127):
        yield f"int8_zp_{zero_point}", softmax("int8", (1, 11), 1.0, 0.05, zero_point)
    for i in range(round(12 * scale)):
        rng = np.random.default_rng([i, 9])
        beta = float(np.float32(rng.choice([0.5, 1.0, 2.7])))
        s = float(np.float32(10 ** rng.uniform(-3, 0)))
        yield f"int8_random_{i:03d}", softmax("int8", (1, int(rng.integers(2, 200))), beta, s,
                                              int(rng.integers(-128, 128)))


def quantize(dtype_in, dtype_out, q_in, q_out, values="normal"):
    """A maker of one QUANTIZE case, from float or from one integer type to another."""
    dtype_in, dtype_out = np.dtype(dtype_in), np.dtype(dtype_out)

    def make(rng):
        shape, g = (1, 6, 50), Graph()
        x, y = g.add(shape, dtype_in, q_in), g.add(shape, dtype_out, q_out)
        wide = np.int16 in (dtype_in, dtype_out)
        g.op("QUANTIZE", 3 if wide else (1 if dtype_in == np.float32 else 2), [x], [y])
        if dtype_in == np.float32:
            samples = float_values(rng, shape, q_out, np.iinfo(dtype_out), values)
        else:
            samples = int8_samples(rng, shape, q_in.zero_point, dtype_in)
        info = np.iinfo(dtype_out)
        source = f"{q_in.scale:g} zp {q_in.zero_point}" if q_in else values
        what = f"{dtype_in} ({source}) to {dtype_out} ({q_out.scale:g} zp {q_out.zero_point})"
        return dict(what=what, kind="mixed" if q_in is None else "int8", model=g.finish([x], [y]), inputs=[samples],
                    limits=(info.min, info.max))
    return make


def float_values(rng, shape, quant, info, values):
    """Float inputs: over the range and somewhat beyond, on rounding ties and next to them, or far outside.

    The far values stay below 2^31 steps: beyond, LiteRT's float-to-int conversion has no defined result.
    """
    scale = np.float32(quant.scale)
    steps = rng.uniform(info.min - quant.zero_point, info.max - quant.zero_point, (SAMPLES, *shape))
    if values == "ties":
        x = (np.floor(steps) + 0.5).astype(np.float32) * scale
        x[1] = np.nextafter(x[1], np.float32(np.inf))
        x[2] = np.nextafter(x[2], np.float32(-np.inf))
    elif values == "huge":
        x = (steps * 10.0 ** rng.uniform(0, 4, steps.shape)).astype(np.float32) * scale
    else:
        x = (steps * 1.05).astype(np.float32) * scale
    x.reshape(SAMPLES, -1)[:, :2] = [0.0, -0.0]
    return x.astype(np.float32)


def quantize_grid(scale):
    """Float to every type, then every pair of integer types."""
    zero_points = {np.int8: (-128, -7, 0, 127), np.uint8: (0, 128, 255), np.int16: (0,)}
    for dtype, zps in zero_points.items():
        for zp in zps:
            # 0.25 has exact ties, 0.1 and 1.3179 have ties only after the division in float.
            for s in (0.25, 0.1, 1.3179, 1e-6, 300.0):
                for values in ("normal", "ties", "huge"):
                    if values != "ties" and s in (0.1, 300.0):
                        continue
                    name = f"float_to_{np.dtype(dtype)}_{values}_scale_{s:g}_zp_{zp}"
                    yield name, quantize(np.float32, dtype, None, Quant(np.float32(s), zp), values)
    scale_sets = [(0.1, 0.1), (0.1, 0.2), (0.2, 0.1), (0.1, 0.0333), (0.5, 0.007), (0.003, 2.0), (1e-6, 1.0)]
    pairs = [(np.int8, np.int8), (np.int8, np.uint8), (np.uint8, np.int8)]
    for a, b in pairs:
        for i, (s_in, s_out) in enumerate(scale_sets):
            for z_in, z_out in [(3, -7), (0, 0), (-128, 127), (127, -128), (-128, -128)]:
                z_in, z_out = z_in + 128 * (a == np.uint8), z_out + 128 * (b == np.uint8)
                name = f"{np.dtype(a)}_to_{np.dtype(b)}_scales_{i}_zp_{z_in}_{z_out}"
                yield name, quantize(a, b, Quant(np.float32(s_in), z_in), Quant(np.float32(s_out), z_out))
    for a, b in [(np.int16, np.int8), (np.int8, np.int16), (np.int16, np.int16)]:
        for i, (s_in, s_out) in enumerate([(0.1, 0.1), (0.001, 0.2), (0.2, 0.001), (0.0007, 0.0005)]):
            z_in, z_out = (0 if t == np.int16 else 5 for t in (a, b))
            name = f"{np.dtype(a)}_to_{np.dtype(b)}_scales_{i}"
            yield name, quantize(a, b, Quant(np.float32(s_in), z_in), Quant(np.float32(s_out), z_out))


def dequantize(dtype, quant):
    """A maker of one DEQUANTIZE case."""
    dtype = np.dtype(dtype)

    def make(rng):
        shape, g = (1, 4, 70), Graph()
        x, y = g.add(shape, dtype, quant), g.add(shape, np.float32)
        g.op("DEQUANTIZE", 3 if dtype == np.int16 else 2, [x], [y])
        samples = int8_samples(rng, shape, quant.zero_point, dtype)
        what = f"{dtype} {quant.scale:g} zp {quant.zero_point}"
        return dict(what=what, kind="mixed", model=g.finish([x], [y]), inputs=[samples])
    return make


def dequantize_grid(scale):
    """Every type with its extreme zero points."""
    for dtype, zps in {np.int8: (-128, 0, 127), np.uint8: (0, 128, 255), np.int16: (0,)}.items():
        for zp in zps:
            for s in (1 / 256, 0.1, 1.3179, 1e-6):
                yield f"{np.dtype(dtype)}_scale_{s:g}_zp_{zp}", dequantize(dtype, Quant(np.float32(s), zp))


FAMILIES = {"softmax": softmax_grid, "quantize": quantize_grid, "dequantize": dequantize_grid}

"""Products of int16 activations with int8 weights: CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0:
- Sums have 64 bits, and a multiplier of 15 bits brings them to the output in one rounding; FULLY_CONNECTED multiplies
  by a double, as in int8.
- quantized_bias_type INT32 in the options, with an int32 bias, makes sums of 32 bits and a multiplier of 31 bits with
  two roundings. An int32 bias without that option is read as if it were int64. DEPTHWISE_CONV_2D takes int64 alone.
- Input and output must have zero point 0.
"""
import itertools

import numpy as np
from ai_edge_litert import schema_py_generated as s

from build import ACTIVATIONS, TYPES, Graph, Quant, activation_limits, int8_samples, int8_weights, options
from cases_conv import DEFAULT, GRID, OUTPUT_SCALES, PADDING, spatial, weight_scales

TYPES.setdefault(np.dtype(np.int64), s.TensorType.INT64)
LIMITS = (-32768, 32767)
BIAS_TYPES = {np.dtype(np.int32): s.TensorType.INT32, np.dtype(np.int64): s.TensorType.INT64}

MORE = dict(bias_type=np.int64, says=False, most=None, ties_of=None)


def quantized(rng, p, scales, shape, filter_shape, depth):
    """Scales, samples, weights and bias for which six standard deviations of the result fill the range at gain 1.

    18918 and 45 are the root mean square of a uniform int16 and of the weights.
    """
    cout = len(scales) if len(scales) > 1 else p["cout"]
    scale_out = np.float32(OUTPUT_SCALES[p["act"]] / 200)
    if p["ties_of"]:
        scale_in, scale_out = np.float32(1), np.float32(2 * p["ties_of"])
    elif p["effective"]:
        scale_in, scale_out = np.float32(p["effective"]), np.float32(1)
    else:
        spread = np.median(scales) * np.sqrt(depth) * (1 if p["small"] else 18918 * 45 / 5000)
        scale_in = np.float32(scale_out * p["gain"] / spread)
    if p["small"]:
        samples = rng.integers(-9, 10, (3, *shape)).astype(np.int16)
        weights = rng.integers(-2, 3, filter_shape).astype(np.int8)
    else:
        samples, weights = int8_samples(rng, shape, 0, np.int16), int8_weights(rng, filter_shape)
    if p["ties_of"]:
        weights = rng.choice([-p["ties_of"], p["ties_of"]], filter_shape).astype(np.int8)
    info = np.iinfo(p["bias_type"])
    most = min(info.max // 4, 1 << 45)
    if p["bias"] == "zero":
        bias = np.zeros(cout, p["bias_type"])
    else:
        normal = rng.normal(0, 300000 * np.sqrt(depth), cout)
        bias = np.clip(np.rint(normal), -most, most).astype(p["bias_type"])
        if p["bias"] == "large":
            ratios = np.broadcast_to(scale_in * scales / scale_out, cout)
            if p["most"]:
                most = int(min(most, p["most"] / ratios.max()))
            shift = np.maximum(0, np.ceil(np.log2(ratios)).astype(int) + 1)
            bias[::4] = rng.choice([-most, most, most // 3], cout)[::4] >> shift[::4]
    return scale_in, scale_out, samples, weights, bias


def finish(g, p, x, inputs, out_shape, scale_out, op, fields, what, samples):
    """Add the operator and pack the case."""
    y = g.add(out_shape, np.int16, Quant(scale_out))
    if p["says"]:
        fields["quantizedBiasType"] = BIAS_TYPES[np.dtype(p["bias_type"])]
    name, version, kind = op
    if p["says"]:
        # The option came with these.
        version = {"CONV_2D": 8, "FULLY_CONNECTED": 11, "TRANSPOSE_CONV": 5}[name]
    g.op(name, version, inputs, [y], options(kind, fusedActivationFunction=ACTIVATIONS[p["act"]], **fields))
    what += f" {p['act']} bias {p['bias']} {np.dtype(p['bias_type'])} scales {p['scales']} gain {p['gain']:g}"
    what += f" effective {p['effective']}" if p["effective"] else ""
    limits = activation_limits(p["act"], scale_out, 0, *LIMITS)
    return dict(what=what, kind="int8", model=g.finish([x], [y]), inputs=[samples], limits=limits)


def conv(depthwise, **changes):
    """A maker of one convolution case."""
    p = DEFAULT | MORE | changes

    def make(rng):
        cin = p["cin"]
        cout = p["cout"] = cin * p["multiplier"] if depthwise else p["cout"]
        filter_shape = (1, p["kh"], p["kw"], cout) if depthwise else (cout, p["kh"], p["kw"], cin // p["groups"])
        depth = p["kh"] * p["kw"] * (1 if depthwise else cin // p["groups"])
        shape = (p["n"], p["h"], p["w"], cin)
        out_shape = (p["n"], *(spatial(p[x], p["k" + x], p["s" + x], p["d" + x], p["padding"]) for x in "hw"), cout)
        scales = weight_scales(rng, p["scales"], cout)
        scale_in, scale_out, samples, weights, bias = quantized(rng, p, scales, shape, filter_shape, depth)
        g = Graph()
        x = g.add(shape, np.int16, Quant(scale_in))
        inputs = [x, g.const(weights, Quant(scales, 0, 3 if depthwise else 0))]
        if p["bias"] != "none":
            inputs.append(g.const(bias, Quant((scale_in * scales).astype(np.float32))))
        fields = dict(padding=PADDING[p["padding"]], strideH=p["sh"], strideW=p["sw"], dilationHFactor=p["dh"],
                      dilationWFactor=p["dw"])
        if depthwise:
            fields["depthMultiplier"] = p["multiplier"]
        op = ("DEPTHWISE_CONV_2D", 5, "DepthwiseConv2DOptions") if depthwise else ("CONV_2D", 4, "Conv2DOptions")
        what = (f"{list(shape)} filter {list(filter_shape)} stride {p['sh']}x{p['sw']} dilation {p['dh']}x{p['dw']} "
                f"{p['padding']}")
        return finish(g, p, x, inputs, out_shape, scale_out, op, fields, what, samples)
    return make


def transpose(**changes):
    """A maker of one TRANSPOSE_CONV case."""
    p = DEFAULT | MORE | changes

    def make(rng):
        cin, cout, (h, w) = p["cin"], p["cout"], (p["h"], p["w"])
        filter_shape, shape = (cout, p["kh"], p["kw"], cin), (p["n"], h, w, cin)
        same = p["padding"] == "same"
        out = [n * st if same else (n - 1) * st + k for n, st, k in ((h, p["sh"], p["kh"]), (w, p["sw"], p["kw"]))]
        scales = weight_scales(rng, p["scales"], cout)
        depth = p["kh"] * p["kw"] * cin
        scale_in, scale_out, samples, weights, bias = quantized(rng, p, scales, shape, filter_shape, depth)
        g = Graph()
        x = g.add(shape, np.int16, Quant(scale_in))
        out_shape = (p["n"], *out, cout)
        inputs = [g.const(np.array(out_shape, np.int32)), g.const(weights, Quant(scales)), x]
        if p["bias"] != "none":
            inputs.append(g.const(bias, Quant((scale_in * scales).astype(np.float32))))
        fields = dict(padding=PADDING[p["padding"]], strideH=p["sh"], strideW=p["sw"])
        what = f"{list(shape)} filter {list(filter_shape)} stride {p['sh']}x{p['sw']} {p['padding']}"
        return finish(g, p, x, inputs, out_shape, scale_out, ("TRANSPOSE_CONV", 3, "TransposeConvOptions"), fields,
                      what, samples)
    return make


def dense(**changes):
    """A maker of one FULLY_CONNECTED case.

    Results of 2^31 or more are undefined in LiteRT, as it converts a double to int32: `most` avoids them.
    """
    p = DEFAULT | MORE | dict(shape=(1, 20), keep=False, scales="per_tensor", most=1 << 30) | changes

    def make(rng):
        shape, units = p["shape"], p["cout"]
        depth = p.get("depth") or shape[-1]
        scales = weight_scales(rng, p["scales"], units)
        scale_in, scale_out, samples, weights, bias = quantized(rng, p, scales, shape, (units, depth), depth)
        out_shape = (*shape[:-1], units) if p["keep"] else (int(np.prod(shape)) // depth, units)
        g = Graph()
        x = g.add(shape, np.int16, Quant(scale_in))
        last = {"none": [], "absent": [-1]}.get(p["bias"])
        if last is None:
            last = [g.const(bias, Quant((scale_in * scales).astype(np.float32)))]
        inputs = [x, g.const(weights, Quant(scales)), *last]
        what = f"{list(shape)} depth {depth} units {units}" + " keep_num_dims" * p["keep"]
        return finish(g, p, x, inputs, out_shape, scale_out, ("FULLY_CONNECTED", 7, "FullyConnectedOptions"),
                      dict(keepNumDims=p["keep"]), what, samples)
    return make


GAINS = (1e-12, 1e-6, 1e-3, 0.1, 5, 30)
SMALL = (0.6, 1.3, 2.1, 4, 7.5)
TIES = (0.5, 0.25, 0.125, 0.0625, 0.75, 1.0, 2.0, 1.5)


def parameters(make, prefix, biases):
    """Scales, gains and biases at their extremes, for any of the makers."""
    for gain in GAINS:
        yield f"{prefix}_gain_{gain:g}", make(gain=gain)
    for gain in SMALL:
        yield f"{prefix}_small_values_gain_{gain}", make(gain=gain, small=True, bias="zero", scales="per_tensor")
    for effective in TIES:
        yield f"{prefix}_ties_{effective}", make(effective=effective, small=True, bias="zero", scales="one")
    for act in ("relu", "relu6", "relu_n1_to_1"):
        yield f"{prefix}_act_{act}", make(act=act)
    for how in ("per_tensor", "per_channel", "spread"):
        yield f"{prefix}_scales_{how}", make(scales=how, cout=33, cin=3)
    for bias in biases:
        for says in (False,) if prefix == "depthwise" else (False, True):
            text = "_says_its_type" * says
            yield f"{prefix}_bias_{bias}{text}", make(bias=bias, says=says)
        if bias in ("normal", "zero", "large") and prefix != "depthwise":
            fields = dict(bias_type=np.int32, says=True)
            yield f"{prefix}_bias_32_{bias}", make(bias=bias, **fields)
            yield f"{prefix}_bias_32_{bias}_spread", make(bias=bias, scales="spread", gain=0.3, **fields)


def conv_grid(depthwise, scale):
    """Geometry, then parameters, then random points."""
    def make(**changes):
        return conv(depthwise, **changes)

    for kh, kw in [(1, 1), (3, 3), (5, 1), (2, 4)]:
        yield f"kernel_{kh}x{kw}", make(kh=kh, kw=kw)
    for (sh, sw), padding in itertools.product([(1, 2), (2, 1), (3, 2)], ["same", "valid"]):
        yield f"stride_{sh}x{sw}_{padding}", make(sh=sh, sw=sw, padding=padding, h=8, w=9)
    for dh, dw in [(2, 1), (1, 2), (3, 2)]:
        yield f"dilation_{dh}x{dw}", make(dh=dh, dw=dw, h=9, w=8)
    yield "batch_2", make(n=2)
    yield "odd_samples", make(h=3, w=3, cin=1, cout=3)
    yield "one_output_pixel", make(h=3, w=3, padding="valid")
    if depthwise:
        for m in (1, 2, 3, 8):
            yield f"multiplier_{m}", make(multiplier=m, cin=5)
    else:
        for cin in (1, 2, 5, 16, 33):
            yield f"channels_{cin}", make(cin=cin, h=4)
        for cout in (1, 2, 7, 64):
            yield f"outputs_{cout}", make(cout=cout, h=4)
        for groups in (2, 3, 6):
            yield f"groups_{groups}", make(cin=6, cout=12, groups=groups)
        yield "sums_of_600", make(cin=600, h=2, w=2, kh=1, kw=1, gain=1.5)
    prefix = "depthwise" if depthwise else "conv"
    yield from parameters(make, prefix, ("none", "zero", "large") if depthwise else ("normal", "zero", "large"))
    for i in range(round(30 * scale)):
        rng = np.random.default_rng([i, int(depthwise), 16])
        while True:
            p = {key: values[rng.integers(len(values))] for key, values in GRID.items()}
            (p["kh"], p["kw"]), (p["dh"], p["dw"]) = p.pop("k"), p.pop("d")
            if not depthwise:
                p["multiplier"] = 1
            fits = (p["kh"] - 1) * p["dh"] < p["h"] and (p["kw"] - 1) * p["dw"] < p["w"]
            if p["cin"] * p["multiplier"] <= 64 and (p["padding"] == "same" or fits):
                break
        if not depthwise and rng.random() < 0.3:
            p |= dict(bias_type=np.int32, says=True)
        yield f"random_{i:03d}", make(**p)


def dense_grid(scale):
    """Depths, shapes, then parameters, then random points."""
    for depth in (1, 2, 3, 5, 16, 17, 127, 700):
        yield f"depth_{depth}", dense(shape=(1, depth))
    for units in (1, 2, 7, 65):
        yield f"units_{units}", dense(cout=units)
    for shape in ((3, 5), (2, 3, 5), (1, 2, 3, 8)):
        text = "x".join(map(str, shape))
        yield f"shape_{text}", dense(shape=shape)
        yield f"shape_{text}_keep", dense(shape=shape, keep=True)
    yield "flattened_2x3x4", dense(shape=(1, 2, 3, 4), depth=24)
    for n in (3, 7, 11, 49, 77, 105, 127):
        # The ratio 1 / 2n is no double: odd multiples of n are near ties that rounding makes ties, or not.
        yield f"near_ties_{n}", dense(shape=(400, 1), cout=5, ties_of=n, scales="one", bias="zero")
        yield f"near_ties_{n}_sums", dense(shape=(100, 3), cout=7, ties_of=n, scales="one", bias="zero")
    yield from parameters(dense, "dense", ("normal", "zero", "large", "none", "absent"))
    for i in range(round(25 * scale)):
        rng = np.random.default_rng([i, 78])
        pick = lambda *values: values[rng.integers(len(values))]
        p = dict(shape=(*(int(d) for d in rng.integers(1, 4, rng.integers(1, 4))), int(rng.integers(1, 301))),
                 cout=int(rng.integers(1, 70)), act=pick("none", "relu", "relu6", "relu_n1_to_1"),
                 bias=pick("normal", "zero", "large", "absent"), scales=pick("per_tensor", "per_channel", "spread"),
                 gain=pick(0.2, 0.7, 1.5))
        if p["bias"] != "absent" and rng.random() < 0.3:
            p |= dict(bias_type=np.int32, says=True)
        yield f"random_{i:03d}", dense(**p)


def transpose_grid(scale):
    """Strides and paddings, then parameters."""
    for (kh, kw), (sh, sw), padding in itertools.product([(1, 1), (3, 3), (2, 4)], [(1, 1), (2, 2), (1, 2)],
                                                         ["same", "valid"]):
        if sh <= kh and sw <= kw:
            yield f"kernel_{kh}x{kw}_stride_{sh}x{sw}_{padding}", transpose(kh=kh, kw=kw, sh=sh, sw=sw, padding=padding,
                                                                           h=4, w=5)
    def make(**changes):
        return transpose(**(dict(sh=2, sw=2, h=3, w=4) | changes))

    yield from parameters(make, "transpose", ("normal", "none", "large"))


FAMILIES = {
    "int16_conv_2d": lambda scale: conv_grid(False, scale),
    "int16_depthwise_conv_2d": lambda scale: conv_grid(True, scale),
    "int16_fully_connected": dense_grid,
    "int16_transpose_conv": transpose_grid,
}

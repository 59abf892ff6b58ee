"""CONV_2D and DEPTHWISE_CONV_2D.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0:
- Every accumulator goes through a 32-bit multiplier in two roundings (doubling high multiplication, then a rounding
  shift): a multiplier of 0.25 turns 1 into 1 and -1 into -1. FULLY_CONNECTED rounds differently.
- CONV_2D demands a bias, also -1 as third input is refused; DEPTHWISE_CONV_2D runs with two inputs but refuses a -1.
- A fused TANH is accepted and ignored, in int8 and in float (as if NONE).
- Groups: the filter's channels must divide the input's, and the groups divide the output channels; int8 and float,
  any version of the operator. CONV_2D is registered for versions 1 to 8, DEPTHWISE_CONV_2D up to 6; the kernels do
  not look at the version.
- int8: CONV_2D refuses a filter zero point other than 0, DEPTHWISE_CONV_2D accepts one. Input and filter need
  quantization parameters, the bias none (its scale is never read). One filter scale serves all channels.
- DEPTHWISE_CONV_2D takes its multiplier from the shapes and ignores the option. Strides and dilations combine freely.
- A VALID kernel larger than the input gives an empty output without a complaint.
"""
import itertools

import numpy as np

from build import (ACTIVATIONS, Graph, Quant, activation_limits, float_samples, int8_samples, int8_weights, options)

PADDING = {"same": 0, "valid": 1}

DEFAULT = dict(n=1, h=6, w=7, cin=3, cout=8, kh=3, kw=3, sh=1, sw=1, dh=1, dw=1, padding="same", act="none",
               groups=1, multiplier=1, scales="per_channel", zp_in=-7, zp_out=3, gain=1.0, bias="normal",
               small=False, effective=None)


def weight_scales(rng, how, channels):
    """Filter scales: one for the tensor, close to each other, or spread over four decades."""
    if how == "per_tensor":
        return np.float32([0.0137])
    if how == "one":
        return np.float32([1.0])
    if how == "spread":
        # Most channels near 1e-3, the outermost at 1e-5 and 1e-1.
        exponents = -3 + 2 * np.linspace(-1, 1, channels) ** 3 if channels > 1 else np.array([-3.0])
        return (10.0 ** rng.permutation(exponents)).astype(np.float32)
    return (0.004 * np.exp(rng.normal(0, 0.4, channels))).astype(np.float32)


def int32_bias(rng, how, multipliers, depth):
    """Biases: zeros, about as large as the accumulator, or some so large that the output saturates.

    Never so large that the accumulator, or its left shift for a multiplier above one, leaves int32: LiteRT gives no
    meaning to that.
    """
    channels = len(multipliers)
    if how == "zero":
        return np.zeros(channels, np.int32)
    bias = np.rint(rng.normal(0, 3000 * np.sqrt(depth), channels)).astype(np.int32)
    if how == "large":
        shift = np.maximum(0, np.ceil(np.log2(multipliers)).astype(int) + 1)
        huge = rng.choice([-(1 << 30), 1 << 30, (1 << 29) + 12345], channels) >> shift
        bias[::4] = huge[::4]
    return bias


# Output scales for which the limits of an activation lie well inside the range.
OUTPUT_SCALES = {"none": 0.037, "tanh": 0.037, "relu": 0.05, "relu6": 6 / 180, "relu_n1_to_1": 2 / 150}


def in_and_out_scale(p, scales, depth):
    """Input and output scales for which six standard deviations of the result fill the range at `gain` 1.

    73 and 45 are the root mean square of a uniform int8 around zero and of the weights; an input zero point at an
    extreme doubles the former. "effective", beside scales of "one", is the exact effective multiplier.
    """
    if p["effective"]:
        return np.float32(p["effective"]), np.float32(1)
    scale_out = np.float32(OUTPUT_SCALES[p["act"]])
    spread = np.median(scales) * np.sqrt(depth) * (1 if p["small"] else 73 * 45 / 20 * (1 + abs(p["zp_in"]) / 128))
    return np.float32(scale_out * p["gain"] / spread), scale_out


def integers(rng, p, shape, filter_shape):
    """Input samples and weights; with "small" so small that a multiplier above one does not saturate at once."""
    samples = int8_samples(rng, shape, p["zp_in"])
    if not p["small"]:
        return samples, int8_weights(rng, filter_shape)
    samples = np.clip(p["zp_in"] + rng.integers(-9, 10, samples.shape), -128, 127).astype(np.int8)
    return samples, rng.integers(-2, 3, filter_shape).astype(np.int8)


def conv(depthwise, kind, **changes):
    """A maker of one convolution case from the fields of `DEFAULT`."""
    p = DEFAULT | changes

    def make(rng):
        cin, cout = p["cin"], p["cin"] * p["multiplier"] if depthwise else p["cout"]
        filter_shape = (1, p["kh"], p["kw"], cout) if depthwise else (cout, p["kh"], p["kw"], cin // p["groups"])
        depth = p["kh"] * p["kw"] * (1 if depthwise else cin // p["groups"])
        axis = 3 if depthwise else 0
        shape = (p["n"], p["h"], p["w"], cin)
        out_shape = (p["n"], *(spatial(p[x], p["k" + x], p["s" + x], p["d" + x], p["padding"]) for x in "hw"), cout)
        g = Graph()
        limits = (-128, 127)
        if kind == "int8":
            scales = weight_scales(rng, p["scales"], cout)
            scale_in, scale_out = in_and_out_scale(p, scales, depth)
            samples, weights = integers(rng, p, shape, filter_shape)
            dtype, quant_in, quant_out = np.int8, Quant(scale_in, p["zp_in"]), Quant(scale_out, p["zp_out"])
            limits = activation_limits(p["act"], scale_out, p["zp_out"])
            x = g.add(shape, dtype, quant_in)
            filter_ = g.const(weights, Quant(scales, 0, axis))
            multipliers = np.broadcast_to(scale_in * scales / scale_out, cout)
            bias = int32_bias(rng, p["bias"], multipliers, depth)
            bias_quant = Quant((scale_in * scales).astype(np.float32), 0, 0)
        else:
            dtype, quant_out, bias_quant = np.float32, None, None
            x = g.add(shape, dtype)
            filter_ = g.const(rng.normal(0, 1 / np.sqrt(depth), filter_shape).astype(np.float32))
            bias = rng.normal(0, 1, cout).astype(np.float32)
            samples = float_samples(rng, shape)
        inputs = [x, filter_] + ([] if p["bias"] == "none" else [g.const(bias, bias_quant)])
        y = g.add(out_shape, dtype, quant_out)
        fields = dict(padding=PADDING[p["padding"]], strideH=p["sh"], strideW=p["sw"], dilationHFactor=p["dh"],
                      dilationWFactor=p["dw"], fusedActivationFunction=ACTIVATIONS[p["act"]])
        if depthwise:
            g.op("DEPTHWISE_CONV_2D", 3, inputs, [y],
                 options("DepthwiseConv2DOptions", depthMultiplier=p["multiplier"], **fields))
        else:
            # Grouped convolution is version 6 of the operator, a per-tensor int8 filter version 3 like any other.
            g.op("CONV_2D", 6 if p["groups"] > 1 else 3, inputs, [y], options("Conv2DOptions", **fields))
        return dict(what=describe(p, kind, depthwise), kind=kind, model=g.finish([x], [y]), inputs=[samples],
                    limits=limits)
    return make


def spatial(size, kernel, stride, dilation, padding):
    """The output size along one dimension."""
    reach = (kernel - 1) * dilation + 1
    return -(-size // stride) if padding == "same" else -(-(size - reach + 1) // stride)


def describe(p, kind, depthwise):
    """The text of index.json."""
    channels = f"{p['cin']}x{p['multiplier']}" if depthwise else f"{p['cin']}>{p['cout']}"
    text = (f"[{p['n']},{p['h']},{p['w']}] channels {channels} kernel {p['kh']}x{p['kw']} stride {p['sh']}x{p['sw']} "
            f"dilation {p['dh']}x{p['dw']} {p['padding']} {p['act']} bias {p['bias']}")
    if p["groups"] > 1:
        text += f" groups {p['groups']}"
    if kind == "int8":
        text += f" scales {p['scales']} zp {p['zp_in']}>{p['zp_out']} gain {p['gain']:g}"
        text += f" effective {p['effective']}" if p["effective"] else ""
    return text


GRID = {
    "n": [1, 1, 2], "h": [4, 5, 8, 9], "w": [3, 6, 7, 10], "k": [(1, 1), (3, 3), (5, 1), (2, 4), (1, 3)],
    "sh": [1, 1, 2, 3], "sw": [1, 2, 3], "d": [(1, 1), (1, 1), (2, 1), (1, 2), (2, 2)],
    "padding": ["same", "valid"], "act": ["none", "relu", "relu6", "relu_n1_to_1"],
    "scales": ["per_channel", "spread", "per_tensor"], "zp_in": [-128, -7, 0, 127], "zp_out": [-128, -5, 0, 127],
    "gain": [0.2, 0.7, 1.5], "bias": ["normal", "zero", "large"],
    "cin": [1, 3, 4, 6, 16, 33], "cout": [1, 2, 7, 8, 64], "multiplier": [1, 2, 3, 8],
}


def random_fields(rng, depthwise, kind):
    """One random point of the grid whose output is not empty."""
    while True:
        p = {key: values[rng.integers(len(values))] for key, values in GRID.items()}
        (p["kh"], p["kw"]), (p["dh"], p["dw"]) = p.pop("k"), p.pop("d")
        if depthwise:
            p.pop("cout")
            if p["cin"] * p["multiplier"] > 64:
                continue
        else:
            p.pop("multiplier")
        if kind == "float" or (depthwise and rng.random() < 0.2):
            p["bias"] = "none" if depthwise and rng.random() < 0.3 else "normal"
        if p["act"].startswith("relu"):
            p["zp_out"] = [-128, -90, -5][rng.integers(3)]
        if p["padding"] == "same" or ((p["kh"] - 1) * p["dh"] < p["h"] and (p["kw"] - 1) * p["dw"] < p["w"]):
            return p


def grid(depthwise, scale):
    """Named single changes first, then random points."""
    def named(kind, name, **changes):
        return f"{kind}_{name}", conv(depthwise, kind, **changes)

    for kind in ("int8", "float"):
        for kh, kw in [(1, 1), (3, 3), (5, 1), (2, 4)]:
            yield named(kind, f"kernel_{kh}x{kw}", kh=kh, kw=kw)
        for (sh, sw), padding in itertools.product([(1, 2), (2, 1), (3, 2), (2, 3)], ["same", "valid"]):
            yield named(kind, f"stride_{sh}x{sw}_{padding}", sh=sh, sw=sw, padding=padding, h=8, w=9)
        for dh, dw in [(2, 1), (1, 2), (2, 2), (3, 2)]:
            yield named(kind, f"dilation_{dh}x{dw}", dh=dh, dw=dw, h=9, w=8)
        yield named(kind, "dilation_2x2_stride_2x1_valid", dh=2, dw=2, sh=2, h=9, w=8, padding="valid")
        yield named(kind, "kernel_larger_than_input_same", kh=5, kw=5, h=3, w=2)
        yield named(kind, "batch_2", n=2)
        yield named(kind, "one_output_pixel", h=3, w=3, padding="valid")
        for act in ("relu", "relu6", "relu_n1_to_1", "tanh"):
            yield named(kind, f"act_{act}", act=act, zp_out=-20)
        if depthwise:
            yield named(kind, "without_bias", bias="none")
            for m in (1, 2, 3, 8):
                yield named(kind, f"multiplier_{m}", multiplier=m, cin=4)
                yield named(kind, f"multiplier_{m}_of_1", multiplier=m, cin=1)
            yield named(kind, "channels_33", cin=33, multiplier=2, h=4, w=4)
        else:
            for cin in (1, 3, 4, 6, 16, 33):
                yield named(kind, f"channels_{cin}", cin=cin, h=4)
            for cout in (1, 2, 7, 64):
                yield named(kind, f"outputs_{cout}", cout=cout, h=4)
            yield named(kind, "pointwise_33_64", cin=33, cout=64, kh=1, kw=1)
            yield named(kind, "temporal_5x1", h=20, w=6, cin=16, cout=16, kh=5, kw=1, padding="valid", act="relu",
                        zp_out=-128)
            for groups in (2, 3, 6):
                yield named(kind, f"groups_{groups}", cin=6, cout=12, groups=groups)
            # A channel each, which are depthwise convolutions by another name.
            for c, fields in ((6, {}), (20, dict(kh=5, kw=5, sh=2)), (33, dict(h=5, kw=1, padding="valid"))):
                yield named(kind, f"groups_of_one_{c}", cin=c, cout=c, groups=c, **fields)
    yield from int8_parameters(depthwise, named)
    for kind, count in (("int8", 30), ("float", 10)):
        for i in range(round(count * scale)):
            name = f"{kind}_random_{i:03d}"
            rng = np.random.default_rng([i, int(depthwise), int(kind == "float")])
            yield name, conv(depthwise, kind, **random_fields(rng, depthwise, kind))


def int8_parameters(depthwise, named):
    """Zero points, scales, gains and biases at their extremes."""
    for zp_in, zp_out in [(-128, -128), (127, 127), (0, 0), (-128, 127), (127, -128)]:
        yield named("int8", f"zp_{zp_in}_{zp_out}", zp_in=zp_in, zp_out=zp_out)
    for how in ("per_tensor", "spread"):
        yield named("int8", f"scales_{how}", scales=how, cout=64, cin=16, multiplier=2, h=4)
    for gain in (1e-12, 1e-5, 1e-2, 0.1, 5, 30):
        yield named("int8", f"gain_{gain:g}", gain=gain)
    # Effective multipliers above one: a left shift before the multiplication.
    for gain in (0.6, 1.3, 2.1, 4, 7.5):
        yield named("int8", f"small_values_gain_{gain}", gain=gain, small=True, bias="zero", scales="per_tensor")
    # Powers of two meet every rounding tie, of both signs.
    for effective in (0.5, 0.25, 0.125, 0.0625, 0.75, 1.0, 2.0, 1.5):
        yield named("int8", f"ties_{effective}", effective=effective, small=True, bias="zero", scales="one", zp_out=0)
    for bias in ("zero", "large"):
        yield named("int8", f"bias_{bias}", bias=bias)
    yield named("int8", "bias_large_tiny_multiplier", bias="large", gain=1e-5)
    yield named("int8", "scales_spread_relu6", scales="spread", act="relu6", zp_out=-128, cin=16, cout=64, h=4)


FAMILIES = {
    "conv_2d": lambda scale: grid(False, scale),
    "depthwise_conv_2d": lambda scale: grid(True, scale),
}

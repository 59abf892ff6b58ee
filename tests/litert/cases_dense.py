"""FULLY_CONNECTED.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0:
- int8 is requantized in double, not with a 32-bit multiplier: round(acc * (s_in * s_w / s_out)), half away from zero,
  for one scale and for one a channel. A multiplier of 0.25 turns 1 into 0, where CONV_2D gives 1.
- A filter zero point other than 0 is honoured when there is one scale.
- With one scale a bias scale further than 2 % of the output scale from s_in * s_w is refused; with several scales the
  bias scale is never read. A single output unit counts as one scale. A fused TANH is refused, in int8 and in float.
- The bias may be missing or -1. Per-channel int8 runs under version 4 as well; versions 1 to 14 are registered.
- Without keep_num_dims the output is [elements / depth, units], whatever the input's rank (1 works); with it the last
  dimension must be the depth.
"""
import numpy as np

from build import ACTIVATIONS, Graph, Quant, activation_limits, float_samples, options
from cases_conv import in_and_out_scale, int32_bias, integers, weight_scales

DEFAULT = dict(shape=(1, 20), units=8, keep=False, act="none", bias="normal", scales="per_tensor", zp_in=-7, zp_out=3,
               gain=1.0, depth=None, small=False,
               effective=None, zp_weights=0)


def dense(kind, **changes):
    """A maker of one case. `depth` differs from the last dimension only where the input is flattened."""
    p = DEFAULT | changes

    def make(rng):
        shape, units = p["shape"], p["units"]
        depth = p["depth"] or shape[-1]
        out_shape = (*shape[:-1], units) if p["keep"] else (int(np.prod(shape)) // depth, units)
        g, limits = Graph(), (-128, 127)
        if kind == "int8":
            dtype, scales = np.int8, weight_scales(rng, p["scales"], units)
            scale_in, scale_out = in_and_out_scale(p, scales, depth)
            samples, weights = integers(rng, p, shape, (units, depth))
            quant_out = Quant(scale_out, p["zp_out"])
            limits = activation_limits(p["act"], scale_out, p["zp_out"])
            x = g.add(shape, dtype, Quant(scale_in, p["zp_in"]))
            weights = g.const(weights, Quant(scales, p["zp_weights"]))
            bias = int32_bias(rng, p["bias"], np.broadcast_to(scale_in * scales / scale_out, units), depth)
            bias_quant = Quant((scale_in * scales).astype(np.float32))
        else:
            dtype, quant_out, bias_quant = np.float32, None, None
            x = g.add(shape, dtype)
            weights = g.const(rng.normal(0, 1 / np.sqrt(depth), (units, depth)).astype(np.float32))
            bias = rng.normal(0, 1, units).astype(np.float32)
            samples = float_samples(rng, shape)
        last = {"none": [], "absent": [-1]}.get(p["bias"])
        inputs = [x, weights] + ([g.const(bias, bias_quant)] if last is None else last)
        y = g.add(out_shape, dtype, quant_out)
        # Version 4 is int8 with one scale, 12 is int8 with one scale a channel.
        version = 12 if kind == "int8" and p["scales"] != "per_tensor" else 4
        g.op("FULLY_CONNECTED", version, inputs, [y], options(
            "FullyConnectedOptions", fusedActivationFunction=ACTIVATIONS[p["act"]], keepNumDims=p["keep"]))
        what = f"{list(shape)} depth {depth} units {units} {p['act']} bias {p['bias']}" + " keep_num_dims" * p["keep"]
        if kind == "int8":
            what += f" scales {p['scales']} zp {p['zp_in']}>{p['zp_out']} gain {p['gain']:g}"
            what += f" effective {p['effective']}" if p["effective"] else ""
            what += f" weight zp {p['zp_weights']}" if p["zp_weights"] else ""
        return dict(what=what, kind=kind, model=g.finish([x], [y]), inputs=[samples], limits=limits)
    return make


def grid(scale):
    """Named single changes first, then random points."""
    for kind in ("int8", "float"):
        def named(name, kind=kind, **changes):
            return f"{kind}_{name}", dense(kind, **changes)

        for depth in (1, 2, 3, 4, 5, 7, 15, 16, 17, 33, 64, 127, 300):
            yield named(f"depth_{depth}", shape=(1, depth))
        for units in (1, 2, 7, 65):
            yield named(f"units_{units}", units=units)
        for shape in ((3, 5), (2, 3, 5), (1, 3, 5), (2, 2, 3, 4), (1, 2, 3, 8)):
            text = "x".join(map(str, shape))
            yield named(f"shape_{text}", shape=shape)
            yield named(f"shape_{text}_keep", shape=shape, keep=True)
        yield named("flattened_2x3x4", shape=(1, 2, 3, 4), depth=24)
        yield named("flattened_1x6x8", shape=(1, 6, 8), depth=48)
        for act in ("relu", "relu6", "relu_n1_to_1"):
            yield named(f"act_{act}", act=act, zp_out=-20)
        for bias in ("none", "absent"):
            yield named(f"bias_{bias}", bias=bias)
    def int8(name, **changes):
        return f"int8_{name}", dense("int8", **changes)

    for bias in ("zero", "large"):
        yield int8(f"bias_{bias}", bias=bias)
    for how in ("per_channel", "spread"):
        for units in (2, 7, 33):
            yield int8(f"{how}_{units}", scales=how, units=units)
    yield int8("per_channel_without_bias", scales="per_channel", bias="absent")
    yield int8("per_channel_1_unit", scales="per_channel", units=1)
    yield int8("per_channel_keep", scales="per_channel", shape=(1, 3, 5), keep=True, act="relu")
    yield int8("per_channel_bias_large", scales="spread", bias="large", units=33, gain=3)
    for zp_in, zp_out in [(-128, -128), (127, 127), (0, 0), (-128, 127), (127, -128)]:
        yield int8(f"zp_{zp_in}_{zp_out}", zp_in=zp_in, zp_out=zp_out)
    for gain in (1e-12, 1e-5, 1e-2, 0.1, 5, 30):
        yield int8(f"gain_{gain:g}", gain=gain)
    for gain in (0.6, 1.3, 2.1, 4, 7.5):
        yield int8(f"small_values_gain_{gain}", gain=gain, small=True, bias="zero")
    for effective in (0.5, 0.25, 0.125, 0.0625, 0.75, 1.0, 2.0, 1.5):
        for units in (1, 16):
            yield int8(f"ties_{effective}_units_{units}", effective=effective, small=True, bias="zero", scales="one",
                       units=units, zp_out=0, shape=(6, 9))
    for zp_weights in (3, -128):
        yield int8(f"weight_zp_{zp_weights}", zp_weights=zp_weights)
    for i in range(round(25 * scale)):
        rng = np.random.default_rng([i, 77])
        pick = lambda *values: values[rng.integers(len(values))]
        shape = (*(int(d) for d in rng.integers(1, 4, rng.integers(1, 4))), int(rng.integers(1, 301)))
        act = pick("none", "relu", "relu6", "relu_n1_to_1")
        yield int8(f"random_{i:03d}", shape=shape, units=int(rng.integers(1, 70)), keep=pick(True, False),
                   act=act, bias=pick("normal", "zero", "large", "absent"),
                   scales=pick("per_tensor", "per_channel", "spread"), zp_in=pick(-128, -7, 0, 127),
                   zp_out=pick(-128, 0, 127) if act == "none" else pick(-128, -90, -5),
                   gain=pick(0.2, 0.7, 1.5))


FAMILIES = {"fully_connected": grid}

"""BATCH_MATMUL, TRANSPOSE_CONV, and FULLY_CONNECTED with weights that are computed.

Facts about BUILTIN_REF, from the kernels of LiteRT 2.3.0 and measured with ai-edge-litert 2.3.0:
- BATCH_MATMUL int8 takes one scale a tensor (several count as zero, without a complaint) and any zero points. Its
  multiplier is float32(s_lhs * s_rhs) / s_out, the product rounded to float32 first; TRANSPOSE_CONV's is
  s_in * s_w / s_out all in double. Both then use the 32-bit multiplier in two roundings. Scales of 1/3 and 3/2 tell
  them apart: an accumulator of -1 gives 0 in the former and -1 in the latter.
- BATCH_MATMUL takes rank 2 to 5, ranks may differ; either side may be constant, or both the same tensor. No fused
  activation. An int32 output instead of int8 exists (raw sums, zero points ignored) and has no case here.
- TRANSPOSE_CONV takes its output size from its first input; every size whose forward convolution gives the input's
  size is accepted. The bias may be missing or -1. A fused TANH is ignored. A filter zero point is ignored; bias scales
  are not read. A filter's only scale serves all channels; with several, the quantized dimension must be 0.
- The kernels of BATCH_MATMUL and TRANSPOSE_CONV do not look at the version of the operator.
"""
import itertools

import numpy as np

from build import (ACTIVATIONS, Graph, Quant, activation_limits, float_samples, int8_samples, int8_weights, options)
from cases_conv import PADDING, in_and_out_scale, int32_bias, integers, weight_scales

MATMUL = dict(lhs=(), rhs=(), m=4, k=6, n=5, adj_x=False, adj_y=False, const=None, zps=(-7, 9, 3), gain=1.0,
              small=False, scales=None)


def matmul_scales(p):
    """Scales of lhs, rhs and output for which a standard deviation of the result is 20 steps at `gain` 1."""
    if p["scales"]:
        return tuple(np.float32(s) for s in p["scales"])
    spread = np.sqrt(p["k"])
    if not p["small"]:
        for side, zp in zip(("lhs", "rhs"), p["zps"]):
            spread *= (45 if p["const"] == side else 73) * (1 + abs(zp) / 128)
        spread /= 20
    return np.float32(p["gain"] * 0.037 / (0.0137 * spread)), np.float32(0.0137), np.float32(0.037)


def batch_matmul(kind, **changes):
    """A maker of one case. `lhs` and `rhs` are the batch dimensions; `const` is "lhs", "rhs" or "same" (x times x)."""
    p = MATMUL | changes

    def make(rng):
        m, k, n = p["m"], p["k"], p["n"]
        shapes = ((*p["lhs"], *((k, m) if p["adj_x"] else (m, k))), (*p["rhs"], *((n, k) if p["adj_y"] else (k, n))))
        out_shape = (*np.broadcast_shapes(p["lhs"], p["rhs"]), m, n)
        g, dtype = Graph(), np.int8 if kind == "int8" else np.float32
        quants = [Quant(s, zp) for s, zp in zip(matmul_scales(p), p["zps"])] if kind == "int8" else [None] * 3
        operands, inputs, samples = [], [], []
        for side, shape, quant in zip(("lhs", "rhs"), shapes, quants):
            if p["const"] == "same" and operands:
                operands.append(operands[0])
            elif p["const"] == side:
                if kind == "float":
                    w = rng.normal(0, 1 / np.sqrt(k), shape).astype(np.float32)
                elif p["small"]:
                    w = np.clip(quant.zero_point + rng.integers(-2, 3, shape), -128, 127).astype(np.int8)
                else:
                    w = int8_weights(rng, shape)
                operands.append(g.const(w, quant))
            else:
                if kind == "float":
                    x = float_samples(rng, shape)
                else:
                    x = int8_samples(rng, shape, quant.zero_point)
                    if p["small"]:
                        x = np.clip(quant.zero_point + rng.integers(-4, 5, x.shape), -128, 127).astype(np.int8)
                operands.append(g.add(shape, dtype, quant))
                inputs.append(operands[-1])
                samples.append(x)
        y = g.add(out_shape, dtype, quants[2])
        # Version 2 is int8.
        g.op("BATCH_MATMUL", 2 if kind == "int8" else 1, operands, [y],
             options("BatchMatMulOptions", adjX=p["adj_x"], adjY=p["adj_y"]))
        what = f"{list(shapes[0])} x {list(shapes[1])}" + " adj_x" * p["adj_x"] + " adj_y" * p["adj_y"]
        what += f" {p['const']} constant" if p["const"] in ("lhs", "rhs") else " one tensor" if p["const"] else ""
        if kind == "int8":
            what += f" zp {p['zps'][0]},{p['zps'][1]}>{p['zps'][2]} gain {p['gain']:g}"
            what += f" scales {p['scales']}" if p["scales"] else ""
        return dict(what=what, kind=kind, model=g.finish(inputs, [y]), inputs=samples)
    return make


BATCHES = [((), ()), ((3,), (3,)), ((1,), (3,)), ((3,), (1,)), ((2, 3), (2, 3)), ((2, 1), (2, 3)), ((2, 3), (2, 1)),
           ((1, 3), (2, 1)), ((2, 3), ()), ((), (2, 3)), ((3,), (2, 1)), ((2, 1), (3,)), ((2, 1, 2), (2, 1, 2)),
           ((1, 2, 2), (2, 1, 2)), ((2, 1, 2), (1, 2, 1)), ((2, 2, 2), (2,)), ((2,), (2, 2, 1)), ((), (2, 2, 1))]


def matmul_grid(scale):
    """Batches and transpositions first, then sizes, then int8 parameters, then random points."""
    adjoints = [("", {}), ("_adj_x", dict(adj_x=True)), ("_adj_y", dict(adj_y=True)),
                ("_adj_xy", dict(adj_x=True, adj_y=True))]
    for kind in ("int8", "float"):
        def named(name, kind=kind, **changes):
            return f"{kind}_{name}", batch_matmul(kind, **changes)

        for i, (lhs, rhs) in enumerate(BATCHES):
            text = "_".join("x".join(map(str, b)) or "matrix" for b in (lhs, rhs))
            suffix, adjoint = adjoints[i % 4]
            yield named(f"batches_{text}{suffix}", lhs=lhs, rhs=rhs, m=3, k=4, **adjoint)
        for suffix, adjoint in adjoints:
            yield named(f"rhs_constant{suffix}", const="rhs", lhs=(2,), rhs=(2,), **adjoint)
            yield named(f"rhs_one_batch{suffix}", lhs=(3,), rhs=(1,), **adjoint)
        yield named("rhs_constant_matrix", const="rhs", lhs=(2, 3))
        yield named("lhs_constant", const="lhs", rhs=(2,))
        yield named("lhs_constant_adj_x", const="lhs", rhs=(2,), adj_x=True)
        yield named("same_tensor_adj_y", const="same", lhs=(2,), rhs=(2,), m=5, n=5, adj_y=True, zps=(-7, -7, 3))
        yield named("same_tensor_square", const="same", lhs=(2,), rhs=(2,), m=5, k=5, n=5, zps=(-7, -7, 3))
        for m, k, n in [(1, 1, 1), (1, 17, 1), (7, 1, 3), (1, 33, 8), (8, 16, 8), (2, 127, 3), (9, 5, 1)]:
            yield named(f"size_{m}x{k}x{n}", m=m, k=k, n=n, lhs=(2,), rhs=(2,))
    def int8(name, **changes):
        return f"int8_{name}", batch_matmul("int8", **changes)

    for zps in [(-128, -128, -128), (127, 127, 127), (127, 127, -128), (0, 0, 0), (-128, 127, 0), (127, -128, 0),
                (0, 127, -128), (-128, 0, 127)]:
        yield int8("zp_" + "_".join(map(str, zps)), zps=zps, k=12)
    for gain in (1e-12, 1e-5, 1e-2, 0.1, 5, 30, 1e4):
        yield int8(f"gain_{gain:g}", gain=gain, lhs=(2,), rhs=(2,))
    # Effective multipliers above one: a left shift before the multiplication.
    for gain in (0.6, 1.3, 2.1, 4, 7.5, 1e3):
        yield int8(f"small_values_gain_{gain:g}", gain=gain, small=True)
    for effective in (0.5, 0.25, 0.125, 0.0625, 0.75, 1.0, 1.5, 2.0):
        yield int8(f"ties_{effective}", scales=(effective, 1, 1), small=True, m=6, n=8, zps=(-7, 9, 0))
    yield int8("product_rounds_to_a_tie", scales=(1 / 3, 1.5, 1), small=True, m=8, n=8, k=3, zps=(0, 0, 0))
    yield int8("product_rounds_to_a_tie_constant", scales=(1 / 3, 1.5, 4), small=True, m=8, n=8, k=3, const="rhs")
    for kind, count in (("int8", 14), ("float", 6)):
        for i in range(round(count * scale)):
            rng = np.random.default_rng([i, 401, int(kind == "float")])
            lhs, rhs = BATCHES[rng.integers(len(BATCHES))]
            yield f"{kind}_random_{i:03d}", batch_matmul(
                kind, lhs=lhs, rhs=rhs, m=int(rng.integers(1, 9)), k=int(rng.integers(1, 40)),
                n=int(rng.integers(1, 9)), adj_x=bool(rng.integers(2)), adj_y=bool(rng.integers(2)),
                const=[None, "rhs"][rng.integers(2)], zps=tuple(int(z) for z in rng.integers(-128, 128, 3)),
                gain=float(10 ** rng.uniform(-1, 0.3)))


TRANSPOSE = dict(n=1, h=4, w=5, cin=3, cout=4, kh=3, kw=3, sh=2, sw=2, padding="same", extra=(0, 0), act="none",
                 scales="per_channel", zp_in=-7, zp_out=3, gain=1.0, bias="normal", small=False, effective=None,
                 zp_weights=0, thirds=False)


def transpose_conv(kind, **changes):
    """A maker of one case. `extra` grows the output beyond the usual size, by less than the stride."""
    p = TRANSPOSE | changes

    def make(rng):
        cin, cout = p["cin"], p["cout"]
        # SAME: up to input * stride. VALID: from (input - 1) * stride + kernel.
        size = [p[x] * p["s" + x] if p["padding"] == "same" else (p[x] - 1) * p["s" + x] + p["k" + x] for x in "hw"]
        size = [a + e for a, e in zip(size, p["extra"])]
        shape, out_shape = (p["n"], p["h"], p["w"], cin), (p["n"], *size, cout)
        filter_shape = (cout, p["kh"], p["kw"], cin)
        depth = max(1, p["kh"] * p["kw"] // (p["sh"] * p["sw"])) * cin
        g, limits = Graph(), (-128, 127)
        shape_tensor = g.const(np.array(out_shape, np.int32))
        if kind == "int8":
            scales = weight_scales(rng, p["scales"], cout)
            scale_in, scale_out = in_and_out_scale(p, scales, depth)
            if p["thirds"]:
                scale_in, scales = np.float32(1 / 3), np.float32([1.5])
            samples, weights = integers(rng, p, shape, filter_shape)
            dtype, quant_out = np.int8, Quant(scale_out, p["zp_out"])
            limits = activation_limits(p["act"], scale_out, p["zp_out"])
            filter_ = g.const(weights, Quant(scales, p["zp_weights"]))
            x = g.add(shape, dtype, Quant(scale_in, p["zp_in"]))
            bias = int32_bias(rng, p["bias"], np.broadcast_to(scale_in * scales / scale_out, cout), depth)
            bias_quant = Quant((scale_in * scales).astype(np.float32))
        else:
            dtype, quant_out, bias_quant = np.float32, None, None
            filter_ = g.const(rng.normal(0, 1 / np.sqrt(depth), filter_shape).astype(np.float32))
            x = g.add(shape, dtype)
            bias = rng.normal(0, 1, cout).astype(np.float32)
            samples = float_samples(rng, shape)
        last = {"none": [], "absent": [-1]}.get(p["bias"])
        inputs = [shape_tensor, filter_, x] + ([g.const(bias, bias_quant)] if last is None else last)
        y = g.add(out_shape, dtype, quant_out)
        # Version 4 has fused activations, 3 a bias, 2 is int8.
        version = 4 if p["act"] != "none" else 3 if len(inputs) == 4 else 2 if kind == "int8" else 1
        g.op("TRANSPOSE_CONV", version, inputs, [y], options(
            "TransposeConvOptions", padding=PADDING[p["padding"]], strideH=p["sh"], strideW=p["sw"],
            fusedActivationFunction=ACTIVATIONS[p["act"]]))
        what = (f"{list(shape)} > {list(out_shape)} kernel {p['kh']}x{p['kw']} stride {p['sh']}x{p['sw']} "
                f"{p['padding']} {p['act']} bias {p['bias']}")
        if kind == "int8":
            what += f" scales {p['scales']} zp {p['zp_in']}>{p['zp_out']} gain {p['gain']:g}"
            what += f" effective {p['effective']}" + " of 1/3 and 3/2" * p["thirds"] if p["effective"] else ""
            what += f" weight zp {p['zp_weights']}" if p["zp_weights"] else ""
        return dict(what=what, kind=kind, model=g.finish([x], [y]), inputs=[samples], limits=limits)
    return make


def transpose_grid(scale):
    """Named single changes first, then random points."""
    for kind in ("int8", "float"):
        def named(name, kind=kind, **changes):
            return f"{kind}_{name}", transpose_conv(kind, **changes)

        for i, (stride, kernel) in enumerate(itertools.product((1, 2, 3), (1, 2, 3, 4))):
            for padding in ("same", "valid") if kind == "int8" else (("same", "valid")[(i + stride) % 2],):
                yield named(f"stride_{stride}_kernel_{kernel}_{padding}", sh=stride, sw=stride, kh=kernel, kw=kernel,
                            padding=padding, h=3, w=4)
        for (kh, kw), (sh, sw), padding in [((1, 4), (1, 2), "same"), ((4, 1), (3, 1), "valid"),
                                            ((2, 3), (2, 3), "valid"), ((3, 2), (1, 3), "same")]:
            yield named(f"kernel_{kh}x{kw}_stride_{sh}x{sw}_{padding}", kh=kh, kw=kw, sh=sh, sw=sw, padding=padding)
        yield named("same_one_less", extra=(-1, -1))
        yield named("same_two_less", sh=3, sw=3, extra=(-2, -1), h=3, w=3)
        yield named("valid_one_more", padding="valid", extra=(1, 1))
        yield named("valid_kernel_below_stride", padding="valid", sh=3, sw=3, kh=2, kw=1, extra=(1, 2), h=3, w=3)
        yield named("batch_2", n=2, h=3, w=3)
        yield named("one_pixel_valid", h=1, w=1, padding="valid")
        yield named("one_pixel_same", h=1, w=1)
        for act in ("relu", "relu6", "relu_n1_to_1", "tanh"):
            yield named(f"act_{act}", act=act, zp_out=-20)
        for bias in ("none", "absent"):
            yield named(f"bias_{bias}", bias=bias)
        yield named("act_relu_without_bias", bias="none", act="relu", zp_out=-100)
        for cin, cout in [(1, 1), (16, 2), (2, 16), (5, 1)]:
            yield named(f"channels_{cin}_{cout}", cin=cin, cout=cout, h=3, w=3)
    def int8(name, **changes):
        return f"int8_{name}", transpose_conv("int8", **changes)

    for zp_in, zp_out in [(-128, -128), (127, 127), (0, 0), (-128, 127), (127, -128)]:
        yield int8(f"zp_{zp_in}_{zp_out}", zp_in=zp_in, zp_out=zp_out)
    for how in ("per_tensor", "spread"):
        yield int8(f"scales_{how}", scales=how, cout=16, h=3, w=3)
        yield int8(f"scales_{how}_valid_relu", scales=how, padding="valid", act="relu", zp_out=-128)
        yield int8(f"scales_{how}_without_bias", scales=how, bias="none")
    yield int8("per_channel_of_1", cout=1)
    for gain in (1e-12, 1e-5, 1e-2, 0.1, 5, 30):
        yield int8(f"gain_{gain:g}", gain=gain)
    for gain in (0.6, 1.3, 2.1, 4, 7.5):
        yield int8(f"small_values_gain_{gain}", gain=gain, small=True, bias="zero", scales="per_tensor")
    for effective in (0.5, 0.25, 0.125, 0.0625, 0.75, 1.0, 2.0, 1.5):
        yield int8(f"ties_{effective}", effective=effective, small=True, bias="zero", scales="one", zp_out=0)
    for kernel in (1, 3):
        yield int8(f"product_stays_off_the_tie_kernel_{kernel}", effective=0.5, thirds=True, small=True, bias="zero",
                   scales="one", zp_out=0, kh=kernel, kw=kernel)
    for bias in ("zero", "large"):
        yield int8(f"bias_{bias}", bias=bias)
    yield int8("bias_large_tiny_multiplier", bias="large", gain=1e-5)
    yield int8("weight_zp_3", zp_weights=3, scales="per_tensor")
    for kind, count in (("int8", 14), ("float", 4)):
        for i in range(round(count * scale)):
            rng = np.random.default_rng([i, 402, int(kind == "float")])
            pick = lambda *values: values[rng.integers(len(values))]
            act = pick("none", "none", "relu", "relu6", "relu_n1_to_1")
            yield f"{kind}_random_{i:03d}", transpose_conv(
                kind, n=pick(1, 1, 2), h=pick(1, 2, 3, 4), w=pick(1, 2, 3, 4), cin=pick(1, 3, 8), cout=pick(1, 3, 6),
                kh=pick(1, 2, 3, 4), kw=pick(1, 2, 3, 4), sh=pick(1, 2, 3), sw=pick(1, 2, 3), act=act,
                padding=pick("same", "valid"), scales=pick("per_tensor", "per_channel", "spread"),
                zp_in=pick(-128, -7, 0, 127), zp_out=pick(-128, 0, 127) if act == "none" else pick(-128, -90, -5),
                gain=pick(0.2, 0.7, 1.5), bias=pick("normal", "zero", "none", "absent"))


DENSE = dict(shape=(3, 20), units=8, keep=False, act="none", bias="normal", depth=None)


def dense_runtime(**changes):
    """A maker of one float case whose weights are the model's second input."""
    p = DENSE | changes

    def make(rng):
        shape, units = p["shape"], p["units"]
        depth = p["depth"] or shape[-1]
        out_shape = (*shape[:-1], units) if p["keep"] else (int(np.prod(shape)) // depth, units)
        g = Graph()
        x, weights = g.add(shape, np.float32), g.add((units, depth), np.float32)
        inputs = [x, weights]
        if p["bias"] == "absent":
            inputs.append(-1)
        elif p["bias"] != "none":
            inputs.append(g.const(rng.normal(0, 1, units).astype(np.float32)))
        y = g.add(out_shape, np.float32)
        # Version 5 keeps dimensions, 6 runs without a bias.
        version = 6 if len(inputs) == 2 else 5 if p["keep"] else 1
        g.op("FULLY_CONNECTED", version, inputs, [y], options(
            "FullyConnectedOptions", fusedActivationFunction=ACTIVATIONS[p["act"]], keepNumDims=p["keep"]))
        what = f"{list(shape)} depth {depth} units {units} {p['act']} bias {p['bias']}" + " keep_num_dims" * p["keep"]
        return dict(what=what, kind="float", model=g.finish([x, weights], [y]),
                    inputs=[float_samples(rng, shape), float_samples(rng, (units, depth), 1 / np.sqrt(depth))])
    return make


def dense_grid(scale):
    """Sizes, shapes, activations and biases, then random points."""
    def named(name, **changes):
        return f"float_{name}", dense_runtime(**changes)

    for depth in (1, 2, 3, 4, 7, 16, 33, 127):
        yield named(f"depth_{depth}", shape=(2, depth))
    for units in (1, 2, 7, 33):
        yield named(f"units_{units}", units=units)
    for shape in ((1, 5), (5,), (2, 3, 5), (1, 3, 5), (2, 2, 3, 4)):
        text = "x".join(map(str, shape))
        yield named(f"shape_{text}", shape=shape)
        if len(shape) > 1:
            yield named(f"shape_{text}_keep", shape=shape, keep=True)
    yield named("flattened_2x3x4", shape=(1, 2, 3, 4), depth=24)
    yield named("flattened_to_6_rows", shape=(2, 3, 8), depth=8)
    for act in ("relu", "relu6", "relu_n1_to_1"):
        yield named(f"act_{act}", act=act)
    for bias in ("none", "absent"):
        yield named(f"bias_{bias}", bias=bias)
        yield named(f"bias_{bias}_keep_relu", bias=bias, act="relu", keep=True, shape=(1, 3, 5))
    for i in range(round(8 * scale)):
        rng = np.random.default_rng([i, 403])
        pick = lambda *values: values[rng.integers(len(values))]
        yield named(f"random_{i:03d}", shape=(*(int(d) for d in rng.integers(1, 4, rng.integers(1, 4))),
                                              int(rng.integers(1, 33))), units=int(rng.integers(1, 33)),
                    keep=pick(True, False), act=pick("none", "relu", "relu6", "relu_n1_to_1"),
                    bias=pick("normal", "none", "absent"))


FAMILIES = {"batch_matmul": matmul_grid, "transpose_conv": transpose_grid, "dense_runtime": dense_grid}

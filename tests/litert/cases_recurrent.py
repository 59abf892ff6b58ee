"""UNIDIRECTIONAL_SEQUENCE_RNN and SVDF.

Facts about BUILTIN_REF, from the kernels of LiteRT 2.3.0 and measured with ai-edge-litert 2.3.0:
- UNIDIRECTIONAL_SEQUENCE_RNN takes float inputs alone; int8 weights make it hybrid, there is no integer kernel. The
  bias is not optional. Activations none, relu, relu6, relu_n1_to_1, tanh and sign_bit (0 or 1) work; sign_bit has no
  case.
- SVDF keeps [batch, filters * memory] of state, a filter's newest entry last; it runs one step a call. As the state is
  reset before every sample, several operators with the same weights share one state tensor here to make a sequence.
- SVDF int8: weights int8 and int16 (time), bias int32 or -1, state int16, version 3. All its multipliers are computed
  in float32. The zero points of weights, bias and state are never read, nor is the bias scale. The output is not
  clamped at zero, though an activation other than relu is refused, at the first call. Sums here stay within int32.
- SVDF float accepts the same activations as the other. Filters must be a multiple of the rank.
"""
import itertools

import numpy as np

from build import ACTIVATIONS, Graph, Quant, SAMPLES, float_samples, int8_samples, int8_weights, options

RNN = dict(n_batch=1, steps=3, n_input=4, n_units=5, time_major=False, act="tanh", gain=1.0, layers=1)


def rnn(**changes):
    """A maker of one float case; a second layer takes the first one's output."""
    p = RNN | changes

    def make(rng):
        n_batch, steps, n_units, g = p["n_batch"], p["steps"], p["n_units"], Graph()
        lead = (steps, n_batch) if p["time_major"] else (n_batch, steps)
        shape = (*lead, p["n_input"])
        x = y = g.add(shape, np.float32)
        depth = p["n_input"]
        for layer in range(p["layers"]):
            def normal(size, spread):
                return g.const(rng.normal(0, spread, size).astype(np.float32))
            inputs = [y, normal((n_units, depth), p["gain"] / np.sqrt(depth)),
                      normal((n_units, n_units), 0.8 * p["gain"] / np.sqrt(n_units)), normal((n_units,), 0.3),
                      g.add((n_batch, n_units), np.float32, name=f"h_state_{layer}", variable=True)]
            y, depth = g.add((*lead, n_units), np.float32), n_units
            g.op("UNIDIRECTIONAL_SEQUENCE_RNN", 1, inputs, [y], options(
                "SequenceRNNOptions", timeMajor=p["time_major"], fusedActivationFunction=ACTIVATIONS[p["act"]]))
        what = f"batch {n_batch} steps {steps} input {p['n_input']} units {n_units} {p['act']} gain {p['gain']:g}"
        what += " time_major" * p["time_major"] + f" layers {p['layers']}"
        return dict(what=what, kind="float", model=g.finish([x], [y]), inputs=[float_samples(rng, shape)])
    return make


def rnn_grid(scale):
    """Activations in both orders, then sizes, then random points."""
    acts = ("none", "relu", "relu6", "relu_n1_to_1", "tanh")
    for act, time_major, n_batch in itertools.product(acts, (False, True), (1, 2)):
        order = "time" if time_major else "batch"
        yield f"float_{act}_{order}_major_batch_{n_batch}", rnn(
            act=act, time_major=time_major, n_batch=n_batch, steps=4)
    for n_input, n_units in itertools.product((1, 3, 8, 33), (1, 4, 17)):
        steps = (1, 2, 9)[(n_input + n_units) % 3]
        yield f"float_size_{n_input}_{n_units}_{steps}", rnn(n_input=n_input, n_units=n_units, steps=steps)
    for steps in (1, 2, 9, 30):
        for act in ("tanh", "relu"):
            yield f"float_steps_{steps}_{act}", rnn(steps=steps, act=act, gain=0.9, n_units=12)
    for gain in (0.1, 3.0, 20.0):
        for act in ("tanh", "relu6"):
            yield f"float_gain_{gain:g}_{act}", rnn(gain=gain, act=act, steps=6)
    for time_major in (False, True):
        yield f"float_two_layers_{'time' if time_major else 'batch'}_major", rnn(
            layers=2, time_major=time_major, n_batch=2, steps=4)
    for i in range(round(10 * scale)):
        rng = np.random.default_rng([i, 501])
        yield f"float_random_{i:03d}", rnn(
            n_batch=int(rng.integers(1, 4)), steps=int(rng.integers(1, 9)), n_input=int(rng.integers(1, 20)),
            n_units=int(rng.integers(1, 20)), time_major=bool(rng.integers(2)), act=acts[rng.integers(len(acts))])


SVDF = dict(n_batch=1, n_input=6, n_units=4, rank=1, memory=5, steps=1, bias=True, act="relu", zp_in=-7, zp_out=-20,
            gain=1.0, gain_out=1.0, values="mixed", effective=None, small=False)


def svdf(kind, **changes):
    """A maker of one case. With `steps`, that many operators with one state, a model input and a model output each."""
    p = SVDF | changes

    def make(rng):
        n_batch, n_input, n_units, memory = p["n_batch"], p["n_input"], p["n_units"], p["memory"]
        filters, g = n_units * p["rank"], Graph()
        shape, out_shape = (n_batch, n_input), (n_batch, n_units)
        if kind == "int8":
            # At `gain` 1 the state's standard deviation is 6000 steps, and at `gain_out` 1 the output's is 40.
            scale_in, scale_f, scale_t = np.float32(0.0427), np.float32(0.0061), np.float32(1.3 / 32767)
            spread = 73 * 45 * (1 + abs(p["zp_in"]) / 128) * np.sqrt(n_input)
            scale_state = np.float32(scale_in * scale_f * spread / (6000 * p["gain"]))
            spread_out = 6000 * min(p["gain"], 4) * 9000 * np.sqrt(p["rank"] * min(p["steps"], memory))
            scale_out = np.float32(scale_state * scale_t * spread_out / (40 * p["gain_out"]))
            if p["effective"]:
                first, second = p["effective"]
                # "third" is one third times 3/2, which float32 rounds to exactly one half.
                scale_in, scale_f = (1 / 3, 1.5) if first == "third" else (first, 1)
                scale_in, scale_f, scale_state = np.float32(scale_in), np.float32(scale_f), np.float32(1)
                scale_t, scale_out = np.float32(second), np.float32(1)
            quant_in, quant_out = Quant(scale_in, p["zp_in"]), Quant(scale_out, p["zp_out"])
            feature, time = int8_weights(rng, (filters, n_input)), rng.normal(0, 9000, (filters, memory))
            if p["small"]:
                feature = rng.integers(-2, 3, feature.shape).astype(np.int8)
                time = rng.integers(-3, 4, time.shape)
            # So small that full states, at 2^15, cannot leave int32 with the bias on top.
            limit = min(32767, (1 << 30) // (p["rank"] * memory << 15)) if p["gain"] > 4 else 32767
            time = np.clip(np.rint(time), -limit, limit).astype(np.int16)
            bias_scale = np.float32(scale_state * scale_t)
            spread_bias = 3 if p["small"] else min(30 * scale_out / bias_scale, 1 << 27)
            bias = np.rint(np.clip(rng.normal(0, 1, n_units), -3, 3) * spread_bias).astype(np.int32)
            weights = [g.const(feature, Quant(scale_f)), g.const(time, Quant(scale_t)),
                       g.const(bias, Quant(bias_scale)) if p["bias"] else -1]
            dtype, state = np.int8, g.add((n_batch, filters * memory), np.int16, Quant(scale_state), "state", True)
        else:
            dtype, quant_in, quant_out = np.float32, None, None
            arrays = [rng.normal(0, p["gain"] / np.sqrt(n_input), (filters, n_input)),
                      rng.normal(0, 1 / np.sqrt(p["rank"] * memory), (filters, memory)), rng.normal(0, 0.5, n_units)]
            weights = [g.const(a.astype(np.float32)) for a in arrays[:2 + p["bias"]]] + [-1] * (not p["bias"])
            state = g.add((n_batch, filters * memory), np.float32, name="state", variable=True)
        xs, ys, samples = [], [], []
        for _ in range(p["steps"]):
            xs.append(g.add(shape, dtype, quant_in))
            ys.append(g.add(out_shape, dtype, quant_out))
            # Version 3 is the integer kernel.
            g.op("SVDF", 3 if kind == "int8" else 1, [xs[-1], *weights, state], [ys[-1]], options(
                "SVDFOptions", rank=p["rank"], fusedActivationFunction=ACTIVATIONS[p["act"]]))
            if kind == "float":
                samples.append(float_samples(rng, shape))
            elif p["values"] == "extreme":
                samples.append(rng.choice([-128, 127], (SAMPLES, *shape)).astype(np.int8))
            else:
                x = int8_samples(rng, shape, p["zp_in"])
                if p["small"]:
                    x = np.clip(p["zp_in"] + rng.integers(-4, 5, x.shape), -128, 127).astype(np.int8)
                samples.append(x)
        what = (f"batch {n_batch} input {n_input} units {n_units} rank {p['rank']} memory {memory} steps {p['steps']} "
                f"{p['act']}") + " with bias" * p["bias"]
        if kind == "int8":
            what += f" zp {p['zp_in']}>{p['zp_out']} gain {p['gain']:g} {p['gain_out']:g} {p['values']}"
            what += f" effective {p['effective']}" if p["effective"] else ""
        return dict(what=what, kind=kind, model=g.finish(xs, ys), inputs=samples)
    return make


def svdf_grid(scale):
    """Sizes and steps, then int8 parameters, then random points."""
    for kind in ("int8", "float"):
        def named(name, kind=kind, **changes):
            return f"{kind}_{name}", svdf(kind, **changes)

        for rank, memory in itertools.product((1, 2), (1, 2, 5, 10)):
            yield named(f"rank_{rank}_memory_{memory}", rank=rank, memory=memory)
            yield named(f"rank_{rank}_memory_{memory}_steps_4", rank=rank, memory=memory, steps=4)
        yield named("rank_3_steps_3", rank=3, steps=3)
        yield named("steps_12_memory_5", steps=12)
        for n_batch in (2, 3):
            yield named(f"batch_{n_batch}", n_batch=n_batch, rank=2)
            yield named(f"batch_{n_batch}_steps_7", n_batch=n_batch, steps=7, rank=n_batch - 1)
        for n_input, n_units in [(1, 1), (1, 7), (33, 1), (16, 16), (40, 9)]:
            yield named(f"size_{n_input}_{n_units}", n_input=n_input, n_units=n_units, steps=3)
        yield named("without_bias", bias=False)
        yield named("without_bias_steps_6_rank_2", bias=False, steps=6, rank=2)
    for act in ("none", "relu6", "relu_n1_to_1", "tanh"):
        yield f"float_act_{act}", svdf("float", act=act, steps=3)
    def int8(name, **changes):
        return f"int8_{name}", svdf("int8", **changes)

    for zp_in, zp_out in [(-128, -128), (127, 127), (0, 0), (-128, 127), (127, -128)]:
        yield int8(f"zp_{zp_in}_{zp_out}", zp_in=zp_in, zp_out=zp_out, steps=3)
    for gain in (1e-9, 1e-3, 0.05, 5, 30, 300):
        yield int8(f"gain_{gain:g}", gain=gain, steps=3, rank=2)
    for gain_out in (1e-9, 1e-2, 0.2, 3, 40):
        yield int8(f"gain_out_{gain_out:g}", gain_out=gain_out, steps=3, rank=2)
    for gain, gain_out in [(0.1, 5), (10, 0.1), (30, 30)]:
        yield int8(f"extreme_inputs_{gain:g}_{gain_out:g}", values="extreme", gain=gain, gain_out=gain_out, steps=6)
    for first, second in [(0.5, 0.5), (0.25, 0.125), (1.0, 0.25), (0.75, 0.0625), (2.0, 0.5), (40.0, 0.03125),
                          (1 / 512, 1.5)]:
        yield int8(f"ties_{first:g}_{second:g}", effective=(first, second), small=True, zp_out=0, steps=3, n_units=12,
                   memory=3)
    yield int8("product_rounds_to_a_tie", effective=("third", 0.5), small=True, zp_out=0, steps=3, n_units=12, memory=3)
    for i in range(round(14 * scale)):
        rng = np.random.default_rng([i, 502])
        changes = dict(n_batch=int(rng.integers(1, 4)), n_input=int(rng.integers(1, 30)),
                       n_units=int(rng.integers(1, 10)), rank=int(rng.integers(1, 3)), memory=int(rng.integers(1, 9)),
                       steps=int(rng.integers(1, 6)), bias=bool(rng.integers(4)))
        yield f"float_random_{i:03d}", svdf("float", **changes)
        yield int8(f"random_{i:03d}", zp_in=int(rng.integers(-128, 128)), zp_out=int(rng.integers(-128, 128)),
                   gain=float(10 ** rng.uniform(-0.5, 0.6)), gain_out=float(10 ** rng.uniform(-0.5, 0.5)), **changes)


FAMILIES = {"rnn": rnn_grid, "svdf": svdf_grid}

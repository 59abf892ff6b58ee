"""UNIDIRECTIONAL_SEQUENCE_LSTM, float and int8, and in a family of their own its rarer forms.

Inputs of the operator by position: 0 input; 1-4 input weights, 5-8 recurrent weights, 12-15 biases, each of the gates
input, forget, cell, output; 9-11 peepholes of input, forget, output; 16, 17 projection and its bias; 18, 19 the states
(variable tensors); 20-23 layer norm coefficients. -1 is absent. CIFG is a cell without an input gate: 1, 5, 9, 12, 20
absent.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0:
- int8 and float accept CIFG, peepholes (int16 in the int8 form), projection with and without bias, layer norm (int16
  coefficients, quantized intermediates 0-3), in every combination, also with 20 inputs instead of 24, version 1.
- int8 demands five intermediates; of 0-3 nothing is read without layer norm, of 4 scale and zero point.
- A reset sets int8 states to their zero point, int16 and float states to 0.
- c_state scales outside 2^-15 ... 2^-9 are not refused, but the tanh of the output is then skipped and the result
  holds left-over scratch memory.
- Before an int8 projection the hidden value is stored around minus the zero point of intermediate 4, and the
  projection's effective bias makes up for that: with a zero point of -128 it is the positive values that are clipped.
"""
import itertools

import numpy as np

from build import ACTIVATIONS, Graph, Quant, SAMPLES, float_samples, int8_samples, int8_weights, options

DEFAULT = dict(n_batch=1, steps=2, n_input=3, n_cell=4, n_output=None, time_major=False, cell_clip=10.0, proj_clip=0.0,
               gain=1.0, forget_bias=1.0, zp_in=-7, hidden=(1 / 127.5, -1), cell_bits=11, cifg=False, peephole=False,
               projection_bias=True, layer_norm=False, output=(1 / 64, 5), inputs=24, values="mixed")
GATES = ("input", "forget", "cell", "output")


def shapes(p):
    """Input, state and output shapes; with a projection the hidden state is smaller than the cell."""
    n_output = p["n_output"] or p["n_cell"]
    lead = (p["steps"], p["n_batch"]) if p["time_major"] else (p["n_batch"], p["steps"])
    return (*lead, p["n_input"]), n_output, (*lead, n_output)


def opts(p):
    """The operator's options."""
    return options("UnidirectionalSequenceLSTMOptions", fusedActivationFunction=ACTIVATIONS["tanh"],
                   cellClip=p["cell_clip"], projClip=p["proj_clip"], timeMajor=p["time_major"])


def describe(p, kind):
    """The text of index.json."""
    text = (f"batch {p['n_batch']} steps {p['steps']} input {p['n_input']} cell {p['n_cell']} clip {p['cell_clip']:g} "
            f"gain {p['gain']:g}") + " time_major" * p["time_major"]
    for key in ("cifg", "peephole", "layer_norm"):
        text += f" {key}" * p[key]
    if p["n_output"]:
        text += f" projection {p['n_output']} clip {p['proj_clip']:g}" + " with bias" * p["projection_bias"]
    if kind == "int8":
        text += f" zp {p['zp_in']} hidden {p['hidden'][0]:.5f} zp {p['hidden'][1]} cell 2^-{p['cell_bits']}"
    return text


def gates(p):
    """The gates that are there, with their numbers."""
    return [(i, gate) for i, gate in enumerate(GATES) if not (p["cifg"] and gate == "input")]


def lstm_float(**changes):
    """A maker of one float case."""
    p = DEFAULT | changes

    def make(rng):
        shape, n_output, out_shape = shapes(p)
        n_input, n_cell, g = p["n_input"], p["n_cell"], Graph()

        def normal(size, spread):
            return g.const(rng.normal(0, spread, size).astype(np.float32))

        x = g.add(shape, np.float32)
        inputs = [x] + [-1] * (p["inputs"] - 1)
        for i, gate in gates(p):
            inputs[1 + i] = normal((n_cell, n_input), p["gain"] / np.sqrt(n_input))
            inputs[5 + i] = normal((n_cell, n_output), p["gain"] / np.sqrt(n_output))
            bias = rng.normal(p["forget_bias"] if gate == "forget" else 0, 0.5 * p["gain"], n_cell)
            inputs[12 + i] = g.const(bias.astype(np.float32))
            if p["peephole"] and gate != "cell":
                inputs[9 + min(i, 2)] = normal((n_cell,), 0.5)
            if p["layer_norm"]:
                inputs[20 + i] = g.const(rng.uniform(0.3, 1.5, n_cell).astype(np.float32))
        if p["n_output"]:
            inputs[16] = normal((n_output, n_cell), 1 / np.sqrt(n_cell))
            if p["projection_bias"]:
                inputs[17] = normal((n_output,), 0.3)
        inputs[18] = g.add((p["n_batch"], n_output), np.float32, name="h_state", variable=True)
        inputs[19] = g.add((p["n_batch"], n_cell), np.float32, name="c_state", variable=True)
        y = g.add(out_shape, np.float32)
        g.op("UNIDIRECTIONAL_SEQUENCE_LSTM", 1, inputs, [y], opts(p))
        return dict(what=describe(p, "float"), kind="float", model=g.finish([x], [y]),
                    inputs=[float_samples(rng, shape)])
    return make


def lstm_int8(**changes):
    """A maker of one int8 case, the tensors as TensorFlow's quantizer writes them.

    Weights per tensor; biases int32 at input scale times input weight scale; c_state int16 at a power of two. The
    gates work in steps of 2^-12, so `gain` 1 gives gates of about one, `gain` 6 gates beyond the +-8 of that format.
    """
    p = DEFAULT | changes

    def make(rng):
        shape, n_output, out_shape = shapes(p)
        n_input, n_cell, g = p["n_input"], p["n_cell"], Graph()
        scale_in = np.float32(0.0427)
        hidden = Quant(np.float32(p["hidden"][0]), p["hidden"][1])
        output = Quant(np.float32(p["output"][0]), p["output"][1]) if p["n_output"] else hidden
        x = g.add(shape, np.int8, Quant(scale_in, p["zp_in"]))
        inputs = [x] + [-1] * (p["inputs"] - 1)
        for i, gate in gates(p):
            jitter = np.exp(rng.normal(0, 0.2, 2))
            scale_w = np.float32(p["gain"] * jitter[0] / (scale_in * 73 * 45 * np.sqrt(n_input)))
            scale_r = np.float32(p["gain"] * jitter[1] / (output.scale * 60 * 45 * np.sqrt(n_output)))
            inputs[1 + i] = g.const(int8_weights(rng, (n_cell, n_input)), Quant(scale_w))
            inputs[5 + i] = g.const(int8_weights(rng, (n_cell, n_output)), Quant(scale_r))
            scale_b = np.float32(scale_in * scale_w)
            if p["layer_norm"]:
                scale_n = np.float32(1.5 / 32767)
                inputs[20 + i] = g.const(np.rint(rng.uniform(0.3, 1.5, n_cell) / scale_n).astype(np.int16),
                                         Quant(scale_n))
                scale_b = np.float32(scale_n / 1024)
            bias = rng.normal(p["forget_bias"] if gate == "forget" else 0, 0.5 * p["gain"], n_cell)
            inputs[12 + i] = g.const(np.rint(bias / scale_b).astype(np.int32), Quant(scale_b))
            if p["peephole"] and gate != "cell":
                weights = np.clip(rng.normal(0, 12000, n_cell), -32767, 32767).astype(np.int16)
                inputs[9 + min(i, 2)] = g.const(weights, Quant(np.float32(1.3 / 32767)))
        if p["n_output"]:
            scale_p = np.float32(output.scale * 40 / (hidden.scale * 60 * 45 * np.sqrt(n_cell)))
            inputs[16] = g.const(int8_weights(rng, (n_output, n_cell)), Quant(scale_p))
            if p["projection_bias"]:
                scale_b = np.float32(scale_p * hidden.scale)
                inputs[17] = g.const(np.rint(rng.normal(0, 10 * output.scale, n_output) / scale_b).astype(np.int32),
                                     Quant(scale_b))
        inputs[18] = g.add((p["n_batch"], n_output), np.int8, output, "h_state", variable=True)
        inputs[19] = g.add((p["n_batch"], n_cell), np.int16, Quant(np.float32(2.0 ** -p["cell_bits"])), "c_state",
                           variable=True)
        # Without layer norm the first four intermediates say nothing; with it they hold the scale of the gate sums.
        names = ("input_to_input", "input_to_forget", "input_to_cell", "input_to_output")
        intermediates = [
            g.add((0,), np.int16, Quant(np.float32(8 * p["gain"] / 32768)), f"{name}_intermediate")
            if p["layer_norm"] else g.add((0,), np.float32, name=f"{name}_intermediate") for name in names]
        intermediates.append(g.add((0,), np.int8, hidden, "effective_hidden_scale_intermediate"))
        y = g.add(out_shape, np.int8, output)
        g.op("UNIDIRECTIONAL_SEQUENCE_LSTM", 1, inputs, [y], opts(p), intermediates)
        samples = int8_samples(rng, shape, p["zp_in"])
        if p["values"] == "extreme":
            samples = rng.choice([-128, 127], (SAMPLES, *shape)).astype(np.int8)
        return dict(what=describe(p, "int8"), kind="int8", model=g.finish([x], [y]), inputs=[samples])
    return make


def grid(scale):
    """Sizes, then what saturates, then random points."""
    for kind, make in (("int8", lstm_int8), ("float", lstm_float)):
        for n_input, n_cell in itertools.product((1, 3, 8, 40), (1, 4, 5, 16, 64)):
            steps = (1, 2, 9)[(n_input + n_cell) % 3]
            yield f"{kind}_size_{n_input}_{n_cell}_{steps}", make(n_input=n_input, n_cell=n_cell, steps=steps)
        for steps in (1, 2, 9, 30):
            yield f"{kind}_steps_{steps}", make(steps=steps, n_input=8, n_cell=16)
        for n_batch, time_major, steps in itertools.product((1, 2), (False, True), (1, 4)):
            name = f"{kind}_batch_{n_batch}_{'time' if time_major else 'batch'}_major_{steps}"
            yield name, make(n_batch=n_batch, time_major=time_major, steps=steps, n_input=5, n_cell=7)
        for clip in (0.0, 0.3, 1.0, 10.0):
            yield f"{kind}_clip_{clip:g}", make(cell_clip=clip, steps=9, n_cell=16, gain=2.0, forget_bias=3.0)
        for gain in (0.1, 0.5, 2.0, 6.0, 20.0):
            yield f"{kind}_gain_{gain:g}", make(gain=gain, steps=9, n_cell=16, n_input=8)
    for bits in range(9, 16):
        for clip in (0.0, 0.5):
            yield f"int8_cell_bits_{bits}_clip_{clip:g}", lstm_int8(
                cell_bits=bits, cell_clip=clip, steps=30, n_cell=16, gain=2.5, forget_bias=6.0)
    for zp_in in (-128, 0, 127):
        for zp_hidden in (-128, -1, 127):
            yield f"int8_zp_{zp_in}_{zp_hidden}", lstm_int8(
                zp_in=zp_in, hidden=(1 / 127.5, zp_hidden), steps=9, n_cell=16)
    for s in (1e-5, 1 / 1000, 1 / 300, 1 / 128, 0.05, 1.0):
        yield f"int8_hidden_scale_{s:g}", lstm_int8(hidden=(s, 0), steps=9, n_cell=16)
    yield "int8_inputs_20", lstm_int8(inputs=20)
    yield "float_inputs_20", lstm_float(inputs=20)
    yield "int8_extreme_inputs", lstm_int8(values="extreme", steps=9, n_cell=16, n_input=40, gain=3.0)
    for i in range(round(20 * scale)):
        rng = np.random.default_rng([i, 10])
        yield f"int8_random_{i:03d}", lstm_int8(
            n_batch=int(rng.integers(1, 3)), steps=int(rng.integers(1, 12)), n_input=int(rng.integers(1, 41)),
            n_cell=int(rng.integers(1, 65)), time_major=bool(rng.integers(2)), gain=float(10 ** rng.uniform(-0.7, 0.8)),
            cell_clip=float(rng.choice([0, 0.3, 10])), zp_in=int(rng.integers(-128, 128)),
            hidden=(float(1 / rng.uniform(100, 200)), int(rng.integers(-60, 60))), cell_bits=int(rng.integers(9, 16)),
            forget_bias=float(rng.uniform(-1, 5)))


def variant_grid(scale):
    """Every combination of the rare features, both kinds."""
    flags = ("cifg", "peephole", "projection", "layer_norm")
    for kind, make in (("int8", lstm_int8), ("float", lstm_float)):
        for bits in itertools.product((False, True), repeat=4):
            chosen = [f for f, on in zip(flags, bits) if on]
            if not chosen:
                continue
            changes = {f: True for f in chosen if f != "projection"}
            if "projection" in chosen:
                changes["n_output"] = 6
            yield f"{kind}_{'_'.join(chosen)}", make(steps=5, n_input=7, n_cell=10, **changes)
        base = dict(steps=5, n_input=7, n_cell=10, n_output=6)
        yield f"{kind}_projection_without_bias", make(projection_bias=False, **base)
        yield f"{kind}_projection_clip", make(proj_clip=0.4, **base)
        yield f"{kind}_projection_larger", make(**(base | dict(n_output=13)))
        yield f"{kind}_projection_batch_2_time_major", make(n_batch=2, time_major=True, **base)
        yield f"{kind}_all_batch_2", make(n_batch=2, cifg=True, peephole=True, layer_norm=True, cell_clip=0.3, **base)
    for zp_hidden, zp_out in [(-128, 0), (127, -128), (0, 127)]:
        yield f"int8_projection_zp_{zp_hidden}_{zp_out}", lstm_int8(
            steps=5, n_input=7, n_cell=10, n_output=6, hidden=(1 / 127.5, zp_hidden), output=(1 / 64, zp_out))


FAMILIES = {"unidirectional_sequence_lstm": grid, "lstm_variants": variant_grid}

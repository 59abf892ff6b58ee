"""Operators of dynamic range models: float activations, int8 weights. LiteRT quantizes a row of inputs as it runs.

Facts about BUILTIN_REF, measured with ai-edge-litert 2.3.0:
- CONV_2D and DEPTHWISE_CONV_2D take a scale a channel and quantize an image with a zero point. Where all scales of a
  CONV_2D are equal, or there is one, it is another kernel, which has no zero point. CONV_2D demands a bias.
- The wheels for x86 run the kernels for Arm's vectors: max - min is rounded to float before the division by 255, and
  x / scale is rounded before the zero point is added, where the portable kernel rounds the sum.
- FULLY_CONNECTED takes one scale or one a unit and quantizes a row; asymmetric_quantize_inputs says how, and so for an
  LSTM, which takes one scale a matrix and quantizes each step's input and state.
"""
import numpy as np

from build import ACTIVATIONS, SAMPLES, Graph, Quant, float_samples, int8_weights, options
from cases_conv import spatial
from cases_lstm import GATES

# What a row looks like: its range decides scale and zero point.
ROWS = ("normal", "symmetric", "positive", "negative", "zero", "tiny", "huge", "steps")


def rows(rng, kind, shape):
    """Samples whose rows have a range of this kind."""
    x = float_samples(rng, shape)
    if kind == "symmetric":
        m = np.float32(np.exp(rng.normal(0, 2)))
        x = np.clip(x, -m, m)
        x.reshape(SAMPLES, -1)[:, :2] = [m, -m] if x[0].size > 1 else m
    elif kind == "positive":
        x = np.abs(x)
    elif kind == "negative":
        x = -np.abs(x)
    elif kind == "zero":
        x[:] = 0
    elif kind == "tiny":
        x *= np.float32(1e-30)
    elif kind == "huge":
        x *= np.float32(1e30)
    elif kind == "steps":
        x = np.rint(x * 4).astype(np.float32) / 2
    return x.astype(np.float32)


def scales_for(rng, per_channel, n):
    """Weight scales."""
    return np.exp(rng.normal(-4, 0.7, n if per_channel else 1)).astype(np.float32)


def conv(depthwise, n=1, h=6, w=5, cin=3, cout=7, multiplier=2, k=3, stride=1, padding="same", act="none", bias=True,
         kind="normal", dilation=1, per_channel=True):
    """A maker of a convolution."""
    def make(rng):
        channels = cin * multiplier if depthwise else cout
        shape = (n, h, w, cin)
        out = (n, *(spatial(d, k, stride, dilation, padding) for d in (h, w)), channels)
        g = Graph()
        x = g.add(shape, np.float32)
        weights = int8_weights(rng, (1, k, k, channels) if depthwise else (channels, k, k, cin))
        inputs = [x, g.const(weights, Quant(scales_for(rng, per_channel, channels), 0, 3 if depthwise else 0))]
        if bias:
            inputs.append(g.const(rng.normal(0, 1, channels).astype(np.float32)))
        y = g.add(out, np.float32)
        fields = dict(padding=["same", "valid"].index(padding), strideH=stride, strideW=stride,
                      dilationHFactor=dilation, dilationWFactor=dilation, fusedActivationFunction=ACTIVATIONS[act])
        if depthwise:
            o = options("DepthwiseConv2DOptions", depthMultiplier=multiplier, **fields)
            g.op("DEPTHWISE_CONV_2D", 6, inputs, [y], o)
        else:
            g.op("CONV_2D", 5, inputs, [y], options("Conv2DOptions", **fields))
        return dict(what=f"{shape} to {channels} k {k} s {stride} d {dilation} {padding} {act} {kind}", kind="float",
                    model=g.finish([x], [y]), inputs=[rows(rng, kind, shape)])
    return make


def dense(shape=(2, 20), units=8, asymmetric=True, per_channel=False, act="none", bias=True, kind="normal"):
    """A maker of a FULLY_CONNECTED."""
    def make(rng):
        g, depth = Graph(), shape[-1]
        x = g.add(shape, np.float32)
        weights = int8_weights(rng, (units, depth))
        inputs = [x, g.const(weights, Quant(scales_for(rng, per_channel, units)))]
        inputs.append(g.const(rng.normal(0, 1, units).astype(np.float32)) if bias else -1)
        y = g.add((int(np.prod(shape)) // depth, units), np.float32)
        g.op("FULLY_CONNECTED", 12 if per_channel else 9, inputs, [y], options(
            "FullyConnectedOptions", fusedActivationFunction=ACTIVATIONS[act], asymmetricQuantizeInputs=asymmetric))
        return dict(what=f"{shape} units {units} asymmetric {asymmetric} per channel {per_channel} {act} {kind}",
                    kind="float", model=g.finish([x], [y]), inputs=[rows(rng, kind, shape)])
    return make


def lstm(n_batch=1, steps=3, n_input=5, n_cell=6, asymmetric=True, time_major=False, clip=0.0, kind="normal"):
    """A maker of a layer."""
    def make(rng):
        lead = (steps, n_batch) if time_major else (n_batch, steps)
        g = Graph()
        x = g.add((*lead, n_input), np.float32)
        inputs = [x] + [-1] * 23
        for i, gate in enumerate(GATES):
            for place, size in ((1, n_input), (5, n_cell)):
                scale = np.float32(np.exp(rng.normal(0, 0.3)) / (60 * np.sqrt(size)))
                inputs[place + i] = g.const(int8_weights(rng, (n_cell, size)), Quant(scale))
            bias = rng.normal(1 if gate == "forget" else 0, 0.5, n_cell)
            inputs[12 + i] = g.const(bias.astype(np.float32))
        for place, name in ((18, "h_state"), (19, "c_state")):
            inputs[place] = g.add((n_batch, n_cell), np.float32, name=name, variable=True)
        y = g.add((*lead, n_cell), np.float32)
        g.op("UNIDIRECTIONAL_SEQUENCE_LSTM", 3, inputs, [y], options(
            "UnidirectionalSequenceLSTMOptions", fusedActivationFunction=ACTIVATIONS["tanh"], cellClip=clip,
            timeMajor=time_major, asymmetricQuantizeInputs=asymmetric))
        return dict(what=f"batch {n_batch} steps {steps} input {n_input} cells {n_cell} asymmetric {asymmetric} {kind}"
                    + " time_major" * time_major, kind="float", model=g.finish([x], [y]),
                    inputs=[rows(rng, kind, (*lead, n_input))])
    return make


def grid(scale):
    """Named single changes first, then random points."""
    for kind in ROWS:
        yield f"conv_{kind}", conv(False, kind=kind)
        yield f"depthwise_{kind}", conv(True, kind=kind)
        for asymmetric in (True, False):
            how = "asymmetric" if asymmetric else "symmetric"
            yield f"dense_{how}_{kind}", dense(kind=kind, asymmetric=asymmetric)
            yield f"lstm_{how}_{kind}", lstm(kind=kind, asymmetric=asymmetric)
    for depthwise in (False, True):
        name = "depthwise" if depthwise else "conv"
        for change in (dict(n=2), dict(stride=2), dict(padding="valid"), dict(act="relu6"),
                       dict(k=1), dict(dilation=2), dict(h=40, w=40, cin=6),
                       *([] if depthwise else [dict(per_channel=False), dict(cout=1)])):
            text = "_".join(f"{k}_{v}" for k, v in change.items())
            yield f"{name}_{text}", conv(depthwise, **change)
    for change in (dict(per_channel=True), dict(shape=(7, 300)), dict(shape=(1, 2000), units=3), dict(bias=False),
                   dict(act="relu"), dict(shape=(2, 3, 9), units=65), dict(per_channel=True, asymmetric=False)):
        yield "dense_" + "_".join(f"{k}_{v}" for k, v in change.items()).replace(", ", "x"), dense(**change)
    for change in (dict(n_batch=3), dict(n_batch=2, time_major=True), dict(steps=40), dict(n_cell=300, steps=4),
                   dict(clip=0.4), dict(n_input=70, n_cell=33, steps=12)):
        yield "lstm_" + "_".join(f"{k}_{v}" for k, v in change.items()), lstm(**change)
    for i in range(round(20 * scale)):
        rng = np.random.default_rng([i, 4242])
        pick = lambda *values: values[rng.integers(len(values))]
        yield f"random_dense_{i:02d}", dense(
            shape=(int(rng.integers(1, 9)), int(rng.integers(1, 400))), units=int(rng.integers(1, 40)),
            asymmetric=pick(True, False), per_channel=pick(True, False), act=pick("none", "relu", "relu6"),
            kind=pick(*ROWS))
        yield f"random_conv_{i:02d}", conv(
            pick(True, False), n=pick(1, 1, 2), h=int(rng.integers(3, 20)), w=int(rng.integers(3, 20)),
            cin=int(rng.integers(1, 12)), cout=int(rng.integers(1, 12)), multiplier=pick(1, 1, 2), k=pick(1, 2, 3),
            stride=pick(1, 2), padding=pick("same", "valid"), act=pick("none", "relu"), kind=pick(*ROWS))


FAMILIES = {"hybrid": grid}

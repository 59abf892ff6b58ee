"""A few models of more than one operator: what one operator leaves is what the next one reads."""
import numpy as np

from build import ACTIVATIONS, TYPES, Graph, Quant, float_samples, int8_samples, int8_weights, options
from cases_conv import int32_bias, weight_scales

SCALES = {"in": 0.05, "conv": 0.08, "out": 0.06}


class Chain:
    """A graph with a cursor: every method adds one operator after the last."""

    def __init__(self, rng, shape, kind):
        self.rng, self.shape, self.kind, self.g = rng, tuple(shape), kind, Graph()
        quant = Quant(np.float32(SCALES["in"]), -4)
        self.quant = quant if kind == "int8" else None
        self.input = self.last = self.g.add(shape, np.int8 if kind == "int8" else np.float32, self.quant)
        self.samples = int8_samples(rng, shape, -4) if kind == "int8" else float_samples(rng, shape)

    def step(self, name, version, shape, quant, extra=(), opts=None, dtype=None):
        """Add the operator and move on to its output."""
        dtype = dtype or (np.float32 if quant is None else np.int8)
        y = self.g.add(shape, dtype, quant)
        self.g.op(name, version, [self.last, *extra], [y], opts)
        self.last, self.shape, self.quant = y, tuple(shape), quant
        return self

    def weights(self, shape, how, axis):
        """Filter and bias constants for the present input, and the quantization of the result."""
        depth, channels = int(np.prod(shape)) // shape[axis], shape[axis]
        if self.quant is None:
            w = self.rng.normal(0, 1 / np.sqrt(depth), shape).astype(np.float32)
            return (self.g.const(w), self.g.const(self.rng.normal(0, 1, channels).astype(np.float32))), None
        scales = weight_scales(self.rng, how, channels)
        product = (self.quant.scale * scales).astype(np.float32)
        out = Quant(np.float32(np.median(product) * np.sqrt(depth) * 73 * 45 / 30), -20)
        bias = int32_bias(self.rng, "normal", np.broadcast_to(product / out.scale, channels), depth)
        return (self.g.const(int8_weights(self.rng, shape), Quant(scales, 0, axis)),
                self.g.const(bias, Quant(product))), out

    def conv(self, out_channels, kernel=(3, 3)):
        """A CONV_2D with RELU, SAME, stride 1."""
        extra, out = self.weights((out_channels, *kernel, self.shape[3]), "per_channel", 0)
        return self.step("CONV_2D", 3, (*self.shape[:3], out_channels), out, extra, options(
            "Conv2DOptions", padding=0, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1,
            fusedActivationFunction=ACTIVATIONS["relu"]))

    def dense(self, units):
        """A FULLY_CONNECTED."""
        extra, out = self.weights((units, self.shape[-1]), "per_tensor", 0)
        return self.step("FULLY_CONNECTED", 4, (self.shape[0], units), out, extra, options("FullyConnectedOptions"))

    def reshape(self, shape):
        """A RESHAPE."""
        extra = [self.g.const(np.array(shape, np.int32))]
        return self.step("RESHAPE", 1, shape, self.quant, extra)

    def mean(self):
        """The mean over height and width."""
        out = None if self.quant is None else Quant(np.float32(self.quant.scale * 0.4), -128)
        extra = [self.g.const(np.array([1, 2], np.int32))]
        version = 1 if self.quant is None else 2
        shape = (self.shape[0], self.shape[3])
        return self.step("MEAN", version, shape, out, extra, options("ReducerOptions", keepDims=False))

    def softmax(self):
        """A SOFTMAX."""
        out = None if self.quant is None else Quant(np.float32(1 / 256), -128)
        return self.step("SOFTMAX", 1 if self.quant is None else 2, self.shape, out, (),
                         options("SoftmaxOptions", beta=1.0))

    def add_self(self):
        """Both operands the same tensor."""
        out = None if self.quant is None else Quant(np.float32(self.quant.scale * 1.7), 9)
        return self.step("ADD", 1 if self.quant is None else 2, self.shape, out, [self.last], options("AddOptions"))

    def quantize(self):
        """Float to int8, or int8 to another int8."""
        scale, zero_point = (0.03, 3) if self.quant is None else (self.quant.scale * 0.7, self.quant.zero_point + 5)
        return self.step("QUANTIZE", 1 if self.quant is None else 2, self.shape, Quant(np.float32(scale), zero_point))

    def dequantize(self):
        """Int8 to float."""
        return self.step("DEQUANTIZE", 2, self.shape, None)

    def finish(self, what):
        """The case."""
        types = {tensor.type for tensor in self.g.tensors if self.g.buffers[tensor.buffer].data is None}
        floats, others = TYPES[np.dtype(np.float32)] in types, len(types) > 1
        kind = "mixed" if floats and others else ("float" if floats else "int8")
        return dict(what=what, kind=kind, inputs=[self.samples], model=self.g.finish([self.input], [self.last]))


def chain(kind, shape, *steps):
    """A maker of one case; a step is a method's name, or a tuple of it and its arguments."""
    def make(rng):
        c = Chain(rng, shape, kind)
        for step in steps:
            name, *arguments = step if isinstance(step, tuple) else (step,)
            c = getattr(c, name)(*arguments)
        what = f"{list(shape)} " + ", ".join(s if isinstance(s, str) else s[0] for s in steps)
        return c.finish(what)
    return make


def grid(scale):
    """Pairs and short rows of operators."""
    image = (1, 6, 5, 3)
    for kind in ("int8", "float"):
        yield f"{kind}_conv_conv", chain(kind, image, ("conv", 8), ("conv", 5, (5, 1)))
        yield f"{kind}_conv_reshape", chain(kind, image, ("conv", 4), ("reshape", (1, 6, 20)))
        yield f"{kind}_conv_mean", chain(kind, image, ("conv", 8), "mean")
        yield f"{kind}_conv_mean_dense_softmax", chain(kind, image, ("conv", 8), "mean", ("dense", 5), "softmax")
        yield f"{kind}_reshape_dense", chain(kind, image, ("reshape", (1, 90)), ("dense", 7))
        yield f"{kind}_dense_softmax", chain(kind, (1, 30), ("dense", 10), "softmax")
        yield f"{kind}_add_itself", chain(kind, image, "add_self")
        yield f"{kind}_conv_add_itself", chain(kind, image, ("conv", 4), "add_self")
        yield f"{kind}_quantize_conv", chain(kind, image, "quantize", ("conv", 8))
        yield f"{kind}_quantize_conv_dequantize", chain(kind, image, "quantize", ("conv", 8), "dequantize")
        yield f"{kind}_quantize_twice", chain(kind, image, "quantize", "quantize")
        yield f"{kind}_batch_into_channels", chain(kind, (2, 3, 4, 5), ("reshape", (1, 6, 4, 5)), ("conv", 3))
    yield "int8_dequantize_quantize", chain("int8", image, "dequantize", "quantize")
    yield "int8_dense_dequantize", chain("int8", (1, 30), ("dense", 10), "dequantize")


FAMILIES = {"chain": grid}

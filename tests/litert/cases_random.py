"""Random small float graphs of many operators: what one operator leaves behind, others read, several of them and twice.

Every graph starts from one or two inputs of shape [1, H, W, C] and grows by operators that the shapes allow; whatever is
not read becomes an output.
"""
import numpy as np

from build import ACTIVATIONS, SAMPLES, Graph, options

UNARY = ["LOGISTIC", "TANH", "HARD_SWISH", "RELU", "RELU6", "ABS", "NEG", "GELU", "SIN", "SQUARE", "FLOOR"]
UNARY_OPTIONS = {"HARD_SWISH": "HardSwishOptions", "GELU": "GeluOptions", "ABS": "AbsOptions", "NEG": "NegOptions",
                 "SQUARE": "SquareOptions"}
BINARY = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "MAXIMUM": "MaximumMinimumOptions",
          "MINIMUM": "MaximumMinimumOptions", "SQUARED_DIFFERENCE": "SquaredDifferenceOptions"}


class Growing:
    """A graph with the shapes of what has been computed."""

    def __init__(self, rng):
        self.rng, self.g, self.shapes, self.read = rng, Graph(), {}, set()

    def pick(self, want=lambda shape: True):
        """Any tensor whose shape will do, or None."""
        good = [t for t, shape in self.shapes.items() if want(shape)]
        return int(self.rng.choice(good)) if good else None

    def constant(self, *shape, spread=1.0):
        return self.g.const(self.rng.normal(0, spread, shape).astype(np.float32))

    def add(self, op, version, inputs, shape, opts=None):
        """Append an operator with one output."""
        y = self.g.add(shape, np.float32)
        self.g.op(op, version, inputs, [y], opts)
        self.read.update(inputs)
        self.shapes[y] = tuple(int(d) for d in shape)
        return y

    def grow(self):
        """Append one operator of a random kind."""
        rng, kind = self.rng, self.rng.integers(0, 17)
        image = self.pick(lambda s: len(s) == 4 and s[1] >= 2 and s[2] >= 2 and max(s[1:3]) <= 16)
        x = self.pick()
        shape = self.shapes[x]
        if kind == 0 and image is not None:
            n, h, w, c = self.shapes[image]
            out = int(rng.integers(1, 6))
            act = str(rng.choice(["none", "relu", "relu6"]))
            self.add("CONV_2D", 1, [image, self.constant(out, 2, 2, c, spread=0.5), self.constant(out)],
                     (n, -(-h // 2), -(-w // 2), out), options("Conv2DOptions", strideH=2, strideW=2,
                     dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=ACTIVATIONS[act]))
        elif kind == 1 and image is not None:
            n, h, w, c = self.shapes[image]
            self.add("DEPTHWISE_CONV_2D", 1, [image, self.constant(1, 3, 3, c, spread=0.5), self.constant(c)], (n, h, w, c),
                     options("DepthwiseConv2DOptions", strideH=1, strideW=1, depthMultiplier=1, dilationHFactor=1,
                             dilationWFactor=1))
        elif kind == 2 and image is not None:
            n, h, w, c = self.shapes[image]
            op = str(rng.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
            self.add(op, 1, [image], (n, h // 2, w // 2, c), options(
                "Pool2DOptions", padding=1, strideH=2, strideW=2, filterHeight=2, filterWidth=2))
        elif kind == 3 and image is not None:
            n, h, w, c = self.shapes[image]
            op = str(rng.choice(["ResizeBilinear", "ResizeNearestNeighbor"]))
            name = {"ResizeBilinear": "RESIZE_BILINEAR", "ResizeNearestNeighbor": "RESIZE_NEAREST_NEIGHBOR"}[op]
            size = [int(v) for v in rng.integers(1, 9, 2)]
            self.add(name, 3, [image, self.g.const(np.array(size, np.int32))], (n, *size, c),
                     options(op + "Options", halfPixelCenters=bool(rng.random() < 0.5)))
        elif kind in (4, 5):
            op = str(rng.choice(UNARY))
            name = UNARY_OPTIONS.get(op)
            self.add(op, 1, [x], shape, options(name) if name else None)
        elif kind in (6, 7, 8):
            op = str(rng.choice(list(BINARY)))
            other = self.pick(lambda s: s == shape) if rng.random() < 0.7 else self.constant(*shape[-1:])
            operands = [x, other] if rng.random() < 0.7 else [other, x]
            self.add(op, 1, operands, shape, options(BINARY[op]))
        elif kind == 9 and shape:
            axis = int(rng.integers(0, len(shape)))
            same = lambda s: len(s) == len(shape) and all(a == b for d, (a, b) in enumerate(zip(s, shape)) if d != axis)
            parts = [x] + [self.pick(same) for _ in range(int(rng.integers(1, 3)))]
            out = list(shape)
            out[axis] = sum(self.shapes[p][axis] for p in parts)
            if np.prod(out) < 2000:
                self.add("CONCATENATION", 1, parts, out, options("ConcatenationOptions", axis=axis))
        elif kind == 10:
            flat = int(np.prod(shape))
            self.add("RESHAPE", 1, [x, self.g.const(np.array([1, flat], np.int32))], (1, flat))
        elif kind == 11 and len(shape) > 1:
            perm = rng.permutation(len(shape))
            self.add("TRANSPOSE", 1, [x, self.g.const(perm.astype(np.int32))], [shape[p] for p in perm])
        elif kind == 12 and np.prod(shape) < 500:
            pad = rng.integers(0, 3, (len(shape), 2))
            pad[0] = 0
            out = [n + a + b for n, (a, b) in zip(shape, pad)]
            self.add("PAD", 1, [x, self.g.const(pad.astype(np.int32))], out, options("PadOptions"))
        elif kind == 13 and len(shape) > 1:
            axis = int(rng.integers(1, len(shape)))
            op = str(rng.choice(["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"]))
            out = [1 if d == axis else n for d, n in enumerate(shape)]
            self.add(op, 1, [x, self.g.const(np.array([axis], np.int32))], out, options("ReducerOptions", keepDims=True))
        elif kind == 14 and len(shape) > 1:
            op = str(rng.choice(["SOFTMAX", "L2_NORMALIZATION", "LOG_SOFTMAX"]))
            opts = {"SOFTMAX": lambda: options("SoftmaxOptions", beta=1.0), "L2_NORMALIZATION": lambda: options("L2NormOptions"),
                    "LOG_SOFTMAX": lambda: options("LogSoftmaxOptions")}[op]()
            self.add(op, 1, [x], shape, opts)
        elif kind == 15 and shape and np.prod(shape) < 400:
            units = int(rng.integers(1, 7))
            act = str(rng.choice(["none", "relu"]))
            self.add("FULLY_CONNECTED", 1, [x, self.constant(units, shape[-1], spread=0.4), self.constant(units)],
                     (int(np.prod(shape[:-1])), units),
                     options("FullyConnectedOptions", fusedActivationFunction=ACTIVATIONS[act]))
        elif kind == 16 and shape:
            self.add("PRELU", 1, [x, self.constant(*shape[-1:], spread=0.3)], shape)


def random_graph(size):
    """A maker of one graph of about `size` operators."""
    def make(rng):
        grown = Growing(rng)
        inputs, data = [], []
        for _ in range(int(rng.integers(1, 3))):
            shape = (1, *(int(v) for v in rng.integers(2, 7, 2)), int(rng.integers(1, 5)))
            inputs.append(grown.g.add(shape, np.float32))
            grown.shapes[inputs[-1]] = shape
            data.append(rng.normal(0, 1, (SAMPLES, *shape)).astype(np.float32))
        while len(grown.g.operators) < size:
            grown.grow()
        outputs = [t for t in grown.shapes if t not in grown.read and t not in inputs]
        names = [o.opcodeIndex for o in grown.g.operators]
        return dict(what=f"{len(names)} operators", kind="float", model=grown.g.finish(inputs, outputs), inputs=data)
    return make


def grid(scale):
    """Graphs of three to fourteen operators."""
    for i in range(round(120 * scale)):
        yield f"graph_{i:03d}", random_graph(3 + i % 12)


FAMILIES = {"random": grid}

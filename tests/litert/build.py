"""Build small .tflite models with the schema's object API, and describe test cases.

A `Graph` collects tensors and operators and packs them into bytes LiteRT loads. A `Case` is one model with its
input samples; a case is made by a function that gets a random generator seeded from the case's own name, so a case
never changes when others are added.

Layout facts: buffer 0 is the schema's empty buffer; constants are aligned to 16 bytes inside the file (the schema
demands it, the generated Python packer does not do it); NHWC activations, OHWI filters.
"""
import zlib
from dataclasses import dataclass, field

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as s

TYPES = {
    np.dtype(np.float32): s.TensorType.FLOAT32,
    np.dtype(np.int8): s.TensorType.INT8,
    np.dtype(np.uint8): s.TensorType.UINT8,
    np.dtype(np.int16): s.TensorType.INT16,
    np.dtype(np.int32): s.TensorType.INT32,
}
ALIGNMENT = 16
SAMPLES = 3

# Fused activations by the name used in case descriptions.
ACTIVATIONS = {
    "none": s.ActivationFunctionType.NONE,
    "relu": s.ActivationFunctionType.RELU,
    "relu6": s.ActivationFunctionType.RELU6,
    "relu_n1_to_1": s.ActivationFunctionType.RELU_N1_TO_1,
    "tanh": s.ActivationFunctionType.TANH,
}


@dataclass(frozen=True)
class Quant:
    """Affine quantization: one scale for the tensor, or one a channel along `axis`."""

    scale: object
    zero_point: int = 0
    axis: int = 0

    def pack(self):
        """The schema's form of it."""
        q = s.QuantizationParametersT()
        q.scale = np.atleast_1d(np.asarray(self.scale, np.float32))
        q.zeroPoint = np.full(len(q.scale), self.zero_point, np.int64)
        q.quantizedDimension = self.axis
        return q


class AlignedBuffer(s.BufferT):
    """A buffer whose data starts at a multiple of `ALIGNMENT` in the finished file."""

    def Pack(self, builder):
        """Pack like the generated class, with the alignment."""
        data = None
        if self.data is not None:
            builder.StartVector(1, len(self.data), ALIGNMENT)
            builder.head -= len(self.data)
            builder.Bytes[builder.head:builder.head + len(self.data)] = bytes(self.data)
            data = builder.EndVector()
        s.BufferStart(builder)
        if data is not None:
            s.BufferAddData(builder, data)
        return s.BufferEnd(builder)


class Graph:
    """One subgraph in the making. Every method returns the index of the tensor it added.

    A branch of another graph (`main`) shares its buffers and operator codes; `number` is its subgraph.
    """

    def __init__(self, main=None):
        self.tensors, self.operators, self.branches = [], [], []
        self.codes = main.codes if main else []
        self.buffers = main.buffers if main else [AlignedBuffer()]
        if main:
            main.branches.append(self)
            self.number = len(main.branches)

    def add(self, shape, dtype, quant=None, name=None, variable=False):
        """Add an activation (or, with `variable`, a state tensor) without data."""
        t = s.TensorT()
        t.shape, t.hasRank = [int(d) for d in shape], True
        t.type, t.buffer = TYPES[np.dtype(dtype)], 0
        t.name = name or f"tensor_{len(self.tensors)}"
        t.isVariable = variable
        if quant is not None:
            t.quantization = quant.pack()
        self.tensors.append(t)
        return len(self.tensors) - 1

    def const(self, array, quant=None, name=None):
        """Add a constant."""
        array = np.array(array, order="C")
        index = self.add(array.shape, array.dtype, quant, name)
        buffer = AlignedBuffer()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.tensors[index].buffer = len(self.buffers)
        self.buffers.append(buffer)
        return index

    def op(self, name, version, inputs, outputs, options=None, intermediates=None):
        """Add an operator; -1 among the inputs is an absent optional tensor."""
        builtin = getattr(s.BuiltinOperator, name)
        key = (builtin, version)
        if key not in self.codes:
            self.codes.append(key)
        o = s.OperatorT()
        o.opcodeIndex = self.codes.index(key)
        o.inputs, o.outputs = list(inputs), list(outputs)
        if intermediates is not None:
            o.intermediates = list(intermediates)
        if options is not None:
            o.builtinOptionsType = getattr(s.BuiltinOptions, type(options).__name__[:-1])
            o.builtinOptions = options
        self.operators.append(o)
        return outputs[0]

    def subgraph(self, name, inputs, outputs):
        """The schema's form of it, kept for `finish` in a branch."""
        self.packed = s.SubGraphT()
        self.packed.name, self.packed.tensors, self.packed.operators = name, self.tensors, self.operators
        self.packed.inputs, self.packed.outputs = list(inputs), list(outputs)
        return self.packed

    def finish(self, inputs, outputs):
        """Pack the model."""
        sub = self.subgraph("main", inputs, outputs)
        model = s.ModelT()
        model.version, model.description = 3, "zeropoint test case"
        model.subgraphs, model.buffers = [sub] + [b.packed for b in self.branches], self.buffers
        model.operatorCodes = []
        for builtin, version in self.codes:
            code = s.OperatorCodeT()
            code.builtinCode, code.version = builtin, version
            code.deprecatedBuiltinCode = min(builtin, 127)
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


@dataclass
class Case:
    """One model with its input samples.

    `inputs[i]` is `[SAMPLES, *shape]` of the model's input i, whole shape. `kind` is "int8", "float" or "mixed".
    `limits` are the clamp limits of the final output, for the statistics only.
    """

    op: str
    name: str
    what: str
    kind: str
    model: bytes
    inputs: list
    limits: tuple = field(default=(-128, 127))


def rng_for(op, name):
    """The random generator that belongs to a case, and only to it."""
    return np.random.default_rng(zlib.crc32(f"{op}/{name}".encode()))


def build(op, makers):
    """Run `(name, make)` pairs: `make(rng)` gives the Case without op and name as a dict."""
    seen = set()
    for name, make in makers:
        assert name not in seen, f"{op}/{name} twice"
        seen.add(name)
        yield Case(op=op, name=name, **make(rng_for(op, name)))


def options(kind, **fields):
    """A builtin options object of the schema, e.g. `options("AddOptions", fusedActivationFunction=1)`."""
    o = getattr(s, kind + "T")()
    for key, value in fields.items():
        assert hasattr(o, key), f"{kind} has no field {key}"
        setattr(o, key, value)
    return o


def int8_samples(rng, shape, zero_point=0, dtype=np.int8):
    """`SAMPLES` samples: the whole range, its extremes only, values close to the zero point."""
    info = np.iinfo(dtype)
    out = []
    for i in range(SAMPLES):
        if i % 3 == 0:
            x = rng.integers(info.min, info.max + 1, shape)
        elif i % 3 == 1:
            x = rng.choice([info.min, info.min + 1, zero_point, info.max - 1, info.max], shape)
        else:
            x = np.clip(np.rint(rng.normal(zero_point, 20, shape)), info.min, info.max)
        out.append(np.asarray(x).astype(dtype))
    return np.stack(out)


def float_samples(rng, shape, spread=1.0):
    """Normal samples; the second is ten times larger, the third contains exact zeros."""
    x = rng.normal(0, spread, (SAMPLES, *shape)).astype(np.float32)
    x[1] *= 10
    x[2] = np.where(rng.random(shape) < 0.5, np.float32(0), x[2])
    return x


def int8_weights(rng, shape):
    """Roughly normal weights in -127..127 that contain both extremes when they can."""
    w = np.clip(np.rint(rng.normal(0, 45, shape)), -127, 127).astype(np.int8)
    flat = w.reshape(-1)
    if flat.size:
        flat[rng.integers(flat.size)] = 127
        flat[rng.integers(flat.size)] = -127
    return w


def activation_limits(activation, scale, zero_point, low=-128, high=127):
    """The integer limits LiteRT clamps to; TANH and NONE clamp to the type alone."""
    def q(x):
        v = np.float32(x) / np.float32(scale)
        return int(zero_point + np.trunc(v + np.copysign(np.float32(0.5), v)))
    if activation in ("relu", "relu6"):
        low = max(low, q(0))
    if activation == "relu6":
        high = min(high, q(6))
    if activation == "relu_n1_to_1":
        low, high = max(low, q(-1)), min(high, q(1))
    return low, high

"""PyTorch eager over a batch: the graph of a float .tflite file, operator by operator.

--statistics none runs it forward only, minmax calls torch.aminmax on the input and on the output of every operator,
histc torch.histc with 2048 bins besides. --check compares the outputs with LiteRT first. Refuses operators that it
does not know by name.
"""
import argparse
import math
import sys

import numpy as np
import samples
import torch
import torch.nn.functional as F
from ai_edge_litert import schema_py_generated as schema

NAMES = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}


def activate(x, kind):
    kinds = schema.ActivationFunctionType
    if kind == kinds.RELU:
        return F.relu(x)
    if kind == kinds.RELU6:
        return F.relu6(x)
    if kind == kinds.NONE:
        return x
    sys.exit(f"activation {kind} is not known here")


class Net:
    """Tensors keep TensorFlow's order of axes; convolutions see them as channels_last without a copy."""

    def __init__(self, content, device):
        self.model = schema.ModelT.InitFromPackedBuf(content, 0)
        self.graph = self.model.subgraphs[0]
        self.device = device
        self.constant = {}
        for i, t in enumerate(self.graph.tensors):
            data = self.model.buffers[t.buffer].data
            if data is None or len(data) == 0:
                continue
            dtype = {0: np.float32, 2: np.int32}.get(t.type)
            if dtype is None:
                sys.exit(f"constant {t.name} is of a type that is not known here")
            array = np.frombuffer(bytes(data), dtype).reshape(t.shape if t.shape is not None else [])
            self.constant[i] = torch.from_numpy(array.copy()).to(device)
        self.kernels = [self.kernel(op) for op in self.graph.operators]

    def code(self, op):
        c = self.model.operatorCodes[op.opcodeIndex]
        return NAMES[max(c.builtinCode, c.deprecatedBuiltinCode)]

    def pads(self, o, x, k, dilation):
        if o.padding == schema.Padding.VALID:
            return (0, 0, 0, 0)
        sizes = []
        for size, stride, kernel, d in ((x[2], o.strideW, k[1], dilation[1]), (x[1], o.strideH, k[0], dilation[0])):
            total = max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * d + 1 - size, 0)
            sizes += [total // 2, total - total // 2]
        return tuple(sizes)

    def convolution(self, op, o, depthwise):
        w, b = self.constant[op.inputs[1]], self.constant.get(op.inputs[2]) if len(op.inputs) > 2 else None
        shape = self.graph.tensors[op.inputs[0]].shape
        dilation = (o.dilationHFactor, o.dilationWFactor)
        pads = self.pads(o, shape, w.shape[1:3], dilation)
        groups = shape[3] if depthwise else shape[3] // w.shape[3]
        w = w.permute(3, 0, 1, 2) if depthwise else w.permute(0, 3, 1, 2)
        w = w.contiguous(memory_format=torch.channels_last)
        same = pads[0] == pads[1] and pads[2] == pads[3]

        def run(x):
            x = x.permute(0, 3, 1, 2)
            padding = (pads[2], pads[0]) if same else 0
            x = x if same else F.pad(x, pads)
            y = F.conv2d(x, w, b, (o.strideH, o.strideW), padding, dilation, groups)
            return activate(y, o.fusedActivationFunction).permute(0, 2, 3, 1)

        return run

    def lstm(self, op, o):
        c = [self.constant.get(i) for i in op.inputs]
        if c[1] is None or any(c[i] is not None for i in (9, 10, 11, 16, 17)) or o.timeMajor:
            sys.exit("this kind of LSTM is not known here")
        cells, width = c[5].shape
        net = torch.nn.LSTM(c[1].shape[1], width, batch_first=True).to(self.device)
        with torch.no_grad():
            net.weight_ih_l0.copy_(torch.cat(c[1:5]))
            net.weight_hh_l0.copy_(torch.cat(c[5:9]))
            net.bias_ih_l0.copy_(torch.cat(c[12:16]))
            net.bias_hh_l0.zero_()
        net.flatten_parameters()
        return lambda x: net(x)[0]

    def kernel(self, op):
        name, o = self.code(op), op.builtinOptions
        constant = [self.constant.get(i) for i in op.inputs]
        shape = list(self.graph.tensors[op.outputs[0]].shape)
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            return self.convolution(op, o, name.startswith("D"))
        if name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
            return self.lstm(op, o)
        if name == "FULLY_CONNECTED":
            bias = constant[2] if len(constant) > 2 else None
            return lambda x: activate(F.linear(x.flatten(1), constant[1], bias), o.fusedActivationFunction)
        if name == "ADD":
            return lambda *x: activate(x[0] + x[1], o.fusedActivationFunction)
        if name == "MEAN":
            axes = [int(i) for i in constant[1].flatten()]
            return lambda x, *_: x.mean(axes, keepdim=bool(o.keepDims))
        if name == "SOFTMAX":
            return lambda x: F.softmax(x * o.beta, -1)
        if name == "RESHAPE":
            return lambda x, *_: x.reshape([x.shape[0]] + shape[1:])
        if name == "STRIDED_SLICE":
            begin, end, step = ([int(v) for v in c] for c in constant[1:4])
            parts = [slice(None)]
            for axis in range(1, len(begin)):
                first = None if o.beginMask >> axis & 1 else begin[axis]
                last = None if o.endMask >> axis & 1 else end[axis]
                parts.append(begin[axis] if o.shrinkAxisMask >> axis & 1 else slice(first, last, step[axis]))
            return lambda x, *_: x[tuple(parts)]
        sys.exit(f"{name} is not known here")

    def __call__(self, inputs, see):
        values = dict(zip(self.graph.inputs, inputs))
        for x in inputs:
            see(x)
        for op, kernel in zip(self.graph.operators, self.kernels):
            ids = [i for i in op.inputs if i in values or i in self.constant]
            # Weights are inside of the kernel already; ADD may have a constant operand.
            ids = ids if self.code(op) == "ADD" else [i for i in ids if i in values]
            y = kernel(*[values[i] if i in values else self.constant[i] for i in ids])
            see(y)
            values[op.outputs[0]] = y
        return [values[i] for i in self.graph.outputs]


p = samples.arguments(argparse.ArgumentParser(description=__doc__))
p.add_argument("--statistics", choices=["none", "minmax", "histc"], default="none")
p.add_argument("--device", default="cuda")
p.add_argument("--batch", type=int, default=256)
p.add_argument("--check", action="store_true")
a = p.parse_args()
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
n, sample = samples.load(a.data, a.limit, None, None)
content = open(a.model, "rb").read()
net = Net(content, a.device)
scale = float(a.scale) if a.scale else None


def see(x):
    if a.statistics != "none":
        torch.aminmax(x)
    if a.statistics == "histc":
        torch.histc(x, 2048)


def feed(first, last):
    """Uploads the data as it is, and makes real numbers of it on the device."""
    parts = [torch.from_numpy(np.ascontiguousarray(x)).to(a.device) for x in sample(first, last)]
    return [x.float() * scale + float(a.offset) if scale else x for x in parts]


with torch.inference_mode():
    if a.check:
        from ai_edge_litert.interpreter import Interpreter

        ours = net(feed(0, 2), see)
        theirs = Interpreter(model_content=content)
        theirs.allocate_tensors()
        x = [v.cpu().numpy()[1:2] for v in feed(0, 2)]
        for d, v in zip(theirs.get_input_details(), x):
            theirs.set_tensor(d["index"], v)
        theirs.invoke()
        for d, y in zip(theirs.get_output_details(), ours):
            difference = np.abs(theirs.get_tensor(d["index"]) - y[1:2].cpu().numpy()).max()
            print(f"largest difference {difference:.3g}", file=sys.stderr)
            # torch.nn.LSTM does not clip its cell, LiteRT's files mostly do.
            assert difference < 1e-2
    batches = [(i, min(i + a.batch, n)) for i in range(0, n, a.batch)]
    net(feed(*batches[0]), see)
    if a.device == "cuda":
        torch.cuda.synchronize()
    with samples.Clock(n):
        for first, last in batches:
            outputs = net(feed(first, last), see)
        for y in outputs:
            y.cpu()

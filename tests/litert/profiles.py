#!/usr/bin/env python3
"""Write int8 models of one operator, with what LiteRT's default interpreter (XNNPACK) makes of them.

    profiles.py OUT_DIR

The cases of `generate.py` for the operators that XNNPACK takes, and grids of random scales with many values each: all
pairs of int8 for ADD, SUB and MUL, all int8 for functions of one element, large convolutions and products.

Per case OUT_DIR/<op>/<case>.tflite and .npz (input_0, ... with the sample first; output), and one OUT_DIR/index.json, a list
of {op, case, model, data, what, delegated}: `op` is the operator's name, `delegated` whether XNNPACK took it.

Facts about ai-edge-litert 2.3.0 on x86: the default interpreter gives the operators to XNNPACK also with
`experimental_preserve_all_tensors`; a DEPTHWISE_CONV_2D without a bias crashes the process there, so it is left out.
"""
import json
import pathlib
import sys
import warnings

import numpy as np
from ai_edge_litert import schema_py_generated as s
from ai_edge_litert.interpreter import Interpreter

import build
import cases_conv
import cases_dense
import generate
from build import ACTIVATIONS, Graph, Quant, options

FAMILIES = ("conv_2d", "depthwise_conv_2d", "fully_connected", "add", "mean", "binary", "unary", "quantize",
            "transpose_conv", "batch_matmul", "pool")
NAMES = {code: name for name, code in vars(s.BuiltinOperator).items() if isinstance(code, int)}
# Operators that are judged; the others of these families stay with LiteRT's own kernels.
OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL", "ADD", "SUB", "MUL",
             "MEAN", "LEAKY_RELU", "QUANTIZE", "LOGISTIC", "TANH", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_BILINEAR",
             "PRELU", "MAXIMUM", "MINIMUM", "HARD_SWISH")


def random_quant(rng, low=-3, high=0):
    """Any scale within powers of ten, and any zero point."""
    return Quant(np.float32(10 ** rng.uniform(low, high)), int(rng.integers(-128, 128)))


def pairs(op, quants, act):
    """All pairs of int8."""
    def make(rng):
        a, b = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128), indexing="ij")
        g, shape = Graph(), (1, 256, 256)
        x, y, z = (g.add(shape, np.int8, q) for q in quants)
        g.op(op, 2, [x, y], [z], options(op.capitalize() + "Options", fusedActivationFunction=ACTIVATIONS[act]))
        inputs = [np.int8(v).reshape((1, *shape)) for v in (a, b)]
        return dict(what=f"{op} {quants} {act}", kind="int8", model=g.finish([x, y], [z]), inputs=inputs)
    return make


def element(op, quants, fields=()):
    """All int8 through a function of one element."""
    def make(rng):
        g, shape = Graph(), (1, 256)
        x, y = (g.add(shape, np.int8, q) for q in quants)
        kind = {"LEAKY_RELU": "LeakyReluOptions"}.get(op)
        g.op(op, 2, [x], [y], options(kind, **dict(fields)) if kind else None)
        x_values = np.arange(-128, 128, dtype=np.int8).reshape((1, *shape))
        return dict(what=f"{op} {quants} {fields}", kind="int8", model=g.finish([x], [y]), inputs=[x_values])
    return make


def quantize(quant):
    """Floats around every step, on the ties and off them."""
    def make(rng):
        g, shape = Graph(), (1, 1024)
        x, y = g.add(shape, np.float32), g.add(shape, np.int8, quant)
        g.op("QUANTIZE", 1, [x], [y])
        steps = rng.integers(-600, 600, shape) / 2 * (rng.random(shape) < 0.5) + rng.uniform(-300, 300, shape) * 0.25
        x_values = (steps * float(quant.scale)).astype(np.float32).reshape((1, *shape))
        return dict(what=f"QUANTIZE {quant}", kind="mixed", model=g.finish([x], [y]), inputs=[x_values])
    return make


def random_grids():
    """(family, name, maker): random scales, many values."""
    rng = np.random.default_rng(20)
    acts = ("none", "relu", "relu6", "relu_n1_to_1")
    for op in ("ADD", "SUB", "MUL"):
        for i in range(16):
            quants = [random_quant(rng) for _ in range(2)] + [random_quant(rng, -2.5, 0)]
            yield "random_pairs", f"{op.lower()}_{i}", pairs(op, quants, acts[i % 4])
    for i in range(40):
        from_, to = random_quant(rng), random_quant(rng)
        alpha = [("alpha", float(np.float32(rng.uniform(-0.5, 0.9))))]
        yield "random_element", f"leaky_relu_{i}", element("LEAKY_RELU", [from_, to], alpha)
        yield "random_element", f"quantize_{i}", element("QUANTIZE", [from_, to])
        yield "random_element", f"logistic_{i}", element("LOGISTIC", [from_, Quant(np.float32(1 / 256), -128)])
        yield "random_element", f"tanh_{i}", element("TANH", [from_, Quant(np.float32(1 / 128), 0)])
        yield "random_float", f"quantize_{i}", quantize(random_quant(rng, -4, 1))
    for i in range(6):
        zps = dict(zp_in=int(rng.integers(-128, 128)), zp_out=int(rng.integers(-128, 128)))
        more = dict(gain=float(rng.uniform(0.3, 2)), act=acts[i % 4], scales=("per_channel", "spread")[i % 2], **zps)
        yield "random_large", f"conv_{i}", cases_conv.conv(False, "int8", h=24, w=24, cin=5 + i, cout=33, **more)
        yield "random_large", f"depthwise_{i}", cases_conv.conv(True, "int8", h=32, w=32, cin=24 + i, **more)
        yield "random_large", f"dense_{i}", cases_dense.dense(
            "int8", shape=(96, 40 + 7 * i), units=130, **(more | dict(scales=("per_channel", "per_tensor")[i % 2])))


def operator(model):
    """The operator of a model that has one, and whether LiteRT crashes on it."""
    sub = s.ModelT.InitFromPackedBuf(model, 0)
    operators = sub.subgraphs[0].operators
    if len(operators) != 1:
        return None
    name = NAMES[sub.operatorCodes[operators[0].opcodeIndex].builtinCode]
    without_bias = len(operators[0].inputs) < 3 or operators[0].inputs[2] < 0
    return None if name == "DEPTHWISE_CONV_2D" and without_bias else name


def run(case):
    """The output of all samples, and whether XNNPACK took the operator."""
    interpreter = Interpreter(model_content=case.model, num_threads=1)
    interpreter.allocate_tensors()
    delegated = any(o["op_name"] == "DELEGATE" for o in interpreter._get_ops_details())
    inputs, output = interpreter.get_input_details(), interpreter.get_output_details()[0]["index"]
    outputs = []
    for sample in range(len(case.inputs[0])):
        for detail, x in zip(inputs, case.inputs, strict=True):
            interpreter.set_tensor(detail["index"], x[sample])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(output).copy())
    return np.stack(outputs), delegated


def cases():
    """All of them."""
    for family in FAMILIES:
        yield from build.build(family, generate.FAMILIES[family](1.0))
    for family, name, make in random_grids():
        yield build.Case(op=family, name=name, **make(build.rng_for(family, name)))


def main():
    """Run and save."""
    warnings.simplefilter("ignore")
    out, index = pathlib.Path(sys.argv[1]), []
    for case in cases():
        name = operator(case.model) if case.kind != "float" else None
        if name not in OPERATORS:
            continue
        print(case.op, case.name, flush=True)  # If the interpreter crashes, the last line says where.
        output, delegated = run(case)
        if output.dtype.kind not in "iu" or output.dtype.itemsize != 1:
            continue
        (out / case.op).mkdir(parents=True, exist_ok=True)
        model, data = f"{case.op}/{case.name}.tflite", f"{case.op}/{case.name}.npz"
        (out / model).write_bytes(case.model)
        arrays = {f"input_{i}": generate.stored_input(x) for i, x in enumerate(case.inputs)}
        np.savez(out / data, output=output, **arrays)
        index.append(dict(op=name, case=f"{case.op}/{case.name}", model=model, data=data, what=case.what,
                          delegated=delegated))
    (out / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()

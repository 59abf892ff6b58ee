"""LiteRT as the judge of quantized files.

ranges MODEL OUT      runs the float model on random inputs; writes "tensor min max" lines, and OUT.npz with the last
                      input and output
check MODEL OUT TYPE  runs a quantized model on that input with reference kernels and with the default ones; prints the
                      largest distance from the float output
"""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def invoke(interpreter, x):
    detail = interpreter.get_input_details()[0]
    if detail["dtype"] != np.float32:
        scale, zero = detail["quantization"]
        limits = np.iinfo(detail["dtype"])
        x = np.clip(np.round(x / scale) + zero, limits.min, limits.max)
    interpreter.reset_all_variables()
    interpreter.set_tensor(detail["index"], x.astype(detail["dtype"]))
    interpreter.invoke()
    detail = interpreter.get_output_details()[0]
    y = interpreter.get_tensor(detail["index"])
    if detail["dtype"] != np.float32:
        scale, zero = detail["quantization"]
        y = (y.astype(np.float32) - zero) * scale
    return y


def ranges(model, out):
    interpreter = Interpreter(model, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    shape = interpreter.get_input_details()[0]["shape"]
    random = np.random.default_rng(1)
    seen = {}
    for _ in range(3):
        x = random.standard_normal(shape).astype(np.float32)
        y = invoke(interpreter, x)
        for detail in interpreter.get_tensor_details():
            if detail["dtype"] != np.float32:
                continue
            try:
                value = interpreter.get_tensor(detail["index"])
            except ValueError:
                continue
            low, high = seen.get(detail["index"], (np.inf, -np.inf))
            seen[detail["index"]] = (min(low, value.min()), max(high, value.max()))
    np.savez(out + ".npz", x=x, y=y)
    for tensor, (low, high) in seen.items():
        print(tensor, low, high)


def check(model, out, dtype):
    data = np.load(out + ".npz")
    distance = 0.0
    for resolver in (OpResolverType.BUILTIN_REF, OpResolverType.AUTO):
        interpreter = Interpreter(model, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        for details in (interpreter.get_input_details(), interpreter.get_output_details()):
            assert details[0]["dtype"] == np.dtype(dtype), details
        runner = interpreter.get_signature_list()
        assert len(runner) == 1, runner
        y = invoke(interpreter, data["x"])
        assert np.isfinite(y).all() and y.std() > 0, y
        distance = max(distance, float(np.abs(y - data["y"]).max()))
    print(distance)


{"ranges": ranges, "check": check}[sys.argv[1]](*sys.argv[2:])

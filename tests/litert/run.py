"""Run a model over data in LiteRT and save what it computes, raw, with the sample first.

    run.py MODEL DATA.npz OUT.npz [--limit N] [--kernels reference|builtin|default] [--scale S --offset O] [--outputs-only]

DATA.npz holds input_0, input_1, ... of float32, for a model with float inputs, or integers u that mean S * u + O. OUT.npz gets output_0, ... and, unless
--outputs-only, tensor_K for every tensor K that the interpreter can show. State is reset before every sample.
"""
import argparse

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

KERNELS = {
    "reference": OpResolverType.BUILTIN_REF,
    "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "default": OpResolverType.AUTO,
}


def main():
    parser = argparse.ArgumentParser()
    for name in ("model", "data", "out"):
        parser.add_argument(name)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--scale", type=float)
    parser.add_argument("--offset", type=float, default=0)
    parser.add_argument("--kernels", choices=KERNELS, default="reference")
    parser.add_argument("--outputs-only", action="store_true")
    options = parser.parse_args()
    interpreter = Interpreter(
        model_path=options.model,
        experimental_op_resolver_type=KERNELS[options.kernels],
        experimental_preserve_all_tensors=not options.outputs_only,
    )
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    with np.load(options.data) as data:
        arrays = [data[f"input_{i}"][: options.limit] for i in range(len(inputs))]
    if options.scale:
        arrays = [a * np.float32(options.scale) + np.float32(options.offset) for a in arrays]
    wanted = {f"output_{i}": detail["index"] for i, detail in enumerate(outputs)}
    if not options.outputs_only:
        wanted |= {f"tensor_{d['index']}": d["index"] for d in interpreter.get_tensor_details()}
    results = {name: [] for name in wanted}
    for sample in zip(*arrays):
        interpreter.reset_all_variables()
        for detail, value in zip(inputs, sample):
            interpreter.set_tensor(detail["index"], value.reshape(detail["shape"]))
        interpreter.invoke()
        for name, index in list(wanted.items()):
            try:
                results[name].append(interpreter.get_tensor(index).copy())
            except ValueError:  # Not allocated: an intermediate, or a temporary tensor of a kernel.
                del wanted[name], results[name]
    np.savez(options.out, **{name: np.stack(values) for name, values in results.items()})


if __name__ == "__main__":
    main()

"""Run many models in LiteRT's reference kernels, in one process, and save every tensor.

    batch.py LIST.json

LIST.json is a list of {model, data, out}, perhaps with a limit of samples, or the scale and offset that make float inputs
of raw integers. DATA.npz holds input_0, input_1, ... with the sample first; floats for an integer input are quantized with
its parameters, as zeropoint does. OUT.npz gets tensor_K for every tensor K that the interpreter can show, raw, with the
sample first. State is reset before every sample.
A model that cannot be run is reported as {"model": why} in LIST.json.failed; the others run all the same.
"""
import json
import pathlib
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def fed(detail, value):
    """A sample as an input takes it: q = round(x / scale) + zero point, half away from zero, in float32."""
    dtype = np.dtype(detail["dtype"])
    if value.dtype.kind == "f" and dtype.kind in "iu" and detail["quantization"][0]:
        scale, zero_point = detail["quantization"]
        steps = value.astype(np.float32) / np.float32(scale)
        ends = np.iinfo(dtype)
        whole = np.sign(steps) * np.floor(np.abs(steps).astype(np.float64) + 0.5)
        value = np.clip(whole + zero_point, ends.min, ends.max).astype(dtype)
    return value.reshape(detail["shape"])


def run(job):
    """All tensors of one model."""
    interpreter = Interpreter(model_path=job["model"], num_threads=1,
                              experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
                              experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    inputs = interpreter.get_input_details()
    with np.load(job["data"]) as data:
        arrays = [data[f"input_{i}"][: job.get("limit")] for i in range(len(inputs))]
    if job.get("scale"):
        arrays = [a * np.float32(job["scale"]) + np.float32(job["offset"]) for a in arrays]
    wanted = [d["index"] for d in interpreter.get_tensor_details()]
    results = {k: [] for k in wanted}
    for sample in zip(*arrays):
        interpreter.reset_all_variables()
        for detail, value in zip(inputs, sample):
            interpreter.set_tensor(detail["index"], fed(detail, value))
        interpreter.invoke()
        for k in list(results):
            try:
                results[k].append(interpreter.get_tensor(k).copy())
            except ValueError:  # Not allocated: an intermediate, or a temporary tensor of a kernel.
                del results[k]
    np.savez(job["out"], **{f"tensor_{k}": np.stack(v) for k, v in results.items() if v and v[0].dtype.kind in "fiub"})


def main():
    path = pathlib.Path(sys.argv[1])
    failed = {}
    for job in json.loads(path.read_text()):
        # If the interpreter aborts, the last line says where.
        print(job["model"], flush=True)
        try:
            run(job)
        except (RuntimeError, ValueError) as error:
            failed[job["model"]] = str(error)
    pathlib.Path(f"{path}.failed").write_text(json.dumps(failed))


if __name__ == "__main__":
    main()

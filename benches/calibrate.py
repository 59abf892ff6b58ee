#!/usr/bin/env python3
"""Calibration against TensorFlow's own calibrator, in one run on one machine.

Runs, in turns, `zeropoint quantize` (the release binary) and TensorFlow's calibrator (it is inside the ai-edge-litert
package) over the same model and samples, each in a process of its own, and prints medians of time and of the largest
resident memory. With a Python that has tensorflow, its MLIR quantizer is run on the calibrated model as well, so that
whole jobs are compared.

    benches/calibrate.py [MODEL DATA.npz] [--rounds N] [--limit N] [--scale S --offset O]
                         [--device cpu|gpu|auto] [--tf-python PYTHON] [-o OUT.md]

The default is the example in examples/har. The table also goes to target/bench/calibrate.md.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Runs in a process of its own: argv = model, data, limit, scale, offset, out (or empty).
CALIBRATOR = r"""
import sys, time, json
import numpy as np
from ai_edge_litert import _pywrap_tensorflow_lite_calibration_wrapper as calibration
model, data, limit, scale, offset, out = sys.argv[1:7]
arrays = np.load(data)
inputs = [arrays[f"input_{i}"] for i in range(sum(k.startswith("input_") for k in arrays.files))]
inputs = [x[: int(limit)] if int(limit) else x for x in inputs]
start = time.perf_counter()
# The wrapper borrows these bytes: they must outlive it.
content = calibration.AddIntermediateTensors(open(model, "rb").read())
wrapper = calibration.CalibrationWrapper(content, [], [])
for s in range(len(inputs[0])):
    sample = [x[s : s + 1] for x in inputs]
    if scale:
        sample = [(x * np.float32(scale) + np.float32(offset)).astype(np.float32) for x in sample]
    if s == 0:
        wrapper.Prepare([list(x.shape) for x in sample])
    wrapper.FeedTensor(sample)
calibrated = wrapper.Calibrate()
print(json.dumps({"samples": len(inputs[0]), "seconds": time.perf_counter() - start}))
if out:
    open(out, "wb").write(calibrated)
"""

# Turns the calibrated model into a full-integer one: argv = calibrated, out.
QUANTIZER = r"""
import sys, time, json
from tensorflow.lite.python.convert import mlir_quantize
calibrated = open(sys.argv[1], "rb").read()
start = time.perf_counter()
quantized = mlir_quantize(calibrated)
print(json.dumps({"seconds": time.perf_counter() - start}))
open(sys.argv[2], "wb").write(quantized)
"""


def measure(command):
    """Wall seconds, peak resident MB, and the JSON object on stdout's last line (or the whole of stdout)."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        out.seek(0), err.seek(0)
        text = out.read()
        if status != 0:
            sys.exit(f"{command[0]} failed:\n{err.read()}")
    try:
        result = json.loads(text)
    except json.JSONDecodeError:
        result = json.loads(text.strip().splitlines()[-1])
    return seconds, usage.ru_maxrss / 1024, result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", nargs="?", default=str(ROOT / "examples/har/model.tflite"))
    p.add_argument("data", nargs="?", default=str(ROOT / "examples/har/calib.npz"))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--limit", type=int, default=0)
    p.add_argument("--scale"), p.add_argument("--offset", default="0")
    p.add_argument("--device", default="cpu", choices=["cpu", "gpu", "auto"])
    p.add_argument("--tf-python", help="a Python with tensorflow, to time its MLIR quantizer too")
    p.add_argument("-o", "--output", default=str(ROOT / "target/bench/calibrate.md"))
    a = p.parse_args()
    binary = ROOT / "target/release/zeropoint"
    if not binary.exists():
        sys.exit("build it first: cargo build --release")
    rows = {"zeropoint": [], "TensorFlow": []}
    with tempfile.TemporaryDirectory() as folder:
        ours = [str(binary), "quantize", a.model, "--data", a.data, "--device", a.device, "--json"]
        ours += ["-o", f"{folder}/ours.tflite"]
        ours += ["--limit", str(a.limit)] if a.limit else []
        ours += ["--input-scale", a.scale, f"--input-offset={a.offset}"] if a.scale else []
        theirs = [sys.executable, "-c", CALIBRATOR, a.model, a.data, str(a.limit), a.scale or "", a.offset]
        for _ in range(a.rounds):
            wall, memory, result = measure(ours)
            rows["zeropoint"].append((result["seconds"], wall, memory))
            device, samples = result["device"], result["samples"]
            wall, memory, result = measure(theirs + [f"{folder}/calibrated.tflite" if a.tf_python else ""])
            seconds = result["seconds"]
            if a.tf_python:
                more, peak, quantizer = measure(
                    [a.tf_python, "-c", QUANTIZER, f"{folder}/calibrated.tflite", f"{folder}/theirs.tflite"]
                )
                wall, memory = wall + more, max(memory, peak)
            rows["TensorFlow"].append((seconds, wall, memory))
    median = {name: [statistics.median(column) for column in zip(*values)] for name, values in rows.items()}
    job = "calibrator and MLIR quantizer" if a.tf_python else "calibrator only"
    lines = [
        f"{samples} samples of {Path(a.data).name}, {Path(a.model).name}, medians of {a.rounds} rounds in turns; "
        f"{platform.machine()}, {os.cpu_count()} CPUs, {time.strftime('%Y-%m-%d')}",
        "",
        "| | calibration s | samples/s | whole job s | peak MB |",
        "|---|---|---|---|---|",
    ]
    for name, detail in (("zeropoint", device), ("TensorFlow", job)):
        seconds, wall, memory = median[name]
        lines.append(f"| {name} ({detail}) | {seconds:.2f} | {samples / seconds:.0f} | {wall:.2f} | {memory:.0f} |")
    ratio = [t / z for t, z in zip(median["TensorFlow"], median["zeropoint"])]
    lines.append(f"| TensorFlow / zeropoint | {ratio[0]:.1f} | | {ratio[1]:.1f} | {ratio[2]:.1f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    output = Path(a.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text)


if __name__ == "__main__":
    main()

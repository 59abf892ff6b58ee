#!/usr/bin/env python3
"""Whole commands of zeropoint against the tools that others use, in one run on one machine.

    benches/compare.py [MODEL DATA.npz] [--limit N] [--scale S --offset O] [--rounds N] [--device cpu|gpu]
                       [--tf-python PYTHON] [--growth] [-o OUT.md]

Jobs are done in turns, each in a process of its own, and medians of the rounds are printed: milliseconds a sample of
the work itself, seconds of the whole process, and its largest resident memory.

  calibrate   zeropoint calibrate (minimum, maximum and histogram of every tensor), with --ranges-only, and quantize;
              TensorFlow's calibrator; litert-quantizer in both modes, if it is installed
  float       zeropoint run; LiteRT's interpreter with XNNPACK
  int8        zeropoint run of the model that zeropoint quantize wrote; LiteRT with XNNPACK on the same file
  gpu         with --device gpu: the same on the GPU, and PyTorch eager, if torch sees a GPU

The default is the example in examples/har. --tf-python names a Python with tensorflow, whose MLIR quantizer then
makes TensorFlow's job whole. --growth calibrates 1, 10 and 100 times the samples, by repetition: time must grow
linearly, memory not at all. The table also goes to target/bench/compare-MODEL-DEVICE.md.
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
from importlib.util import find_spec
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benches/peers"


def peak(pid):
    """Largest resident MB of a process since its program began; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def measure(command):
    """Wall seconds, peak resident MB, and the JSON object that stdout ends with (or {})."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen([str(c) for c in command], stdout=out, stderr=err)
        memory = 0.0
        while True:
            # Of the program itself: the kernel's own figure for a child counts what this process had when it forked.
            memory = max(memory, peak(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.005)
        seconds = time.perf_counter() - start
        out.seek(0), err.seek(0)
        text = out.read().strip()
        if status != 0:
            lines = err.read().strip().splitlines()
            raise RuntimeError(lines[-1] if lines else f"exit status {status}")
    try:
        result = json.loads(text[text.index("{"):]) if "{" in text else {}
    except json.JSONDecodeError:
        result = json.loads(text.splitlines()[-1])
    return seconds, memory or usage.ru_maxrss / 1024, result


class Job:
    """A row of the table: one process, or two after another."""

    def __init__(self, kind, name, command, then=None):
        self.kind, self.name, self.commands = kind, name, [command] + ([then] if then else [])
        self.rounds, self.failure, self.device = [], None, ""

    def run(self, samples):
        if self.failure:
            return
        wall, memory, seconds = 0.0, 0.0, None
        try:
            for command in self.commands:
                took, peak, result = measure(command)
                wall, memory = wall + took, max(memory, peak)
                if seconds is None:
                    seconds = result.get("seconds", took)
                self.device = result.get("device", self.device)
        except RuntimeError as e:
            self.failure = str(e)[:120]
            return
        self.rounds.append((1e3 * seconds / samples, wall, memory))

    def median(self):
        return [statistics.median(column) for column in zip(*self.rounds)]


def jobs(a, folder):
    program = ROOT / "target/release/zeropoint"
    limit = ["--limit", a.limit] if a.limit else []
    real = ["--input-scale", a.scale, f"--input-offset={a.offset}"] if a.scale else []
    ours = ["--data", a.data, "--device", a.device, *limit, *real]
    theirs = [a.data, *limit] + (["--scale", a.scale, f"--offset={a.offset}"] if a.scale else [])
    int8 = f"{folder}/int8.tflite"
    # The model for the int8 rows; its time is measured below.
    measure([program, "quantize", a.model, *ours, "-o", int8])

    def peer(script, model=a.model, extra=(), python=sys.executable):
        return [python, PEERS / f"{script}.py", model, *theirs, *extra]

    def zeropoint(kind, name, *command):
        return Job(kind, f"zeropoint {name}", [program, *command, *ours])

    rows = [
        zeropoint("calibrate", "calibrate", "calibrate", a.model, "--json"),
        zeropoint("calibrate", "calibrate --ranges-only", "calibrate", a.model, "--ranges-only", "--json"),
        zeropoint("calibrate", "quantize", "quantize", a.model, "--json", "-o", f"{folder}/again.tflite"),
    ]
    if a.device == "cpu":
        calibrated = f"{folder}/calibrated.tflite"
        convert = [a.tf_python, PEERS / "tf_quantizer.py", calibrated, f"{folder}/tf.tflite"] if a.tf_python else None
        name = "TensorFlow calibrator" + (" + quantizer" if convert else "")
        rows.append(Job("calibrate", name, peer("tf_calibrator", extra=["--out", calibrated]), convert))
        if find_spec("litert_quantizer"):
            rows.append(Job("calibrate", "litert-quantizer", peer("quantizer_package")))
            rows.append(Job("calibrate", "litert-quantizer, profiler", peer("quantizer_package", extra=["--profiler"])))
    rows.append(zeropoint("float", "run", "run", a.model, "--json", "-o", f"{folder}/float.npz"))
    if a.device == "cpu":
        rows.append(Job("float", "LiteRT XNNPACK", peer("litert_forward")))
    rows.append(zeropoint("int8", "run", "run", int8, "--json", "-o", f"{folder}/int8.npz"))
    if a.device == "cpu":
        rows.append(Job("int8", "LiteRT XNNPACK", peer("litert_forward", model=int8)))
    elif find_spec("torch"):
        for kind, name in (("none", "forward"), ("minmax", "+ aminmax"), ("histc", "+ aminmax + histc")):
            kind_of_row = "float" if kind == "none" else "calibrate"
            extra = ["--statistics", kind, "--batch", a.torch_batch]
            rows.append(Job(kind_of_row, f"PyTorch {name}", peer("torch_eager", extra=extra)))
    return rows


def growth(a, folder, samples):
    """Lines of a table: the same calibration over 1, 10 and 100 times the samples."""
    arrays = np.load(a.data)
    names = [k for k in arrays.files if k.startswith("input_")]
    lines = ["", "| samples | ms/sample | whole s | peak MB |", "|---|---|---|---|"]
    for times in (1, 10, 100):
        data = f"{folder}/x{times}.npz"
        if times * sum(arrays[k][:samples].nbytes for k in names) > a.growth_bytes:
            lines.append(f"| {samples * times} | – | – | (more than {a.growth_bytes >> 20} MB of data) |")
            continue
        np.savez(data, **{k: np.concatenate([arrays[k][:samples]] * times) for k in names})
        command = [ROOT / "target/release/zeropoint", "calibrate", a.model, "--data", data, "--device", a.device]
        command += ["--input-scale", a.scale, f"--input-offset={a.offset}"] if a.scale else []
        wall, memory, result = measure([*command, "--json"])
        ms = 1e3 * result["seconds"] / (samples * times)
        lines.append(f"| {samples * times} | {ms:.3f} | {wall:.2f} | {memory:.0f} |")
        os.remove(data)
    return lines


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", nargs="?", default=str(ROOT / "examples/har/model.tflite"))
    p.add_argument("data", nargs="?", default=str(ROOT / "examples/har/calib.npz"))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--limit", type=int, default=0)
    p.add_argument("--scale"), p.add_argument("--offset", default="0")
    p.add_argument("--device", default="cpu", choices=["cpu", "gpu"])
    p.add_argument("--tf-python", help="a Python with tensorflow")
    p.add_argument("--torch-batch", type=int, default=256)
    p.add_argument("--growth", action="store_true")
    p.add_argument("--growth-bytes", type=int, default=2 << 30, help="largest data set that --growth writes")
    p.add_argument("-o", "--output")
    a = p.parse_args()
    if not (ROOT / "target/release/zeropoint").exists():
        sys.exit("build it first: cargo build --release")
    array = np.load(a.data)["input_0"]
    samples = min(len(array), a.limit) if a.limit else len(array)
    with tempfile.TemporaryDirectory() as folder:
        rows = jobs(a, folder)
        for _ in range(a.rounds):
            for row in rows:
                row.run(samples)
        more = growth(a, folder, samples) if a.growth else []
    name = next((row.device for row in rows if row.device), a.device)
    lines = [
        f"{Path(a.model).name}, {samples} samples of {Path(a.data).name}; medians of {a.rounds} rounds in turns; {name}; "
        f"{platform.machine()}, {os.cpu_count()} CPUs, {time.strftime('%Y-%m-%d')}",
        "",
        "| job | who | ms/sample | samples/s | whole s | peak MB | time / zeropoint's |",
        "|---|---|---|---|---|---|---|",
    ]
    first = {}
    for row in rows:
        if row.failure:
            lines.append(f"| {row.kind} | {row.name} | – | – | – | – | {row.failure} |")
            continue
        ms, wall, memory = row.median()
        ratio = ms / first.setdefault(row.kind, ms)
        lines.append(f"| {row.kind} | {row.name} | {ms:.3f} | {1e3 / ms:.0f} | {wall:.2f} | {memory:.0f} | {ratio:.2f} |")
    text = "\n".join(lines + more) + "\n"
    print(text)
    place = a.output or ROOT / f"target/bench/compare-{Path(a.model).resolve().parent.name}-{a.device}.md"
    output = Path(place)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text)


if __name__ == "__main__":
    main()

"""What ONNX Runtime's calibrators choose.

python onnxruntime.py FOLDER: for each NAME.f32 (float32, little endian) in FOLDER, NAME.ort.json holds the range and the width
of bins of `onnxruntime.quantization.calibrate.HistogramCollector`, by method.
"""

import contextlib
import io
import json
import pathlib
import sys

# This file has the name of the package that it asks.
sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != pathlib.Path(__file__).resolve().parent]

import numpy as np
from onnxruntime.quantization.calibrate import HistogramCollector

BINS = 2048


def choose(x, method, symmetric=False, bins=BINS, percentile=99.99):
    collector = HistogramCollector(method, symmetric, bins, 128, percentile, "same")
    with contextlib.redirect_stdout(io.StringIO()):
        collector.collect({"x": x})
        low, high = collector.compute_collection_result()["x"][:2]
    edges = collector.get_histogram_dict()["x"][1]
    return {"range": [float(low), float(high)], "width": float(edges[1] - edges[0])}


def main(folder):
    for path in sorted(pathlib.Path(folder).glob("*.f32")):
        x = np.fromfile(path, "<f4")
        answers = {
            # Percentages for which no rank is a whole number: there, rounding decides.
            "percentile 99.875": choose(x, "percentile", percentile=99.875),
            "percentile 97.3325": choose(x, "percentile", percentile=97.3325),
            "symmetric 99.8875": choose(x, "percentile", symmetric=True, percentile=99.8875),
            "entropy": choose(x, "entropy"),
            "entropy by default": choose(x, "entropy", bins=128),
        }
        path.with_suffix(".ort.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1])

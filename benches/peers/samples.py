"""What every peer needs: the samples of a data set, and one JSON line as the result."""
import json
import time

import numpy as np


def load(data, limit, scale, offset):
    """The arrays input_0, input_1, … and a function that makes the model's inputs of samples a to b."""
    arrays = np.load(data)
    names = sorted((k for k in arrays.files if k.startswith("input_")), key=lambda k: int(k[6:]))
    inputs = [arrays[k] for k in names]
    inputs = [x[:limit] if limit else x for x in inputs]

    def sample(a, b):
        part = [x[a:b] for x in inputs]
        if not scale:
            return part
        return [(x * np.float32(scale) + np.float32(offset or 0)).astype(np.float32) for x in part]

    return len(inputs[0]), sample


def arguments(parser):
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--scale")
    parser.add_argument("--offset", default="0")
    return parser


class Clock:
    """Prints {"samples", "seconds"} of what ran inside of the with block."""

    def __init__(self, samples):
        self.samples = samples

    def __enter__(self):
        self.start = time.perf_counter()

    def __exit__(self, kind, *_):
        if kind is None:
            print(json.dumps({"samples": self.samples, "seconds": time.perf_counter() - self.start}))

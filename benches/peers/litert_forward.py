"""LiteRT's interpreter with its default kernels (XNNPACK) and a thread a processor, one sample at a time."""
import argparse
import os

import numpy as np
import samples
from ai_edge_litert.interpreter import Interpreter

p = samples.arguments(argparse.ArgumentParser(description=__doc__))
a = p.parse_args()
n, sample = samples.load(a.data, a.limit, a.scale, a.offset)
interpreter = Interpreter(a.model, num_threads=os.cpu_count())
interpreter.allocate_tensors()
places = [d["index"] for d in interpreter.get_input_details()]
for index, x in zip(places, sample(0, 1)):
    interpreter.set_tensor(index, np.ascontiguousarray(x))
interpreter.invoke()
with samples.Clock(n):
    for i in range(n):
        interpreter.reset_all_variables()
        for index, x in zip(places, sample(i, i + 1)):
            interpreter.set_tensor(index, np.ascontiguousarray(x))
        interpreter.invoke()

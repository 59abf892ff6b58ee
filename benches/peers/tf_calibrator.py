"""TensorFlow's calibrator (it is inside the ai-edge-litert package); --out writes the calibrated model."""
import argparse

import samples
from ai_edge_litert import _pywrap_tensorflow_lite_calibration_wrapper as calibration

p = samples.arguments(argparse.ArgumentParser(description=__doc__))
p.add_argument("--out")
a = p.parse_args()
n, sample = samples.load(a.data, a.limit, a.scale, a.offset)
with samples.Clock(n):
    # The wrapper borrows these bytes: they must outlive it.
    content = calibration.AddIntermediateTensors(open(a.model, "rb").read())
    wrapper = calibration.CalibrationWrapper(content, [], [])
    for i in range(n):
        x = sample(i, i + 1)
        if i == 0:
            wrapper.Prepare([list(v.shape) for v in x])
        wrapper.FeedTensor(x)
    calibrated = wrapper.Calibrate()
if a.out:
    open(a.out, "wb").write(calibrated)

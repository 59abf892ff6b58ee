"""TensorFlow's MLIR quantizer: argv = calibrated model, int8 model."""
import sys

import samples
from tensorflow.lite.python.convert import mlir_quantize

calibrated = open(sys.argv[1], "rb").read()
with samples.Clock(1):
    quantized = mlir_quantize(calibrated)
open(sys.argv[2], "wb").write(quantized)

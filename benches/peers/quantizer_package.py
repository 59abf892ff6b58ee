"""litert-quantizer, static int8; --profiler takes its faster mode, which gathers minimum and maximum only."""
import argparse
import os

import samples
from ai_edge_litert import schema_py_generated as schema
from litert_quantizer import calibrator, quantizer, recipe


def with_signature(content):
    """The model with a signature that names input i `input_<i>`: the tool refuses models without one."""
    import flatbuffers

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    if model.signatureDefs:
        names = [m.name.decode() for m in model.signatureDefs[0].inputs]
        order = [m.tensorIndex for m in model.signatureDefs[0].inputs]
        by_tensor = dict(zip(order, names))
        return content, model.signatureDefs[0].signatureKey.decode(), [by_tensor[t] for t in model.subgraphs[0].inputs]
    for operator in model.operatorCodes:
        operator.builtinCode = max(operator.builtinCode, operator.deprecatedBuiltinCode)
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0

    def maps(kind, tensors):
        out = []
        for i, tensor in enumerate(tensors):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = f"{kind}_{i}", int(tensor)
            out.append(entry)
        return out

    signature.inputs = maps("input", model.subgraphs[0].inputs)
    signature.outputs = maps("output", model.subgraphs[0].outputs)
    model.signatureDefs = [signature]
    builder = flatbuffers.Builder(len(content) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output()), "serving_default", [f"input_{i}" for i in range(len(model.subgraphs[0].inputs))]


p = samples.arguments(argparse.ArgumentParser(description=__doc__))
p.add_argument("--profiler", action="store_true")
a = p.parse_args()
n, sample = samples.load(a.data, a.limit, a.scale, a.offset)
content, key, names = with_signature(open(a.model, "rb").read())
mode = calibrator.CalibrationMode.CALIBRATION_PRESERVE_ALL_TENSORS
if a.profiler:
    mode = calibrator.CalibrationMode.CALIBRATION_PROFILER_BASED
tool = quantizer.Quantizer(bytearray(content), recipe.static_wi8_ai8())
with samples.Clock(n):
    # It goes through the samples more than once.
    feed = [dict(zip(names, sample(i, i + 1))) for i in range(n)]
    tool.calibrate({key: feed}, num_threads=os.cpu_count(), mode=mode)

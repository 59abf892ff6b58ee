#!/usr/bin/env python3
"""Write the models that judge zeropoint's kernels, with what LiteRT's reference kernels make of them.

    pip install ai-edge-litert==2.3.0 numpy
    generate.py OUT_DIR [--ops conv_2d,add] [--count-scale N]

Per case: OUT_DIR/<op>/<case>.tflite and OUT_DIR/<op>/<case>.npz, and one OUT_DIR/index.json, a list of
{op, case, model, data, what, kind} with paths relative to OUT_DIR; kind is "int8" (every tensor an integer, all must
be equal), "float" (all within a tolerance) or "mixed" (integers equal, floats within a tolerance).

The npz holds input_0, input_1, ... with the sample first and a model batch dimension of 1 left out (any other
first dimension stays), and tensor_K, [samples, *whole shape], for each tensor K of the model that is neither
constant, nor empty, nor an input of the model; tensor_K of a variable tensor is its state after the sample.
Variable tensors are reset before every sample. `--count-scale` multiplies the random part of the grids only.

A model LiteRT refuses is a bug in the case and stops the run. Same arguments, same files, byte for byte.
"""
import argparse
import json
import pathlib
import sys
import time

import numpy as np
from ai_edge_litert import schema_py_generated as s
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import build
import cases_binary
import cases_chain
import cases_conv
import cases_dense
import cases_elementwise
import cases_folded
import cases_hybrid
import cases_int16
import cases_int16_elements
import cases_lstm
import cases_matmul
import cases_move
import cases_norm
import cases_pools
import cases_random
import cases_recurrent
import cases_quantize
import cases_shape
import cases_spectrum
import cases_unary

FAMILIES = {}
for module in (cases_conv, cases_dense, cases_elementwise, cases_shape, cases_quantize, cases_lstm, cases_chain,
               cases_unary, cases_move, cases_pools, cases_recurrent,
               cases_matmul, cases_norm, cases_binary, cases_random, cases_spectrum,
               cases_folded, cases_hybrid, cases_int16, cases_int16_elements):
    FAMILIES.update(module.FAMILIES)


def check_alignment(model):
    """Raise if a constant of `model` does not start at a multiple of `build.ALIGNMENT`."""
    root = s.Model.GetRootAs(model, 0)
    for i in range(root.BuffersLength()):
        table = root.Buffers(i)._tab
        slot = table.Offset(4)
        if slot and table.Vector(slot) % build.ALIGNMENT:
            raise ValueError(f"buffer {i} is not aligned")


def run(case):
    """What the reference kernels give: `{"tensor_K": [samples, *shape]}`."""
    interpreter = Interpreter(model_content=case.model, num_threads=1,
                              experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
                              experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    inputs = interpreter.get_input_details()
    sub = s.Model.GetRootAs(case.model, 0).Subgraphs(0)
    model = s.ModelT.InitFromPackedBuf(case.model, 0)
    input_indices = {d["index"] for d in inputs}
    readable = [k for k in range(sub.TensorsLength()) if k not in input_indices
                and model.buffers[sub.Tensors(k).Buffer()].data is None]
    got = {}
    for sample in range(build.SAMPLES):
        interpreter.reset_all_variables()
        for detail, x in zip(inputs, case.inputs, strict=True):
            interpreter.set_tensor(detail["index"], x[sample])
        interpreter.invoke()
        for k in readable:
            try:
                value = interpreter.get_tensor(k)
            except ValueError:  # intermediates of an LSTM hold no data
                continue
            if value.size:
                got.setdefault(f"tensor_{k}", []).append(value.copy())
    got = {key: np.stack(values) for key, values in got.items()}
    for key, values in got.items():
        declared = tuple(model.subgraphs[0].tensors[int(key.removeprefix("tensor_"))].shape)
        if values.shape[1:] != declared:
            raise ValueError(f"{key} is {values.shape[1:]}, the model declares {declared}")
    return got, interpreter.get_output_details()[0]["index"]


def stored_input(x):
    """An input as it is stored: without the model's batch dimension where that is 1."""
    return x.reshape(x.shape[:1] + x.shape[2:]) if x.ndim > 2 and x.shape[1] == 1 else x


def main():
    """Generate, run and count."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out_dir", type=pathlib.Path)
    p.add_argument("--ops", help="comma-separated families, of: " + ", ".join(FAMILIES))
    p.add_argument("--count-scale", type=float, default=1.0)
    a = p.parse_args()
    ops = a.ops.split(",") if a.ops else list(FAMILIES)
    index, rows = [], []
    for op in ops:
        if op not in FAMILIES:
            p.error(f"no op {op}; known: {', '.join(FAMILIES)}")
        started = time.monotonic()
        count, size, integers, clamped = 0, 0, 0, 0
        (a.out_dir / op).mkdir(parents=True, exist_ok=True)
        for case in build.build(op, FAMILIES[op](a.count_scale)):
            try:
                check_alignment(case.model)
                tensors, output = run(case)
            except Exception:
                print(f"{op}/{case.name} ({case.what}) failed:", file=sys.stderr)
                raise
            arrays = {f"input_{i}": stored_input(x) for i, x in enumerate(case.inputs)}
            model, data = f"{op}/{case.name}.tflite", f"{op}/{case.name}.npz"
            (a.out_dir / model).write_bytes(case.model)
            np.savez_compressed(a.out_dir / data, **arrays, **tensors)
            index.append({"op": op, "case": case.name, "model": model, "data": data, "what": case.what,
                          "kind": case.kind})
            count += 1
            size += sum((a.out_dir / f).stat().st_size for f in (model, data))
            y = tensors[f"tensor_{output}"]
            if y.dtype.kind in "iu" and y.dtype.itemsize < 4:
                integers += y.size
                clamped += int(np.isin(y, case.limits).sum())
        rows.append((op, count, integers, clamped, size, time.monotonic() - started))
    (a.out_dir / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    rows.append(("all", *(sum(r[i] for r in rows) for i in range(1, 6))))
    print(f"{'op':<32}{'cases':>6}{'integers out':>14}{'at a limit':>12}{'MB':>7}{'s':>7}")
    for op, count, integers, clamped, size, seconds in rows:
        share = f"{100 * clamped / integers:.2f} %" if integers else "-"
        print(f"{op:<32}{count:>6}{integers:>14}{share:>12}{size / 1e6:>7.1f}{seconds:>7.1f}")


if __name__ == "__main__":
    main()

"""UNIDIRECTIONAL_SEQUENCE_RNN and SVDF in float.

UNIDIRECTIONAL_SEQUENCE_RNN has no int8 kernel beside the hybrid one. States are reset before every sample.
"""
import numpy as np

from build import ACTIVATIONS, Graph, float_samples, options


def rnn(shape, cells, act, time_major):
    """A maker of one UNIDIRECTIONAL_SEQUENCE_RNN."""
    def make(rng):
        g = Graph()
        batch = shape[1] if time_major else shape[0]
        x, state = g.add(shape, np.float32), g.add((batch, cells), np.float32, variable=True)
        def weights(*dims):
            return g.const(rng.normal(0, 1 / np.sqrt(dims[-1]), dims).astype(np.float32))
        y = g.add((*shape[:2], cells), np.float32)
        g.op("UNIDIRECTIONAL_SEQUENCE_RNN", 1, [x, weights(cells, shape[2]), weights(cells, cells), weights(cells), state], [y],
             options("SequenceRNNOptions", timeMajor=time_major, fusedActivationFunction=ACTIVATIONS[act]))
        return dict(what=f"{shape} cells {cells} {act} time_major {time_major}", kind="float",
                    model=g.finish([x], [y]), inputs=[float_samples(rng, shape)])
    return make


def svdf(batch, depth, units, rank, memory, bias, act):
    """A maker of one SVDF."""
    def make(rng):
        g = Graph()
        filters = units * rank
        x = g.add((batch, depth), np.float32)
        state = g.add((batch, memory * filters), np.float32, variable=True)
        def weights(*dims):
            return g.const(rng.normal(0, 1 / np.sqrt(dims[-1]), dims).astype(np.float32))
        y = g.add((batch, units), np.float32)
        g.op("SVDF", 1, [x, weights(filters, depth), weights(filters, memory), weights(units) if bias else -1, state], [y],
             options("SVDFOptions", rank=rank, fusedActivationFunction=ACTIVATIONS[act]))
        return dict(what=f"{[batch, depth]} units {units} rank {rank} memory {memory} bias {bias} {act}", kind="float",
                    model=g.finish([x], [y]), inputs=[float_samples(rng, (batch, depth))])
    return make


def recurrent_grid(scale):
    """Layers with a state."""
    for act in ("none", "relu", "relu6", "relu_n1_to_1", "tanh"):
        for time_major in (False, True):
            yield f"rnn_{act}_{time_major}".lower(), rnn((2, 5, 3), 4, act, time_major)
    yield "rnn_wide", rnn((1, 7, 10), 70, "tanh", False)
    for i, (batch, depth, units, rank, memory) in enumerate([(1, 5, 4, 1, 3), (2, 8, 3, 2, 4), (1, 1, 1, 1, 1), (3, 6, 5, 2, 7)]):
        for bias in (False, True):
            yield f"svdf_{i}_{bias}".lower(), svdf(batch, depth, units, rank, memory, bias, "relu" if i % 2 else "none")


FAMILIES = {"recurrent": recurrent_grid}

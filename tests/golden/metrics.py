#!/usr/bin/env python3
"""Makes metrics.json, the figures that tests/evaluate.rs must meet: classification scores by scikit-learn, distances
by numpy and math.fsum.

    pip install numpy==2.4.6 scikit-learn==1.9.1
    python3 tests/golden/metrics.py > tests/golden/metrics.json

Scores are small integers, written as text that Rust and Python read to the same numbers; ties are meant. Where the
scores of many classes would be long, a case gives the ranking of its best classes instead ("best"): the first gets
the highest score, all that are not named get 0.
"""
import json
import math
import warnings

import numpy as np
from sklearn import metrics as m

warnings.filterwarnings("ignore")
rng = np.random.default_rng(20240607)


def classification(name, scores, labels, best=None):
    """labels: a list of accepted classes for every sample."""
    scores = np.asarray(scores, dtype=np.float64)
    n, classes = scores.shape
    predicted = scores.argmax(axis=1)
    true = np.array([p if p in row else row[0] for p, row in zip(predicted, labels)])
    top5 = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    occurring = np.unique(np.concatenate([true, predicted]))
    averages = dict(average="macro", zero_division=0)
    rows = m.precision_recall_fscore_support(true, predicted, average=None, labels=occurring, zero_division=0)
    kappa = m.cohen_kappa_score(true, predicted)
    matrix = m.confusion_matrix(true, predicted, labels=range(classes))
    return {
        "name": name,
        "classes": classes,
        **({"best": best} if best else {"scores": scores.astype(int).tolist()}),
        "labels": [list(map(int, row)) for row in labels],
        "accuracy": m.accuracy_score(true, predicted),
        "top5_accuracy": float(np.mean([bool(set(t) & set(r)) for t, r in zip(top5, labels)])) if classes > 5 else None,
        "macro_precision": m.precision_score(true, predicted, **averages),
        "macro_recall": m.recall_score(true, predicted, **averages),
        "macro_f1": m.f1_score(true, predicted, **averages),
        "balanced_accuracy": m.balanced_accuracy_score(true, predicted),
        "kappa": None if math.isnan(kappa) else kappa,
        "per_class": [[int(c), int(s), p, r, f] for c, p, r, f, s in zip(occurring, *rows)],
        "confusion": [[int(i), int(j), int(matrix[i, j])] for i, j in zip(*np.nonzero(matrix))],
    }


def leaning(labels, classes, chance, ceiling=20):
    """Integer scores that favour the label with the given chance; ties are common."""
    scores = rng.integers(0, ceiling, (len(labels), classes))
    for row, label in zip(scores, labels):
        if rng.random() < chance:
            row[label] = ceiling
    return scores


def single(labels):
    return [[int(label)] for label in labels]


def classification_cases():
    unbalanced = rng.choice(7, 150, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02])
    yield classification("7 classes, unbalanced", leaning(unbalanced, 7, 0.6), single(unbalanced))
    scores = leaning(unbalanced, 7, 0.6)
    scores[:, [2, 5]] = -1
    yield classification("two classes never predicted", scores, single(unbalanced))
    few = rng.choice([0, 3, 6], 60)
    yield classification("classes predicted that no sample has", leaning(few, 7, 0.4), single(few))
    some = rng.integers(0, 4, 40)
    yield classification("perfect", leaning(some, 4, 1.0), single(some))
    yield classification("all wrong", leaning(some, 4, 1.0), single((some + 1) % 4))
    yield classification("kappa 0: one prediction for all", [[0, 1, 0]] * 12, single([0, 1, 2] * 4))
    yield classification("kappa undefined: one class throughout", [[0, 1, 0]] * 5, single([1] * 5))
    yield classification("two classes", leaning(some % 2, 2, 0.5), single(some % 2))
    ties = rng.integers(0, 3, (50, 9))
    yield classification("top-5 with many ties", ties, single(rng.integers(0, 9, 50)))
    accepted = [list(rng.permutation(12)[: rng.integers(1, 5)]) for _ in range(80)]
    yield classification("several accepted classes", leaning([a[-1] for a in accepted], 12, 0.5), accepted)
    best = [rng.permutation(1000)[:8].tolist() for _ in range(235)]
    dense = np.zeros((235, 1000))
    for row, ranking in zip(dense, best):
        row[ranking] = np.arange(8, 0, -1)
    wanted = [[r[rng.integers(0, 3)] if rng.random() < 0.8 else int(rng.integers(0, 1000))] for r in best]
    yield classification("1000 classes, few samples", dense, wanted, best)


def distance(name, reference, test):
    """Samples of float32; every sum correctly rounded, of terms that are exact or rounded once."""
    r = np.asarray(reference, dtype=np.float32).astype(np.float64)
    t = np.asarray(test, dtype=np.float32).astype(np.float64)
    e = (t - r).ravel()
    signal, noise, norm = math.fsum((r * r).ravel()), math.fsum(e * e), math.fsum((t * t).ravel())
    return {
        "name": name,
        "reference": r.tolist(),
        "test": t.tolist(),
        "exact": bool((r == t).all()),
        "max_abs_error": float(np.abs(e).max()),
        "mean_abs_error": math.fsum(np.abs(e)) / e.size,
        "mean_error": math.fsum(e) / e.size,
        "rmse": math.sqrt(noise / e.size),
        "sqnr_db": 10 * math.log10(signal / noise) if signal and noise else None,
        "cosine": math.fsum((r * t).ravel()) / math.sqrt(signal) / math.sqrt(norm) if signal and norm else None,
        "arg_max_agreeing": int((r.argmax(axis=1) == t.argmax(axis=1)).sum()),
    }


def distance_cases():
    r = np.round(rng.normal(0, 3, (9, 11)), 3)
    yield distance("quantized in steps of 1/4", r, np.round(r * 4) / 4)
    yield distance("equal", r[:3], r[:3])
    yield distance("equal zeros", np.zeros((2, 3)), np.zeros((2, 3)))
    yield distance("reference zero", np.zeros((2, 3)), np.ones((2, 3)))
    yield distance("test zero", r[:2], r[:2] * 0)
    yield distance("opposite", r[:2], -r[:2])
    yield distance("far apart in size", [[1e30, 1.0, -1e-30]], [[1e30, 1.5, 1e-30]])
    yield distance("ties in the highest", [[1, 2, 2], [0, 0, 0]], [[1, 2, 3], [0, 0, 0]])


print(
    json.dumps(
        {"classification": list(classification_cases()), "distance": list(distance_cases())}, separators=(",", ":")
    ).replace('},{"name"', '},\n{"name"')
)

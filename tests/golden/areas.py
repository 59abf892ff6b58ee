#!/usr/bin/env python3
"""Makes areas.json, the areas under ROC curves that tests/evaluate.rs must meet, by scikit-learn.

    pip install numpy==2.4.6 scikit-learn==1.9.1
    python3 tests/golden/areas.py > tests/golden/areas.json

Scores are multiples of 1/64, so that Rust and Python read the same numbers; ties are meant. "auc" of one score is that of
class 1, of two scores that of the second, of more the mean over the classes that occur, each against the rest. "auc-max"
takes the largest score of a sample.
"""
import json

import numpy as np
from sklearn.metrics import roc_auc_score

rng = np.random.default_rng(20240811)


def rows(n, width, steps, labels=None, lift=0):
    scores = rng.integers(-steps, steps, (n, width)) / 64
    if labels is not None and width > 2:
        scores[np.arange(n), labels] += lift / 64
    return scores


def case(name, metric, scores, labels):
    labels = np.asarray(labels)
    if metric == "auc-max":
        value = roc_auc_score(labels, scores.max(axis=1))
    elif scores.shape[1] <= 2:
        value = roc_auc_score(labels, scores[:, -1])
    else:
        present = np.unique(labels)
        value = float(np.mean([roc_auc_score(labels == c, scores[:, c]) for c in present]))
    return {"name": name, "metric": metric, "scores": scores.tolist(), "labels": labels.tolist(), "value": float(value)}


def cases():
    two = rng.integers(0, 2, 150)
    one = rows(150, 1, 40) + two[:, None] * 20 / 64
    yield case("one score", "auc", one, two)
    yield case("one score, the wrong way round", "auc", -one, two)
    yield case("all scores equal", "auc", np.zeros((30, 1)), two[:30])
    yield case("few positives, many ties", "auc", rows(90, 1, 2), np.arange(90) % 30 == 0)
    pair = rows(120, 2, 60)
    pair[:, 1] += two[:120] * 30 / 64
    yield case("two scores", "auc", pair, two[:120])
    labels = rng.integers(0, 7, 140)
    yield case("seven classes", "auc", rows(140, 7, 50, labels, 40), labels)
    few = rng.choice([0, 3, 6], 80)
    yield case("classes that do not occur", "auc", rows(80, 7, 50, few, 40), few)
    many = rows(60, 12, 80)
    many[np.arange(60), rng.integers(0, 12, 60)] += two[:60] * 60 / 64
    yield case("the largest of twelve", "auc-max", many, two[:60])


out = [case | {"labels": [int(x) for x in case["labels"]]} for case in cases()]
print("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in out) + "\n]")

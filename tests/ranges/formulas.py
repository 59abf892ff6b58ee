"""The formulas of src/ranges, written once more over the values themselves.

python formulas.py FOLDER: for each NAME.f32 (float32, little endian) in FOLDER, NAME.json holds what each method chooses, and
NAME.moments.json what is counted and averaged. Averages over samples take SAMPLE values for one.
"""

import json
import pathlib
import sys

import numpy as np

SAMPLE = 37


def percentile(x, low, high):
    return [float(np.percentile(x, p, method="inverted_cdf")) for p in (low, high)]


def tensorflow_histogram(x):
    """One batch, as the StableHLO quantizer's calibrator bins it."""
    width = 2.0 ** np.ceil(np.log2((x.max() - x.min()) / 256))
    lowest = np.floor(x.min() / width)
    bins = (np.floor(x / width) - lowest).astype(int)
    counts = np.bincount(bins)
    return (lowest + np.arange(len(counts)) + 0.5) * width, counts


def tensorflow_percentile(mids, counts, low, high):
    share = np.cumsum(counts) / counts.sum()
    return [
        float(mids[np.searchsorted(share, low / 100, side="right")]),
        float(mids[np.searchsorted(share, high / 100, side="left")]),
    ]


def tensorflow_error(mids, counts, a, b):
    scale = (b - a) / 255
    zero = round(-a / scale)
    q = np.clip(np.round(mids / scale) + zero, 0, 255)
    return float(np.sum((mids - scale * (q - zero)) ** 2 * counts))


def tensorflow_mse(mids, counts, pairs):
    best = min((tensorflow_error(mids, counts, mids[l], mids[r]), mids[l], mids[r]) for l, r in pairs)
    return [float(best[1]), float(best[2])]


def widening(start, n):
    pairs, left, right = [], start, start
    turn = "left"
    while left > 0 or right < n - 1:
        if right == n - 1 or (turn == "left" and left > 0):
            left -= 1
        else:
            right += 1
        turn = "right" if turn == "left" else "left"
        pairs.append((left, right))
    return pairs


def smoothed(counts):
    empty = counts == 0
    given = 1e-4 * empty.sum() / max(1, (~empty).sum())
    if empty.all() or given >= 1:
        return None
    return np.where(empty, 1e-4, counts - given)


def entropy(x, width):
    """Bins as the values' magnitudes have them; candidates as the module describes them."""
    bins = np.where(x < 0, -1 - np.floor(-x / width), np.floor(x / width)).astype(int)
    below, above = max(0, -bins.min()), max(0, bins.max() + 1)
    longest = max(below, above)
    one_sided = min(below, above) == 0
    first = 128 if one_sided else 64
    best = (np.inf, longest)
    for n in [*range(first, longest, 8), longest]:
        low = -n if below else 0
        high = n if above else 0
        inside = (bins >= low) & (bins < high)
        kept = np.bincount(bins[inside] - low, minlength=high - low).astype(float)
        p = np.bincount(np.clip(bins, low, high - 1) - low, minlength=high - low).astype(float)
        group = np.arange(high - low) * 128 // (high - low)
        sums = np.bincount(group, kept, minlength=128)
        filled = np.bincount(group, p > 0, minlength=128)
        q = np.where(p > 0, (sums / np.maximum(filled, 1))[group], 0)
        p, q = smoothed(p), smoothed(q)
        if p is None or q is None:
            continue
        p, q = p / p.sum(), q / q.sum()
        if (q <= 0).any():
            continue
        divergence = float(np.sum(p * np.log(p / q)))
        if divergence < best[0] * (1 - 1e-12):
            best = (divergence, n)
    return [-best[1] * width, best[1] * width]


def rms(x, low, high):
    """Of rounding and clipping to 8 bits, with a zero point."""
    scale = (high - low) / 255
    zero = np.round(-128 - low / scale)
    q = np.clip(np.round(x / scale) + zero, -128, 127)
    return float(np.sqrt(np.mean((scale * (q - zero) - x) ** 2)))


def least_rms(x):
    shares = np.linspace(1, 0.02, 50)
    low, high = min(0.0, x.min()), max(0.0, x.max())
    pairs = [(low * a, high * b) for a in (shares if low < 0 else [1]) for b in (shares if high > 0 else [1])]
    return min(rms(x, a, b) for a, b in pairs)


def moving_average(x):
    """litert-quantizer's moving_average_update, over the values themselves."""
    qsv = None
    for sample in x.reshape(-1, SAMPLE):
        new = np.array([sample.min(), sample.max()])
        qsv = new if qsv is None else 0.95 * qsv + (1.0 - 0.95) * new
    return qsv.tolist()


def moments(x):
    return {
        "mean": float(np.mean(x)),
        "deviation": float(np.std(x)),
        "zeros": int(np.count_nonzero(x == 0)),
        "moving-average": moving_average(x[: len(x) // SAMPLE * SAMPLE]),
    }


def main(folder):
    for path in sorted(pathlib.Path(folder).glob("*.f32")):
        x = np.fromfile(path, "<f4").astype(np.float64)
        width = float(path.with_suffix(".width").read_text())
        mids, counts = tensorflow_histogram(x)
        n = len(mids)
        answers = {
            "percentile": percentile(x, 0.01, 99.99),
            "percentile:0.5,98": percentile(x, 0.5, 98),
            "percentile:0,100": percentile(x, 0, 100),
            "histogram-percentile": tensorflow_percentile(mids, counts, 0.001, 99.999),
            "histogram-percentile:1,97.5": tensorflow_percentile(mids, counts, 1, 97.5),
            "histogram-mse-bruteforce": tensorflow_mse(mids, counts, [(l, r) for l in range(n) for r in range(l + 1, n)]),
            "histogram-mse-max-frequency": tensorflow_mse(mids, counts, widening(int(np.argmax(counts)), n)),
            "histogram-mse-symmetric": tensorflow_mse(mids, counts, widening(n // 2, n)),
            "entropy": entropy(x, width),
            "least rms": least_rms(x),
        }
        path.with_suffix(".json").write_text(json.dumps(answers))
        path.with_suffix(".moments.json").write_text(json.dumps(moments(x)))


if __name__ == "__main__":
    main(sys.argv[1])

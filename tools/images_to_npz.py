#!/usr/bin/env python3
"""Turn a folder of images into a data set (.npz) for zeropoint.

    pip install numpy pillow
    python3 tools/images_to_npz.py FOLDER OUT.npz [--labels CSV] [--limit N] [--size HxW]

OUT.npz gets input_0, uint8 [N,H,W,3]: raw RGB pixels in the order of the sorted file names. What makes real numbers
of them belongs to the model, and is given to zeropoint: --input-scale S --input-offset O.

The CSV has a header line, then a file name and its class on each line; several classes that all count as right are
separated by blanks or semicolons (0028.jpg,968 504). It makes the array labels, int64 [N], or [N,k] padded with -1,
and only the images it names are taken. Images must have the size already, unless --size says what to resize to
(bicubic, without regard to proportions).
"""
import argparse
import csv
import os
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

ENDINGS = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}


def read_labels(path):
    """File name -> accepted classes, in the file's order."""
    labels = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in list(csv.reader(file))[1:]:
            if not row:
                continue
            classes = [int(word) for word in re.split(r"[\s;]+", " ".join(row[1:])) if word]
            if not classes or min(classes) < 0 or len(set(classes)) < len(classes):
                sys.exit(f"{path}: {','.join(row)}: needs a file name and one or more different classes from 0")
            if row[0] in labels:
                sys.exit(f"{path}: {row[0]} is there twice")
            labels[row[0]] = classes
    return labels


def read_image(path, size):
    try:
        with Image.open(path) as image:
            image = image.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        sys.exit(f"{path}: not a readable image ({error})")
    if size and image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8)


def height_width(text):
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or "0" in match.groups():
        raise argparse.ArgumentTypeError("give height and width as in 224x224")
    return int(match[1]), int(match[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the images are")
    parser.add_argument("out", type=Path, help="the .npz to write")
    parser.add_argument("--labels", metavar="CSV", help="classes of the images")
    parser.add_argument("--limit", type=int, metavar="N", help="take only the first N images")
    parser.add_argument("--size", type=height_width, metavar="HxW", help="resize to this")
    args = parser.parse_args()
    if args.limit is not None and args.limit < 1:
        parser.error("--limit must be at least 1")
    labels = read_labels(args.labels) if args.labels else None
    if labels is not None:
        names = sorted(labels)
    else:
        names = sorted(path.name for path in args.folder.iterdir() if path.suffix.lower() in ENDINGS)
    names = names[: args.limit]
    if not names:
        sys.exit(f"{args.folder}: no images")
    images = [read_image(args.folder / name, args.size) for name in names]
    for name, image in zip(names, images):
        if image.shape != images[0].shape:
            one, other = image.shape[:2], images[0].shape[:2]
            sys.exit(f"{name} is {one[0]}x{one[1]}, {names[0]} is {other[0]}x{other[1]}; pass --size HxW")
    arrays = {"input_0": np.stack(images)}
    if labels is not None:
        width = max(len(labels[name]) for name in names)
        rows = [labels[name] + [-1] * (width - len(labels[name])) for name in names]
        arrays["labels"] = np.array(rows, dtype=np.int64)[:, 0 if width == 1 else slice(None)]
    # Written beside and renamed: never half a file under the name.
    beside = args.out.with_name(args.out.name + ".tmp")
    with open(beside, "wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(beside, args.out)
    print(", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in arrays.items()))


if __name__ == "__main__":
    main()

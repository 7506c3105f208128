"""Has OpenCV build its OpenCL kernels: the functions of its transparent API on small images.

For each function a digest of what it returns is printed.  Numbers as arguments choose some of the
images.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

SIDE = 256
KERNEL = np.ones((3, 3), np.uint8)


def images() -> list[Any]:
    """Images of one and three channels, of bytes and of floats."""
    numbers = np.random.default_rng(1)
    return [
        cv2.UMat(numbers.integers(0, 255, shape).astype(kind))
        for shape in ((SIDE, SIDE), (SIDE, SIDE, 3))
        for kind in (np.uint8, np.float32)
    ]


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "add": lambda a: cv2.add(a, a),
    "absdiff": lambda a: cv2.absdiff(a, a),
    "multiply": lambda a: cv2.multiply(a, a),
    "bitwise_and": lambda a: cv2.bitwise_and(a, a),
    "min": lambda a: cv2.min(a, a),
    "addWeighted": lambda a: cv2.addWeighted(a, 0.3, a, 0.7, 1),
    "compare": lambda a: cv2.compare(a, a, cv2.CMP_GT),
    "exp": cv2.exp,
    "log": cv2.log,
    "sqrt": cv2.sqrt,
    "pow": lambda a: cv2.pow(a, 3),
    "cartToPolar": lambda a: cv2.cartToPolar(a, a),
    "polarToCart": lambda a: cv2.polarToCart(a, a),
    "flip": lambda a: cv2.flip(a, 1),
    "transpose": cv2.transpose,
    "repeat": lambda a: cv2.repeat(a, 2, 2),
    "reduce": lambda a: cv2.reduce(a, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32F),
    "countNonZero": cv2.countNonZero,
    "meanStdDev": cv2.meanStdDev,
    "minMaxLoc": cv2.minMaxLoc,
    "norm": cv2.norm,
    "normalize": lambda a: cv2.normalize(a, None, 0, 1, cv2.NORM_MINMAX),
    "split": cv2.split,
    "merge": lambda a: cv2.merge([a, a]),
    "LUT": lambda a: cv2.LUT(a, np.arange(256, dtype=np.uint8)),
    "inRange": lambda a: cv2.inRange(a, 10, 100),
    "convertScaleAbs": lambda a: cv2.convertScaleAbs(a, alpha=2),
    "gemm": lambda a: cv2.gemm(a, a, 1.0, None, 0.0),
    "dft": cv2.dft,
    "mulSpectrums": lambda a: cv2.mulSpectrums(a, a, 0),
    "blur": lambda a: cv2.blur(a, (5, 5)),
    "boxFilter": lambda a: cv2.boxFilter(a, -1, (3, 3)),
    "GaussianBlur": lambda a: cv2.GaussianBlur(a, (5, 5), 1.5),
    "medianBlur": lambda a: cv2.medianBlur(a, 3),
    "bilateralFilter": lambda a: cv2.bilateralFilter(a, 5, 10, 10),
    "filter2D": lambda a: cv2.filter2D(a, -1, np.ones((5, 5), np.float32)),
    "sepFilter2D": lambda a: cv2.sepFilter2D(a, -1, np.ones(7), np.ones(7)),
    "Sobel": lambda a: cv2.Sobel(a, cv2.CV_32F, 1, 0),
    "Scharr": lambda a: cv2.Scharr(a, cv2.CV_32F, 1, 0),
    "Laplacian": lambda a: cv2.Laplacian(a, cv2.CV_32F),
    "erode": lambda a: cv2.erode(a, KERNEL),
    "dilate": lambda a: cv2.dilate(a, KERNEL),
    "morphologyEx": lambda a: cv2.morphologyEx(a, cv2.MORPH_GRADIENT, KERNEL),
    "resize": lambda a: cv2.resize(a, (100, 80)),
    "resize by area": lambda a: cv2.resize(a, (100, 80), interpolation=cv2.INTER_AREA),
    "warpAffine": lambda a: cv2.warpAffine(a, np.eye(2, 3, dtype=np.float32), (SIDE, SIDE)),
    "warpPerspective": lambda a: cv2.warpPerspective(a, np.eye(3, dtype=np.float32), (SIDE, SIDE)),
    "remap": lambda a: cv2.remap(a, *np.indices((SIDE, SIDE), np.float32), cv2.INTER_LINEAR),
    "pyrDown": cv2.pyrDown,
    "pyrUp": cv2.pyrUp,
    "threshold": lambda a: cv2.threshold(a, 100, 255, cv2.THRESH_BINARY),
    "integral": cv2.integral,
    "calcHist": lambda a: cv2.calcHist([a], [0], None, [256], [0, 256]),
    "equalizeHist": cv2.equalizeHist,
    "CLAHE": lambda a: cv2.createCLAHE(2.0, (8, 8)).apply(a),
    "Canny": lambda a: cv2.Canny(a, 50, 150),
    "cornerHarris": lambda a: cv2.cornerHarris(a, 3, 3, 0.04),
    "cornerMinEigenVal": lambda a: cv2.cornerMinEigenVal(a, 3),
    "goodFeaturesToTrack": lambda a: cv2.goodFeaturesToTrack(a, 50, 0.01, 5),
    "matchTemplate": lambda a: cv2.matchTemplate(
        a, cv2.UMat(a.get()[:16, :16]), cv2.TM_CCORR_NORMED
    ),
    "accumulate": lambda a: cv2.accumulate(a, cv2.UMat(a.get().astype(np.float32))),
    "to gray": lambda a: cv2.cvtColor(a, cv2.COLOR_BGR2GRAY),
    "to HSV": lambda a: cv2.cvtColor(a, cv2.COLOR_BGR2HSV),
    "to Lab": lambda a: cv2.cvtColor(a, cv2.COLOR_BGR2Lab),
    "to YUV": lambda a: cv2.cvtColor(a, cv2.COLOR_BGR2YUV),
    "to colour": lambda a: cv2.cvtColor(a, cv2.COLOR_GRAY2BGR),
    "FAST": lambda a: cv2.FastFeatureDetector_create().detect(a),
    "ORB": lambda a: cv2.ORB_create().detectAndCompute(a, None),
    "calcOpticalFlowFarneback": lambda a: cv2.calcOpticalFlowFarneback(
        a, a, None, 0.5, 2, 9, 2, 5, 1.1, 0
    ),
    "fastNlMeansDenoising": cv2.fastNlMeansDenoising,
    "BackgroundSubtractorMOG2": lambda a: cv2.createBackgroundSubtractorMOG2().apply(a),
}


#: What these return differs from one plain run to the next on PoCL, which runs work-groups at once.
UNSTEADY = ("Canny", "FAST")


def digest(result: Any) -> str:
    """Of all numbers in what a function returned."""
    found = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, list | tuple):
            for part in value:
                add(part)
        elif isinstance(value, cv2.KeyPoint):
            add((*value.pt, value.size, value.angle, value.response, value.octave))
        elif isinstance(value, cv2.UMat):
            add(value.get())
        else:
            found.update(
                repr(value).encode() if np.isscalar(value) else np.asarray(value).tobytes()
            )

    add(result)
    return found.hexdigest()


def main() -> int:
    """Call everything; 1 if OpenCV finds no OpenCL."""
    if not cv2.ocl.haveOpenCL():
        print("OpenCV finds no OpenCL", file=sys.stderr)
        return 1
    cv2.ocl.setUseOpenCL(True)
    chosen = images()
    for image in [chosen[int(word)] for word in sys.argv[1:]] or chosen:
        for name, function in FUNCTIONS.items():
            try:
                result = digest(function(image))
                print(f"{name}: {result if name not in UNSTEADY else 'called'}")
            except (cv2.error, TypeError) as error:
                # Not every function takes every kind of image.
                print(f"{name}: {str(error).splitlines()[0][:100]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Fake of the maker's classifier, for tests only."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np


def by_rule(mat):
    """An answer that a test can work out: the mean of the picture's blue, in tens."""
    return SimpleNamespace(label_id=int(mat[:, :, 0].mean()) // 26, score=0.75)


class PaddleClas:
    def initialize(self, path):
        file = Path(path)
        if not file.is_file() or file.read_bytes()[:4] != b"RKNN":
            return False
        self._session = None
        if onnx := os.environ.get("FAKE_SDK_ONNX"):
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(onnx, options)
        return True

    def predict(self, mat):
        assert mat.dtype == np.uint8 and mat.ndim == 3 and mat.shape[2] == 3
        if label := os.environ.get("FAKE_SDK_LABEL"):
            return SimpleNamespace(label_id=int(label), score=0.5)
        if self._session is None:
            return by_rule(mat)
        logits = self._session.run(None, {self._input().name: self._prepared(mat)})[0][0]
        odds = np.exp(logits - logits.max())
        label = int(odds.argmax())
        return SimpleNamespace(label_id=label, score=float(odds[label] / odds.sum()))

    def _input(self):
        return self._session.get_inputs()[0]

    def _prepared(self, mat):
        import cv2

        height, width = self._input().shape[2:]
        shrinks = mat.shape[0] > height or mat.shape[1] > width
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        rgb = cv2.resize(mat, (width, height), interpolation=method)[:, :, ::-1]
        mean = float(os.environ.get("FAKE_SDK_MEAN", 127.5))
        std = float(os.environ.get("FAKE_SDK_STD", 127.5))
        chw = ((rgb.astype(np.float32) - mean) / std).transpose(2, 0, 1)
        return np.ascontiguousarray(chw[None])

"""Fake of the maker's camera, for tests only."""

import os

import numpy as np


class VideoCapture:
    def open(self, index):
        path = os.environ.get("FAKE_SDK_FRAME")
        if index != 0 or not path:
            return False
        self._frame = np.load(path)
        self._left = int(os.environ.get("FAKE_SDK_FRAMES", 1 << 60))
        return True

    def read(self):
        self._left -= 1
        return self._left >= 0, self._frame.copy()

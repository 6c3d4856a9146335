"""A fake of the maker's Python package, for tests on a PC. It is not the SDK and holds none of it.

It has the names and signatures of the published interface that `deploy/python/digits.py` calls.
Environment variables steer it:

- `FAKE_SDK_FRAME`: a .npy file, uint8 [H, W, 3] BGR, that the camera gives; without it the camera
  does not open.
- `FAKE_SDK_FRAMES`: how many frames it gives before it fails; without it, no end.
- `FAKE_SDK_ONNX`: an ONNX model that `PaddleClas` runs with onnxruntime, so that answers are real.
  `FAKE_SDK_MEAN` and `FAKE_SDK_STD` (127.5) normalise. Without it the answer is a rule, see
  `vision.by_rule`.
- `FAKE_SDK_LABEL`: the class of every answer.
- `FAKE_SDK_SHOWN`: a .npy file to which the viewer's last picture is written.

A model file that does not begin with `RKNN` is refused, as by the module.
"""

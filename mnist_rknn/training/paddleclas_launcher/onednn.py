"""Convolutions that a CPU trains and evaluates in less time.

oneDNN has quick convolutions for the processors of PCs, forward and backward, but Paddle uses
them in static graphs of its older representation only.
"""

from collections.abc import Callable

import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.pir_utils import DygraphOldIrGuard


def _convolve(x: paddle.Tensor, weight: paddle.Tensor, stride: int, padding: int) -> paddle.Tensor:
    return F.conv2d(x, weight, stride=stride, padding=padding)


class CompiledConvolution(nn.Conv2D):
    """A plain convolution without bias, compiled where `FLAGS_use_onednn` is set.

    A CPU compiles this one layer into such a graph, once for every shape of input. Everywhere
    else, and for the export, it is `nn.Conv2D`; the results are the same, to rounding.
    """

    _compiled: dict[tuple, Callable]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        exporting = not paddle.in_dynamic_mode()
        if exporting or not x.place.is_cpu_place():
            return super().forward(x)
        form = (*x.shape, x.stop_gradient, paddle.is_grad_enabled())
        if form in self._compiled:
            return self._compiled[form]([x, self.weight])
        if not paddle.get_flags("FLAGS_use_onednn")["FLAGS_use_onednn"]:
            return super().forward(x)
        with DygraphOldIrGuard():
            function = paddle.jit.to_static(_convolve, full_graph=True)
            _, self._compiled[form] = function.get_concrete_program(
                x, self.weight, self._stride[0], self._padding
            )
            return self._compiled[form]([x, self.weight])


def compile_convolutions(network: nn.Layer) -> nn.Layer:
    """Let a network's plain convolutions be compiled; weights and names stay as they are.

    Plain: square stride, the same padding on all sides, no bias, no groups, no dilation.

    Returns:
        The network itself.
    """
    for layer in network.sublayers():
        if type(layer) is nn.Conv2D and _is_plain(layer):
            layer.__class__ = CompiledConvolution
            layer._compiled = {}
    return network


def _is_plain(layer: nn.Conv2D) -> bool:
    return (
        layer.bias is None
        and layer._groups == 1
        and layer._padding_mode == "zeros"
        and isinstance(layer._padding, int)
        and set(layer._dilation) == {1}
        and len(set(layer._stride)) == 1
    )

"""The optimiser of the default recipe, which Paddle does not have.

`paddleclas_launcher` makes every class here known to PaddleClas under its name.
"""

import paddle

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration, as its author chose them."""
RATE_OF_OTHERS = 0.3
"""Part of the learning rate that all but convolutions take: their steps are not leveled."""


class Muon(paddle.optimizer.Momentum):
    """Momentum, of which the step of each convolution is made orthogonal.

    A gradient of a layer is dominated by a few directions that most pictures agree on, and the
    others are hardly learned. Muon takes the direction that Momentum would take as a matrix
    (outputs x inputs and places) and sets all its singular values to about one, so that every
    direction is learned at the same speed. Biases, batch norms and the fully connected layer
    take Momentum's step, at `RATE_OF_OTHERS` of the learning rate.

    Source: Keller Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.

    Takes what `paddle.optimizer.Momentum` takes. Two arguments mean something else: the
    convolutions' `momentum` is Nesterov's, and `weight_decay` takes `learning_rate *
    weight_decay` of each weight away at every step instead of adding to its gradient.
    """

    @paddle.no_grad()
    def _append_optimize_op(self, block, param_and_grad):
        weight, gradient = param_and_grad
        rate = float(self.get_lr()) * (1 if weight.ndim == 4 else RATE_OF_OTHERS)
        velocity = self._get_accumulator(self._velocity_acc_str, weight)
        velocity.scale_(self._momentum).add_(gradient)
        step = velocity
        if weight.ndim == 4:
            step = orthogonal((gradient + velocity * self._momentum).flatten(1))
            outputs, inputs = step.shape
            step = step.reshape(weight.shape) * max(1.0, outputs / inputs) ** 0.5
        weight.scale_(1 - rate * self._regularization_coeff)
        weight.subtract_(step * rate)
        return None


def orthogonal(matrix: paddle.Tensor, steps: int = 5) -> paddle.Tensor:
    """The nearest matrix with orthogonal rows (or columns), roughly and quickly.

    Five steps of a Newton-Schulz iteration bring every singular value that is not tiny between
    0.7 and 1.2; a decomposition would cost many times as much and train no better. A step
    multiplies the matrix by a polynomial of its square, `M @ M.T`. What all steps multiply it by
    is found from that small square matrix first, in half the time.

    Args:
        matrix: float32 [rows, columns].

    Returns:
        float32 [rows, columns].
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    result = matrix.T if tall else matrix
    result = result / (result.square().sum().sqrt() + 1e-7)
    square = paddle.matmul(result, result, transpose_y=True)
    constant = a * paddle.eye(len(square))
    factor = None
    for steps_left in reversed(range(steps)):
        polynomial = constant + paddle.addmm(square, square, square, beta=b, alpha=c)
        factor = polynomial if factor is None else paddle.matmul(polynomial, factor)
        if steps_left:
            square = paddle.matmul(paddle.matmul(polynomial, square), polynomial)
    result = paddle.matmul(factor, result)
    return result.T if tall else result

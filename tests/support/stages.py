"""A stage's figures, good ones unless said otherwise."""

from mnist_rknn.records import Accuracy, Cosine, Stage


def stage(top1: float = 0.999, drop: float = 0.0, cosine: float = 1.0) -> Stage:
    return Stage(
        accuracy=Accuracy(top1=top1, low=0.0, high=1.0, correct=0, images=0),
        drop=drop,
        agreement=1.0,
        cosine=Cosine(mean=cosine, min=cosine),
        class_accuracy={},
        confusion_matrix=[],
    )

"""Files of the package that several steps share, as their `modules` name them."""


def together(*files: str) -> tuple[str, ...]:
    """Files in the order of their names, each once."""
    return tuple(sorted(set(files)))


# What drawing pictures takes, from a source to the file.
DRAWING = (
    "data/archives.py",
    "data/checks.py",
    "data/class_folders.py",
    "data/class_names.py",
    "data/dataset.py",
    "data/drawing.py",
    "data/folder_names.py",
    "data/idx.py",
    "data/idx_sets.py",
    "data/labelme.py",
    "data/layouts.py",
    "data/listing.py",
    "data/lists.py",
    "data/mnist.py",
    "data/pictures.py",
    "data/sources.py",
    "data/tables.py",
    "data/tree.py",
    "file_kinds.py",
    "redraw/camera.py",
    "redraw/clean.py",
    "redraw/config.py",
    "redraw/extras.py",
    "redraw/fields.py",
    "redraw/glyph.py",
    "redraw/ink.py",
    "redraw/legibility.py",
    "redraw/paper.py",
    "redraw/picture.py",
    "redraw/plain.py",
    "redraw/prints.py",
    "redraw/skeletons.py",
    "redraw/ways.py",
    "redraw/worlds.py",
    "text.py",
)


# The programs of the module that find and read digits.
LOCATOR = tuple(
    f"../deploy/python/{name}.py" for name in ("digits", "locator", "reading", "ruling")
)


# What PaddleX starts, and how.
TRAINING = (
    "training/engine.py",
    "training/networks.py",
    "training/optimizers.py",
    "training/paddleclas_launcher/additions.py",
    "training/paddleclas_launcher/launcher.py",
    "training/paddleclas_launcher/onednn.py",
    "training/paddleclas_launcher/progressive_resizing.py",
    "training/paddleclas_launcher/recording.py",
    "training/paddleclas_launcher/replacing.py",
    "training/paddleclas_launcher/wheel_engine.py",
    "training/progress.py",
)


# A source's pictures, as they are.
SOURCES = tuple(
    name for name in DRAWING if not name.startswith("redraw/") and name != "data/drawing.py"
)


LAB = (
    "compression/counting.py",
    "compression/distillation.py",
    "compression/exercises.py",
    "compression/figures.py",
    "compression/finetune.py",
    "compression/huffman.py",
    "compression/measuring.py",
    "compression/onnx_weights.py",
    "compression/packed_file.py",
    "compression/pruning.py",
    "compression/quantization_exercises.py",
    "compression/runtime_exercises.py",
    "compression/sharing.py",
    "compression/yardsticks.py",
    "conversion/damage.py",
    "conversion/inference.py",
    "conversion/onnx_graph.py",
    "conversion/rknn_simulator.py",
    "conversion/rknn_toolkit.py",
    "conversion/torch_standin.py",
    "records.py",
    "training/paddleclas_launcher/onednn.py",
    "verification/metrics.py",
    "verification/tradeoffs.py",
)

# Lessons that work on the run's own pictures, and on no paper's network.
LAB_OF_RUN = {*LAB, "data/dataset.py", "file_kinds.py"} - {"compression/yardsticks.py"}

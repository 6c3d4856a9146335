"""An `.rknn` file shown: to programs as JSON, to people as lines."""

from typing import Any

from ..language import _
from .rknn_description import Tensor
from .rknn_file import RknnFile


def to_json(file: RknnFile, problems: list[str], remarks: list[str]) -> dict[str, Any]:
    """What `mnist-rknn inspect --json` prints."""
    return {
        "target_platforms": file.target_platforms,
        "kind": "mini" if file.mini else "full",
        "version": file.version,
        "toolkit": file.toolkit,
        "bytes": file.size,
        "inputs": [_tensor(tensor) for tensor in file.inputs],
        "outputs": [_tensor(tensor) for tensor in file.outputs],
        # The one of each that the module's classifier has.
        "input": _tensor(file.inputs[0]) if file.inputs else None,
        "output": _tensor(file.outputs[0]) if file.outputs else None,
        "custom_string": file.custom_string,
        "labels": file.labels,
        "problems": problems,
        "remarks": remarks,
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": tensor.shape,
        "dtype": tensor.dtype,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
        "mean": tensor.mean,
        "std": tensor.std,
    }


def text(file: RknnFile, problems: list[str], remarks: list[str], name: str) -> str:
    """The same for people."""
    kind = (
        _("mini model, what the RV1106 runs")
        if file.mini
        else _("full model, which the RV1106 cannot load")
    )
    none = _("none is named")
    lines = [
        _("file      {name}, {size} KB").format(name=name, size=f"{file.size / 1024:,.1f}"),
        _("chip      {names}").format(names=", ".join(file.target_platforms) or none),
        _("kind      {kind}").format(kind=kind)
        if file.is_known
        else _("kind      version {version:#x}").format(version=file.version),
        _("toolkit   {version}").format(version=file.toolkit or none),
    ]
    for role, tensors in (("input", file.inputs), ("output", file.outputs)):
        for number, tensor in enumerate(tensors, 1):
            count = f" ({number} of {len(tensors)})" if len(tensors) > 1 else ""
            lines.append(f"{role:<9} {tensor.name}: {tensor.dtype} {tensor.shape}{count}")
            if tensor.scale is not None:
                lines.append(f"          value = (q - ({tensor.zero_point})) * {tensor.scale:.6g}")
            if tensor.mean is not None:
                said = _("          the NPU computes (pixel - {mean}) / {std}")
                lines.append(said.format(mean=tensor.mean, std=tensor.std))
    if file.is_known:
        lines.append(f"custom    {file.custom_string or 'none'}")
    lines += [_("remark    {text}").format(text=remark) for remark in remarks]
    lines += [_("problem   {text}").format(text=problem) for problem in problems]
    if not problems:
        lines.append(_("verdict   nothing wrong with it that a file can show; board: not measured"))
    return "\n".join(lines)

"""A torch network as ONNX, and the proof that both say the same."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastcbir.errors import ModelError, require
from fastcbir.export import frameworks

__all__ = ["TOLERANCE", "Exported", "export_network"]

TOLERANCE = 1e-4
"""Of the largest difference to torch, absolute, or relative to the largest value where that is above 1."""

_OPSET = 17


@dataclass(frozen=True)
class Exported:
    """An ONNX model and how near it is to its reference.

    Attributes:
        onnx: the file's bytes.
        errors: of each output, the largest absolute difference over all inputs that were tried.
        peaks: of each output, the largest absolute value of the reference.
        reference: the versions of what it was compared with.
    """

    onnx: bytes
    errors: dict[str, float]
    peaks: dict[str, float]
    reference: str

    def parity(self) -> dict[str, Any]:
        """For the model's card."""
        return {"reference": self.reference, "max_abs_error": self.errors, "max_abs_value": self.peaks}


def export_network(
    module: Any,
    forward: Callable[..., tuple[Any, ...]],
    inputs: Sequence[tuple[str, Callable[[int, int], Any]]],
    outputs: Sequence[str],
    axes: dict[str, dict[int, str]],
) -> Exported:
    """Convert, then compare on random inputs of two batch sizes (and two shapes, where shapes may vary).

    Args:
        module: holds the weights; put into evaluation mode.
        forward: the tensors in -> the tensors out.
        inputs: (name, make) in order; make(count, variant) gives a random tensor, of variant 0 or 1.
        outputs: their names.
        axes: the dynamic axes of inputs and outputs.

    Raises:
        ModelError: torch can't write it, or the ONNX model differs by more than `TOLERANCE`.
        MissingExtraError: torch, onnx or onnxruntime is not installed.
    """
    torch = frameworks.torch()
    require("onnx", "export", "exporting a model")
    ort = require("onnxruntime", "onnx", "checking an exported model")

    class Wrapped(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *tensors: Any) -> tuple[Any, ...]:
            return forward(*tensors)

    wrapped = Wrapped().eval()
    names = [name for name, _ in inputs]
    buffer = io.BytesIO()
    fast = torch.backends.mha.get_fastpath_enabled()
    # Attention as one fused operator has no ONNX form; the plain one computes the same.
    torch.backends.mha.set_fastpath_enabled(False)
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter warns of itself, and of shapes that it takes to be fixed; the comparison tells.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                wrapped,
                tuple(make(2, 0) for _, make in inputs),
                buffer,
                input_names=names,
                output_names=list(outputs),
                dynamic_axes=axes,
                opset_version=_OPSET,
                dynamo=False,
            )
        except Exception as error:
            raise ModelError(f"torch can't write this network as ONNX: {error}") from error
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
    data = buffer.getvalue()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    errors, peaks = dict.fromkeys(outputs, 0.0), dict.fromkeys(outputs, 0.0)
    for count, variant in ((1, 0), (3, 1)):
        tensors = [make(count, variant) for _, make in inputs]
        with torch.no_grad():
            expected = [tensor.numpy() for tensor in wrapped(*tensors)]
        found = session.run(list(outputs), {n: t.numpy() for n, t in zip(names, tensors, strict=True)})
        for name, ours, theirs in zip(outputs, found, expected, strict=True):
            if ours.shape != theirs.shape:
                raise ModelError(f"{name} has shape {ours.shape}, expected {theirs.shape}")
            errors[name] = max(errors[name], float(np.abs(ours - theirs).max()))
            peaks[name] = max(peaks[name], float(np.abs(theirs).max()))
    for name in outputs:
        if not errors[name] <= TOLERANCE * max(1.0, peaks[name]):
            raise ModelError(
                f"{name} differs from torch by {errors[name]:.3g} (values up to {peaks[name]:.3g}), more "
                f"than {TOLERANCE:g} allows"
            )
    return Exported(data, errors, peaks, f"torch {torch.__version__}")

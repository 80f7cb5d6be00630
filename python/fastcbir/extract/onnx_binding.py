"""Runs a session with its input and output bound to a device: one copy there, one back.

Without a binding ONNX Runtime takes the input from memory the device can't read directly and brings every
output back before it returns. NumPy; onnxruntime when a binding is made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.errors import require

__all__ = ["device_of", "run_bound"]

_DEVICES = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "cuda"}


def device_of(provider: str) -> str | None:
    """The device whose memory a provider works in, as ONNX Runtime calls it; None for the ordinary memory."""
    return _DEVICES.get(provider)


def run_bound(
    session: Any, batch: npt.NDArray[np.float32], *, source: str, output: str, device: str
) -> npt.NDArray[Any]:
    """What session.run([output], {source: batch})[0] gives, by way of the device's own memory.

    Every call has a binding of its own, so it is safe from several threads.

    Args:
        session: an onnxruntime.InferenceSession.
        device: "cuda", or "cpu" for the ordinary memory; always the first one.
    """
    ort = require("onnxruntime", "onnx", "running a model")
    binding = session.io_binding()
    there = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(batch), device, 0)
    binding.bind_ortvalue_input(source, there)
    binding.bind_output(output, device, 0)
    binding.synchronize_inputs()
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()
    found: npt.NDArray[Any] = binding.copy_outputs_to_cpu()[0]
    return found

"""Runs an ONNX model on the provider that was asked for, or says why it can't.

ONNX Runtime itself prefers to fall back to the CPU in silence; here that is an error, for the user who
asked for a GPU wants to know. Imports onnxruntime when a session is opened.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.errors import ModelError, require
from fastcbir.extract.onnx_binding import device_of, run_bound

__all__ = ["PROVIDERS", "OnnxModel", "core_count", "open_session"]

# The short names, and the providers each asks ONNX Runtime for, in order of preference. TensorRT leaves the
# nodes it does not know to CUDA.
PROVIDERS: dict[str, tuple[str, ...]] = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider",),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
}

_ERRORS_ONLY = 3


def core_count() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def open_session(data: bytes | Path, provider: str = "cpu", threads: int | None = None) -> Any:
    """An onnxruntime.InferenceSession on exactly the provider that was asked for.

    Args:
        data: the .onnx file, or its bytes.
        provider, threads: as for OnnxModel.

    Raises:
        ModelError: the provider is not available, or the model can't be opened; MissingExtraError without
            onnxruntime.
        ValueError: threads is less than 1.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, or None for all cores, got {threads}")
    ort = require("onnxruntime", "onnx", "running a model")
    wanted = _resolve(provider, ort.get_available_providers())
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or core_count()
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Photos come in many shapes: a memory plan for each would only pile up. And threads that spin while
    # they wait for the next batch take their cores from the threads that decode it.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = data if isinstance(data, bytes) else str(data)
    try:
        session = ort.InferenceSession(model, options, providers=list(wanted))
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise ModelError(f"ONNX Runtime can't open the model on {wanted[0]}: {error}") from error
    if session.get_providers()[0] != wanted[0]:
        raise ModelError(
            f"{wanted[0]} could not start, and ONNX Runtime would have used "
            f"{session.get_providers()[0]} instead; check that the CUDA, cuDNN (and TensorRT) "
            "libraries that onnxruntime-gpu names in its requirements are installed"
        )
    session.disable_fallback()
    return session


class OnnxModel:
    """One ONNX session: (N, 3, H, W) float32 in, one named output out. Safe to call from several threads.

    Args:
        data: the .onnx file, or its bytes.
        output: which output is wanted; only what leads to it is computed.
        provider: "cpu", "cuda", "tensorrt", or the full name of a provider of ONNX Runtime.
        threads: threads inside one operator; None for all cores.
        multiple: what both sides of the input must be multiples of.

    Raises:
        ModelError: the provider is not available, or the model can't be opened; MissingExtraError without
            onnxruntime.
    """

    def __init__(
        self,
        data: bytes | Path,
        *,
        output: str,
        provider: str = "cpu",
        threads: int | None = None,
        multiple: int = 32,
    ) -> None:
        session = open_session(data, provider, threads)
        names = [found.name for found in session.get_outputs()]
        if output not in names:
            raise ModelError(f"the model has no output {output!r}; it has {', '.join(names)}")
        self._session: Any = session
        self._input: str = session.get_inputs()[0].name
        self._output = output
        self._multiple = multiple
        self.provider: str = session.get_providers()[0]
        self._device = device_of(self.provider)

    def __call__(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(N, 3, H, W) float32 -> the output, float32, (N, ...).

        Raises:
            ValueError: the batch has another shape or type, or a side is no multiple of `multiple`.
            ModelError: the model failed to run.
        """
        if batch.dtype != np.float32 or batch.ndim != 4 or batch.shape[1] != 3:
            raise ValueError(f"expected a batch (N, 3, H, W) of float32, got {batch.shape} of {batch.dtype}")
        height, width = batch.shape[2:]
        if height % self._multiple or width % self._multiple or not batch.size:
            raise ValueError(
                f"expected sides that are multiples of {self._multiple}, got height {height}, width {width}"
            )
        try:
            if self._device is None:
                found = self._session.run([self._output], {self._input: batch})[0]
            else:
                found = run_bound(
                    self._session, batch, source=self._input, output=self._output, device=self._device
                )
        except Exception as error:
            raise ModelError(f"the model failed on a batch of shape {batch.shape}: {error}") from error
        return np.asarray(found, np.float32)


def _resolve(provider: str, available: Sequence[str]) -> tuple[str, ...]:
    wanted = PROVIDERS.get(provider)
    if wanted is None:
        if provider in available:
            return (provider,)
        if provider.endswith("ExecutionProvider"):
            raise _missing(provider, [provider], available)
        short = ", ".join(PROVIDERS)
        raise ModelError(
            f"unknown provider {provider!r}; expected {short}, or one that this ONNX Runtime "
            f"has: {', '.join(available)}"
        )
    missing = [name for name in wanted if name not in available]
    if missing:
        raise _missing(provider, missing, available)
    return wanted


def _missing(provider: str, missing: Sequence[str], available: Sequence[str]) -> ModelError:
    return ModelError(
        f"provider {provider!r} needs {' and '.join(missing)}, which this ONNX Runtime lacks (it has "
        f"{', '.join(available)}); for an NVIDIA GPU run: pip uninstall onnxruntime && "
        'pip install "fastcbir[gpu]"'
    )

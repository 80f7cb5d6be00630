"""Runs an ONNX graph with several inputs and outputs on the provider that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.errors import ModelError, require
from fastcbir.extract.onnx_session import PROVIDERS, core_count

__all__ = ["Network"]

_ERRORS_ONLY = 3


class Network:
    """One ONNX session. Safe to call from several threads.

    Args:
        data: the bytes of the .onnx file.
        provider: "cpu", "cuda", "tensorrt", or the full name of a provider of ONNX Runtime.
        threads: threads inside one operator; None for all cores.

    Raises:
        ModelError: the provider is not available, or the model can't be opened; MissingExtraError without
            onnxruntime.
    """

    def __init__(self, data: bytes, *, provider: str = "cpu", threads: int | None = None) -> None:
        ort = require("onnxruntime", "onnx", "running a model")
        wanted = PROVIDERS.get(provider, (provider,))
        available = ort.get_available_providers()
        if missing := [name for name in wanted if name not in available]:
            raise ModelError(
                f"provider {provider!r} needs {' and '.join(missing)}, which this ONNX Runtime lacks; "
                f"expected one of {', '.join(PROVIDERS)}, or of what it has: {', '.join(available)}"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or core_count()
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        options.enable_mem_pattern = False  # photos come in many shapes
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = ort.InferenceSession(data, options, providers=list(wanted))
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise ModelError(f"ONNX Runtime can't open the model on {wanted[0]}: {error}") from error
        if self._session.get_providers()[0] != wanted[0]:
            raise ModelError(f"{wanted[0]} could not start; check the libraries that it needs")
        self._session.disable_fallback()
        self.outputs = [found.name for found in self._session.get_outputs()]
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(
        self, outputs: Sequence[str], **inputs: npt.NDArray[np.float32]
    ) -> list[npt.NDArray[np.float32]]:
        """The named outputs.

        Raises:
            ModelError: the model failed to run.
        """
        try:
            found: list[npt.NDArray[np.float32]] = self._session.run(list(outputs), inputs)
        except Exception as error:
            shapes = ", ".join(f"{name} {value.shape}" for name, value in inputs.items())
            raise ModelError(f"the model failed on {shapes}: {error}") from error
        return found

"""A torch checkpoint is read without torch, and a pickle that wants more than tensors is refused by name."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastcbir.errors import ModelError
from fastcbir.extract.weights import read_checkpoint, state_dict

MAGIC = 0x1950A86A20F9469CFC6C
NAMES = {
    "<f4": "FloatStorage",
    "<f8": "DoubleStorage",
    "<f2": "HalfStorage",
    "<i8": "LongStorage",
    "<i4": "IntStorage",
    "|u1": "ByteStorage",
    "|b1": "BoolStorage",
    "bfloat16": "BFloat16Storage",
}


@pytest.fixture
def torch() -> Iterator[types.SimpleNamespace]:
    """Just enough of torch's names for pickle to write references to them."""
    fake, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def rebuild(*_: object) -> None: ...

    rebuild.__module__, rebuild.__qualname__, rebuild.__name__ = "torch._utils", *["_rebuild_tensor_v2"] * 2
    utils._rebuild_tensor_v2 = rebuild  # type: ignore[attr-defined]
    kinds = {}
    for code, name in NAMES.items():
        kinds[code] = type(name, (), {"__module__": "torch"})
        setattr(fake, name, kinds[code])
    saved = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": fake, "torch._utils": utils})
    yield types.SimpleNamespace(rebuild=rebuild, kinds=kinds)
    for name, module in saved.items():
        if module is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module


class Tensor:
    """What the writers below put into a checkpoint: a window of a flat array."""

    def __init__(
        self,
        flat: np.ndarray,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        offset: int = 0,
        key: str = "0",
        code: str | None = None,
        count: int | None = None,
        view: tuple[str, int, int] | None = None,
    ) -> None:
        self.flat, self.shape, self.strides, self.offset, self.key = flat, shape, strides, offset, key
        self.code = code or flat.dtype.str
        self.count = len(flat) if count is None else count
        self.view = view

    @classmethod
    def of(cls, values: np.ndarray, key: str) -> Tensor:
        values = np.ascontiguousarray(values)
        steps = tuple(step // values.itemsize for step in values.strides)
        return cls(values.ravel(), values.shape, steps, key=key)


class Writer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, torch: types.SimpleNamespace, legacy: bool) -> None:
        super().__init__(file, 2)
        self.torch, self.legacy, self.storages = torch, legacy, {}

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, StorageOf):
            return None
        tensor = value.tensor
        self.storages[tensor.key] = tensor.flat
        pid = ("storage", self.torch.kinds[tensor.code], tensor.key, "cpu", tensor.count)
        return (*pid, tensor.view) if self.legacy else pid

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            arguments = (StorageOf(value), value.offset, value.shape, value.strides, False, OrderedDict())
            return self.torch.rebuild, arguments
        return NotImplemented


class StorageOf:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def write_zip(tree: object, torch: types.SimpleNamespace, **changed: bytes) -> bytes:
    pickled, packed = io.BytesIO(), io.BytesIO()
    writer = Writer(pickled, torch, legacy=False)
    writer.dump(tree)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("net/data.pkl", pickled.getvalue())
        archive.writestr("net/byteorder", changed.get("byteorder", b"little"))
        for key, flat in writer.storages.items():
            archive.writestr(f"net/data/{key}", flat.tobytes())
    return packed.getvalue()


def write_legacy(tree: object, torch: types.SimpleNamespace, little: bool = True) -> bytes:
    file = io.BytesIO()
    for value in (MAGIC, 1001, {"little_endian": little, "type_sizes": {}}):
        pickle.dump(value, file, 2)
    writer = Writer(file, torch, legacy=True)
    writer.dump(tree)
    pickle.dump(sorted(writer.storages), file, 2)
    for key in sorted(writer.storages):
        flat = writer.storages[key]
        file.write(struct.pack("<q", len(flat)) + flat.tobytes())
    return file.getvalue()


WRITERS = pytest.mark.parametrize("write", [write_zip, write_legacy])


@WRITERS
def test_all_types_and_shapes(write: Any, torch: types.SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "float": rng.normal(size=(3, 4, 5)).astype(np.float32),
        "double": rng.normal(size=7),
        "half": rng.normal(size=(2, 3)).astype(np.float16),
        "long": np.arange(-3, 3),
        "int": np.arange(5, dtype=np.int32),
        "byte": np.arange(256, dtype=np.uint8).reshape(16, 16),
        "bool": np.array([True, False, True]),
        "scalar": np.array(7.0, np.float32),
        "empty": np.zeros((0, 3), np.float32),
    }
    tree = OrderedDict((name, Tensor.of(value, str(n))) for n, (name, value) in enumerate(arrays.items()))
    tree._metadata = {"version": 1}  # type: ignore[attr-defined]  # as torch has it; pickled as BUILD
    found = state_dict(write(tree, torch))
    assert list(found) == list(arrays)
    for name, value in arrays.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


@WRITERS
def test_windows_and_strides(write: Any, torch: types.SimpleNamespace) -> None:
    flat = np.arange(24, dtype=np.float32)
    tree = {"t": Tensor(flat, (3, 4), (1, 6), 2), "u": Tensor(flat, (4,), (2,), 16)}
    found = state_dict(write(tree, torch))
    np.testing.assert_array_equal(found["t"], [[2 + i + 6 * j for j in range(4)] for i in range(3)])
    np.testing.assert_array_equal(found["u"], [16, 18, 20, 22])


def test_a_legacy_storage_that_is_a_view(torch: types.SimpleNamespace) -> None:
    flat = np.arange(10, dtype=np.float32)
    tree = {"t": Tensor(flat, (3,), (1,), 1, view=("v", 4, 5))}
    np.testing.assert_array_equal(state_dict(write_legacy(tree, torch))["t"], [5, 6, 7])
    with pytest.raises(ModelError, match="outside"):
        read_checkpoint(write_legacy({"t": Tensor(flat, (3,), (1,), view=("v", 8, 5))}, torch))


def test_bfloat16_becomes_float32(torch: types.SimpleNamespace) -> None:
    upper = np.array([1.0, -2.5, 3.140625], np.float32).view(np.uint32) >> 16
    tree = {"t": Tensor(upper.astype("<u2"), (3,), (1,), code="bfloat16")}
    np.testing.assert_array_equal(state_dict(write_zip(tree, torch))["t"], np.float32([1.0, -2.5, 3.140625]))


@WRITERS
def test_nested_containers(write: Any, torch: types.SimpleNamespace) -> None:
    weight = Tensor.of(np.ones((2, 2), np.float32), "0")
    tree = {"epoch": 3, "state_dict": {"w": weight}, "notes": ["a", ("b", 1.5, None, True)]}
    found = read_checkpoint(write(tree, torch))
    assert (found["epoch"], found["notes"]) == (3, ["a", ("b", 1.5, None, True)])
    assert list(state_dict(write(tree, torch))) == ["w"]


@WRITERS
@pytest.mark.parametrize("module", ["numpy.core", "numpy._core"])
def test_a_published_retrieval_network(write: Any, torch: types.SimpleNamespace, module: str) -> None:
    """Laid out as the GeM networks of Radenovic et al. are: tensors, and beside them `meta`, whose learned
    whitening is NumPy arrays, and numbers of NumPy's."""
    rng = np.random.default_rng(0)
    whitening = {"P": rng.normal(size=(4, 4)), "m": np.asfortranarray(rng.normal(size=(4, 1)).astype("f4"))}
    meta = {
        "architecture": "vgg16",
        "pooling": "gem",
        "mean": [0.485, 0.456, 0.406],
        "whitening": np.bool_(False),
        "outputdim": np.int64(512),
        "Lw": {"retrieval-SfM-120k": {"ss": whitening, "ms": whitening}},
    }
    weight = Tensor.of(np.ones((2, 2), np.float32), "0")
    tree = {"meta": meta, "epoch": np.int32(7), "min_loss": np.float64(0.25), "state_dict": {"w": weight}}
    data = write(tree, torch)
    if write is write_legacy:  # a zip archive has checksums
        for name in (b"numpy._core", b"numpy.core"):
            data = data.replace(b"c" + name + b".multiarray", b"c" + module.encode() + b".multiarray")
    found = read_checkpoint(data)
    assert (found["epoch"], found["min_loss"]) == (7, 0.25)
    assert (found["meta"]["outputdim"], found["meta"]["whitening"]) == (512, False)
    assert type(found["epoch"]) is int and type(found["min_loss"]) is float
    learned = found["meta"]["Lw"]["retrieval-SfM-120k"]["ms"]
    for name, values in whitening.items():
        assert learned[name].dtype == values.dtype
        np.testing.assert_array_equal(learned[name], values)
    assert list(state_dict(data)) == ["w"]


def test_arrays_of_all_kinds_of_numbers(torch: types.SimpleNamespace) -> None:
    codes = ["<f2", "<f4", ">f8", "i1", "<u2", ">i4", "<i8", "?"]
    arrays = {code: (np.arange(6).reshape(2, 3) % 2).astype(code) for code in codes}
    arrays["empty"], arrays["one"] = np.zeros((0, 3)), np.array(1.5)
    for protocol in (2, 5):
        file = io.BytesIO()
        for value in (MAGIC, 1001, {"little_endian": True}, {**arrays, "number": arrays["<f4"][1, 1]}, []):
            pickle.dump(value, file, protocol)
        found = read_checkpoint(file.getvalue())
        assert found.pop("number") == 0.0
        for name, values in arrays.items():
            assert found[name].dtype == values.dtype.newbyteorder("=")
            np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize(
    "value",
    [
        np.array([{}], object),
        np.array(["text"]),
        np.zeros(2, [("a", "f4")]),
        np.datetime64("2024-05-31"),
        np.zeros(2, np.complex128),
    ],
    ids=lambda value: str(value.dtype),
)
def test_arrays_of_anything_else_are_refused(value: object, torch: types.SimpleNamespace) -> None:
    with pytest.raises(ModelError, match=r"only numbers are read here"):
        read_checkpoint(write_zip({"w": value}, torch))


class Spelled:
    """Pickled as a call of a function of NumPy's with these arguments, and a state."""

    def __init__(self, *reduced: object) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


def test_an_array_may_not_reach_outside_its_bytes(torch: types.SimpleNamespace) -> None:
    function, arguments, state = np.zeros(2, "f4").__reduce__()
    for changed in ({1: (1 << 40,)}, {1: (-1, -2)}, {1: "2"}, {2: "f4"}, {4: b"1234567"}, {4: 8}):
        wrong = tuple(changed.get(at, part) for at, part in enumerate(state))
        with pytest.raises(ModelError, match="damaged"):
            read_checkpoint(write_zip({"w": Spelled(function, arguments, wrong)}, torch))
    with pytest.raises(ModelError, match="damaged"):
        read_checkpoint(write_zip({"w": Spelled(function, arguments)}, torch))


class Evil:
    """Runs a command when it is unpickled by the ordinary reader."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@WRITERS
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("exit 1",), f"{os.system.__module__}.system"),
        (eval, ("1 + 1",), "builtins.eval|__builtin__.eval"),
        (getattr, ({}, "keys"), "builtins.getattr|__builtin__.getattr"),
        (np.array, ([1],), "numpy"),
    ],
)
def test_what_a_pickle_wants_is_refused_by_name(
    write: Any, torch: types.SimpleNamespace, function: Any, arguments: tuple[object, ...], name: str
) -> None:
    with pytest.raises(ModelError, match=f"wants ({name})"):
        read_checkpoint(write({"w": Evil(function, *arguments)}, torch))


def test_a_whole_model_is_refused(torch: types.SimpleNamespace) -> None:
    network = type("Net", (), {"__module__": "torch"})
    sys.modules["torch"].Net = network  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=r"wants torch.Net.*state_dict"):
        read_checkpoint(write_zip(network(), torch))


def test_storage_types_can_not_be_called(torch: types.SimpleNamespace) -> None:
    with pytest.raises(ModelError, match="damaged"):
        read_checkpoint(write_zip({"w": Evil(torch.kinds["<f4"], 10)}, torch))


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(np.zeros(4, np.float32), (5,), (1,)),
        Tensor(np.zeros(4, np.float32), (2,), (1,), 3),
        Tensor(np.zeros(4, np.float32), (2,), (4,)),
        Tensor(np.zeros(4, np.float32), (2,), (1,), -1),
        Tensor(np.zeros(4, np.float32), (2,), (-1,), 2),
        Tensor(np.zeros(4, np.float32), (-2,), (1,)),
        Tensor(np.zeros(4, np.float32), (2, 2), (1,)),
        Tensor(np.zeros(4, np.float32), (1 << 40,), (0,)),
    ],
)
@WRITERS
def test_a_tensor_may_not_reach_outside_its_storage(
    write: Any, torch: types.SimpleNamespace, tensor: Tensor
) -> None:
    with pytest.raises(ModelError, match="damaged checkpoint"):
        read_checkpoint(write({"w": tensor}, torch))


@WRITERS
def test_a_storage_of_another_length(write: Any, torch: types.SimpleNamespace) -> None:
    tensor = Tensor(np.zeros(4, np.float32), (4,), (1,), count=1 << 40)
    with pytest.raises(ModelError, match="damaged checkpoint"):
        read_checkpoint(write({"w": tensor}, torch))


@WRITERS
def test_truncated_anywhere(write: Any, torch: types.SimpleNamespace) -> None:
    data = write({"w": Tensor.of(np.ones((4, 4), np.float32), "0")}, torch)
    for length in range(0, len(data) - 1, 7):
        with pytest.raises(ModelError):
            read_checkpoint(data[:length])


def test_big_endian_and_foreign_files(torch: types.SimpleNamespace, tmp_path: Path) -> None:
    tree = {"w": Tensor.of(np.ones(2, np.float32), "0")}
    for data in (write_zip(tree, torch, byteorder=b"big"), write_legacy(tree, torch, little=False)):
        with pytest.raises(ModelError, match="big-endian"):
            read_checkpoint(data)
    with pytest.raises(ModelError, match="not a torch checkpoint"):
        read_checkpoint(b"hello, this is a text")
    with pytest.raises(ModelError, match="not a torch checkpoint"):
        read_checkpoint(pickle.dumps(1) + pickle.dumps(2))
    with pytest.raises(ModelError, match=r"none\.pth.*can't be read"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(ModelError, match="state_dict"):
        state_dict(write_zip([1, 2], torch))
    with pytest.raises(ModelError, match="named tensors"):
        state_dict(write_zip({"a": 1}, torch))


DEV_DATA = os.environ.get("FASTCBIR_DEV_DATA")


@pytest.mark.skipif(not DEV_DATA, reason="FASTCBIR_DEV_DATA is not set")
@pytest.mark.parametrize("name", ["xfeat.pt", "xfeat-lighterglue.pt", "semibin_global_model.pt"])
def test_real_checkpoints(name: str) -> None:
    assert read_checkpoint(Path(str(DEV_DATA)) / "models" / name)

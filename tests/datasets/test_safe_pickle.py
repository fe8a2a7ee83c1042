"""Pickles from elsewhere: arrays come back, code does not run, and nothing reaches into memory."""

import io
import os
import pickle
import struct

import numpy as np
import pytest

from pointtrack.datasets.safe_pickle import read_pickle, read_pickled_npy
from tests.support.programs import run_program

CONTENTS = {
    "float": np.linspace(0, 1, 12).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "swapped": np.arange(5, dtype=">i4"),
    "bool": np.array([True, False]),
    "half": np.ones((2, 0, 3), np.float16),
    "text": np.array(["ab", "cde"]),
    "bytes": np.array([b"ab", b"c"]),
    "objects": np.array([b"jpeg", None, np.arange(3), "x"], dtype=object),
    "scalar": np.float32(2.5),
    "whole": np.array(7),
    "strided": np.arange(20).reshape(4, 5)[::2, ::-1],
    "plain": [1, 2.5, "x", b"y", None, (1, {"a": [np.zeros(2)]})],
    "dtype": np.dtype("<f4"),
}


def alike(a, b):
    if isinstance(a, np.ndarray) and a.dtype != object:
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, np.ndarray | list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_containers_come_back(tmp_path, protocol):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(CONTENTS, protocol))
    assert alike(CONTENTS, read_pickle(path, "arrays"))
    np.save(tmp_path / "a.npy", np.array({"x": np.arange(3)}, dtype=object), allow_pickle=True)
    assert alike({"x": np.arange(3)}, read_pickled_npy(tmp_path / "a.npy", "a dict"))


def test_lists_that_hold_themselves(tmp_path):
    a = [np.arange(2)]
    a.append(a)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(a))
    back = read_pickle(tmp_path / "a.pkl", "arrays")
    assert back[1] is back


class Runs:
    def __reduce__(self):
        return os.system, ("touch /tmp/pointtrack-was-here",)


def array_of(shape: bytes, dtype: bytes, data: bytes, fortran: bytes = b"\x89") -> bytes:
    """A pickle that builds an array by hand: any shape, dtype, and data."""
    return b"".join(
        [
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R",
            b"(K\x01", shape, dtype, fortran, data, b"tb.",
        ]
    )  # fmt: skip


DTYPE = b"cnumpy\ndtype\nX%s%s\x89\x88\x87R"
O8 = DTYPE % (struct.pack("<I", 2), b"O8")
F8 = DTYPE % (struct.pack("<I", 2), b"f8")
VOID = DTYPE % (struct.pack("<I", 3), b"V16")
BYTES8 = b"C\x08" + b"A" * 8
HUGE = b"\x8a\x05\x00\xe8vH\x17\x85"  # (10**11,)

HOSTILE = {
    "code": pickle.dumps(Runs()),
    "objects over bytes": array_of(b"K\x01\x85", O8, BYTES8),
    "ndarray called": b"\x80\x02cnumpy\nndarray\n(K\x01\x85" + O8 + BYTES8 + b"tR.",
    "ndarray with strides": b"\x80\x02cnumpy\nndarray\n(J\x00\x00\x00\x7f\x85" + F8 + BYTES8 + b"tR.",
    "too few bytes": array_of(b"K\x09\x85", F8, BYTES8),
    "huge": array_of(HUGE, F8, BYTES8),
    "negative": array_of(b"J\xff\xff\xff\xff\x85", F8, BYTES8),
    "void": array_of(b"K\x01\x85", VOID, b"C\x10" + b"A" * 16),
    "fields": b"\x80\x02cnumpy\ndtype\n(]X\x01\x00\x00\x00aatR.",
    "state of a function": b"\x80\x02c_codecs\nencode\nN}X\x08\x00\x00\x00__code__K\x01s\x86b.",
    "state of a class": b"\x80\x02cnumpy\nndarray\n}b.",
    "frombuffer of objects": b"\x80\x02cnumpy.core.numeric\n_frombuffer\n("
    + BYTES8
    + O8
    + b"K\x01\x85X\x01\x00\x00\x00CtR.",
    "scalar of objects": b"\x80\x02cnumpy.core.multiarray\nscalar\n" + O8 + BYTES8 + b"\x86R.",
    "empty array": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R.",
    "memo": b"\x80\x02]r\xff\xff\xff\x7f.",
    "long bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 50) + b".",
    "deep": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "nothing": b"",
    "persistent": b"\x80\x02K\x01Q.",
    "eval": b"cbuiltins\neval\n(V1\ntR.",
    "getattr": b"cbuiltins\ngetattr\n(V1\ntR.",
    "codecs": b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.",
}

CODE = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from pointtrack.datasets.safe_pickle import read_pickle
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        value = read_pickle(path, "arrays")
    except ValueError as error:
        assert str(error).startswith(str(path)) and "\\n" not in str(error), error
    else:
        raise SystemExit(f"{path.name}: accepted {value!r:.80}")
print("refused")
"""


def test_hostile_pickles_are_refused_and_the_process_lives(tmp_path):
    """The second was a read of address 0x4141414141414141: exit code 139."""
    for name, content in HOSTILE.items():
        (tmp_path / name).write_bytes(content)
    done = run_program(CODE, tmp_path)
    assert (done.returncode, done.stdout) == (0, "refused\n"), (done.returncode, done.stderr[-800:])
    assert not os.path.exists("/tmp/pointtrack-was-here")


def test_every_cut_and_flip_of_a_pickle_is_answered(tmp_path):
    whole = pickle.dumps({"points": np.arange(6.0), "names": np.array(["a", None], object)}, 2)
    rng = np.random.default_rng(0)
    path = tmp_path / "a.pkl"
    for _ in range(300):
        content = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for at in rng.integers(0, len(content), 3):
            content[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        try:
            read_pickle(path, "arrays")
        except ValueError as error:
            assert "\n" not in str(error)


def test_other_npy_files(tmp_path):
    for array in (np.arange(3), np.array([None, 1], object)):
        np.save(tmp_path / "a.npy", array, allow_pickle=True)
        with pytest.raises(ValueError, match="expected a dict"):
            read_pickled_npy(tmp_path / "a.npy", "a dict")
    (tmp_path / "a.npy").write_bytes(io.BytesIO(b"\x93NUMPY\x01\x00\xff\xff{").getvalue())
    with pytest.raises(ValueError, match="expected a dict"):
        read_pickled_npy(tmp_path / "a.npy", "a dict")

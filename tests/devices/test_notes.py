"""Processes compare what they go by before the first step, and the difference is named."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import jax
import pytest

from jaxembed.core.errors import InputError
from jaxembed.devices import notes, software
from jaxembed.devices.board import Board


class Store:
    """Keeps texts as JAX's coordinator does, for processes that are threads here."""

    def __init__(self) -> None:
        self.texts, self.changed, self.read = {}, threading.Condition(), []

    def key_value_set(self, key: str, text: str) -> None:
        with self.changed:
            if key in self.texts:
                raise jax.errors.JaxRuntimeError(f"ALREADY_EXISTS: key {key} already exists.")
            self.texts[key] = text
            self.changed.notify_all()

    def blocking_key_value_get(self, key: str, milliseconds: int) -> str:
        with self.changed:
            if not self.changed.wait_for(lambda: key in self.texts, milliseconds / 1000):
                raise jax.errors.JaxRuntimeError(f"DEADLINE_EXCEEDED: GetKeyValue() timed out with key: {key}")
            self.read.append(key)
            return self.texts[key]

    def key_value_try_get(self, key: str) -> str:
        with self.changed:
            if key not in self.texts:
                raise jax.errors.JaxRuntimeError(f"NOT_FOUND: Config key {key} not found.")
            return self.texts[key]


def compared(store: Store, each: list[Mapping[str, str]]) -> list[str | None]:
    """Compare the notes of processes; return what each says, `None` if it finds no difference."""

    def compare(index: int) -> str | None:
        try:
            notes.compare(Board(store, index, len(each)), each[index])
        except InputError as error:
            store.key_value_set(f"jaxembed/0/same/{index}", "")  # so that the others end here, too
            return str(error)
        return None

    with ThreadPoolExecutor(len(each)) as threads:
        return list(threads.map(compare, range(len(each))))


def test_equal_processes_read_only_a_hash():
    store = Store()
    assert compared(store, [software.notes()] * 4) == [None] * 4
    assert not [key for key in store.read if key.endswith("notes")]


OWN = {"config.seed": "0", "config.train.epochs": "2", "jax": "0.10.2", "SHA-256 of jaxembed/model.py": "ab12"}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (OWN | {"config.seed": "1"}, "config.seed is 0 in process 0, 1 in process 2"),
        (OWN | {"jax": "not installed"}, "jax is 0.10.2 in process 0, not installed in process 2"),
        (OWN | {"--tune": "True"}, "--tune is absent in process 0, True in process 2"),
        ({"jax": "0.10.2"}, "SHA-256 of jaxembed/model.py is ab12 in process 0, absent in process 2"),
    ],
)
def test_difference_is_named(other, words):
    said = compared(Store(), [OWN, OWN, other])
    assert said[:2] == [None, None]
    assert said[2].startswith("the processes of this run differ: ")
    assert words in said[2]


def test_many_differences_are_counted():
    first, other = ({f"option {number}": value for number in range(9)} for value in "ab")
    text = notes.differences(first, other, 1)
    assert text.startswith("option 0 is a in process 0, b in process 1; option 1 is a")
    assert text.endswith("; and 4 more")


def test_a_process_that_comes_later_is_waited_for():
    store, waited = Store(), []
    board = Board(store, 0, 2)
    thread = threading.Thread(target=lambda: waited.append(board.wait("key")))
    thread.start()
    assert board.look("key") is None
    board.put("key", "text")
    thread.join()
    assert waited == [board.look("key")] == ["text"]
    assert board.wait("nothing", within=0.01) is None
    with pytest.raises(jax.errors.JaxRuntimeError, match="ALREADY_EXISTS"):
        board.put("key", "other")


def changed(before: Mapping[str, str]) -> list[str]:
    """The names of the notes that are different now."""
    after = software.notes()
    return [name for name in before | after if before.get(name) != after.get(name)]


def test_changed_source_file_is_noted(monkeypatch, tmp_path):
    file = tmp_path / "package" / "train" / "loop.py"
    file.parent.mkdir(parents=True)
    file.write_text("step = 1")
    monkeypatch.setattr(software, "PACKAGE", tmp_path / "package")
    before = software.notes()
    file.write_text("step = 2")
    assert changed(before) == ["SHA-256 of package/train/loop.py"]


def test_other_library_flag_and_option_are_noted(monkeypatch):
    before, version = software.notes(), software.importlib.metadata.version
    monkeypatch.setattr(
        software.importlib.metadata, "version", lambda name: "9.9" if name == "optax" else version(name)
    )
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    with jax.default_matmul_precision("tensorfloat32"):
        assert changed(before) == ["optax", "jax_default_matmul_precision", "XLA_FLAGS"]

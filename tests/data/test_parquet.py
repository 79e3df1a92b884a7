"""The parquet layout: what it holds, and what a user is told of files, columns and labels that are wrong."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdflow.common.errors import DataError
from kdflow.data.base import Split
from kdflow.data.folder import read_folder
from tests.data.image_folders import NAMES, a_parquet_folder, a_shard, encoded, pixels, refusal


@pytest.mark.parametrize("column", ["img", "image"])
def test_a_parquet_folder_holds_the_images_labels_and_names_that_were_written(column: str, tmp_path: Path) -> None:
    raw = read_folder(a_parquet_folder(tmp_path, column=column), resize=False)
    expected = torch.from_numpy(np.stack([pixels(i) for i in range(6)])).permute(0, 3, 1, 2)
    assert torch.equal(raw.train.images, expected)
    assert raw.train.labels.tolist() == [0, 1] * 3
    assert raw.test.labels.tolist() == [1, 0]
    assert raw.classes == NAMES


def test_several_shards_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    a_parquet_folder(tmp_path / "one")
    whole = read_folder(tmp_path / "one", resize=False)
    folder = tmp_path / "two"
    for shard in (1, 0):
        seeds = range(3 * shard, 3 * shard + 3)
        labels = [seed % 2 for seed in seeds]
        a_shard(folder / f"train-0000{shard}-of-00002.parquet", [encoded(pixels(i)) for i in seeds], labels)
    a_shard(folder / "test-00000-of-00001.parquet", [encoded(pixels(i)) for i in (10, 11)], [1, 0])
    assert read_folder(folder, resize=False).digest() == whole.digest()


def test_a_missing_shard_is_told_instead_of_training_on_less(tmp_path: Path) -> None:
    a_parquet_folder(tmp_path)
    (tmp_path / "train-00000-of-00001.parquet").rename(tmp_path / "train-00000-of-00003.parquet")
    assert "1 of 3 train-*.parquet files" in refusal(tmp_path)


def test_labels_without_names_are_called_by_their_numbers(tmp_path: Path) -> None:
    assert read_folder(a_parquet_folder(tmp_path, names=None), resize=False).classes == ("0", "1")


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_parquet_folder_without_one_part_is_told_which(part: str, tmp_path: Path) -> None:
    (a_parquet_folder(tmp_path) / f"{part}-00000-of-00001.parquet").unlink()
    assert f"{tmp_path} has no {part} part: expected {part}-*.parquet" in refusal(tmp_path)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_without_rows_is_named(part: str, tmp_path: Path) -> None:
    path = a_shard(a_parquet_folder(tmp_path) / f"{part}-00000-of-00001.parquet", [], [])
    assert f"{path} has no images" in refusal(tmp_path)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("label", [None, -1, 2])
def test_a_label_that_is_missing_or_out_of_range_names_its_row(part: str, label: int | None, tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / f"{part}-00000-of-00001.parquet"
    a_shard(path, [encoded(pixels(i)) for i in range(3)], [0, 1, label])
    message = refusal(tmp_path)
    assert f"{path} row 2 has {'no label' if label is None else f'label {label}'}" in message
    assert "expected 0 to 1" in message


def test_a_test_label_that_training_lacks_is_refused_without_names_too(tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path, names=None) / "test-00000-of-00001.parquet"
    a_shard(path, [encoded(pixels(0))], [2], names=None)
    assert f"{path} row 0 has label 2: expected 0 to 1" in refusal(tmp_path)


@pytest.mark.parametrize(("names", "missing"), [(("cat", "dog", "eel"), "eel"), (None, "2")])
def test_a_class_without_training_images_is_named(names: tuple[str, ...] | None, missing: str, tmp_path: Path) -> None:
    labels = [0, 1] if names else [0, 1, 10**15]
    a_parquet_folder(tmp_path, names=names)
    contents = [encoded(pixels(i)) for i in range(len(labels))]
    a_shard(tmp_path / "train-00000-of-00001.parquet", contents, labels, names=names)
    assert f"class {missing} has no training images" in refusal(tmp_path)


@pytest.mark.parametrize(("names", "label", "told"), [(NAMES, 1, "1 (dog)"), (("cat",), 0, "0 (cat)"), (None, 0, "0,")])
def test_labels_that_are_all_equal_are_refused(
    names: tuple[str, ...] | None, label: int, told: str, tmp_path: Path
) -> None:
    a_parquet_folder(tmp_path, names=names)
    for part in ("train", "test"):
        path = tmp_path / f"{part}-00000-of-00001.parquet"
        a_shard(path, [encoded(pixels(i)) for i in range(3)], [label] * 3, names=names)
    message = refusal(tmp_path)
    for part in (
        str(tmp_path),
        f"all training images have label {told}",
        "two or more classes",
        "columns are img, label",
    ):
        assert part in message


def test_a_test_part_with_other_class_names_is_refused(tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / "test-00000-of-00001.parquet"
    a_shard(path, [encoded(pixels(0))], [0], names=("dog", "cat"))
    assert f"{path} calls label 0 'dog'" in refusal(tmp_path)


def test_an_empty_parquet_file_is_one_line_naming_the_file(tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / "train-00000-of-00001.parquet"
    path.write_bytes(b"")
    assert f"{path} (0 bytes) is no readable parquet file" in refusal(tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_parquet_file_is_one_line_naming_the_file(share: float, tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    message = refusal(tmp_path)
    assert str(path) in message
    assert "fetch it again" in message


def test_overwritten_pages_of_a_parquet_file_are_one_line_naming_the_file(tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / "train-00000-of-00001.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(3000) + content[3004:])
    assert str(path) in refusal(tmp_path)


BYTES = pa.struct({"bytes": pa.binary()})


@pytest.mark.parametrize(
    "schema",
    [
        {"label": pa.int64()},
        {"img": BYTES},
        {"picture": BYTES, "label": pa.int64()},
        {"img": pa.binary(), "label": pa.int64()},
        {"img": pa.struct({"path": pa.string()}), "label": pa.int64()},
        {"img": pa.struct({"bytes": pa.string()}), "label": pa.int64()},
        {"img": BYTES, "label": pa.float64()},
        {"img": BYTES, "label": pa.string()},
    ],
)
def test_wrong_columns_are_told_beside_the_right_ones(schema: dict[str, pa.DataType], tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / "train-00000-of-00001.parquet"
    pq.write_table(pa.schema(schema).empty_table(), path)
    message = refusal(tmp_path)
    for part in (str(path), *schema, "expected img: struct<bytes: binary>, label: int64"):
        assert part in message


@pytest.mark.parametrize("text", ["{", "[]", '{"info": 3}', '{"info": {"features": {"label": null}}}'])
def test_damaged_class_names_are_one_line_naming_the_file(text: str, tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / "train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": text}), path)
    assert str(path) in refusal(tmp_path)


@pytest.mark.parametrize("text", ["{}", '{"info": {"features": {"label": {"_type": "Value", "dtype": "int64"}}}}'])
def test_metadata_without_class_names_is_fine(text: str, tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path, names=None) / "train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": text}), path)
    assert read_folder(tmp_path, resize=False).classes == ("0", "1")


def test_a_label_that_no_tensor_holds_names_its_row(tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path, names=None) / "train-00000-of-00001.parquet"
    cells = pa.array([{"bytes": encoded(pixels(0))}], BYTES)
    pq.write_table(pa.table({"img": cells, "label": pa.array([2**64 - 1], pa.uint64())}), path)
    assert f"{path} row 0 has label {2**64 - 1}: expected a whole number from 0" in refusal(tmp_path)


Damage = tuple[str, float, int]
"""What is done, where (as a share of the length), and a number of bytes or what one byte is changed by."""
KINDS = ("truncated", "one byte", "zeroed", "doubled")
DAMAGES = st.tuples(st.sampled_from(KINDS), st.floats(0, 1, exclude_max=True), st.integers(1, 255))


def damaged(content: bytes, damage: Damage) -> bytes:
    kind, share, number = damage
    at = int(len(content) * share)
    if kind == "truncated":
        return content[:at]
    if kind == "one byte":
        return content[:at] + bytes([content[at] ^ number]) + content[at + 1 :]
    if kind == "zeroed":
        return content[:at] + bytes(len(content[at : at + number])) + content[at + number :]
    return content[: at + number] + content[at:]


@dataclass
class Checksummed:
    """A training file whose pages carry checksums: where it is, its bytes, and its images and labels."""

    path: Path
    content: bytes
    split: Split

    def outcome(self, content: bytes) -> Split | str:
        """The training images if the file held this instead, or why they are refused."""
        self.path.write_bytes(content)
        try:
            return read_folder(self.path.parent, resize=False).train
        except DataError as error:
            return str(error)

    def assert_the_same_or_refused_in_one_line(self, damages: list[Damage]) -> None:
        """Class names are not compared: they are in the footer, which has no checksum."""
        content = self.content
        for damage in damages:
            content = damaged(content, damage) or b"P"
        outcome = self.outcome(content)
        if isinstance(outcome, str):
            assert str(self.path) in outcome
            assert "\n" not in outcome
        else:
            assert torch.equal(outcome.images, self.split.images)
            assert torch.equal(outcome.labels, self.split.labels)


@pytest.fixture(scope="module")
def checksummed(tmp_path_factory: pytest.TempPathFactory) -> Checksummed:
    """Six images of 100 bytes each, in three row groups."""
    folder = a_parquet_folder(tmp_path_factory.mktemp("checksummed"))
    contents = [encoded(np.full_like(pixels(0), 20 * i)) for i in range(6)]
    path = a_shard(folder / "train-00000-of-00001.parquet", contents, [0, 1] * 3, checksums=True)
    return Checksummed(path, path.read_bytes(), read_folder(folder, resize=False).train)


@settings(max_examples=150, deadline=None)
@given(damages=st.lists(DAMAGES, min_size=1, max_size=2))
def test_a_damaged_file_with_checksums_gives_the_same_images_or_is_refused(
    damages: list[Damage], checksummed: Checksummed
) -> None:
    checksummed.assert_the_same_or_refused_in_one_line(damages)


@pytest.mark.slow
@settings(max_examples=1_500, deadline=None)
@given(damages=st.lists(DAMAGES, min_size=1, max_size=4))
def test_much_damaged_files_with_checksums_give_the_same_images_or_are_refused(
    damages: list[Damage], checksummed: Checksummed
) -> None:
    checksummed.assert_the_same_or_refused_in_one_line(damages)


@pytest.mark.slow
def test_whatever_byte_is_damaged_a_file_with_checksums_gives_the_same_images_or_is_refused(
    checksummed: Checksummed,
) -> None:
    size = len(checksummed.content)
    for at in range(size):
        checksummed.assert_the_same_or_refused_in_one_line([("one byte", (at + 0.5) / size, 1 << (at % 8))])

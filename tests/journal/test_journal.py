"""What a command writes down is there after any interruption, once, and is found again; folders belong to one process.

How runs go on from it is told under `runs`, how it reaches the store in `tests/faults`.
"""

import errno
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from kdflow.common import files, signals
from kdflow.common.errors import KdflowError
from kdflow.journal.journal import Journal
from tests.small_disks import small_disk

pytestmark = pytest.mark.fault


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Of a study with a teacher, of which the store knows all but the last entry."""
    journal = Journal.begin(tmp_path / "runs", "study", {"config": {}})
    journal.append("create", journal.key)
    journal.append("create", f"{journal.key}/teacher")
    journal.append("metrics", f"{journal.key}/teacher", metrics={"val/loss": 0.5}, step=1)
    journal.ids |= {journal.key: "a" * 32, f"{journal.key}/teacher": "b" * 32}
    for _ in range(2):
        journal.mark_delivered()
    return journal


def reread(journal: Journal) -> Journal:
    return Journal(journal.folder)


def refused(action, *arguments) -> str:
    with pytest.raises(KdflowError) as caught:
        action(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_what_is_written_is_read_back(journal):
    again = reread(journal)
    assert again.entries == journal.entries
    assert (again.id, again.ids, again.pending) == ("a" * 32, journal.ids, 1)
    assert again.metrics(f"{journal.key}/teacher") == {"val/loss": {1: 0.5}}


def test_how_a_run_stands_is_its_last_status(journal):
    teacher = f"{journal.key}/teacher"
    assert journal.status("no such run") is None
    assert journal.open == [teacher, journal.key]
    for status in ("KILLED", "RUNNING", "FINISHED"):
        journal.append("status", teacher, status=status)
        assert reread(journal).status(teacher) == status
    assert journal.open == [journal.key]
    assert not journal.finished


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_half_a_line_at_the_end_is_no_entry_and_is_not_written_after(journal, cut):
    path = journal.folder / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    again = reread(journal)
    assert again.entries == journal.entries[:-1]
    with again.locked():
        again.append("tags", journal.key, tags={})
    assert [entry["kind"] for entry in reread(journal).entries] == ["create", "create", "tags"]


@pytest.mark.parametrize("damage", [b"\x00\xff\xfe", b"[1]", b"{}", b'{"kind": "tags"', b"[" * 100_000])
def test_damage_inside_is_one_line_that_names_file_and_line(journal, damage):
    path = journal.folder / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], damage, *lines[2:]]))
    assert f"{path} is damaged in line 2" in refused(Journal, journal.folder)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_run_json_is_one_line_that_names_it(journal, damage):
    (journal.folder / "run.json").write_bytes(damage)
    assert f"{journal.folder / 'run.json'} is damaged" in refused(Journal, journal.folder)


@pytest.mark.parametrize("schema", [0, 3, None, "1"])
def test_another_schema_is_refused(journal, schema):
    (journal.folder / "run.json").write_text(json.dumps({"schema": schema}))
    assert "was not written by this version of kdflow" in refused(Journal, journal.folder)


@pytest.mark.parametrize("damage", [None, b"", b"{", b"[]"])
def test_without_a_note_of_what_was_delivered_everything_is_sent_again(journal, damage):
    note = journal.folder / "delivered.json"
    note.write_bytes(damage) if damage is not None else note.unlink()
    again = reread(journal)
    assert (again.pending, again.id) == (3, journal.key)


def test_a_command_is_found_by_id_and_by_key(journal):
    runs_dir = journal.folder.parent
    for reference in ("a" * 32, journal.key):
        assert Journal.find(runs_dir, reference).key == journal.key
    for reference in ("", "c" * 32, "../runs", str(journal.folder), "."):
        assert "keeps nothing of such a run" in refused(Journal.find, runs_dir, reference)


def test_a_run_that_is_part_of_a_command_is_refused_with_the_command_of_the_whole(journal):
    for reference in ("b" * 32, f"{journal.key}/teacher"):
        message = refused(Journal.find, journal.folder.parent, reference)
        assert message.endswith(
            f"this run is part of a study: kdflow study --resume {'a' * 32} --runs-dir {journal.folder.parent}"
        )


def test_what_to_type_names_the_folder_where_it_is_not_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for runs_dir, where in (("runs", ""), ("my runs", " --runs-dir 'my runs'")):
        journal = Journal.begin(Path(runs_dir), "student", {})
        assert journal.resume_command == f"kdflow student --resume {journal.key}{where}"
        assert journal.sync_command == f"kdflow sync{where}"


def test_damage_to_one_command_does_not_keep_another_from_being_found(journal):
    other = Journal.begin(journal.folder.parent, "teacher", {})
    (journal.folder / "run.json").write_text("{")
    assert Journal.find(journal.folder.parent, other.key).key == other.key
    assert "is damaged" in refused(Journal.find, journal.folder.parent, "a" * 32)


def test_folders_of_other_things_are_passed_over(journal):
    runs_dir = journal.folder.parent
    (runs_dir / "notes").mkdir()
    (runs_dir / "notes" / "run.json").write_text("{}")
    assert [one.key for one in Journal.every(runs_dir)] == [journal.key]


def test_a_folder_in_use_is_refused_to_another_process_and_free_once_that_is_killed(journal):
    code = "import sys, time\nfrom pathlib import Path\nfrom kdflow.journal.journal import Journal\n"
    code += "with Journal(Path(sys.argv[1])).locked():\n print('locked', flush=True)\n time.sleep(60)"
    command = [sys.executable, "-c", code, str(journal.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        owner.stdout.readline()
        message = refused(journal.locked().__enter__)
        assert f"run {'a' * 32} is in use by process {owner.pid} on " in message
        owner.kill()
    with journal.locked():
        pass


def test_what_another_process_wrote_until_now_is_known_once_the_folder_is_locked(journal):
    late = reread(journal)
    with journal.locked():
        journal.append("status", journal.key, status="FINISHED")
        journal.mark_delivered()
    assert not late.finished
    with late.locked():
        assert late.finished
        assert (late.entries, late.delivered) == (journal.entries, journal.delivered)


def test_a_signal_during_an_entry_waits_until_it_is_kept_and_known(journal, monkeypatch):
    monkeypatch.setattr(signals, "_noted", None)
    before = signal.signal(signal.SIGTERM, signals._on_signal)
    append = files.append

    def stopped(path, content):
        signal.raise_signal(signal.SIGTERM)
        append(path, content)

    monkeypatch.setattr(files, "append", stopped)
    try:
        with pytest.raises(signals.Stopped):
            journal.append("tags", journal.key, tags={})
    finally:
        signal.signal(signal.SIGTERM, before)
    assert journal.entries[-1]["kind"] == "tags"
    assert reread(journal).entries == journal.entries


def until_full(write: Callable[[], object]) -> None:
    """Repeats what takes room until there is none."""
    with pytest.raises((OSError, KdflowError), match=r"[Nn]o space left on"):
        deque(iter(write, "no end"), maxlen=0)


def test_on_a_full_disk_entries_are_whole_or_not_there_and_a_status_can_still_be_told(tmp_path):
    with small_disk(tmp_path / "disk", "size=64k") as disk:
        journal = Journal.begin(disk, "student", {})
        journal.append("create", journal.key)
        with (disk / "filling").open("wb", buffering=0) as filling:
            until_full(lambda: filling.write(b"x" * 4096))
        until_full(lambda: journal.append("tags", journal.key, tags={"long": "x" * 300}))
        assert journal.entries == reread(journal).entries
        until_full(lambda: journal.append("status", journal.key, status="FAILED"))
        assert journal.entries[-1]["status"] == "FAILED"
        assert journal.entries[:-1] == reread(journal).entries
        (disk / "filling").unlink()
        journal.append("tags", journal.key, tags={})
        assert reread(journal).entries[-1]["kind"] == "tags"


def test_where_no_folder_can_be_made_nothing_is_left(tmp_path, monkeypatch):
    runs_dir = tmp_path / "runs"
    (tmp_path / "file").write_text("")
    assert "--runs-dir" in refused(Journal.begin, tmp_path / "file", "student", {})

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    assert "no space left on" in refused(Journal.begin, runs_dir, "student", {})
    assert list(runs_dir.iterdir()) == []

"""`kdflow list` answers from a file that is kept; it is what importing everything would give."""

import json

import pytest

from kdflow.experiments import catalogue


def test_the_kept_catalogue_is_what_there_is():
    assert catalogue.kept() == catalogue.made(), "something was registered or changed: run `make catalogue`"


@pytest.mark.parametrize("damaged", [None, "", "[]", "{}", '{"source": "of another version"}'])
def test_where_the_file_does_not_fit_what_is_registered_is_shown(monkeypatch, tmp_path, capsys, damaged):
    monkeypatch.setattr(catalogue, "KEPT", tmp_path / "catalogue.json")
    if damaged is not None:
        catalogue.KEPT.write_text(damaged, encoding="utf-8")
    assert catalogue.kept() is None
    catalogue.print_catalogue()
    assert "105,386" in capsys.readouterr().out


def test_a_new_file_in_any_room_makes_the_kept_one_unfit(monkeypatch, tmp_path):
    before = catalogue.source_digest()
    monkeypatch.setattr(catalogue, "PACKAGE", tmp_path)
    digests = {catalogue.source_digest(), before}
    for number, room in enumerate(catalogue.ROOMS, start=3):
        (tmp_path / room / "deep").mkdir(parents=True)
        (tmp_path / room / "deep" / "new.py").write_text("", encoding="utf-8")
        digests.add(catalogue.source_digest())
        assert len(digests) == number


def test_what_is_kept_can_be_written_again(monkeypatch, tmp_path):
    before = json.loads(catalogue.KEPT.read_text(encoding="utf-8"))
    monkeypatch.setattr(catalogue, "KEPT", tmp_path / "catalogue.json")
    catalogue.keep()
    assert catalogue.kept() == before

"""A folder that is replaced is taken up; a broken one changes nothing."""

import asyncio
import logging
import shutil

import pytest
from serving_tools import colours, trained

from xmc import ModelError, ParameterError
from xmc.serving.loaded import Loaded
from xmc.serving.models import Found, Served, names_of


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(colours(), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def said(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("xmc.serving"), "propagate", True)
    caplog.set_level(logging.INFO, logger="xmc.serving")
    return caplog


def served(folder, seen):
    return Served("model", str(folder), 1, lambda size: None, seen.append)


def answer(one):
    return asyncio.run(one.answers(one.now, ["a red plum"], 5))


def test_a_folder_that_is_replaced_answers_from_then_on(folder, said):
    one = served(folder, seen := [])
    before, other = answer(one), trained(C=100.0)
    other.save(folder, overwrite=True)
    asyncio.run(one.renew())
    assert answer(one) != before
    assert [label["score"] for label in answer(one)[0]] == pytest.approx(
        [found.score for found in other.suggest("a red plum")]
    )
    assert seen == ["loaded"] and said.messages == ["model: the new model answers from now on"]


def test_a_folder_that_stays_is_not_loaded_again(folder):
    one = served(folder, seen := [])
    now = one.now
    asyncio.run(one.renew())
    assert one.now is now and seen == []


def test_what_was_loaded_before_answers_only_while_the_folder_is_the_same(folder):
    found = Found.at(str(folder), 1)
    same = Served("model", str(folder), 1, print, print, found)
    assert same.now is found.model
    trained(C=100.0).save(folder, overwrite=True)
    other = Served("model", str(folder), 1, print, print, found)
    assert other.now is not found.model
    assert answer(other) != answer(same)


@pytest.mark.parametrize("damage", ["cut", "gone", "no arrays", "nothing in it"])
def test_a_broken_folder_leaves_the_old_model_and_is_told_once(folder, said, damage):
    one = served(folder, seen := [])
    before = answer(one)
    if damage == "cut":
        (folder / "model.json").write_text('{"format": 3')
    elif damage == "no arrays":
        (folder / "arrays.safetensors").rename(folder / "elsewhere")
    else:
        folder.rename(folder.with_name("other"))
        if damage == "nothing in it":
            folder.mkdir()
    for _ in range(3):
        asyncio.run(one.renew())
    assert answer(one) == before and seen == ["broken"]
    (line,) = said.messages
    assert line.startswith("model: the old model goes on, as the new one fails: ")


def test_a_folder_that_is_mended_is_taken_up(folder):
    one = served(folder, seen := [])
    kept = folder.rename(folder.with_name("kept"))
    asyncio.run(one.renew())
    kept.rename(folder)
    asyncio.run(one.renew())
    assert seen == ["broken", "loaded"]


def test_a_model_that_loads_but_can_t_answer_is_broken(folder, monkeypatch):
    one = served(folder, seen := [])
    trained().save(folder, overwrite=True)
    monkeypatch.setattr(Loaded, "answers", lambda *args: 1 / 0)
    asyncio.run(one.renew())
    assert seen == ["broken"]


def test_a_link_that_leads_to_another_folder_is_taken_up(tmp_path):
    (tmp_path / "now").symlink_to(colours())
    one = served(tmp_path / "now", seen := [])
    trained(C=3.0).save(tmp_path / "second")
    (tmp_path / "next").symlink_to("second")
    (tmp_path / "next").rename(tmp_path / "now")
    asyncio.run(one.renew())
    assert seen == ["loaded"]


def test_models_are_called_as_their_folders_are():
    assert names_of(["a/b/", "./c"]) == ["b", "c"]
    with pytest.raises(ParameterError, match="^serve: expected folders of different names, got b"):
        names_of(["a/b", "c/b"])
    for odd in ("/", "a/b\n", "a/\udcff"):
        with pytest.raises(ParameterError, match="a name that can be shown, got .*; serve a link"):
            names_of([odd])


def test_a_folder_without_a_model_can_t_be_served(tmp_path):
    with pytest.raises(ModelError, match="expected a folder with a model.json, got nothing there"):
        served(tmp_path / "nothing", [])

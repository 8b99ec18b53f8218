from typing import Literal

import pytest
from ml_collections import ConfigDict

from vqe_jax.errors import UserError
from vqe_jax.training import recipes
from vqe_jax.training.variants import variants, words

RECIPE = '''
"""A recipe."""
from typing import Literal
from vqe_jax.recipes import common

@common.variants
def get_config(qp: Literal[32, 37] = 37, guided: bool = True, flow: str = "",
               width: Literal["full", "small"] = "full"):
    if width == "small":
        few = common.fast_stage("a", 100)
        return common.small("vig", {"width": 4}, few, data=common.demo(frames=3))
    stage = common.stage("a", 10, start=flow or "scratch", ema=0.9 if guided else 0.0)
    return common.run("vig", {}, stage, data=common.mfqe_v2(qp))
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(RECIPE)
    return path


def test_words_and_keys_say_the_same(file):
    for one, other in (("qp32", "qp=32"), ("no_guided", "guided=False"), ("small", "width=small")):
        first, second = recipes.load(f"{file}:{one}"), recipes.load(f"{file}:{other}")
        assert first.source == f"trained by configs/own.py:{one}"
        assert (first.data, first.stages) == (second.data, second.stages)
        assert first.stages != recipes.load(str(file)).stages or first.data["config_name"] == "qp32"
    run = recipes.load(f"{file}:qp32,no_guided,flow=a/b.npz")
    assert (run.data["config_name"], run.stages[0].ema) == ("qp32", 0.0)
    assert run.stages[0].start == "a/b.npz"


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("smal", "own.py has no variant 'smal'; did you mean 'small'"),
        ("qp33", "no variant 'qp33'; did you mean 'qp3[27]'"),
        ("qp=33", "own.py: qp=33; known: 32, 37"),
        ("width=smal", "own.py: width='smal'; did you mean 'small'"),
        ("widht=small", "own.py has no keyword 'widht'; did you mean 'width'"),
        ("guided=perhaps", "guided='perhaps'; expected bool"),
        ("flow=", "own.py: flow= needs a value"),
        ("qp32,qp37", "'qp37' sets 'qp' a second time"),
        ("small,qp32", "qp=32 changes nothing beside width=small"),
    ],
)
def test_mistakes_are_one_line(file, variant, message):
    with pytest.raises(UserError, match=message) as caught:
        recipes.load(f"{file}:{variant}")
    assert "\n" not in str(caught.value)


def test_a_recipe_that_ignores_a_keyword_is_found_out():
    @variants
    def get_config(width: Literal["full", "narrow", "small"] = "full"):
        return {"width": 8 if width == "small" else 32}

    assert get_config("small").width == 8 and get_config("full").width == 32
    with pytest.raises(UserError, match="width=narrow changes nothing; leave it out"):
        get_config("narrow")


def test_what_recipes_share_is_not_changed():
    shared = {"dataset": "mfqe_v2", "config_name": "qp32"}

    @variants
    def get_config():
        return {"data": shared, "stages": ({"name": "a", "steps": 100},)}

    config = get_config("clips,smoke")
    assert (config.data.dataset, config.stages[0]["steps"]) == ("clips", 6)
    assert shared["dataset"] == "mfqe_v2" and get_config().stages[0]["steps"] == 100


def test_a_choice_may_be_left_open():
    @variants
    def get_config(mask: Literal[8, 4] | None = None):
        return {"mask": mask}

    assert words(get_config) == {"mask8": ("mask", 8), "mask4": ("mask", 4)}
    assert get_config("mask4").mask == 4 and get_config().mask is None
    assert isinstance(get_config(), ConfigDict)


def test_a_word_means_one_thing():
    def recipe(size: Literal["full"] = "full", maps: Literal["full"] = "full"):
        return {}

    with pytest.raises(AssertionError, match="maps: a word of another keyword"):
        words(recipe)


def test_recipes_are_found_by_name_and_by_file():
    assert "vig" in recipes.names() and "common" not in recipes.names()
    by_name, by_file = recipes.load("vig:qp32"), recipes.load("configs/vig.py:qp32")
    assert by_name == by_file and by_name.data["config_name"] == "qp32"
    with pytest.raises(UserError, match="recipe 'vgi' does not exist; did you mean 'vig'"):
        recipes.load("vgi")
    with pytest.raises(UserError, match=r"'configs/vgi.py' does not exist; did you mean 'vig'"):
        recipes.load("configs/vgi.py:small")


def test_a_mistake_in_a_recipe_is_told_with_its_line(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("def get_config(variant='a'):\n    return {'a': {}}[variant]\n")
    with pytest.raises(UserError, match=r"own.py, line 2: KeyError: 'b' \(variant 'b'\)"):
        recipes.load(f"{path}:b")
    path.write_text("from nowhere import everything\n")
    with pytest.raises(UserError, match=r"own.py, line 1: ModuleNotFoundError: No module named"):
        recipes.load(str(path))

"""Tables that anybody may add to: names, references, and the messages of both."""

import pytest

from vqe_jax.errors import UserError
from vqe_jax.registry import Registry, check_options, resolve


@pytest.fixture
def numbers():
    return Registry(
        "number",
        {"one": 1, "pi": "math:pi"},
        check=lambda x: isinstance(x, int | float),
        expected="a number",
    )


def test_entries_are_found_by_name_and_by_reference(numbers):
    assert numbers.get("one") == 1
    assert numbers.get("pi") == pytest.approx(3.14159, abs=1e-5)
    assert numbers.get("math:e") == pytest.approx(2.71828, abs=1e-5)
    assert numbers["one"] == 1 and list(numbers) == ["one", "pi"]
    assert "pi" in numbers and "math:e" in numbers and "e" not in numbers


def test_a_registered_entry_is_found_until_it_is_taken_out(numbers):
    numbers.register("two", 2)
    assert numbers.get("two") == 2 and numbers.names() == ["one", "pi", "two"]
    numbers.register("two", 2)  # the same again, as a module that is imported twice does
    numbers.unregister("two")
    with pytest.raises(UserError, match=r"number 'two' does not exist; known: one, pi"):
        numbers.get("two")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("on", r"number 'on' does not exist; did you mean 'one'\?"),
        ("maths:pi", r"number 'maths:pi': there is no module 'maths'; write 'package.module:Name'"),
        ("math:pie", r"'math' has no 'pie'; did you mean 'pi'"),
        ("math:", r"'math' has no ''"),
        (":pi", r"there is no module ''"),
        ("math:sqrt", r"number 'math:sqrt' is <built-in function sqrt>; expected a number"),
        (".math:pi", r"there is no module '.math'"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(numbers, name, message):
    with pytest.raises(UserError, match=message) as caught:
        numbers.get(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("one", 11, "number 'one' is registered already"),
        ("a:b", 1, "a name has no colon"),
        ("three", "math", None),
        ("none", None, "number 'none' is None; expected a number"),
    ],
)
def test_what_cannot_be_registered(numbers, name, entry, message):
    if message is None:  # a reference is looked up when it is used
        numbers.register(name, entry)
        with pytest.raises(UserError, match="'math' has no ''"):
            numbers.get(name)
        return
    with pytest.raises(UserError, match=message):
        numbers.register(name, entry)


def test_a_module_that_fails_on_its_own_says_so(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import a_library_that_is_not_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_not_here"):
        resolve("needs_more:Net", "model")


def test_options_are_what_may_be_left_out_and_nobody_else_gives():
    def loss(prediction, target, eps=1.0, *, weight=None):
        return prediction, target, eps, weight

    check_options("loss 'x'", loss, {"eps": 2.0}, given=("weight",))
    with pytest.raises(UserError, match=r"loss 'x' has no option 'esp'; did you mean 'eps'"):
        check_options("loss 'x'", loss, {"esp": 2.0})
    with pytest.raises(UserError, match=r"loss 'x' has no option 'weight'; known: eps"):
        check_options("loss 'x'", loss, {"weight": 2.0}, given=("weight",))
    check_options("loss 'y'", lambda **anything: anything, {"any": 1})


@pytest.mark.parametrize("value", ["high", True, None, [0.5]])
def test_a_number_is_asked_for(value):
    def corruption(key, batch, *, ratio: float = 0.5, patch: int = 8, mode: str | None = None):
        return key, batch, ratio, patch, mode

    check_options("corruption 'x'", corruption, {"ratio": 1, "patch": 4, "mode": value})
    with pytest.raises(UserError, match=r"corruption 'x': ratio=.* is no float"):
        check_options("corruption 'x'", corruption, {"ratio": value})
    with pytest.raises(UserError, match=r"corruption 'x': patch=.* is no int"):
        check_options("corruption 'x'", corruption, {"patch": value})

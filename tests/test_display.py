"The display shows seldom, in the form that fits the place, and nothing where it was switched off."

import pytest

from llm_practice.engine.display import LiveDisplay, in_notebook


def no_figure():
    pytest.fail("a figure was made though none is shown")


def test_a_terminal_gets_one_line_that_is_renewed(capsys):
    assert not in_notebook()
    display = LiveDisplay(3)
    for step in range(1, 4):
        display.update(step, f"step {step}", no_figure, last=step == 3)
    shown = capsys.readouterr().out
    assert shown.startswith("\rstep 1") and shown.endswith("\rstep 3\n") and "step 2" not in shown


def test_switched_off_it_says_nothing(capsys):
    LiveDisplay(3, show=False).update(3, "done", no_figure, last=True)
    assert capsys.readouterr().out == ""


def test_in_a_notebook_bar_and_curve_are_renewed_in_place(monkeypatch):
    shown = []

    class Handle:
        def update(self, value):
            shown.append(("renewed", value))

    def display(value, display_id):
        shown.append(("new", value))
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    live = LiveDisplay(2)
    live.kind = "notebook"
    live.update(1, "step 1", lambda: "picture 1")
    live.update(2, "step 2", lambda: "picture 2", last=True)
    assert [what for what, _ in shown] == ["new", "new", "renewed", "renewed"]
    bar, first, end, second = (value for _, value in shown)
    assert 'value="1" max="2"' in bar.data and "progress" not in end.data and "step 2" in end.data
    assert (first, second) == ("picture 1", "picture 2")

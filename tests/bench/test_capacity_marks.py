"""The marks after a module's name in `python -m bench capacity`."""

import pytest

from bench import capacity


def test_marks_put_their_settings_into_the_environment():
    assert capacity.environment_of(["tls", "2"]) == {}
    assert capacity.environment_of(["unsaved"]) == {"RESUME": "off"}


def test_what_is_no_mark_is_refused_and_not_measured_as_if_it_were():
    with pytest.raises(SystemExit, match=r"expected tls, huge, unsaved or a number"):
        capacity.environment_of(["unsafed"])

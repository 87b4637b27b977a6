"""Variables as people write them."""

import pytest

from bridge.settings.environment import (
    EnvironmentFileError,
    read_dotenv,
    read_environment,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"# a comment\n\nA=1\n", {"A": "1"}),
        (b"export A = two words # said so\n", {"A": "two words"}),
        (
            b"A='x # y' # z\nB=\"q # r\" # s\nC=u#v\n",
            dict(A="x # y", B="q # r", C="u#v"),
        ),
        (b"A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        (b"\xef\xbb\xbfA=1\n", {"A": "1"}),
        ("A=שלום\n".encode("utf-16"), {"A": "שלום"}),
        (b"A=\nB=''\n", {}),
        (b"A=1\nA=2\n", {"A": "2"}),
        (b"A=x${HOME}y\n", {"A": "x${HOME}y"}),
        (b'A={"m":{"audio_in":32}}\n', {"A": '{"m":{"audio_in":32}}'}),
    ],
)
def test_file_is_read_as_people_write_it(tmp_path, text, found):
    path = tmp_path / ".env"
    path.write_bytes(text)

    assert read_dotenv(path) == found


def test_every_line_that_is_no_assignment_is_named(tmp_path):
    path = tmp_path / ".env"
    path.write_text("A=1\n\nPORT\n# x\n=1\nA B=1\nKEY: x\nB=\"open\nC='a'b\n")

    with pytest.raises(EnvironmentFileError) as raised:
        read_dotenv(path)

    assert raised.value.lines == tuple(
        f"{path}:{number}: expected NAME=value, quotes closed"
        for number in (3, 5, 6, 7, 8, 9)
    )


def test_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(b"A=\xff\n")

    with pytest.raises(EnvironmentFileError, match="readable text file"):
        read_dotenv(path)


def test_environment_goes_before_the_file_unless_it_is_empty():
    env = {"A": "1", "B": " ", "C": "'q'", "D": '"'}

    assert read_environment(env, {"A": "2", "B": "3"}) == {
        "A": "1",
        "B": "3",
        "C": "q",
        "D": '"',
    }


def test_proxies_are_read_in_small_letters_too():
    env = {"https_proxy": "small", "NO_PROXY": "large", "no_proxy": "small"}

    given = read_environment(env, {})
    assert (given["HTTPS_PROXY"], given["NO_PROXY"]) == ("small", "large")

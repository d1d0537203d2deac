"""One uploaded text: what is read as it stands, and what is refused in a clear sentence."""

from __future__ import annotations

import pytest

from core.data.text import decode
from core.errors import BadInput
from core.tasks import Example

TEXT = "Ñandú: e\u0301 שלום 詩 👩‍👩‍👧\r\n\t<script>alert(1)</script> \x0c&amp;"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"]
)  # the last two write a byte-order mark
def test_text_comes_out_as_it_stands(encoding: str) -> None:
    assert decode(Example("t", TEXT.encode(encoding))) == TEXT


@pytest.mark.parametrize("mark", ["utf-16-be", "utf-32-be"])
def test_big_endian_with_a_mark(mark: str) -> None:
    assert decode(Example("t", f"\ufeff{TEXT}".encode(mark))) == TEXT


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b" \n\t ", "holds only spaces"),
        ("\u3000\u200b\ufeff".encode(), "holds only spaces"),
        (b"\xef\xbb\xbf", "holds only spaces"),
        (b"abc\xff", "not UTF-8 text: byte 3 "),
        (b"\xef\xbb\xbfabc\xff", "not UTF-8 text: byte 6 "),
        (b"a" * 12_345 + b"\xc3", "byte 12,345 "),
        ("hällo".encode("utf-16")[:-1], "not UTF-16 text: byte 10 "),
        (b"\xff\xfe\x00\xd8a\x00", "not UTF-16 text: byte 2 "),
        (b"\xff\xfe\0\0\xff\xff\xff\xff", "not UTF-32 text: byte 4 "),
        (b"a\0b", "character 2 is a null byte"),
        ("no mark".encode("utf-16-le"), "character 2 is a null byte"),
        (b"red \x1b[31mred", "character 5 is the control code U+001B"),
        (b"x" * 5_000_000, "has 5,000,000 bytes, a text may have 1,000,000"),
        (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3", "not UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8"),
    ],
)
def test_what_is_no_text_is_one_sentence(data: bytes, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        decode(Example("t.txt", data))
    assert said in str(refused.value)
    assert str(refused.value).startswith("'t.txt' ")
    assert refused.value.next_step
    assert len(str(refused.value).splitlines()) == 1


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(BadInput, match="empty"):
        Example("t", b"")


def test_a_line_of_a_megabyte_is_read() -> None:
    assert len(decode(Example("t", b"x" * 1_000_000))) == 1_000_000

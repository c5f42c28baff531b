"""Labels as people write them."""

import pytest

from bastide.network.traffic.identity.labels import BadLabels, Label, names, parse_labels


def test_labels_are_read_whatever_the_form_of_the_address() -> None:
    text = "\ufefflabel, MAC ,note,capture\nplug,AA-BB-CC-00-11-22,x,a/one.pcap\ncam,aabb.cc00.1123,,b.pcap\n"
    assert parse_labels(text) == (
        Label("a/one.pcap", "aa:bb:cc:00:11:22", "plug"),
        Label("b.pcap", "aa:bb:cc:00:11:23", "cam"),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no column capture"),
        ("capture,mac\na,b\n", "no column label"),
        ("capture,mac,label\n", "no row"),
        ("capture,mac,label\na,zz,x\n", "Row 2.*not a MAC"),
        ("capture,mac,label\n,aabbcc001122,x\n", "lacks a capture"),
        ("capture,mac,label\na,aabbcc001122,\n", "lacks a label"),
        ("capture,mac,label\na,aabbcc001122,x\na,aabbcc001122,y\n", "labelled both x and y"),
        ('capture,mac,label\n"a,aabbcc001122,x\n', "not CSV"),
    ],
)
def test_labels_that_cannot_be_read_are_refused_with_the_row(text: str, why: str) -> None:
    with pytest.raises(BadLabels, match=why):
        parse_labels(text)


def test_a_capture_is_named_by_the_end_of_its_path() -> None:
    assert names("Aria/one.pcap", "/data/Aria/one.pcap")
    assert names("one.pcap", "/data/Aria/one.pcap")
    assert not names("Hue/one.pcap", "/data/Aria/one.pcap")
    assert not names("ria/one.pcap", "/data/Aria/one.pcap")

# ruff: noqa: E501 - lists of makers and fingerprints as they are
"""Fingerprint bases that others maintain: recog's banners, IEEE's and Wireshark's lists of makers."""

import contextlib
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.network.traffic.identity.recog import BadRecog, Recog
from bastide.network.traffic.oui import BadPrefixes, read_prefixes, vendor_of

SSH = b"""<?xml version="1.0"?>
<fingerprints matches="ssh.banner" protocol="ssh" database_type="service">
  <fingerprint pattern="^dropbear_(\\S+)$"><description>Dropbear</description>
    <param pos="0" name="service.vendor" value="Dropbear SSH Project"/><param pos="0" name="service.product" value="Dropbear SSH"/>
    <param pos="1" name="service.version"/><param pos="0" name="service.cpe23" value="cpe:/a:dropbear:{service.version}"/></fingerprint>
  <fingerprint pattern="^OPENSSH_([\\d.]+)" flags="REG_ICASE">
    <param pos="0" name="service.vendor" value="OpenBSD"/><param pos="0" name="service.product" value="OpenSSH {service.version}"/>
    <param pos="1" name="service.version"/><param pos="0" name="service.certainty" value="0.5"/></fingerprint>
  <fingerprint pattern="^(a+)+$"><param pos="0" name="service.vendor" value="never"/></fingerprint>
  <fingerprint pattern="(unclosed"><param pos="0" name="service.vendor" value="never"/></fingerprint>
</fingerprints>"""
HTTP = b"""<fingerprints matches="http_header.server"><fingerprint pattern="^Boa/((?:\\d+\\.)+\\w+)">
  <param pos="0" name="service.product" value="Boa"/><param pos="1" name="service.version"/></fingerprint></fingerprints>"""


@pytest.fixture
def recog() -> Recog:
    made = Recog({})
    made.add(SSH)
    made.add(HTTP)
    return made


def test_banners_tell_vendor_product_and_version_with_what_knew_them(recog: Recog) -> None:
    said = [("server", "SSH-2.0-dropbear_2012.55"), ("server", "Boa/0.94.13"), ("server", "nobody/1")]
    told = {one.product: one for one in recog.recognise(said)}
    assert set(told) == {"Dropbear SSH", "Boa"}
    assert told["Dropbear SSH"].as_json() == {
        "vendor": "Dropbear SSH Project", "product": "Dropbear SSH", "version": "2012.55", "confidence": 0.85,
        "source": "recog ssh.banner", "text": "dropbear_2012.55",
    }  # fmt: skip
    assert told["Boa"].version == "0.94.13"


def test_flags_other_facts_and_certainty_are_taken(recog: Recog) -> None:
    (told,) = recog.recognise([("server", "SSH-2.0-OpenSSH_9.2p1 Debian")])
    assert (told.product, told.version, told.certainty) == ("OpenSSH 9.2", "9.2", 0.5)


def test_patterns_that_cannot_be_used_are_left_out_and_counted(recog: Recog) -> None:
    assert recog.left_out == 2
    assert recog.recognise([("server", "SSH-2.0-" + "a" * 200 + "!")]) == ()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"no xml",
        b"<html/>",
        b"<fingerprints/>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><fingerprints matches="x"/>',
        b"\xff\xfe<",
    ],
)
def test_what_is_none_of_recogs_documents_is_refused(octets: bytes) -> None:
    with pytest.raises(BadRecog):
        Recog({}).add(octets)


@given(st.text(max_size=40), st.text(max_size=80))
def test_any_pattern_and_text_end(pattern: str, text: str) -> None:
    if not all(sign.isprintable() for sign in pattern):
        return
    made = Recog({})
    made.add(
        f'<fingerprints matches="http_header.server"><fingerprint pattern={quoteattr(pattern)}>'
        '<param pos="1" name="service.version"/><param pos="0" name="service.vendor" value="x"/></fingerprint></fingerprints>'.encode()
    )
    made.recognise([("server", text)])


@pytest.mark.parametrize(
    ("octets", "mac", "name"),
    [
        (b"00-17-88   (hex)\t\tPhilips Lighting BV\n001788     (base 16)\t\tPhilips\n", "00:17:88:00:00:01", "Philips Lighting BV"),
        (b"Registry,Assignment,Organization Name,Organization Address\nMA-L,001788,\"Philips, BV\",NL\n", "00:17:88:aa:bb:cc", "Philips, BV"),
        (b"Registry,Assignment,Organization Name,Organization Address\nMA-M,0050C21,Small Maker,X\n", "00:50:c2:1f:00:01", "Small Maker"),
        (b"# manuf\n00:17:88\tPhilipsL\tPhilips Lighting BV\n", "00:17:88:00:00:01", "Philips Lighting BV"),
        (b"00:1B:C5:00:00:00/36\tConverging\tConverging Systems\n", "00:1b:c5:00:01:02", "Converging Systems"),
        (b"00-17-88   (hex)\t\tPhilips\n", "a8:00:00:00:00:01", "asked elsewhere"),
    ],
)  # fmt: skip
def test_lists_of_makers_are_read_in_the_forms_that_there_are(octets: bytes, mac: str, name: str) -> None:
    assert vendor_of(read_prefixes(octets), lambda _: "asked elsewhere")(mac) == name


def test_the_longest_prefix_wins_and_a_block_that_is_dealt_out_is_nobodys() -> None:
    listed = b"Registry,Assignment,Organization Name,Organization Address\nMA-L,70B3D5,IEEE Registration Authority,X\nMA-S,70B3D5001,Tiny,X\n"
    vendor = vendor_of(read_prefixes(listed), lambda _: None)
    assert vendor("70:b3:d5:00:10:00") == "Tiny"
    assert vendor("70:b3:d5:ff:f0:00") is None


@given(st.binary(max_size=400))
def test_any_list_is_read_or_refused(octets: bytes) -> None:
    with contextlib.suppress(BadPrefixes):
        assert read_prefixes(octets)

"""Each dissector reads its samples, keeps no secret, and answers anything else with a message or with Malformed."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.network.traffic.dissect import BY_PROTOCOL, DISSECTORS, Context, Malformed, Message, dissect
from bastide.network.traffic.dissect.message import LIMIT, Incomplete
from bastide.network.traffic.dissect.tls import ja4
from tests.domain.network.traffic.samples import ASKS_TCP, ASKS_UDP, SAMPLES, Sample, client_hello, tls_record

# RFC 9001, A.2: a client's initial packet as it is on the wire, after header protection.
RFC9001_A2 = bytes.fromhex(
    "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec356c"
    "0bab7df5976d27cd449f63300099f3991c260ec4c60d17b31f8429157bb35a1282a643a8d2262cad67500cadb8e7378c"
    "8eb7539ec4d4905fed1bee1fc8aafba17c750e2c7ace01e6005f80fcb7df621230c83711b39343fa028cea7f7fb5ff89"
    "eac2308249a02252155e2347b63d58c5457afd84d05dfffdb20392844ae812154682e9cf012f9021a6f0be17ddd0c208"
    "4dce25ff9b06cde535d0f920a2db1bf362c23e596d11a4f5a6cf3948838a3aec4e15daf8500a6ef69ec4e3feb6b1d98e"
    "610ac8b7ec3faf6ad760b7bad1db4ba3485e8a94dc250ae3fdb41ed15fb6a8e5eba0fc3dd60bc8e30c5c4287e53805db"
    "059ae0648db2f64264ed5e39be2e20d82df566da8dd5998ccabdae053060ae6c7b4378e846d29f37ed7b4ea9ec5d82e7"
    "961b7f25a9323851f681d582363aa5f89937f5a67258bf63ad6f1a0b1d96dbd4faddfcefc5266ba6611722395c906556"
    "be52afe3f565636ad1b17d508b73d8743eeb524be22b3dcbc2c7468d54119c7468449a13d8e3b95811a198f3491de3e7"
    "fe942b330407abf82a4ed7c1b311663ac69890f4157015853d91e923037c227a33cdd5ec281ca3f79c44546b9d90ca00"
    "f064c99e3dd97911d39fe9c5d0b23a229a234cb36186c4819e8b9c5927726632291d6a418211cc2962e20fe47feb3edf"
    "330f2c603a9d48c0fcb5699dbfe5896425c5bac4aee82e57a85aaf4e2513e4f05796b07ba2ee47d80506f8d2c25e50fd"
    "14de71e6c418559302f939b0e1abd576f279c4b2e0feb85c1f28ff18f58891ffef132eef2fa09346aee33c28eb130ff2"
    "8f5b766953334113211996d20011a198e3fc433f9f2541010ae17c1bf202580f6047472fb36857fe843b19f5984009dd"
    "c324044e847a4f4a0ab34f719595de37252d6235365e9b84392b061085349d73203a4a13e96f5432ec0fd4a1ee65accd"
    "d5e3904df54c1da510b0ff20dcc0c77fcb2c0e0eb605cb0504db87632cf3d8b4dae6e705769d1de354270123cb11450e"
    "fc60ac47683d7b8d0f811365565fd98c4c8eb936bcab8d069fc33bd801b03adea2e1fbc5aa463d08ca19896d2bf59a07"
    "1b851e6c239052172f296bfb5e72404790a2181014f3b94a4e97d117b438130368cc39dbb2d198065ae3986547926cd2"
    "162f40a29f0c3c8745c0f50fba3852e566d44575c29d39a03f0cda721984b6f440591f355e12d439ff150aab7613499d"
    "bd49adabc8676eef023b15b65bfc5ca06948109f23f350db82123535eb8a7433bdabcb909271a6ecbcb58b936a88cd4e"
    "8f2e6ff5800175f113253d8fa9ca8885c2f552e657dc603f252e1a8e308f76f0be79e2fb8f5d5fbbe2e30ecadd220723"
    "c8c0aea8078cdfcb3868263ff8f0940054da48781893a7e49ad5aff4af300cd804a6b6279ab3ff3afb64491c85194aab"
    "760d58a606654f9f4400e8b38591356fbf6425aca26dc85244259ff2b19c41b9f96f3ca9ec1dde434da7d2d392b905dd"
    "f3d1f9af93d1af5950bd493f5aa731b4056df31bd267b6b90a079831aaf579be0a39013137aac6d404f518cfd4684064"
    "7e78bfe706ca4cf5e9c5453e9f7cfd2b8b4c8d169a44e55c88d4a9a7f9474241e221af44860018ab0856972e194cd934"
)


def reach(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value[int(step)] if step.isdigit() else value[step]
    return value


def test_every_dissector_has_a_sample_under_each_name_that_it_reads() -> None:
    sampled = {sample.reads for sample in SAMPLES}
    wanted = {name for each in DISSECTORS for name in each.reads} - {"cotp", "s7comm-plus"}
    assert wanted <= sampled, "a dissector without samples"
    assert sampled <= set(BY_PROTOCOL)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.reads)
def test_a_sample_is_read_and_says_what_it_says(sample: Sample) -> None:
    message = dissect(sample.reads, sample.payload, sample.context)
    for path, expected in sample.fields.items():
        assert reach(message.fields, path) == expected
    said = {(said.word, said.value) for said in message.said}
    assert set(sample.said) <= said
    if sample.unsaid:
        assert sample.unsaid not in repr(message)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.reads)
def test_a_sample_that_is_cut_anywhere_is_a_message_or_malformed(sample: Sample) -> None:
    for cut in range(len(sample.payload)):
        _read(sample.reads, sample.payload[:cut], sample.context)


@pytest.mark.parametrize("reads", sorted(BY_PROTOCOL))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_octets_are_a_message_or_malformed(reads: str, data: st.DataObject) -> None:
    seeds = [sample.payload for sample in SAMPLES if sample.reads == reads] or [b"\x03\0\0\x16\x11\xe0"]
    payload = bytearray(data.draw(st.one_of(st.binary(max_size=300), st.sampled_from(seeds))))
    for _ in range(data.draw(st.integers(0, 6))):
        if payload:
            payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    transport = data.draw(st.sampled_from(["tcp", "udp", "link"]))
    context = Context(transport, data.draw(st.sampled_from([53, 5353, 4000])), 137, data.draw(st.booleans()))
    message = _read(reads, bytes(payload), context)
    if message is not None:
        assert len(message.said) <= 2 * LIMIT
        assert all(len(said.value) <= 1024 for said in message.said)


def _read(reads: str, payload: bytes, context: Context) -> Message | None:
    try:
        return dissect(reads, payload, context)
    except Malformed:
        return None


def test_a_client_hello_that_goes_on_in_the_next_segment_is_waited_for() -> None:
    whole = tls_record(client_hello())
    for cut in range(5, len(whole)):
        with pytest.raises(Incomplete):
            dissect("tls", whole[:cut], ASKS_TCP)


def test_ja4_is_foxio_s_own_example() -> None:
    """github.com/FoxIO-LLC/ja4, technical_details/JA4.md: the hello of Chrome in its first section."""
    ciphers = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
    extensions = "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015"
    algorithms = "0403,0804,0401,0503,0805,0501,0806,0601"
    hello = {
        "version": 0x0303,
        "supported_versions": [0x0A0A, 0x0304, 0x0303],
        "ciphers": [0x0A0A, *(int(code, 16) for code in ciphers.split(","))],
        "extensions": [0x1A1A, *(int(code, 16) for code in extensions.split(","))],
        "alpn_raw": [b"h2", b"http/1.1"],
        "signature_algorithms": [int(code, 16) for code in algorithms.split(",")],
    }
    assert ja4("t", hello) == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_the_client_hello_of_rfc_9001_is_opened() -> None:
    message = dissect("quic", RFC9001_A2, ASKS_UDP)
    assert message.fields["sni"] == "example.com"
    assert message.fields["version"] == "1"


def test_a_changed_quic_packet_is_not_opened() -> None:
    changed = bytearray(RFC9001_A2)
    changed[700] ^= 1
    assert dissect("quic", bytes(changed), ASKS_UDP).fields["opened"] is False


def test_a_compression_pointer_that_goes_round_ends() -> None:
    loop = b"\0\1\x01\0\0\1\0\0\0\0\0\0\x03abc\xc0\x0c\0\1\0\1"
    with pytest.raises(Malformed):
        dissect("dns", loop, ASKS_UDP)


def test_what_a_device_says_cannot_steer_a_terminal() -> None:
    evil = b"HTTP/1.1 200 OK\r\nServer: \x1b[2Jboo\x07\r\n\r\n"
    said = dissect("http", evil, ASKS_TCP).said
    assert ("server", "[2Jboo") in {(one.word, one.value) for one in said}

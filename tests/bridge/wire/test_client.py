"""A client's address: the last proxy's word alone, and only that of a near one."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from bridge.wire.client import address_of, counted_as


@pytest.mark.parametrize(
    ("peer", "said", "address"),
    [
        ("127.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.2", ["forged, 192.0.2.7"], "192.0.2.7"),
        ("fd00::1", ["192.0.2.7"], "192.0.2.7"),
        ("::ffff:10.0.0.2", ["192.0.2.7"], "192.0.2.7"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("8.8.8.8", ["192.0.2.7"], "8.8.8.8"),
        ("::ffff:8.8.8.8", ["192.0.2.7"], "::ffff:8.8.8.8"),
        ("172.217.1.1", ["192.0.2.7"], "172.217.1.1"),
        ("", ["192.0.2.7"], ""),
        # HAProxy's `option forwardfor` adds a header behind the client's own.
        ("10.0.0.2", ["192.0.2.66", "192.0.2.7"], "192.0.2.7"),
        # Some proxies name the client's port, which is another at each connection.
        ("10.0.0.2", ["192.0.2.7:49152"], "192.0.2.7"),
        ("10.0.0.2", ["[2001:db8::7]:49152"], "2001:db8::7"),
        ("10.0.0.2", ["2001:DB8:0::7"], "2001:db8::7"),
        ("10.0.0.2", ["unknown"], "10.0.0.2"),
    ],
)
def test_a_client_s_address_is_what_the_last_proxy_says(peer, said, address):
    headers = CIMultiDict([("X-Forwarded-For", one) for one in said])
    request = make_mocked_request("GET", "/", headers=headers)
    assert address_of(request.clone(remote=peer)) == address


def test_tries_of_one_network_of_ipv6_are_those_of_one_client():
    assert counted_as("2001:db8::7") == counted_as("2001:db8::ffff:8")
    assert counted_as("2001:db8::7") != counted_as("2001:db8:0:1::7")
    assert counted_as("192.0.2.7") == "192.0.2.7"
    assert counted_as("::ffff:192.0.2.7") != counted_as("::ffff:192.0.2.8")
    assert counted_as("") == ""

"""Where notices may go: public addresses over https, one e-mail address."""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge.notices.addresses import Forbidden, PublicResolver, is_public
from bridge.notices.targets import TargetError, allowed_hosts, check_target

NOBODY = frozenset()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "0.0.0.0"),
        *("169.254.169.254", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1"),
        *("240.0.0.1", "255.255.255.255", "192.88.99.1", "203.0.113.5"),
        *(
            "::1",
            "::",
            "fe80::1",
            "fe80::1%eth0",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
        ),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "fec0::1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001::1"),
        "2001:db8::1",
    ],
)
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "ftp://example.com/",
        "https://",
        "https:///path",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        # Full stops and digits of other scripts, which become those of an address.
        "https://127\u30020\u30020\u30021/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://\u2460\u2461\u2466.0.0.1/",
        "https://\U0001d7cf\U0001d7ce.0.0.1/",
        "https://user:word@example.com/",
        "https://example.com:port/",
        "https://example.com/a b",
        "https://example.com/#part",
        "https://example.com/\nx",
        "https://example.com/" + "x" * 500,
    ],
)
def test_urls_that_are_refused(url):
    with pytest.raises(TargetError, match="expected"):
        check_target("webhook", url, NOBODY)


def test_allowed_host_needs_neither_https_nor_a_public_address():
    allowed = allowed_hosts(" Localhost, 127.0.0.1 ")

    for url in ("http://localhost:8080/x", "https://LOCALHOST/", "http://127.0.0.1/"):
        assert check_target("webhook", f" {url} ", allowed) == url
    with pytest.raises(TargetError, match="https"):
        check_target("webhook", "http://localhost.example.com/", allowed)


@pytest.mark.parametrize(
    "address",
    ["dana", "dana@", "@example.com", "a@b.com,c@d.com", "a b@c.com", "a@c\n.com"],
)
def test_what_is_no_email_address(address):
    with pytest.raises(TargetError, match="e-mail address"):
        check_target("email", address, NOBODY)
    assert check_target("email", " a.b+c@mail.example.com ", NOBODY)


class Names:
    """A resolver whose names have the given addresses."""

    def __init__(self, **names):
        self.names = names

    async def resolve(self, host, port, family):
        return [{"host": one} for one in self.names[host]]

    async def close(self):
        """Hold nothing."""


def test_every_address_of_a_name_is_checked():
    async def story():
        names = Names(good=["8.8.8.8"], mixed=["8.8.8.8", "10.0.0.1"], own=["10.0.0.1"])
        resolver = PublicResolver(frozenset(("own",)), names)
        assert await resolver.resolve("good") == [{"host": "8.8.8.8"}]
        assert await resolver.resolve("own") == [{"host": "10.0.0.1"}]
        with pytest.raises(Forbidden, match=r"mixed leads to 10\.0\.0\.1"):
            await resolver.resolve("mixed")

    asyncio.run(story())


def test_names_that_are_not_answered_keep_no_other_look_up_waiting(monkeypatch):
    answered = threading.Event()
    look_up = socket.getaddrinfo

    def dead(host, *more, **named):
        if host == "dead.example":
            answered.wait(10)
            host = "127.0.0.1"
        return look_up(host, *more, **named)

    async def story():
        loop = asyncio.get_running_loop()
        # The fewer threads the loop has for its own, the sooner they would be taken.
        loop.set_default_executor(ThreadPoolExecutor(1))
        resolver = PublicResolver(NOBODY)
        asked = [asyncio.ensure_future(resolver.resolve("dead.example", 443))]
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(5):
                assert await loop.getaddrinfo("localhost", 443)
        finally:
            answered.set()
        (refused,) = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(refused, Forbidden)
        await resolver.close()

    monkeypatch.setattr(socket, "getaddrinfo", dead)
    asyncio.run(story())

"""What is kept of businesses is their own, for this service, and not for long."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from bridge.business.cache import BusinessCache
from crm.businesses import Business, Closure, Hours, Service

NUMBER, OTHER = "+97231234567", "+12025550123"
NOW = datetime.now(UTC)


def business(number=NUMBER, **fields):
    given = {
        "id": UUID(int=1),
        "name": "מספרת דנה",
        "language": "he",
        "country": "IL",
        "time_zone": "Asia/Jerusalem",
        "greeting": "שלום",
        "custom_prompt": "Offer coffee.",
        "fallback_sentence": "נחזור אליכם.",
        "required_fields": ("name",),
        "settings": {"openai_voice": "cedar", "turn_silence_ms": 600},
        "services": (Service("Haircut", 30, 5),),
        "hours": (Hours(0, 540, 1_080),),
        "closures": (Closure(date(2026, 12, 1), date(2026, 12, 2), "holiday"),),
        "numbers": (number,),
    }
    return Business(**{**given, **fields})


def test_business_comes_back_as_it_was(tmp_path):
    cache = BusinessCache(tmp_path / "businesses", 24)
    cache.keep(NUMBER, business())
    cache.keep(NUMBER, business(name="Dana"))

    found = BusinessCache(tmp_path / "businesses", 24).find(NUMBER, NOW)

    assert found.business == business(name="Dana")
    (path,) = (tmp_path / "businesses").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_old_is_not_used(tmp_path):
    cache = BusinessCache(tmp_path, 24)
    cache.keep(NUMBER, business())

    assert cache.find(NUMBER, NOW + timedelta(hours=23)) is not None
    assert cache.find(NUMBER, NOW + timedelta(hours=25)) is None


def test_file_of_another_tenant_serves_nobody(tmp_path):
    cache = BusinessCache(tmp_path, 24)
    cache.keep(NUMBER, business())
    (path,) = tmp_path.iterdir()
    path.rename(tmp_path / f"{OTHER[1:]}.json")

    assert cache.find(OTHER, NOW) is None


@pytest.mark.parametrize("number", ["", "../../etc/passwd", "+1/2", "sip:dana", "\0"])
def test_what_is_no_number_names_no_file(tmp_path, number):
    (tmp_path / "secret.json").write_text("{}")
    cache = BusinessCache(tmp_path / "businesses", 24)
    assert cache.find(number, NOW) is None
    cache.forget(number)
    assert (tmp_path / "secret.json").exists()


@pytest.mark.parametrize("text", ["", "{", '{"business":{}}', "\udcff"])
def test_file_that_cannot_be_read_is_none(tmp_path, text):
    cache = BusinessCache(tmp_path, 24)
    cache.keep(NUMBER, business())
    (path,) = tmp_path.iterdir()
    path.write_bytes(text.encode("utf-8", "surrogateescape"))

    assert cache.find(NUMBER, NOW) is None


def test_what_nobody_has_is_forgotten(tmp_path):
    cache = BusinessCache(tmp_path, 24)
    for number in (NUMBER, OTHER):
        cache.keep(number, business(number))
    cache.forget_others([OTHER])
    assert cache.find(NUMBER, NOW) is None
    assert cache.find(OTHER, NOW) is not None

    cache.forget(OTHER)
    cache.forget(OTHER)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_kept_where_it_is_off(tmp_path):
    BusinessCache(tmp_path, 24).keep(NUMBER, business())
    off = BusinessCache(tmp_path, 0)
    assert off.find(NUMBER, NOW) is None
    off.forget(NUMBER)
    off.keep(OTHER, business(OTHER))
    assert len(list(tmp_path.iterdir())) == 1

    off.forget_others(())
    assert list(tmp_path.iterdir()) == []


def test_threads_that_keep_one_number_are_in_nobodys_way(tmp_path):
    cache = BusinessCache(tmp_path / "businesses", 24)
    cache.keep(NUMBER, business())

    def keep_and_find(_):
        cache.keep(NUMBER, business())
        return cache.find(NUMBER, NOW) is not None

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(keep_and_find, range(400)))
    assert len(list((tmp_path / "businesses").iterdir())) == 1

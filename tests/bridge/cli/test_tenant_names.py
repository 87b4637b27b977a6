"""Names, days and services at the command line, in the ways that people type them."""

import asyncio

import pytest

from crm.businesses import Service
from crm.database import Database
from tests.bridge.cli.test_tenant import stored


@pytest.mark.parametrize("typed", [" {}\u00a0", "\ufeff{}"])
def test_a_business_is_found_by_its_name_however_typed(shell, salon, typed):
    name = typed.format(salon.upper())
    assert shell("tenant", "show", name)[0] == 0

    code, _, error = shell("tenant", "create", name)
    assert code == 2
    assert "there is a business of this name" in error


def test_a_business_is_imported_again_by_its_name_however_typed(shell, salon, tmp_path):
    (tmp_path / "salon.toml").write_text(f'name = "{salon.lower()} "\n')

    assert "changed" in shell("tenant", "import", "salon.toml")[1]


def test_hours_are_set_for_many_days_at_once(shell, salon):
    typed = ("tenant", "hours", salon)
    shell(*typed, "Mon-Wed", "08:00-12:00")

    _, out, _ = shell(*typed, "wed,Sat", "closed")

    assert [line.split()[1] for line in out.splitlines()] == [
        "closed",
        "08:00-12:00",
        "08:00-12:00",
        *["closed"] * 4,
    ]
    assert (
        "hours.funday: expected a day such as" in shell(*typed, "funday", "closed")[2]
    )


def test_hours_of_many_days_are_imported(shell, salon, tmp_path, embedded_url):
    text = f'name = "{salon}"\n[hours]\nmon-fri = ["09:00-17:00"]\n'
    (tmp_path / "salon.toml").write_text(text)

    assert shell("tenant", "import", "salon.toml")[0] == 0

    assert [one.dow for one in stored(embedded_url, salon).hours] == [1, 2, 3, 4, 5]


def test_a_service_keeps_its_row_however_its_name_is_typed(shell, salon, embedded_url):
    async def row_id():
        db = await Database.open(embedded_url, pool_max=1)
        async with db.tenant(business.id) as connection:
            found = await connection.fetchval("select id from services")
        await db.close()
        return found

    typed = ("tenant", "services", salon)
    shell(*typed, "Women\u2019s cut", "30")
    business = stored(embedded_url, salon)
    before = asyncio.run(row_id())

    for name in ("women's cut", " Women\u02bcs  CUT "):
        shell(*typed, name, "45")
        assert asyncio.run(row_id()) == before
    kept = stored(embedded_url, salon).services
    assert kept == (Service("Women\u02bcs CUT", 45),)
    assert shell(*typed, "women's cut", "--remove")[0] == 0
    assert stored(embedded_url, salon).services == ()


def test_text_that_no_document_can_hold_is_refused(
    shell, salon, embedded_url, tmp_path
):
    (tmp_path / "salon.toml").write_text(f'name = "{salon}"\ngreeting = "a\\u0007"\n')
    (tmp_path / "prompt.txt").write_text("Offer\x0b tea.")

    for typed in (
        ("set", salon, "fallback_sentence=Sorry\x1b."),
        ("set", salon, "greeting=Hello\x08"),
        ("create", "Other", "--fallback", "\ufffe"),
        ("prompt", salon, "prompt.txt"),
        ("import", "salon.toml"),
    ):
        code, _, error = shell("tenant", *typed)
        assert code == 2
        assert "expected text, got the character" in error
    assert stored(embedded_url, salon).fallback_sentence == ""

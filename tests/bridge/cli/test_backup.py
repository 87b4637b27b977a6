"""`kolbridge backup` and `restore` as they are typed."""

from tests.crm.test_migrate import empty_database


def test_a_backup_is_restored_into_an_empty_database(shell, embedded_url, monkeypatch):
    with empty_database(embedded_url) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        shell("tenant", "create", "Salon", "--number", "+12025550123")
        code, out, _ = shell("backup", "all.backup")
        assert code == 0
        assert out.startswith("written: 1 businesses, 3 rows in ")
        assert shell("restore", "all.backup")[0] == 1

    with empty_database(embedded_url) as url:
        monkeypatch.setenv("DATABASE_ADMIN_URL", url)
        code, again, _ = shell("restore", "all.backup")
        assert (code, again) == (0, out.replace("written", "restored"))
        assert "Salon" in shell("tenant", "list")[1]


def test_what_is_no_backup_is_one_line(shell, tmp_path):
    (tmp_path / "all.sql").write_text("-- PostgreSQL database dump")

    code, _, error = shell("restore", "all.sql")

    assert code == 1
    assert error.startswith("kolbridge restore: all.sql: this is no whole backup: ")
    assert error.count("\n") == 1

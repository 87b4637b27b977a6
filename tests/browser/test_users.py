"""An owner adds somebody, who comes in by the link and chooses a password."""

from uuid import uuid4


def test_owner_adds_staff_who_logs_in_with_the_link(desk, browser):
    login = f"noa-{uuid4().hex[:8]}@example.com"
    at = desk("en")
    page = at.go("users")
    page.get_by_label("E-mail address or login name").fill(login)
    page.get_by_label("Name", exact=True).fill("Noa")
    page.get_by_role("button", name="Add").click()
    link = page.get_by_label("Login link").input_value()
    page.get_by_role("button", name="I have copied it").click()
    row = page.get_by_role("row", name=login)
    assert "invited" in row.inner_text()

    guest = browser.new_context().new_page()
    guest.goto(link)
    guest.get_by_role("button", name="Log in").click()
    guest.wait_for_url("**/console/b/**")
    assert guest.get_by_role("link", name="Users").count() == 0
    guest.goto(f"{link.partition('/console')[0]}/console/account")
    guest.get_by_label("New password").fill("a long password of Noa's")
    guest.get_by_role("button", name="Change the password").click()
    guest.wait_for_url("**/console/account")
    guest.context.close()

    page.reload()
    assert "in use" in row.inner_text()
    row.locator("summary").click()
    row.get_by_role("button", name="Yes, remove").click()
    row.wait_for(state="detached")
    assert at.complaints == []

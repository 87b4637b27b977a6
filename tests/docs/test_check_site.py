import pytest

from scripts.check_site import faults_of


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<img src="//img.example/x.png">',
        '<link rel="stylesheet" href="https://fonts.example/css">',
        '<p style="background: url(https://img.example/x.png)">',
        '<iframe src="HTTPS://video.example/1"></iframe>',
        '<pre class="mermaid"></pre>',
    ],
)
def test_what_a_page_loads_from_another_host_is_a_fault(tmp_path, html):
    (tmp_path / "page.html").write_text(html)

    assert len(list(faults_of(tmp_path))) == 1


def test_what_a_style_sheet_loads_from_another_host_is_a_fault(tmp_path):
    (tmp_path / "a.css").write_text("@import 'https://fonts.example/a.css';")

    assert list(faults_of(tmp_path)) == [
        "a.css: loads https://fonts.example/a.css from another host"
    ]


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.com">a link to read</a>',
        '<script src="assets/x.js"></script>',
        '<img src="data:image/png;base64,AA==">',
        '<link rel="canonical" href="https://example.com/">',
    ],
)
def test_links_to_read_and_files_of_the_site_are_none(tmp_path, html):
    (tmp_path / "page.html").write_text(html)

    assert not list(faults_of(tmp_path))

"""The site: every link leads somewhere, nothing comes from elsewhere, and anybody can read it."""

import shutil
import subprocess

import pytest
from support.runs import PROJECT

PYTHON = PROJECT / ".venv" / "site" / "bin" / "python"
BUILD, CHECK = (PROJECT / "docs" / "site" / name for name in ("build.py", "check.py"))

pytestmark = pytest.mark.skipif(not PYTHON.is_file(), reason="`make site` was not run here")


def start(script, *arguments) -> subprocess.CompletedProcess:
    command = [PYTHON, script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project's pages, in both languages."""
    project = tmp_path_factory.mktemp("project")
    for name in ("mnist_rknn", "docs", "notebooks", "data"):
        ignored = shutil.ignore_patterns("__pycache__", "mnist")
        shutil.copytree(PROJECT / name, project / name, ignore=ignored)
    for name in ("README.md", "README.zh.md", "LICENSE"):
        shutil.copy(PROJECT / name, project / name)
    return project


@pytest.fixture(scope="module")
def site(project):
    run = project / "run"
    run.mkdir()
    (run / "report.html").write_text("<!doctype html><title>x</title><p>report")
    into = project / "site"
    built = start(project / "docs/site/build.py", "--run", run, "--into", into)
    assert built.returncode == 0, built.stderr
    return into


def test_links_accessibility_and_phone(site):
    looked_at = start(CHECK, site, "--sample", 3)
    assert looked_at.returncode == 0, looked_at.stdout + looked_at.stderr
    assert "pages, nothing found" in looked_at.stdout


@pytest.mark.slow
def test_links_accessibility_and_phone_of_every_page(site):
    looked_at = start(CHECK, site)
    assert looked_at.returncode == 0, looked_at.stdout + looked_at.stderr


def test_every_page_leads_to_itself_in_the_other_language(site):
    english = (site / "en" / "notebooks" / "00_environment.html").read_text()
    assert 'hreflang="zh" href="../../zh/notebooks/00_environment.html"' in english
    chinese = (site / "zh" / "notebooks" / "00_environment.html").read_text()
    assert '<html lang="zh-CN"' in chinese
    assert 'hreflang="en" href="../../en/notebooks/00_environment.html"' in chinese
    linking = (site / "zh" / "notebooks" / "05_convert.html").read_text()
    assert 'href="../docs/recipes.html#' in linking
    assert "href='../../en/docs/design.html'" in (site / "zh" / "docs" / "camera.html").read_text()
    only_english = (site / "en" / "docs" / "design.html").read_text()
    assert 'hreflang="zh" href="../../zh/README.html"' in only_english


def test_the_site_can_be_served_as_it_is(site):
    assert (site / ".nojekyll").is_file()
    assert "en/README.html" in (site / "index.html").read_text()
    assert (site / "en" / "report.html").is_file()
    assert 'href="report.html"' in (site / "en" / "results.html").read_text()
    assert "<svg" in (site / "en" / "docs" / "design.html").read_text(), "the diagram is drawn"
    assert '<iframe src="../output' not in (site / "en/notebooks/06_verify.html").read_text()


def test_a_page_with_a_link_that_leads_nowhere_is_refused(project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("site.*", "run"))
    shutil.copytree(project / "docs" / "site", copy / "docs" / "site", dirs_exist_ok=True)
    (copy / "README.zh.md").unlink()
    page = copy / "docs" / "proof.md"
    page.write_text(f"{page.read_text(encoding='utf-8')}\n[x](gone.md)\n", encoding="utf-8")
    built = start(copy / "docs/site/build.py", "--into", tmp_path / "site")
    assert built.returncode == 1
    assert "docs/proof.md" in built.stderr and "gone.md" in built.stderr
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('href="report.html"', 'href="gone.html"', "gone.html leads nowhere"),
        ("</article>", '<a href="#gone">x</a></article>', "#gone: no such place"),
        ("</article>", '<img src="https://example.org/x.png"></article>', "loads https://example"),
        ("</article>", '<img src="report.html"></article>', "image-alt"),
        ("</article>", '<div style="width: 900px">x</div></article>', "pixels wide on a phone"),
        ("</article>", "<script>console.error('x')</script></article>", "console: x"),
    ],
)
@pytest.mark.slow
def test_the_checks_find_what_they_are_for(site, tmp_path, old, new, fault):
    copy = tmp_path / "site"
    shutil.copytree(site / "en", copy / "en")
    for page in (copy / "en").rglob("*.html"):
        if page.name not in ("results.html", "report.html", "search.html", "README.html"):
            page.unlink() if "_static" not in page.parts else None
    page = copy / "en" / "results.html"
    text = page.read_text(encoding="utf-8")
    assert old in text
    page.write_text(text.replace(old, new, 1), encoding="utf-8")
    looked_at = start(CHECK, copy)
    assert looked_at.returncode == 1
    assert "en/results.html" in looked_at.stdout and fault in looked_at.stdout

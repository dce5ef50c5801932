# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Build the documentation site from what lies in the repository.

    python docs/site/build_site.py [OUT]     OUT is build/site
    python docs/site/build_site.py --links   asks every address in the internet that the pages link to

The pages of docs/, those of the bundles and the notebooks are copied into one tree, their links to each other made
those of the site, a page of the API is written for each package, and Sphinx makes OUT (build/site) of it. A link that
leads nowhere is an error.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]\[]*(?:\[[^\]]*\][^\]\[]*)*)\]\((?P<to>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
PACKAGES = {
    "strategies": "what chooses",
    "uncertainty": "from probabilities to scores",
    "selection": "from scores and embeddings to indices",
    "handlers": "for any MONAI engine",
    "engines": "the loop and its runs",
    "annotators": "who answers",
    "datasets": "from folders to pools",
    "data": "voxels: readers, geometry, caches",
    "distributed": "several processes for one run",
    "transforms": "transforms",
    "inferers": "one call, several predictions",
    "networks": "networks",
    "losses": "losses",
    "metrics": "metrics and tests",
    "records": "items, pools, labels, queries, run folders",
    "sources": "what a loop knows of its data",
    "passes": "scoring and evaluating",
    "bundle": "configs of bundles",
    "report": "pictures and pages",
    "comparison": "several runs, paired",
}


def main() -> None:
    links = "--links" in sys.argv[1:]
    out = Path(next((word for word in sys.argv[1:] if word != "--links"), ROOT / "build" / "site")).resolve()
    source = ROOT / "build" / "site_source"
    shutil.rmtree(source, ignore_errors=True)
    write_source(source)
    builder = ["-b", "linkcheck"] if links else ["-b", "html", "-W"]
    command = [sys.executable, "-m", "sphinx", *builder, "--keep-going", "--quiet", "-j", "2"]
    sys.exit(subprocess.call([*command, str(source), str(out.with_name("site_links") if links else out)]))


def write_source(source: Path) -> None:
    """All that Sphinx reads."""
    pages = places()
    for origin, place in pages.items():
        target = source / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if origin.suffix in (".md", ".ipynb"):
            target.write_text(with_links_of_the_site(origin, pages), encoding="utf-8")
        else:
            shutil.copyfile(origin, target)
    for name, about in PACKAGES.items():
        page = source / "api" / f"{name}.md"
        page.parent.mkdir(exist_ok=True)
        page.write_text(api_page(name, about), encoding="utf-8")
    toc = "\n".join(["```{toctree}", ":maxdepth: 1", "", *PACKAGES, "```"])
    text = f"# API\n\nEvery public name, with an example that the tests run.\n\n{toc}\n"
    (source / "api" / "index.md").write_text(text, encoding="utf-8")


def places() -> dict[Path, Path]:
    """A file of the repository -> where it stands in the site's source."""
    docs, site = ROOT / "docs", ROOT / "docs" / "site"
    found = {site / "conf.py": Path("conf.py")}
    found |= {path: path.relative_to(site) for path in site.rglob("*") if path.suffix in (".md", ".css", ".svg")}
    found |= {path: path.relative_to(docs) for path in [*docs.glob("*.md"), *docs.glob("methods/*.md")]}
    found |= {path: Path("images", path.name) for path in (docs / "images").iterdir()}
    for path in sorted((ROOT / "bundles").glob("*/docs/*")):
        name = path.parents[1].name
        found[path] = Path("bundles", f"{name}.md" if path.name == "README.md" else f"{name}_{path.name}")
    found |= {path: Path("tutorials", path.name) for path in (ROOT / "tutorials").glob("*.ipynb")}
    found |= {path: Path(path.name) for path in ROOT.glob("constraints*.txt")}
    found[ROOT / "CHANGELOG.md"] = Path("changelog.md")
    found[ROOT / "CONTRIBUTING.md"] = Path("contributing.md")
    return found


def with_links_of_the_site(origin: Path, pages: dict[Path, Path]) -> str:
    """The text of a page; what it links to and the site does not hold stays as words."""
    here = pages[origin].parent

    def changed(link: re.Match[str]) -> str:
        to, anchor = link["to"], link["anchor"] or ""
        if "://" in to or to.startswith("mailto:"):
            return link[0]
        target = Path(os.path.normpath(origin.parent / to))
        target = target / "README.md" if (target / "README.md").is_file() else target
        if target not in pages:
            if not target.exists():
                raise SystemExit(f"error: {origin.relative_to(ROOT)} links to {to}, which is not there")
            return link["text"]
        return f"[{link['text']}]({Path(os.path.relpath(pages[target], here)).as_posix()}{anchor})"

    text = LINK.sub(changed, origin.read_text(encoding="utf-8"))
    return re.sub(r"(!\[[^\]]*\]\()([^)\s:]+)(\))", lambda one: _picture(one, origin, pages), text)


def _picture(found: re.Match[str], origin: Path, pages: dict[Path, Path]) -> str:
    target = Path(os.path.normpath(origin.parent / found[2]))
    if target not in pages:
        return found[0]
    return f"{found[1]}{Path(os.path.relpath(pages[target], pages[origin].parent)).as_posix()}{found[3]}"


def api_page(name: str, about: str) -> str:
    """The page of a package: its docstring, then each public name."""
    module = f"monai_al.{name}"
    found = {one: getattr(importlib.import_module(module), one) for one in importlib.import_module(module).__all__}
    own = {one: value for one, value in found.items() if getattr(value, "__module__", module).startswith(module)}
    lines = [f"# monai_al.{name}: {about}", "", "```{eval-rst}", f".. automodule:: {module}", "   :no-members:", ""]
    for one, value in sorted(own.items(), key=lambda item: item[0].lower()):
        kind = "autoclass" if isinstance(value, type) else "autofunction" if callable(value) else "autodata"
        lines += [f".. {kind}:: {module}.{one}", *(["   :members:", ""] if kind == "autoclass" else [""])]
    return "\n".join([*lines, "```", ""])


if __name__ == "__main__":
    main()

"""Looks at every page in a browser, wide and narrow: nothing may make a page wider than its window.

Skipped where there is no Chromium; Debian's package is enough.
"""

import json
import re
import subprocess
from html import unescape

from browser import BROWSER, NEEDS_BROWSER

MEASURE = """<!doctype html><body><script>
const pages = PAGES, widths = [390, 768, 1280], wide = [];
async function look() {
  for (const width of widths) for (const page of pages) {
    const frame = document.createElement("iframe");
    frame.style = `width:${width}px;height:900px;border:0`;
    await new Promise(loaded => { frame.onload = loaded; frame.src = page; document.body.append(frame); });
    const root = frame.contentDocument.documentElement;
    const styled = frame.contentWindow.getComputedStyle(frame.contentDocument.body).fontFamily;
    const broken = [...frame.contentDocument.images].filter(image => image.complete && !image.naturalWidth).length;
    if (root.scrollWidth > width || !styled || broken) wide.push([page, width, root.scrollWidth, broken]);
    frame.remove();
  }
  const said = document.createElement("pre");
  said.id = "said";
  said.textContent = JSON.stringify({looked: pages.length * widths.length, wide});
  document.body.append(said);
}
look();
</script>"""


@NEEDS_BROWSER
def test_no_page_is_wider_than_its_window(site_folder, tmp_path):
    pages = [file.as_uri() for file in sorted(site_folder.rglob("*.html")) if "_static" not in file.parts]
    assert len(pages) > 30
    wrapper = tmp_path / "look.html"
    wrapper.write_text(MEASURE.replace("PAGES", json.dumps(pages)))
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom"]
    command = [
        BROWSER,
        *flags,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=600000",
        wrapper.as_uri(),
    ]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=300)
    said = re.search(r'<pre id="said">(.*?)</pre>', seen.stdout, re.S)
    assert said, seen.stdout[-2000:] + seen.stderr[-2000:]
    result = json.loads(unescape(said[1]))
    assert result["looked"] == 3 * len(pages)
    assert result["wide"] == []

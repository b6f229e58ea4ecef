"""Time the page of `jaxembed explore` at several numbers of pictures: first view, reload, click, and memory.

  python -m benchmarks.explore --pictures 1000 10000 100000

The pictures are 200 coarse ones of 640 × 480 pixels under as many names as asked for, by hard links, and the
vectors random ones around twenty centres, with a map: no encoder runs. The server is a process of its own, and its
memory is the most it had resident (VmHWM), after clusters were found; the browser is a headless Chromium. A view
ends when all names are in the page, a click when the picture and its neighbours are answered. Run nothing else at
the same time: the load that is printed says whether something did.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from selenium import webdriver

DIMENSION, CENTRES, DISTINCT, CLICKS, RELOADS = 384, 20, 200, 20, 3
READY = """
const view = window.Bokeh?.documents[0]?.get_model_by_name("map")
return view?.renderers[0].data_source.data.name?.length
"""
# The server as the command starts it, but that the vectors are made here.
SERVER = """
import sys
from pathlib import Path
from benchmarks import explore
from jaxembed.embed import sources, vectors
from jaxembed.explore import server
from jaxembed.explore.atlas import Atlas
from jaxembed.explore.desk import Desk
folder, count = Path(sys.argv[1]), int(sys.argv[2])
embedded = explore.vectors_of(folder, count)
print("READ", flush=True)
album = sources.Pictures(folder, embedded.names)
desk = Desk(embedded, album, tagged=None, copied=None)
server.serve(None, embedded, album, Atlas(embedded, album), desk, server.listen(0))
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each number of pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, nargs="+", default=[1000, 10_000, 100_000])
    counts = parser.parse_args(arguments).pictures
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("pictures  first s  reload s  click ms  thumbnail ms  clusters s  memory MB")
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder, count)
            print(measure(folder, count), flush=True)


def write(folder: Path, count: int) -> None:
    """Write pictures of 640 x 480 pixels under `count` names, a thousand a folder."""
    random = np.random.default_rng(0)
    for row, name in enumerate(names_of(count)):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        if row < DISTINCT:
            coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
            coarse.resize((640, 480), Image.Resampling.BICUBIC).save(file, quality=90)
        else:
            os.link(folder / names_of(DISTINCT)[row % DISTINCT], file)


def names_of(count: int) -> list[str]:
    """Name the pictures."""
    return [f"folder{row // 1000:03d}/picture{row:06d}.jpg" for row in range(count)]


def vectors_of(folder: Path, count: int) -> Any:
    """Make the vectors of the pictures, memory-mapped as those of a file are, and their map."""
    from jaxembed.embed.vectors import About, Spool

    random, names = np.random.default_rng(0), names_of(count)
    centres = random.normal(size=(CENTRES, DIMENSION)).astype(np.float32)
    spool = Spool(Path(tempfile.gettempdir()), DIMENSION)
    for start in range(0, count, 8192):
        some = names[start : start + 8192]
        nearest = np.arange(start, start + len(some)) % CENTRES
        noise = random.standard_normal((len(some), DIMENSION), np.float32)
        spool.add(some, [f"class {each}" for each in nearest], centres[nearest] + noise)
    embedded = spool.vectors(About(str(folder), "none", "", "cosine"))
    places = random.normal(size=(CENTRES, 2))[np.arange(count) % CENTRES]
    positions = places + 0.2 * random.normal(size=(count, 2))
    return embedded._replace(positions=(positions / np.abs(positions).max()).astype(np.float32))


def measure(folder: Path, count: int) -> str:
    """Serve the pictures and time a browser; the line of the table."""
    command = [sys.executable, "-c", SERVER, str(folder), str(count)]
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "SE_OFFLINE": "true"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            server.stdout.readline()  # READ
            start = time.monotonic()
            address = re.search(r"http\S+(?=;)", server.stdout.readline())[0]
            served = time.monotonic() - start
            with _browser() as browser:
                first = served + _viewed(browser, address, count)
                again = [_viewed(browser, address, count) for _ in range(RELOADS)]
            rows = [row * 37 % count for row in range(CLICKS)]
            clicks = [_asked(address, f"near/{row}") for row in rows]
            thumbnails = [_asked(address, f"image/{row}") for row in rows]
            clusters = _asked(address, "colours/cluster")
            status = Path(f"/proc/{server.pid}/status").read_text()
            memory = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1000
        finally:
            server.terminate()
    click, thumbnail = (1000 * statistics.median(times) for times in (clicks, thumbnails))
    again = statistics.median(again)
    times = f"{first:9.1f} {again:9.1f} {click:9.0f} {thumbnail:13.0f} {clusters:11.1f}"
    return f"{count:8,}{times} {memory:10.0f}"


def _browser() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    for option in ("headless", "no-sandbox", "disable-gpu", "window-size=1400,900"):
        options.add_argument(f"--{option}")
    options.binary_location = "/usr/bin/chromium"
    return webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))


def _viewed(browser: webdriver.Chrome, address: str, count: int) -> float:
    """Open the page, and return how many seconds it takes until all names are in it."""
    start = time.monotonic()
    browser.get(address)
    while browser.execute_script(READY) != count:
        time.sleep(0.05)
    return time.monotonic() - start


def _asked(address: str, path: str) -> float:
    """Ask for a path, and return how many seconds the answer took."""
    start, (page, token) = time.monotonic(), address.split("/?")
    with urllib.request.urlopen(f"{page}/{path}?{token}") as answer:
        answer.read()
    return time.monotonic() - start


if __name__ == "__main__":
    main()

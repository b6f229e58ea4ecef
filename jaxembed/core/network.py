"""The network: whether a server answers, asked before a library that would ask again and again."""

import queue
import threading
from urllib.parse import urlsplit

import requests


def ask(url: str, *, seconds: float) -> None:
    """Ask a server for anything, through the user's proxy; any answer counts, even one that refuses HEAD.

    Raises:
      requests.RequestException: if there is no answer within the time.
    """
    answers: queue.Queue[requests.RequestException | None] = queue.Queue()

    def request() -> None:
        try:
            requests.head(url, timeout=seconds / 2)
            answers.put(None)
        except requests.RequestException as error:
            answers.put(error)

    # The request's own timeout limits neither the DNS lookup nor the number of addresses that are tried.
    threading.Thread(target=request, daemon=True).start()
    try:
        error = answers.get(timeout=seconds)
    except queue.Empty:
        error = requests.Timeout()
    if error:
        raise requests.ConnectionError(f"{urlsplit(url).netloc}: {type(error).__name__}") from error

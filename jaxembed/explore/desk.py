"""The desk: what people organise their pictures with. Orders of all of them, and a selection's tags and copies."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jaxembed.core import files
from jaxembed.embed.sources import Album
from jaxembed.embed.vectors import Vectors
from jaxembed.explore import handlers, posted, tags
from jaxembed.explore.copies import Copies
from jaxembed.explore.orders import Orders
from jaxembed.explore.selection import Selection
from jaxembed.explore.tags import Tags

# What the page says where tags have no file.
WITHOUT_TAGS = "Tags need a file: start with --tags=FILE.csv, or explore a file of vectors."


class Desk:
    """Answers for orders, tags, copies and vectors of a selection."""

    def __init__(
        self, embedded: Vectors, originals: Album | None, *, tagged: Path | None, copied: Path | None
    ) -> None:
        """Store what there is.

        Args:
          embedded: the embeddings.
          originals: their pictures; None if there are none.
          tagged: the file of the tags, which may not exist yet; None if there are no tags.
          copied: the folder of the copies, as `copies.check` has it; None if nothing is copied.
        """
        self.count, self.orders = len(embedded.names), Orders(embedded, originals)
        self.tags = Tags(tagged, embedded.names) if tagged else None
        self.copies = Copies(originals, embedded.names, copied) if copied else None

    def values(self) -> dict[str, Any]:
        """Return what the template needs."""
        return {
            "orders": list(self.orders.kinds),
            "tags": self.tags is not None,
            "without_tags": WITHOUT_TAGS,
            "longest": tags.LONGEST,
            "copies": files.printable(self.copies.folder) if self.copies else "",
        }

    def answers(self, selection: Selection, threads: Executor) -> Iterator[tuple[str, type, dict]]:
        """Yield what answers for them; what takes long, or writes, has a thread of its own, in which it waits."""
        sort = {"sort": self.orders.by_likeness, "kinds": range(self.count), "threads": threads}
        yield r"/order/likeness/(\d{1,9})", handlers.Order, sort
        sort = {"sort": self.orders.by, "kinds": self.orders.kinds, "threads": ThreadPoolExecutor(1)}
        yield r"/order/([a-z]+)", handlers.Order, sort
        yield r"/vectors", posted.Vectors, self._alone(selection.write_vectors)
        if self.tags:
            yield r"/tags/(add|remove)", posted.Tag, self._alone(self.tags.change)
            yield r"/tags", handlers.Tags, {"shown": self.tags.shown, "threads": threads}
        if self.copies:
            yield r"/copies", posted.Copy, self._alone(self.copies.copy)

    def _alone(self, do: Any) -> dict[str, Any]:
        return {"do": do, "count": self.count, "threads": ThreadPoolExecutor(1)}

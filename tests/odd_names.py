"""Names that a user may give to anything, and that some renderer takes for something else."""

NAMES = (
    "$$",
    "$0-$10",
    "_hidden",
    "中文",
    "n" * 300,
    "two\nlines\t\x00\x7f",
    "\u202eright to left\u200f",
    "שלום",
    "\udce9.png",
    "😀👩‍🔬",
    "<script>alert(1)</script>",
    "](javascript:alert(1))",
    "a|b",
    "&amp; <b>",
    "@image{safe}",
    "{{ 7 * 7 }}",
    "%s \\alpha",
    "*bold* `code` #1",
    "",
    " ",
)

"""What colours the map: classes, clusters, folders, dates, splits and columns of a CSV; and a second map."""

import numpy as np
import pytest
from PIL import Image

from jaxembed.cli import command
from jaxembed.core.errors import InputError
from jaxembed.embed import sources, vectors
from jaxembed.embed.vectors import About, Vectors
from jaxembed.explore import __main__ as explore
from jaxembed.explore import clusters, columns, dates, paint, second
from jaxembed.explore.atlas import Atlas

SHARED = ["a/1.png", "a/2.png", "b/3.png"]


def made(names, labels=None, positions=None):
    """Embeddings of two groups, the first and the second half of the rows."""
    points = np.arange(len(names), dtype=np.float32)[:, None] / 100 + [[1.0, 0.0]]
    points[len(names) // 2 :] = points[len(names) // 2 :, ::-1]
    positions = np.asarray(points[:, ::-1] if positions is None else positions)
    about = About("", "some", "", "cosine")
    return Vectors(points.astype(np.float32), names, labels or [""] * len(names), about, positions)


def test_a_category_has_a_colour_a_chip_and_a_name_at_its_median():
    places = np.array([[0, 0], [2, 4], [1, 9], [5, 5]], np.float32)
    got = Atlas(made(list("wxyz"), ["b", "b", "b", "<a>"], places), None).by("class")
    assert got.codes.tolist() == [1, 1, 1, 0]
    assert got.marks == [{"x": [1, 5], "y": [4, 5], "name": ["b", "<a>"]}]
    assert "&lt;a&gt;</bdi></span> 1</button>" in got.legend
    assert "<a>" not in got.legend


def test_only_what_tells_pictures_apart_colours_them():
    assert list(Atlas(made(["x/1.png", "x/2.png", "x/3.png"]), None).kinds) == ["cluster"]
    named = ["p/train/a/1.png", "p/train/b/2.png", "p/test/a/3.png"]
    atlas = Atlas(made(named, ["a", "b", "a"]), None, columns={"class": ["1", "2", ""]})
    assert list(atlas.kinds) == ["class", "folder", "split", "cluster", "class (CSV)"]
    assert atlas.by("folder").marks[0]["name"] == ["test/a", "train/a", "train/b"]
    assert set(atlas.by("split").marks[0]["name"]) == {"train", "test"}
    assert not Atlas(made([]), None).kinds


def test_of_very_many_categories_the_largest_have_chips_and_long_names_are_cut_at_their_beginning():
    labels = [f"{'long ' * 9}{number:03d}" for number in (*range(60), 59)]
    got = Atlas(made([f"{row}" for row in range(61)], labels), None).by("class")
    assert got.legend.count("<button") == paint.CHIPS == len(got.marks[0]["name"])
    assert "20 more have no chip" in got.legend
    assert got.marks[0]["name"][0].startswith("…")
    assert got.marks[0]["name"][0].endswith("long 059")


def test_clusters_are_the_groups_and_named_by_what_dominates_then_by_words_then_by_numbers():
    points = np.eye(2)[[0] * 20 + [1] * 25] + np.arange(45)[:, None] / 1e4
    codes = clusters.assign(points.astype(np.float32), distance="cosine")
    assert np.array_equal(codes, clusters.assign(points.astype(np.float32), distance="cosine"))
    assert codes.tolist() == [1] * 20 + [0] * 25  # the largest first
    rows = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3])
    labels, folders = list("aab") + [""] * 4 + ["p", "q"], [""] * 3 + list("ff") + [""] * 4
    assert clusters.name(rows, [labels, folders], {2: "a"}) == ["a", "f", "a 2", "cluster 4"]
    assert set(clusters.assign(np.ones((9, 4), np.float32), distance="euclidean")) == {0}


def test_words_name_clusters(encoder, embedded):
    codes = np.arange(len(embedded.names)) % 2
    named = clusters.by_words(encoder, ["dog", "cat"], embedded.embeddings, codes)
    assert set(named) == {0, 1}
    assert set(named.values()) <= {"dog", "cat"}


def test_a_picture_has_the_date_in_its_exif_or_of_its_file(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2001:02:03 04:05:06"
    picture = Image.new("RGB", (8, 8))
    picture.save(tmp_path / "a.jpg", exif=exif)
    picture.save(tmp_path / "b.jpg")
    names = ["a.jpg", "b.jpg", "gone.jpg", "../b.jpg"]
    first, changed, *none = dates.taken(sources.Pictures(tmp_path), names)
    assert np.datetime64(int(first), "s").astype("datetime64[D]") == np.datetime64("2001-02-03")
    assert changed == (tmp_path / "b.jpg").stat().st_mtime
    assert np.isnan(none).all()
    got = Atlas(made(names), sources.Pictures(tmp_path)).by("date")
    assert got.codes.tolist() == [0, 255, 256, 256]
    assert got.palette[256] == paint.MISSING
    assert "2001-02-03" in got.legend
    assert "2 without a value" in got.legend


def test_a_column_of_many_numbers_or_dates_is_a_scale_and_any_other_has_categories():
    atlas = Atlas(
        made([f"{row}.png" for row in range(20)]),
        None,
        columns={
            "number": [f"{row / 2}" for row in range(19)] + [""],
            "day": [f"2020-01-{row + 1:02d}" for row in range(20)],
            "few": [f"{row % 3}" for row in range(20)],
            "endless": ["inf"] * 10 + ["1"] * 10,
            "text": ["x", *map(str, range(19))],
        },
    )
    assert atlas.by("number").codes[[0, 18, 19]].tolist() == [0, 255, 256]
    assert "<span>4.5</span>" in atlas.by("number").legend
    assert "<span>2020-01-20</span>" in atlas.by("day").legend
    assert [len(atlas.by(kind).palette) for kind in ("few", "endless", "text")] == [3, 2, 20]


def test_a_csv_is_read_by_name_with_or_without_the_folders_that_all_share(tmp_path, capsys):
    file = tmp_path / "c.csv"
    file.write_text('name,size,"<k>"\n1.png, 4 ,x\np/b/3.png,5,\nelse.png,6,y\n', encoding="utf-8-sig")
    got = columns.read(file, ["p/1.png", "p/2.png", "p/b/3.png"])
    assert got == {"size": ["4", "", "5"], "<k>": ["x", "", ""]}
    assert "2 of 3 pictures have a row" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "must begin with a row of different names, name,COLUMN,…; got nothing"),
        (b"name\na/1.png\n", "got name"),
        (b"name,x,x\na/1.png,1,2\n", "got name, x, x"),
        (b"name,x\na/1.png,1,2\n", "must have 2 values in each row; row 2 has 3"),
        (b"name,x\na/1.png,1\na/1.png,2\n", "must have each picture once; a/1.png is there twice"),
        (b"name,x\nother.png,1\n", "it has other.png, the map a/1.png"),
        (b"name,x\n", "it has no rows"),
        (b"name,x\n\xff,1\n", "cannot be read as a CSV"),
        (b'name,x\n"a,1\n', "cannot be read as a CSV"),
    ],
)
def test_a_csv_that_does_not_fit_is_one_clear_line(text, message, tmp_path):
    (tmp_path / "c.csv").write_bytes(text)
    with pytest.raises(InputError) as error:
        columns.read(tmp_path / "c.csv", SHARED)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_second_file_is_matched_by_name(tmp_path, capsys):
    vectors.write_npz(made(["b/3.png", "else.png", "a/1.png"])._replace(positions=None), tmp_path / "b.npz")
    got = second.read(tmp_path / "b.npz", made(SHARED))
    assert got.title == "some"
    assert np.isnan(got.positions).all(axis=1).tolist() == [False, True, False]
    assert "2 of 3 pictures are in both" in capsys.readouterr().out
    names = Atlas(made(SHARED, ["x", "y", "x"]), None, second=got).by("class").marks
    assert [sorted(each["name"]) for each in names] == [["x", "y"], ["x"]]
    with pytest.raises(InputError, match="must have the same pictures, by name; 0 of 1"):
        second.read(tmp_path / "b.npz", made(["c.png"]))


def test_the_command_takes_two_files_a_csv_and_words(embedded, photos, tmp_path, capsys):
    for name in ("a.npz", "b.npz"):
        vectors.write_npz(embedded, tmp_path / name)
    (tmp_path / "c.csv").write_text("name,size\n01.png,1\n02.png,2\n")
    files = [str(tmp_path / name) for name in ("a.npz", "b.npz")]
    *_, atlas, _, sockets = explore.opened(explore.parse([*files, f"--columns={tmp_path}/c.csv", "--port=0"]))
    for each in sockets:
        each.close()
    assert [each.title for each in atlas.maps] == ["quickstart", "quickstart"]
    assert list(atlas.kinds)[-1] == "size"
    for given in ([files[0], "--words=w.txt"], [files[0], f"--columns={tmp_path}/no.csv"], [files[0], "no.npz"]):
        assert command.run("explore", explore.main, [*given, "--port=0"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1

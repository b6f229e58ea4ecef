"""What the page posts: rows of a selection; whatever else is posted changes nothing."""

import contextlib

import numpy as np
import pytest

from jaxembed.embed import vectors

ADD = "/tags/add?tag=%F0%9F%90%B6"


def rows(*numbers) -> bytes:
    return np.array(numbers, "<i4").tobytes()


def test_rows_are_tagged_copied_and_written_as_vectors(site, photos, embedded, tmp_path):
    status, content, _ = site.ask(ADD, method="POST", body=rows(3, 5, 3))
    assert (status, content.decode()) == (200, '{"text": "\\ud83d\\udc36: given to 2 of 2 pictures", '
                                               '"tags": [["\\ud83d\\udc36", [3, 5]]]}')  # fmt: skip
    site.ask("/tags/remove?tag=%F0%9F%90%B6", method="POST", body=rows(5))
    assert site.ask("/tags")[1].endswith(b"[3]]]}")
    assert (tmp_path / "v.tags.csv").read_text() == "name,tag\n03.png,🐶\n"
    status, content, _ = site.ask("/copies", method="POST", body=rows(2, 20))
    assert (status, b"2 of 2 pictures copied" in content) == (200, True)
    assert (tmp_path / "copies" / "a\nb.png").read_bytes() == (photos / "a\nb.png").read_bytes()
    status, content, _ = site.ask("/vectors", method="POST", body=rows(20, 1))
    (tmp_path / "s.npz").write_bytes(content)
    some = vectors.read(tmp_path / "s.npz")
    assert (some.names, some.labels, some.about) == (["01.png", "a\nb.png"], ["0", "a"], embedded.about)
    np.testing.assert_array_equal(some.embeddings, np.asarray(embedded.embeddings)[[1, 20]])


@pytest.mark.parametrize("path", [ADD, "/tags/remove?tag=x", "/copies", "/vectors"])
def test_other_rows_and_methods_are_refused_and_change_nothing(path, site, tmp_path, caplog):
    for body in (b"", b"123", rows(-1), rows(1, 23), rows(2**31 - 1), b"[1, 2, 3]"):
        assert site.ask(path, method="POST", body=body)[0] == 400, body
    with contextlib.suppress(ConnectionResetError):  # more rows than there are: not even read
        assert site.ask(path, method="POST", body=bytes(4 * 24))[0] == 400
    for method in ("GET", "PUT", "DELETE"):
        assert site.ask(path, method=method)[0] == 405
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        assert site.ask(path, method="POST", body=rows(1), headers=headers)[0] == 403
    assert not (tmp_path / "v.tags.csv").exists()
    assert not (tmp_path / "copies").exists()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_what_cannot_be_a_tag_is_a_line(site, tmp_path):
    for tag in ("", "%20", "x%0Ay", "x" * 61, "%FF" * 61, "%00"):
        status, content, _ = site.ask(f"/tags/add?tag={tag}", method="POST", body=rows(1))
        assert (status, b"a tag must be one line" in content) == (200, True)
    assert not (tmp_path / "v.tags.csv").exists()


def test_an_order_is_all_rows_and_unknown_ones_are_not_there(site, embedded):
    for path in ("/order/name", "/order/date", "/order/outliers", "/order/likeness/4"):
        status, content, _ = site.ask(path)
        assert status == 200
        assert sorted(np.frombuffer(content, "<i4")) == list(range(len(embedded.names)))
    assert np.frombuffer(content, "<i4")[0] == 4
    for path in ("likeness", "likeness/23", "likeness/-1", "4", "size", ""):
        assert site.ask(f"/order/{path}")[0] == 404


def test_where_there_is_no_file_of_tags_and_no_folder_nothing_is_taken(site_without_encoder):
    for path in ("/tags", ADD, "/copies"):
        assert site_without_encoder.ask(path, method="POST", body=rows(1))[0] == 404
    status, page, _ = site_without_encoder.ask("/")
    assert (status, b"Tags need a file: start with --tags=FILE.csv" in page) == (200, True)


def test_a_full_disk_is_said(site, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vectors, "write_npz", full)
    assert site.ask("/vectors", method="POST", body=rows(1))[0] == 507

"""Which paths are of one file."""

from protoseg.files import same_file


def test_paths_of_one_file(tmp_path):
    file, other = tmp_path / "a", tmp_path / "b"
    file.touch()
    other.touch()
    (tmp_path / "link").symlink_to(file)
    assert same_file(str(file), tmp_path / "link")
    assert not same_file(file, other)
    assert not same_file(file, None)
    assert not same_file(tmp_path / "absent", tmp_path / "absent")

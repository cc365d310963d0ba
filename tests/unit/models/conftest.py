import pytest


@pytest.fixture
def folder(tmp_path):
    """A function that writes a model and returns the folder of models."""

    def write(name, select=None, **words):
        layer, table = name.split(".")
        place = tmp_path / "sql" / layer
        place.mkdir(parents=True, exist_ok=True)
        if select is not None:
            (place / f"{table}.sql").write_text(select)
        lines = {"description": "A table for a test.", "columns": "{a: {type: BIGINT, meaning: A number.}}", **words}
        (place / f"{table}.yml").write_text("\n".join(f"{key}: {value}" for key, value in lines.items()))
        return tmp_path / "sql"

    write.path = tmp_path / "sql"
    return write

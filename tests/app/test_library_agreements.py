"""Examples whose labels conflict with the others': found when nobody waits, and shown to users."""

from library_requests import example_of, library, submit, switch
from monailabel.interfaces.utils.app import app_instance

NAMES = ["liver", "lungs"]


def doubted(client):
    """Studies and labels that the library asks users to check."""
    labels = ((one["study"], label) for one in library(client)["examples"] for label in one["labels"])
    return {(study, label["name"]) for study, label in labels if label["doubt"]}


def test_an_example_with_mixed_up_labels_is_shown(start, label):
    client = start()
    for number in range(3):
        submit(client, f"person{number}", label(number, NAMES))
    file, named = label(3, NAMES)
    mixed_up = [{**one, "name": other} for one, other in zip(named, reversed(NAMES))]
    submit(client, "person3", (file, mixed_up))
    assert {entry["agreement"] for entry in example_of(client, "person3")["labels"]} == {None}, "nothing is known yet"

    app_instance().context.check_examples()
    assert doubted(client) == {("person3", name) for name in NAMES}
    lungs = next(entry for entry in example_of(client, "person3")["labels"] if entry["name"] == "lungs")
    assert lungs["agreement"] < 0.2
    assert "by a Dice of 0." in lungs["doubt"]
    warnings = client.infer("oneshot", "person0").json()["warnings"]
    assert all(any(w.startswith(name) and "check its label in person3" in w for w in warnings) for name in NAMES)

    switch(client, "person3", False)
    app_instance().context.check_examples()
    assert ("person3", "lungs") in doubted(client), "what is off is judged, too"
    assert "person3" not in " ".join(client.infer("oneshot", "person0").json()["warnings"])

    submit(client, "person3", label(3, NAMES))
    assert {entry["agreement"] for entry in example_of(client, "person3")["labels"]} == {None}, "another label"
    app_instance().context.check_examples()
    assert not doubted(client) & {("person3", name) for name in NAMES}

"""Requests to the app's library."""

import json

ANNA = {"X-Remote-User": "anna"}


def library(client):
    response = client.http.get("/library/")
    assert response.status_code == 200, response.text
    return response.json()


def example_of(client, study):
    return next(example for example in library(client)["examples"] if example["study"] == study)


def switch(client, study, enabled):
    address = f"/library/examples/{example_of(client, study)['id']}"
    return client.http.patch(address, json={"enabled": enabled})


def submit(client, image, label, by=None):
    file, names = label
    with file.open("rb") as content:
        return client.http.put(
            "/datastore/label",
            params={"image": image},
            data={"params": json.dumps({"label_info": names, "user": "mallory"})},
            files={"label": (file.name, content)},
            headers={"X-Remote-User": by} if by else {},
        )


def found_by(client, image="person3"):
    """Names of labels and of scans by which an image is segmented."""
    answer = client.infer("oneshot", image)
    if answer.status_code == 400:
        assert "Nothing is labelled yet" in answer.json()["detail"]
        return {}
    return {name: entry["support_slice"]["scan"] for name, entry in answer.json()["labels"].items()}


def export(client):
    response = client.http.get("/library/export", headers=ANNA)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/zip"
    return response.content


def take_in(client, content, name="library.zip"):
    return client.http.post("/library/import", files={"file": (name, content)}, headers={"X-Remote-User": "bob"})

"""What the server offers beyond MONAI Label: the library of examples by REST, and a page of its own."""

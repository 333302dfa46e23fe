"""The MONAI Label app: requests in, answers out; protoseg does the computing."""

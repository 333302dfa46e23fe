"""The MONAI Label app: requests in, answers out; what is computed is computed by protoseg."""

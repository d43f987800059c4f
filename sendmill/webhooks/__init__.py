"""Webhooks as applications set them up; which addresses may be told, and how a POST to them is signed."""

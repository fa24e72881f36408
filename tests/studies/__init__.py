"""Tests of `rgflow`, in the same rooms as the package."""

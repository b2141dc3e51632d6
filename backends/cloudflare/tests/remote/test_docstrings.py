"""The examples in the docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import durable_primitives_cloudflare.remote

MODULES = [module.name for module in pkgutil.iter_modules(durable_primitives_cloudflare.remote.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_module(name: str):
    module = importlib.import_module(f"durable_primitives_cloudflare.remote.{name}")

    assert doctest.testmod(module).failed == 0

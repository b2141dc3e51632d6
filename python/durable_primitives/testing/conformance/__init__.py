"""What every backend must do, as cases that anybody can run: one file per property, one case per promise.

>>> from durable_primitives.testing import conformance
>>> conformance.run(lambda: MyBackend(new_file()), reopen=lambda backend: MyBackend(backend.path))  # doctest: +SKIP

The same cases under pytest:

>>> @pytest.mark.parametrize("case", conformance.cases(), ids=lambda case: case.name)  # doctest: +SKIP
... async def test_my_backend(case):
...     await case(harness)
"""

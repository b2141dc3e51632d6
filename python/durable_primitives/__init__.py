"""Durable background primitives per entity: repeating jobs, buffers and queues that survive a crash."""

__version__ = "0.1.0"

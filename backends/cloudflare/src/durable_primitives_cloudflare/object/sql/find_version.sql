-- Which one.
SELECT version FROM durable_schema

-- Whether there is a schema.
SELECT count(*) FROM sqlite_master WHERE name = 'durable_schema'

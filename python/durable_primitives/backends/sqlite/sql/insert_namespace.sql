-- A namespace that was never used.
-- parameters: name
INSERT INTO durable_namespace (name) VALUES (?) ON CONFLICT DO NOTHING

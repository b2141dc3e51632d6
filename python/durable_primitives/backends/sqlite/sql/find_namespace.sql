-- The key of a namespace.
-- parameters: name
SELECT nk FROM durable_namespace WHERE name = ?

-- parameters: name
DELETE FROM durable_instance WHERE name = ?

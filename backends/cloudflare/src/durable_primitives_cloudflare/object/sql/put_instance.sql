-- parameters: name, ik, record
INSERT INTO durable_instance VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET ik = excluded.ik, record = excluded.record

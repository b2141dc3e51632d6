-- parameters: ik, a JSON array of keys
DELETE FROM durable_event WHERE ik = ? AND key IN (SELECT value FROM json_each(?))
